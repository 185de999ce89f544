"""Real downloads over loopback, from a hub that speaks just enough of its API."""

import hashlib
import json
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from engine.errors import ModelLoadError
from engine.models import Card, Model
from engine.render import Cancelled
from engine.render.device import choose_device
from engine.render.painting.painter import Painter
from engine.render.weights import files
from engine.render.weights import hub as download
from engine.render.weights.files import Choose, needed
from engine.render.weights.hub import Wanted
from engine.render.weights.pipeline import load_pipeline
from tests.stand_ins.pipelines import save_tiny_pipeline

REPO = "someone/tiny"
COMMIT = "0123456789abcdef0123456789abcdef01234567"
SAFE = "diffusion_pytorch_model.safetensors"
SMALL = "diffusion_pytorch_model.fp16.safetensors"


class Hub(ThreadingHTTPServer):
    """Serves a folder as a repository and notes which files were asked for."""

    daemon_threads = True

    def __init__(self, folder: Path) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.files = {
            path.relative_to(folder).as_posix(): path.read_bytes()
            for path in folder.rglob("*")
            if path.is_file()
        }
        self.asked: set[str] = set()
        self.refusal: tuple[int, str] | None = None
        self.commit = COMMIT
        self.cut = ""  # the file whose connection breaks in the middle, once
        self.began_at = 0  # the latest start of a range of bytes that was asked for

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


