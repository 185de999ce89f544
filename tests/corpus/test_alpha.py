"""What lies hidden under transparency stays hidden."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from engine.errors import InvalidParameterError
from tests.corpus import ffmpeg, pixels, run

SIZE = (64, 48)


def frames() -> list[Image.Image]:
    """Red with a transparent half, under which green is hidden."""
    array = np.zeros((SIZE[1], SIZE[0], 4), np.uint8)
    array[:, :32], array[:, 32:] = (220, 20, 20, 255), (20, 250, 20, 0)
    return [Image.fromarray(array)] * 3


def source(folder: Path, kind: str) -> Path:
    (folder / "pictures").mkdir()
    for index, frame in enumerate(frames()):
        frame.save(folder / "pictures" / f"{index}.png")
    codecs = {
        "mov": ("-c:v", "prores_ks", "-profile:v", "4444", "-pix_fmt", "yuva444p10le"),
        "webm": ("-c:v", "libvpx-vp9", "-pix_fmt", "yuva420p", "-crf", 4, "-b:v", 0),
        "apng": ("-pix_fmt", "rgba"),
    }
    if kind in codecs:
        pattern = folder / "pictures" / "%d.png"
        ffmpeg("-framerate", 10, "-i", pattern, *codecs[kind], folder / f"in.{kind}")
        return folder / f"in.{kind}"
    if kind == "gif":
        first, *others = frames()
        first.save(folder / "in.gif", save_all=True, append_images=others, duration=100)
        return folder / "in.gif"
    return folder / "pictures"


@pytest.mark.parametrize("kind", ["pictures", "gif", "apng", "mov", "webm"])
def test_it_is_laid_on_a_background(
    tmp_path: Path, kind: str, capsys: pytest.CaptureFixture
) -> None:
    arguments = ("--factor", 2, "--background", "#2040c0", "--crf", 4)
    assert run(source(tmp_path, kind), "-o", tmp_path / "out.mp4", *arguments) == 0
    assert "is transparent; it is laid on #2040c0" in capsys.readouterr().err
    shown = pixels(tmp_path / "out.mp4", "rgb24", 3, SIZE)[0].astype(int)
    assert np.abs(shown[10:-10, 4:24] - (220, 20, 20)).mean() < 9
    assert np.abs(shown[10:-10, 40:60] - (32, 64, 192)).mean() < 9


def test_a_background_is_a_colour(tmp_path: Path) -> None:
    with pytest.raises(InvalidParameterError, match="no colour"):
        run(source(tmp_path, "pictures"), "-o", tmp_path / "o.mp4", "--fps=9", "--background=loud")
