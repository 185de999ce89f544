"""Films become GIF, WebM or PNG files, at rates that need not be whole multiples."""

from fractions import Fraction
from pathlib import Path

import numpy as np
from PIL import Image

from tests.corpus import bars, ffmpeg, info, pixels, run, times

SIZE = (64, 48)


def test_a_film_becomes_a_folder_of_pictures_of_its_own_size(tmp_path: Path) -> None:
    source = bars(tmp_path / "in.mkv", (33, 25), "-c:v", "ffv1", filters="format=gbrp")
    for out in (tmp_path / "100%d", tmp_path / "again"):
        assert run(source, "-o", out, "--factor", 2) == 0
        found = [np.asarray(Image.open(path)) for path in sorted(out.iterdir())]
        assert [path.name for path in sorted(out.iterdir())][::5] == ["000001.png", "000006.png"]
        before = pixels(source, "rgb24", 3, (33, 25))
        assert np.array_equal(found[0], before[0])
        (tmp_path / "again").mkdir(exist_ok=True)  # an empty folder is as good as none


def test_a_film_becomes_a_gif(tmp_path: Path) -> None:
    source = bars(tmp_path / "in.mkv", SIZE, "-c:v", "ffv1", filters="format=gbrp")
    assert run(source, "-o", tmp_path / "out.gif", "--factor", 2) == 0
    assert [moment for moment, _ in times(tmp_path / "out.gif")] == [
        Fraction(index, 20) for index in range(6)
    ]
    before, after = (pixels(path, "rgb24", 3, SIZE)[0].astype(int) for path in
                     (source, tmp_path / "out.gif"))  # fmt: skip
    assert np.percentile(np.abs(before - after), 90) <= 4


def test_a_film_becomes_webm_with_its_sound(tmp_path: Path) -> None:
    bars(tmp_path / "silent.mp4", SIZE)
    ffmpeg("-i", tmp_path / "silent.mp4", "-f", "lavfi", "-i", "sine=d=0.3", "-c:v", "copy",
           tmp_path / "in.mp4")  # fmt: skip
    assert run(tmp_path / "in.mp4", "-o", tmp_path / "out.webm", "--factor", "5/2") == 0
    shown = info(tmp_path / "out.webm")
    assert "Video: vp9" in shown
    assert "Audio: opus" in shown
    assert [moment for moment, _ in times(tmp_path / "out.webm")] == [
        Fraction(40 * index, 1000) for index in range(8)
    ]