class Handler(BaseHTTPRequestHandler):
    server: Hub
    protocol_version = "HTTP/1.1"

    def log_message(self, format: str, *args: Any) -> None:
        pass

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        path = self.path.partition("?")[0]
        if self.server.refusal:
            status, code = self.server.refusal
            self._answer(status, b"{}", {"X-Error-Code": code})
        elif path.startswith(f"/api/models/{REPO}/tree/"):
            self._json([self._entry(name, data) for name, data in self.server.files.items()])
        elif path.startswith(f"/api/models/{REPO}"):
            held = self.server.files.items()
            siblings = [{"rfilename": name, "size": len(data)} for name, data in held]
            commit = path.partition("/revision/")[2] or self.server.commit
            self._json({"id": REPO, "modelId": REPO, "sha": commit, "siblings": siblings})
        else:
            self._file(*path.partition("/resolve/")[2].split("/", 1))

    def _entry(self, name: str, data: bytes) -> dict[str, Any]:
        return {"type": "file", "path": name, "size": len(data), "oid": _oid(data)}

    def _file(self, commit: str, name: str) -> None:
        data = self.server.files[name]
        if self.command == "GET":
            self.server.asked.add(name)
        headers = {"ETag": f'"{_oid(data)}"', "X-Repo-Commit": commit, "Accept-Ranges": "bytes"}
        if asked := self.headers.get("Range"):
            start = int(asked.removeprefix("bytes=").partition("-")[0])
            self.server.began_at = max(start, self.server.began_at)
            headers["Content-Range"] = f"bytes {start}-{len(data) - 1}/{len(data)}"
            self._answer(206, data[start:], headers)
        elif self.command == "GET" and name == self.server.cut:
            self.server.cut = ""
            self._answer(200, data, headers, sent=len(data) // 2)
            self.close_connection = True
        else:
            self._answer(200, data, headers)

    def _json(self, value: Any) -> None:
        self._answer(200, json.dumps(value).encode(), {"Content-Type": "application/json"})

    def _answer(
        self, status: int, body: bytes, headers: dict[str, str], sent: int | None = None
    ) -> None:
        self.send_response(status)
        for name, value in {**headers, "Content-Length": str(len(body))}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(body[:sent])


def _oid(data: bytes) -> str:
    return hashlib.sha1(data).hexdigest()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A repository with what is not to be fetched, too."""
    folder = save_tiny_pipeline(tmp_path_factory.mktemp("hub") / "tiny")
    (folder / "unet" / "diffusion_pytorch_model.bin").write_bytes(b"a pickle")
    (folder / "unet" / "evil.py").write_bytes(b"raise SystemExit")
    (folder / "tiny-pruned.safetensors").write_bytes(b"the whole model in one file")
    (folder / "README.md").write_bytes(b"# Tiny")
    return folder


@pytest.fixture
def hub(folder: Path) -> Iterator[Hub]:
    hub = Hub(folder)
    thread = threading.Thread(target=hub.serve_forever, args=(0.05,))
    thread.start()
    yield hub
    hub.shutdown()
    hub.server_close()
    thread.join()


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    return tmp_path / "cache"


def ignore(done: int, total: int) -> None:
    pass


def fetch(on_bytes: Callable[[int, int], None], hub: str, cache: Path, commit: str = "") -> Path:
    """Fetch the whole pipeline."""
    choose = files.pipeline(REPO, half=False)
    (folder,) = download.fetch([Wanted(REPO, commit, choose)], on_bytes, endpoint=hub, cache=cache)
    return folder


def test_a_model_is_fetched_and_its_bytes_are_counted(hub: Hub, cache: Path) -> None:
    reports: list[tuple[int, int]] = []
    fetch(lambda *report: reports.append(report), hub.address, cache)
    total = sum(len(hub.files[name]) for name in hub.asked)
    assert reports == sorted(reports)
    assert reports[-1] == (total, total)


def test_only_what_is_needed_is_fetched(hub: Hub, cache: Path) -> None:
    fetch(ignore, hub.address, cache)
    assert f"unet/{SAFE}" in hub.asked
    assert not [name for name in hub.asked if name.endswith((".bin", ".py", ".md"))]
    assert "tiny-pruned.safetensors" not in hub.asked


def test_what_was_fetched_paints(
    hub: Hub, cache: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = download.fetch
    monkeypatch.setattr(
        download,
        "fetch",
        lambda *args, **named: real(*args, **named, endpoint=hub.address, cache=cache),
    )
    model, shares = Model(name=REPO, source=REPO, card=Card(title="Tiny")), []
    painter = Painter.load(
        model, choose_device("cpu"), lambda done, total: shares.append(done / total)
    )
    assert painter.identity.startswith(f"{REPO}@")
    assert shares == sorted(shares)  # fetched, then verified: one way, not twice
    assert (shares[-1], shares.count(1.0) > 1) == (1.0, True)


def test_a_second_time_nothing_is_fetched(hub: Hub, cache: Path) -> None:
    first = fetch(ignore, hub.address, cache)
    hub.asked.clear()
    assert fetch(ignore, hub.address, cache) == first
    assert not hub.asked


def test_stopping_while_bytes_arrive_stops_the_download(hub: Hub, cache: Path) -> None:
    def stop(done: int, total: int) -> None:
        raise Cancelled

    with pytest.raises(Cancelled):
        fetch(stop, hub.address, cache)
    fetch(ignore, hub.address, cache)  # and it can be taken up again


def test_a_damaged_file_of_a_hub_is_noticed_when_loading(hub: Hub, cache: Path) -> None:
    name = f"unet/{SAFE}"
    hub.files[name] = hub.files[name][:-1000]
    fetched = fetch(ignore, hub.address, cache)
    with pytest.raises(ModelLoadError, match="damaged"):
        load_pipeline(
            Model(name="tiny", source=str(fetched), card=Card(title="Tiny")),
            choose_device("cpu"),
            ignore,
        )


def test_without_a_network_the_cache_serves(hub: Hub, cache: Path) -> None:
    first = fetch(ignore, hub.address, cache)
    nowhere = "http://127.0.0.1:9"
    assert fetch(ignore, nowhere, cache) == first


def test_without_network_and_cache_the_remedy_is_the_network(cache: Path) -> None:
    with pytest.raises(ModelLoadError, match="cannot be reached") as caught:
        fetch(ignore, "http://127.0.0.1:9", cache)
    assert "network" in caught.value.remedy


@pytest.mark.parametrize(
    ("status", "code", "words"),
    [
        (404, "RepoNotFound", "no such model"),
        (401, "RepoNotFound", "no such model"),
        (403, "GatedRepo", "asked first"),
        (500, "", "answered"),
    ],
)
def test_refusals_are_translated(hub: Hub, cache: Path, status: int, code: str, words: str) -> None:
    hub.refusal = status, code
    with pytest.raises(ModelLoadError, match=words) as caught:
        fetch(ignore, hub.address, cache)
    assert caught.value.remedy


# --- Commits ---

NEWER = "f" * 40


def test_the_commit_that_was_met_first_stays(hub: Hub, cache: Path) -> None:
    first = fetch(ignore, hub.address, cache)
    hub.commit = NEWER  # the repository moves on
    assert fetch(ignore, hub.address, cache) == first
    assert fetch(ignore, "http://127.0.0.1:9", cache) == first


def test_a_commit_that_is_named_is_taken(hub: Hub, cache: Path) -> None:
    hub.commit = NEWER
    assert fetch(ignore, hub.address, cache, COMMIT).name == COMMIT
    assert fetch(ignore, hub.address, cache).name == NEWER


# --- Parts of several repositories ---


def test_bytes_of_several_parts_are_one_sum(hub: Hub, cache: Path) -> None:
    reports: list[tuple[int, int]] = []
    choices: list[Choose] = [
        files.pipeline(REPO, half=False, without=("vae",)),
        files.one_file(REPO, f"vae/{SAFE}"),
    ]
    wanted = [Wanted(REPO, "", choose) for choose in choices]
    download.fetch(
        wanted, lambda *report: reports.append(report), endpoint=hub.address, cache=cache
    )
    assert {asked for asked in hub.asked if "vae" in asked} == {f"vae/{SAFE}"}
    total = sum(len(hub.files[name]) for name in hub.asked)
    assert reports == sorted(reports)
    assert reports[-1] == (total, total)


def test_only_parts_that_the_pipeline_names_are_fetched(hub: Hub, cache: Path) -> None:
    hub.files[f"vae_1_0/{SAFE}"] = b"another one, for other tools"
    fetch(ignore, hub.address, cache)
    assert f"vae_1_0/{SAFE}" not in hub.asked


def test_of_a_configuration_no_weights_are_fetched(hub: Hub, cache: Path) -> None:
    wanted = [Wanted(REPO, "", files.configuration)]
    (folder,) = download.fetch(wanted, ignore, endpoint=hub.address, cache=cache)
    assert (folder / "unet" / "config.json").is_file()
    assert not [name for name in hub.asked if name.endswith(".safetensors")]


def test_a_file_that_a_repository_lacks_is_named(hub: Hub, cache: Path) -> None:
    wanted = [Wanted(REPO, "", files.one_file(REPO, "style.safetensors"))]
    with pytest.raises(ModelLoadError, match=r"no file style\.safetensors"):
        download.fetch(wanted, ignore, endpoint=hub.address, cache=cache)


def test_an_interrupted_download_is_resumed(
    hub: Hub, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("huggingface_hub.constants.DOWNLOAD_CHUNK_SIZE", 2**16)  # not 10 MB
    name = f"unet/{SAFE}"
    hub.cut = name
    folder = fetch(ignore, hub.address, cache)
    assert hub.began_at > 0
    assert (folder / name).read_bytes() == hub.files[name]


# --- Which files are needed ---

NAMES = ["model_index.json", "unet/config.json", f"unet/{SAFE}", "vae/config.json", f"vae/{SAFE}"]


def test_half_precision_files_are_preferred_where_they_suffice() -> None:
    names = [*NAMES, f"unet/{SMALL}"]
    assert f"unet/{SMALL}" in needed(REPO, names, half=True)
    assert f"unet/{SAFE}" not in needed(REPO, names, half=True)
    assert f"vae/{SAFE}" in needed(REPO, names, half=True)
    assert f"unet/{SAFE}" in needed(REPO, names, half=False)
    assert f"unet/{SMALL}" not in needed(REPO, names, half=False)


def test_a_model_of_pickles_is_refused() -> None:
    names = ["model_index.json", "unet/config.json", "unet/diffusion_pytorch_model.bin"]
    with pytest.raises(ModelLoadError, match="can run code") as caught:
        needed(REPO, names, half=False)
    assert "safetensors" in caught.value.remedy


def test_another_layout_is_refused() -> None:
    with pytest.raises(ModelLoadError, match="diffusers layout"):
        needed(REPO, ["config.json", "model.safetensors"], half=False)
