"""A model of what an engine owes its clients, driven by hypothesis against a real one."""

import contextlib
import hashlib
import itertools
import json
import os
import struct
from typing import Any, ClassVar

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, precondition, rule
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection

from engine.wire.messages.limits import CONTROL_PATH, DATA_PATH, LIMITS
from tests.engine.server.test_data import a_png
from tests.fuzz import messages
from tests.fuzz.messages import Message
from tests.fuzz.target import PATIENCE, Target

CODES = {
    *("E_MALFORMED", "E_INVALID_PARAMETER", "E_UNKNOWN_MODEL", "E_UNKNOWN_JOB"),
    *("E_UNKNOWN_OBJECT", "E_JOB_CONFLICT", "E_LIMIT"),
}
TOLERATED = 20  # malformed messages in a row
TEXT = 4 * 2**20  # bytes of the longest text message that an engine may send
FEW = {"min_size": 1, "max_size": 6}

few_texts = st.lists(messages.GARBAGE, **FEW)
numbers = itertools.count()


class EngineMachine(RuleBasedStateMachine):
    """Two sockets to one engine, and what it must answer on them."""

    target: ClassVar[Target]

    def __init__(self) -> None:
        super().__init__()
        self.mark = f"f{os.getpid():x}-{next(numbers):06d}-"  # jobs of this run begin with it
        self.control = self.target.open(CONTROL_PATH)
        self.data = self.target.open(DATA_PATH)
        self.jobs: dict[str, Message | None] = {}  # the oldest first; None: a recipe unknown to us
        self.awaited: dict[str, int] = {}  # watched jobs, and the number of the next event
        self.objects: dict[str, bytes] = {}
        self.unfinished: set[str] = set()
        self.bad = 0  # malformed messages in a row

    # Valid requests on the control socket

    @rule(recipe=messages.RECIPES, again=st.booleans())
    def submit_new(self, recipe: Message, again: bool) -> None:
        job = f"{self.mark}{len(self.jobs):04d}"
        answer = self._valid("submit", job=job, recipe=recipe)
        if answer["type"] == "error":
            assert answer["error"]["code"] == "E_LIMIT"
            return
        assert answer == {**answer, "type": "accepted", "job": job, "duplicate": False}
        self.jobs[job] = recipe
        if again:
            self._submit_again(job, recipe)

    def _submit_again(self, job: str, recipe: Message) -> None:
        assert self._valid("submit", job=job, recipe=recipe)["duplicate"] is True
        other = {**recipe, "seed": (recipe.get("seed", 0) + 1) % 2**32}
        assert self._valid("submit", job=job, recipe=other)["error"]["code"] == "E_JOB_CONFLICT"

    @precondition(lambda self: self.jobs)
    @rule(pick=st.randoms(use_true_random=False), after=st.sampled_from([0, 0, 1, 5, 2**60, None]))
    def watch(self, pick: Any, after: int | None) -> None:
        job = pick.choice(list(self.jobs))
        answer = self._valid("watch", job=job, after=after, previews=pick.random() < 0.5)
        assert (answer["type"], answer["job"]) == ("snapshot", job)
        for field, value in (self.jobs[job] or {}).items():
            if field != "scenes":
                assert answer["recipe"][field] == value
        assert 0 <= answer["fraction"] <= 1

    @precondition(lambda self: self.jobs)
    @rule(pick=st.randoms(use_true_random=False), type=st.sampled_from(["cancel", "unwatch"]))
    def cancel_or_unwatch(self, pick: Any, type: str) -> None:
        assert self._valid(type, job=pick.choice(list(self.jobs)))["type"] == "done"

    @precondition(lambda self: self.jobs)
    @rule(
        pick=st.randoms(use_true_random=False),
        wanted=st.booleans(),
        budget=st.one_of(st.none(), st.integers(0, 2**31)),
    )
    def show_previews(self, pick: Any, wanted: bool, budget: int | None) -> None:
        job = pick.choice(list(self.jobs))
        assert self._valid("previews", job=job, wanted=wanted, budget=budget)["type"] == "done"

    @rule(job=messages.JOB_IDS, id=messages.REQUEST_IDS)
    def ask_about_strange_jobs(self, job: str, id: int) -> None:
        for type in ("watch", "cancel"):
            answer = self._valid(type, id=id, job=job)
            assert (answer["re"], answer["error"]["code"]) == (id, "E_UNKNOWN_JOB")
        assert self._valid("unwatch", id=id, job=job)["type"] == "done"

    @rule()
    def list_jobs(self) -> None:
        listed = [job["job"] for job in self._valid("jobs")["jobs"]]
        assert [job for job in listed if job.startswith(self.mark)] == [*reversed(self.jobs)]

    @rule()
    def describe(self) -> None:
        hello = self._valid("describe")
        assert (hello["type"], hello["protocol"]) == ("hello", 2)

    @rule(names=st.lists(messages.NAMES, max_size=20))
    def find_missing(self, names: list[str]) -> None:
        answer = self._valid("find_missing", objects=[*names, *self.objects])
        assert answer["objects"] == [name for name in names if name not in self.objects]

    # Spoilt requests on the control socket

    @rule(data=st.data(), recipe=messages.RECIPES, job=messages.JOB_IDS)
    def spoil_requests(self, data: st.DataObject, recipe: Message, job: str) -> None:
        job = data.draw(st.sampled_from([job, *self.jobs]))
        for whole in (
            {"type": "submit", "id": 1, "job": f"{self.mark}x{job[:30]}", "recipe": recipe},
            {"type": "watch", "id": 2, "job": job, "after": 0, "previews": False},
            {"type": "find_missing", "id": 3, "objects": ["a" * 64, *self.objects]},
            {"type": "cancel", "id": 4, "job": job},
            {"type": "previews", "id": 5, "job": job, "wanted": True, "budget": 9},
        ):
            self._spoilt(data.draw(messages.texts(whole)))

    @rule(garbage=few_texts)
    def send_garbage(self, garbage: list[str | bytes]) -> None:
        for message in garbage:
            self._spoilt(message)

    @rule(frames=st.binary(min_size=2, max_size=40), wrong=st.booleans())
    def break_the_framing(self, frames: bytes, wrong: bool) -> None:
        """Bytes that are no frames end this socket, and nothing else."""
        huge = b"\x81\xff" + (LIMITS.message + 1).to_bytes(8, "big")
        self._break(self.control, huge + frames if wrong else frames)
        self._reconnect()

    # The data socket

    @rule(side=st.integers(8, 40), cut=st.integers(1, 5), seed=st.integers(0, 2**64))
    def bring_an_object(self, side: int, cut: int, seed: int) -> None:
        content = a_png(8 * side, 64) + seed.to_bytes(9, "big")
        name = hashlib.sha256(f"{self.mark}{content!r}".encode()).hexdigest()
        step = -(-len(content) // cut)
        for offset in range(0, len(content), step):
            payload = content[offset : offset + step]
            answer = self._part(_header(name, content, offset), payload)
            assert answer["type"] == "done", answer
        self.objects[name] = content
        assert self._data("open", object=name)["sha256"] == hashlib.sha256(content).hexdigest()

    @rule(lie=st.sampled_from(["sha256", "size", "media_type", "order", "overlap", "long"]))
    def lie_about_an_object(self, lie: str) -> None:
        content = a_png() + os.urandom(4)
        name = hashlib.sha256(content).hexdigest()
        header, payload = _header(name, content, 0), content
        match lie:
            case "sha256":
                header["sha256"] = "0" * 64
            case "size":
                header["size"] = len(content) - 1
            case "media_type":
                header["media_type"] = "video/mp4"
            case "order":
                header["offset"], payload = 5, content[5:]
            case "overlap":
                assert self._part(header, content[:20])["type"] == "done"
                header["offset"], payload = 10, content[10:]
            case "long":
                header["size"], payload = LIMITS.chunk + 9, content.ljust(LIMITS.chunk + 1, b"\0")
        self.unfinished.add(name)
        assert self._part(header, payload)["error"]["code"] == "E_INVALID_PARAMETER"
        assert self._data("open", object=name)["error"]["code"] == "E_UNKNOWN_OBJECT"
        self._clear_unfinished()

    @precondition(lambda self: self.objects)
    @rule(
        pick=st.randoms(use_true_random=False),
        offset=st.one_of(st.integers(0, 400), st.sampled_from([2**31, 2**63, 2**64, 10**30])),
        length=st.integers(1, LIMITS.chunk),
    )
    def read(self, pick: Any, offset: int, length: int) -> None:
        name = pick.choice(list(self.objects))
        assert self._data("read", object=name, offset=offset, length=length) == {
            "re": 1,
            "object": name,
            "offset": offset,
            "data": self.objects[name][offset : offset + length],
        }

    @rule(name=messages.NAMES)
    def read_what_is_not_there(self, name: str) -> None:
        for answer in (
            self._data("open", object=name),
            self._data("read", object=name, offset=0, length=1),
        ):
            assert answer["error"]["code"] == "E_UNKNOWN_OBJECT"

    @rule(data=st.data(), payload=st.binary(max_size=40))
    def spoil_parts_and_reads(self, data: st.DataObject, payload: bytes) -> None:
        name = hashlib.sha256(self.mark.encode() + os.urandom(8)).hexdigest()
        whole = messages.part(_header(name, payload + b"x", 0), payload)
        read = {"type": "read", "id": 2, "object": name, "offset": 0, "length": 9}
        self._exchange_spoilt_data(data.draw(messages.spoilt(whole)))
        self._exchange_spoilt_data(data.draw(messages.texts(read)))
        self._clear_unfinished(always=True)

    @rule(garbage=few_texts)
    def send_garbage_to_the_data_socket(self, garbage: list[str | bytes]) -> None:
        for message in garbage:
            self._exchange_spoilt_data(message)

    @rule(frames=st.binary(min_size=2, max_size=40))
    def break_the_framing_of_the_data_socket(self, frames: bytes) -> None:
        self._break(self.data, frames)
        self._clear_unfinished(always=True)

    # The end of a run

    def teardown(self) -> None:
        for job in self.jobs:
            assert self._valid("cancel", job=job)["type"] == "done"
        self.list_jobs()
        for job in [*self.jobs][:3]:
            self._whole_log(job)
        self.control.close()
        self.data.close()
        self.target.check()

    def _whole_log(self, job: str) -> None:
        """Read a job's log to its last event; ``_hear`` sees to it that no number is missing."""
        status = self._valid("watch", job=job, after=0, previews=False)["progress"]["status"]
        while status not in ("finished", "cancelled", "failed"):
            status = self._hear(self.control.recv(PATIENCE)).get("event", {}).get("type")
        assert status != "failed"

    # Asking

    def _valid(self, type: str, *, id: int = 1, **fields: Any) -> dict[str, Any]:
        answer = self._ask(json.dumps({"type": type, "id": id, **fields}), "valid")
        assert answer["re"] == id
        self.bad = 0
        match answer["type"], type:
            case "snapshot", _:
                after = fields.get("after")
                seq = answer["progress"]["seq"]
                known = seq if after is None else after
                # A number beyond the log stands for a log that lost its end: all of it comes.
                self.awaited[fields["job"]] = known + 1 if known <= seq else 1
            case "done", "unwatch":
                self.awaited.pop(fields["job"], None)
        return answer

    def _spoilt(self, message: str | bytes) -> None:
        """Send what may or may not be valid still; the answer must fit either way."""
        try:
            answer = self._ask(message, "spoilt")
        except ConnectionClosed as closed:  # the last of too many may stay without an answer
            if self.bad < TOLERATED - 1 or not closed.rcvd or closed.rcvd.code != 1008:
                raise
            return self._reconnect()
        match answer["type"]:
            case "error":
                assert answer["error"]["code"] in CODES, answer
                assert answer["re"] in (_id_of(message), None)
                malformed = answer["error"]["code"] == "E_MALFORMED"
                self.bad = self.bad + 1 if malformed else 0
            case "accepted":
                self.bad = 0
                if answer["job"].startswith(self.mark):
                    self.jobs.setdefault(answer["job"], None)
            case _:
                self.bad = 0
                self._forget_watching()
        if self.bad == TOLERATED:
            self._expect_close(1008)
            self._reconnect()

    def _forget_watching(self) -> None:
        """A spoilt message was valid and may have been a watch: begin anew on another socket."""
        self.control.close()
        self._reconnect()

    def _ask(self, message: str | bytes, kind: str) -> dict[str, Any]:
        self.target.counts[kind] += 1
        self.control.send(message)
        while True:
            answer = self._hear(self.control.recv(PATIENCE))
            if answer["type"] not in ("event", "preview"):
                self.target.answers[answer["type"]] += 1
                return answer

    def _hear(self, message: str | bytes) -> dict[str, Any]:
        """Read what the engine sent; events must come in order, without a gap."""
        if isinstance(message, bytes):
            assert message[0] == 1
            return {"type": "preview"}
        assert len(message.encode()) <= TEXT
        heard: dict[str, Any] = json.loads(message)
        if heard["type"] == "event":
            assert heard["seq"] == self.awaited[heard["job"]], heard
            self.awaited[heard["job"]] += 1
        return heard

    def _data(self, type: str, **fields: Any) -> dict[str, Any]:
        return self._exchange_data(json.dumps({"type": type, "id": 1, **fields}), "valid")

    def _part(self, header: Message, payload: bytes) -> dict[str, Any]:
        return self._exchange_data(messages.part(header, payload), "parts")

    def _exchange_data(self, message: str | bytes, kind: str) -> dict[str, Any]:
        self.target.counts[kind] += 1
        self.data.send(message)
        answer = self.data.recv(PATIENCE)
        if isinstance(answer, bytes):
            kind_of, length = struct.unpack_from(">BI", answer)
            assert kind_of == 2
            return {**json.loads(answer[5 : 5 + length]), "data": answer[5 + length :]}
        assert len(answer.encode()) <= TEXT
        found: dict[str, Any] = json.loads(answer)
        self.target.answers[found["type"]] += 1
        return found

    def _exchange_spoilt_data(self, message: str | bytes) -> None:
        answer = self._exchange_data(message, "spoilt")
        if answer.get("type") == "error":
            assert answer["error"]["code"] in CODES, answer

    def _break(self, socket: ClientConnection, frames: bytes) -> None:
        self.target.counts["raw frames"] += 1
        try:
            socket.socket.sendall(frames)
            with contextlib.suppress(OSError):  # the engine has ended the socket already
                socket.socket.shutdown(1)
            while True:
                socket.recv(PATIENCE)
        except ConnectionClosed:
            socket.close()

    def _expect_close(self, code: int) -> None:
        with pytest.raises(ConnectionClosed) as caught:
            self._listen_to_the_end()
        assert caught.value.rcvd
        assert caught.value.rcvd.code == code

    def _listen_to_the_end(self) -> None:
        while True:
            self._hear(self.control.recv(PATIENCE))

    def _reconnect(self) -> None:
        self.bad = 0
        self.awaited.clear()
        self.control = self.target.open(CONTROL_PATH)

    def _clear_unfinished(self, *, always: bool = False) -> None:
        """What is unfinished goes with its socket; eight uploads at once are the limit."""
        if always or len(self.unfinished) >= 6:
            self.data.close()
            self.data = self.target.open(DATA_PATH)
            self.unfinished.clear()


def _header(name: str, content: bytes, offset: int) -> Message:
    sha256 = hashlib.sha256(content).hexdigest()
    about = {"id": 1, "object": name, "offset": offset, "size": len(content), "sha256": sha256}
    return {**about, "media_type": "image/png", "origin": "fuzz", "detail": ""}


def _id_of(message: str | bytes) -> int | None:
    """Return the id of a message as JSON's own rules have it; None where there is none."""
    try:
        found = json.loads(message)["id"]
    except (ValueError, KeyError, TypeError, IndexError, RecursionError):
        return None
    return found if type(found) is int and 0 <= found <= 2**53 else None
