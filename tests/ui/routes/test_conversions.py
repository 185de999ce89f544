import asyncio
from contextlib import aclosing
from pathlib import Path

import imageio_ffmpeg
import pytest

from engine.errors import AssemblyError
from tests.stand_ins.films import draw
from ui.routes.conversions import Conversions, converted


def convert(source: Path, kind: str, seconds: float = 1.0) -> list[float]:
    async def run() -> list[float]:
        return [done async for done in Conversions().convert(source, kind, seconds)]

    return asyncio.run(run())


@pytest.fixture
def film(tmp_path: Path) -> Path:
    path = tmp_path / "film.mp4"
    draw(path)
    return path


@pytest.mark.parametrize("kind", ["gif", "webm"])
def test_a_film_is_converted_once_and_kept(film: Path, kind: str) -> None:
    shares = convert(film, kind)
    assert shares == sorted(shares)
    assert shares[-1] == 1.0
    made = converted(film, kind)
    size, seconds = facts(made)
    assert size == (256, 160)
    assert seconds == pytest.approx(1.0, abs=0.15)
    assert sorted(path.name for path in film.parent.iterdir()) == sorted([film.name, made.name])
    before = made.stat().st_mtime_ns
    assert convert(film, kind) == [1.0]
    assert made.stat().st_mtime_ns == before


def facts(path: Path) -> tuple[tuple[int, int], float]:
    reader = imageio_ffmpeg.read_frames(str(path))
    about = next(reader)
    reader.close()
    return about["size"], about["duration"]


def test_a_gif_becomes_a_film(tmp_path: Path) -> None:
    gif = tmp_path / "film.gif"
    draw(gif, size="255x161")
    assert convert(gif, "mp4")[-1] == 1.0
    assert facts(converted(gif, "mp4"))[0] == (254, 160)


def test_its_own_format_needs_no_conversion(film: Path) -> None:
    before = film.read_bytes()
    assert convert(film, "mp4") == [1.0]
    assert film.read_bytes() == before


def test_a_broken_film_is_reported_and_leaves_no_file(tmp_path: Path) -> None:
    film = tmp_path / "film.mp4"
    film.write_bytes(b"no film" * 1000)
    with pytest.raises(AssemblyError, match="could not be converted"):
        convert(film, "gif")
    assert list(tmp_path.iterdir()) == [film]


def test_a_playlist_that_poses_as_a_film_is_not_followed(tmp_path: Path) -> None:
    draw(tmp_path / "private.mp4")
    film = tmp_path / "film.mp4"
    film.write_text(f"ffconcat version 1.0\nfile {tmp_path / 'private.mp4'}\n")
    with pytest.raises(AssemblyError):
        convert(film, "webm")
    assert not converted(film, "webm").exists()


def test_closing_the_generator_ends_the_conversion(tmp_path: Path) -> None:
    film = tmp_path / "film.mp4"
    draw(film, seconds=20.0)
    started: list[asyncio.subprocess.Process] = []

    async def run() -> None:
        start = asyncio.create_subprocess_exec

        async def noted(*words: str, **pipes: int) -> asyncio.subprocess.Process:
            started.append(await start(*words, **pipes))
            return started[-1]

        asyncio.create_subprocess_exec = noted  # type: ignore[assignment]
        try:
            async with aclosing(Conversions().convert(film, "webm", 20.0)) as progress:
                await anext(progress)
        finally:
            asyncio.create_subprocess_exec = start

    asyncio.run(run())
    assert started[0].returncode == -9
    assert list(tmp_path.iterdir()) == [film]
