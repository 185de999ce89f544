"""Colours mean afterwards what they meant before, tagged or not."""

from pathlib import Path

import numpy as np
import pytest

from tests.corpus import bars, planes, run, tags

HD, SD = (1280, 32), (64, 48)
X264 = ("-c:v", "libx264", "-crf", 4)


@pytest.mark.parametrize(
    ("size", "filters", "expected"),
    [
        (HD, "scale=out_color_matrix=bt709:out_range=tv,format=yuv420p,"
         "setparams=colorspace=unknown:range=unknown", ("tv", "bt709", "bt709", "bt709")),
        (SD, "scale=out_color_matrix=bt601:out_range=tv,format=yuv420p,"
         "setparams=colorspace=unknown:range=unknown", ("tv", "smpte170m", "smpte170m", "bt709")),
        ((64, 576), "scale=out_color_matrix=bt601:out_range=tv,format=yuv420p,"
         "setparams=colorspace=unknown:range=unknown", ("tv", "bt470bg", "bt470bg", "bt709")),
        (HD, "scale=out_color_matrix=bt601:out_range=tv,format=yuv420p,setparams="
         "colorspace=smpte170m:color_primaries=smpte170m:color_trc=smpte170m:range=tv",
         ("tv", "smpte170m", "smpte170m", "smpte170m")),
        (SD, "scale=out_color_matrix=bt709:out_range=pc,format=yuv420p,setparams="
         "colorspace=bt709:color_primaries=bt709:color_trc=iec61966-2-1:range=pc",
         ("pc", "bt709", "bt709", "iec61966-2-1")),
        (SD, "scale=out_color_matrix=bt2020:out_range=tv,format=yuv420p,setparams="
         "colorspace=bt2020nc:color_primaries=bt2020:color_trc=bt2020-10:range=tv",
         ("tv", "bt2020nc", "bt2020", "bt2020-10")),
    ],
    ids=["HD untagged", "SD untagged", "PAL untagged", "HD in BT.601", "full range", "BT.2020"],
)  # fmt: skip
def test_luma_and_chroma_stay_as_they_are(
    tmp_path: Path, size: tuple[int, int], filters: str, expected: tuple[str, ...]
) -> None:
    film = bars(tmp_path / "in.mp4", size, *X264, filters=filters)
    assert run(film, "-o", tmp_path / "out.mp4", "--factor", 2, "--crf", 4) == 0
    before, after = (planes(tmp_path / n, "yuv420p", size)[0].astype(int) for n in
                     ("in.mp4", "out.mp4"))  # fmt: skip
    assert np.percentile(np.abs(before - after), 75) <= 2  # beside the edges of bars
    assert tags(tmp_path / "out.mp4") == expected


def test_pictures_become_limited_bt709(tmp_path: Path) -> None:
    film = bars(tmp_path / "in.gif", SD)
    assert run(film, "-o", tmp_path / "out.mp4", "--factor", 2) == 0
    assert tags(tmp_path / "out.mp4") == ("tv", "bt709", "bt709", "bt709")
