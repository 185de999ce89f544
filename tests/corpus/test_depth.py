"""Ten bits stay ten, HDR stays HDR with its metadata, or becomes BT.709 where that is asked for."""

from pathlib import Path

import numpy as np
import pytest

from tests.corpus import ffmpeg, info, pixel_format, planes, run, tags

SIZE = (64, 48)
DISPLAY = ("G(13250,34500)B(7500,3000)R(34000,16000)WP(15635,16450)L(10000000,1)", "1000,400")
BT2020 = "color_primaries=bt2020:colorspace=bt2020nc:range=tv"
HDR = {
    "pq": f"{BT2020}:color_trc=smpte2084",
    "hlg": f"{BT2020}:color_trc=arib-std-b67",
    "sdr": "color_primaries=bt709:colorspace=bt709:range=tv:color_trc=bt709",
}


def film(path: Path, kind: str) -> Path:
    """Write a ramp of ten bits that stands still for three frames."""
    ramp = np.linspace(64, 700, SIZE[0] * SIZE[1]).astype("<u2").tobytes()
    chroma = np.full(SIZE[0] * SIZE[1] // 2, 540, "<u2").tobytes()
    params = "log-level=error:lossless=1"
    if kind == "pq":
        params += f":hdr10=1:repeat-headers=1:master-display={DISPLAY[0]}:max-cll={DISPLAY[1]}"
    ffmpeg("-f", "rawvideo", "-pix_fmt", "yuv420p10le", "-s", "64x48", "-r", 10, "-i", "-",
           "-vf", f"setparams={HDR[kind]}", "-c:v", "libx265", "-x265-params", params,
           path, stdin=(ramp + chroma) * 3)  # fmt: skip
    return path


@pytest.mark.parametrize("kind", ["pq", "hlg", "sdr"])
def test_ten_bits_stay_as_they_are(
    tmp_path: Path, kind: str, capsys: pytest.CaptureFixture
) -> None:
    source, out = film(tmp_path / "in.mp4", kind), tmp_path / "out.mp4"
    assert run(source, "-o", out, "--factor", 2, "--crf", 4) == 0
    assert "in 10 bits" in capsys.readouterr().err
    assert pixel_format(out) == "yuv420p10le"
    assert tags(out) == tags(source)
    before, after = (planes(path, "yuv420p10le", SIZE).astype(int) for path in (source, out))
    assert len(after) == 2 * len(before)
    assert np.abs(after - before[0]).mean() < 1.5  # of 1023; 8 bits would be 2
    shown = info(out, "showinfo=checksum=0")
    assert ("max_luminance=1000.0" in shown) == ("MaxCLL=1000" in shown) == (kind == "pq")


@pytest.mark.parametrize("choice", [["--tone-map"], ["--depth", "8"]])
def test_hdr_is_tone_mapped_when_asked(
    tmp_path: Path, choice: list[str], capsys: pytest.CaptureFixture
) -> None:
    source, out = film(tmp_path / "in.mp4", "pq"), tmp_path / "out.mp4"
    assert run(source, "-o", out, "--factor", 2, *choice) == 0
    assert "tone-mapped" in capsys.readouterr().err
    assert (pixel_format(out), tags(out)) == ("yuv420p", ("tv", "bt709", "bt709", "bt709"))
    luma = planes(out, "yuv420p", SIZE)[0][: SIZE[0] * SIZE[1]].astype(int)
    assert luma[0] < 25
    assert luma[-1] > 150
    assert (np.diff(luma[::64]) >= -1).all()


def test_ten_bits_may_be_asked_for(tmp_path: Path) -> None:
    source = film(tmp_path / "in.mp4", "sdr")
    assert run(source, "-o", tmp_path / "8.mp4", "--factor", 2, "--depth", 8) == 0
    assert pixel_format(tmp_path / "8.mp4") == "yuv420p"
    assert run(tmp_path / "8.mp4", "-o", tmp_path / "10.mp4", "--factor", 2, "--depth", 10) == 0
    assert pixel_format(tmp_path / "10.mp4") == "yuv420p10le"


def test_what_moves_is_interpolated_at_sixteen_bits(tmp_path: Path) -> None:
    ffmpeg("-f", "lavfi", "-i", "testsrc2=s=64x48:r=10:d=0.3,format=gbrp16le,"
           "format=yuv420p10le", "-c:v", "ffv1", tmp_path / "in.mkv")  # fmt: skip
    assert run(tmp_path / "in.mkv", "-o", tmp_path / "out.mkv", "--factor", 2, "--crf", 4) == 0
    before = planes(tmp_path / "in.mkv", "yuv420p10le", SIZE).astype(int)
    after = planes(tmp_path / "out.mkv", "yuv420p10le", SIZE).astype(int)
    assert np.percentile(np.abs(after[::2] - before), 60) <= 8
