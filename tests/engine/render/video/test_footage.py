"""engine.render.video.footage: odd and bad films and pictures, as the tool meets them."""

import re
import subprocess
import sys
import zlib
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
import pytest

from engine.errors import DeviceMemoryError, InvalidParameterError, StorageError
from engine.render.rife.video import check_room
from engine.render.video.ffmpeg import Frame
from engine.render.video.footage import PartWriter, open_source, read_picture
from tests.engine.cli.test_interpolate import ROOT, ffmpeg, result, run
from tests.processes import Process

COLOURS = np.random.default_rng(1).integers(0, 256, (6, 8, 3), dtype=np.uint8)


def picture(width: int, height: int, shift: int = 0) -> Frame:
    """Soft blotches that move to the left as ``shift`` rises."""
    large = cv2.resize(COLOURS, (width + 16, height), interpolation=cv2.INTER_CUBIC)
    return np.ascontiguousarray(large[:, shift : shift + width])


def pictures(folder: Path, *arrays: np.ndarray, suffix: str = "png") -> Path:
    folder.mkdir()
    for index, array in enumerate(arrays):
        cv2.imwrite(str(folder / f"{index}.{suffix}"), array)
    return folder


def test_pixels_that_are_not_square_stay_so(tmp_path: Path) -> None:
    wide = "testsrc2=s=64x48:r=12:d=0.5"
    ffmpeg("-f", "lavfi", "-i", wide, "-vf", "setsar=4/3", tmp_path / "in.mp4")
    assert open_source(tmp_path / "in.mp4", Fraction(24)).pixel_shape == "4/3"
    run(tmp_path / "in.mp4", "-o", tmp_path / "out.mp4", "--factor", 2)
    assert open_source(tmp_path / "out.mp4", Fraction(24)).pixel_shape == "4/3"


def test_a_film_that_lies_on_its_side_is_turned(tmp_path: Path) -> None:
    ffmpeg("-f", "lavfi", "-i", "testsrc2=s=64x48:r=12:d=0.3", tmp_path / "up.mp4")
    ffmpeg("-display_rotation", 90, "-i", tmp_path / "up.mp4", "-c", "copy", tmp_path / "side.mp4")
    run(tmp_path / "side.mp4", "-o", tmp_path / "out.mp4", "--factor", 2)
    film, _ = result(tmp_path / "out.mp4")
    assert (film.width, film.height) == (48, 64)


def test_a_film_that_changes_its_size_keeps_that_of_its_beginning(tmp_path: Path) -> None:
    for name, size in (("a", "64x48"), ("b", "80x64")):
        ffmpeg("-f", "lavfi", "-i", f"testsrc2=s={size}:r=12:d=0.5", tmp_path / f"{name}.ts")
    both = (tmp_path / "a.ts").read_bytes() + (tmp_path / "b.ts").read_bytes()
    (tmp_path / "in.ts").write_bytes(both)
    source, frames = result(tmp_path / "in.ts")
    assert (source.width, source.height) == (64, 48)
    assert {frame.shape for frame in frames} == {(48, 64, 3)}
    assert len(frames) == len(source.times)
    assert float(np.abs(frames[0].astype(float) - frames[-1]).mean()) < 60  # not torn apart


def test_the_added_row_and_column_of_odd_sizes_continue_the_picture(tmp_path: Path) -> None:
    bright = np.full((33, 45, 3), 200, np.uint8)
    with PartWriter(tmp_path / "out.mp4", (45, 33), Fraction(12), 4) as writer:
        writer.write(bright)
    film, (frame,) = result(tmp_path / "out.mp4")
    assert (film.width, film.height) == (46, 34)
    assert frame.min() > 190


@pytest.mark.parametrize("depth", [np.uint8, np.uint16])
@pytest.mark.parametrize("channels", [1, 3, 4])
def test_pictures_of_every_depth_and_kind_read_as_rgb(
    tmp_path: Path, depth: type[np.unsignedinteger], channels: int
) -> None:
    value = 60 * (257 if depth is np.uint16 else 1)
    shape = (5, 7) if channels == 1 else (5, 7, channels)
    array = np.full(shape, value, depth)
    if channels == 4:
        array[..., 3] = np.iinfo(depth).max
    folder = pictures(tmp_path / "in", array)
    frame = read_picture(folder / "0.png")
    assert (frame.shape, frame.dtype) == ((5, 7, 3), np.uint8)
    assert set(frame.ravel().tolist()) == {60}


def test_single_pixels_are_pictures(tmp_path: Path) -> None:
    folder = pictures(tmp_path / "in", picture(1, 1), picture(1, 1, 9))
    assert run(folder, "-o", tmp_path / "out.mp4", "--factor", 4) == 0
    assert len(result(tmp_path / "out.mp4")[1]) == 8


def test_animations_are_films(tmp_path: Path) -> None:
    for name in ("in.gif", "in.apng"):
        ffmpeg("-f", "lavfi", "-i", "testsrc2=s=64x48:r=10:d=0.5", "-f", name[3:], tmp_path / name)
        assert run(tmp_path / name, "-o", tmp_path / f"{name}.mp4", "--fps", 20) == 0
        assert len(result(tmp_path / f"{name}.mp4")[1]) in (9, 10)


def _bomb() -> bytes:
    """A PNG of a few bytes that claims 60000 x 60000 pixels."""
    body = b"IHDR" + (60_000).to_bytes(4, "big") * 2 + b"\x08\x02\x00\x00\x00"
    head = (13).to_bytes(4, "big") + body + zlib.crc32(body).to_bytes(4, "big")
    return b"\x89PNG\r\n\x1a\n" + head + b"\x00\x00\x00\x00IEND\xaeB`\x82"


def test_pictures_that_cannot_be_read_are_named(tmp_path: Path) -> None:
    (tmp_path / "bomb.png").write_bytes(_bomb())
    (tmp_path / "gone.png").symlink_to(tmp_path / "nowhere")
    (tmp_path / "folder.png").mkdir()
    (tmp_path / "cut.jpg").write_bytes(b"\xff\xd8\xff\xe0")
    for name in ("bomb.png", "gone.png", "folder.png", "cut.jpg"):
        with pytest.raises(InvalidParameterError, match=name):
            read_picture(tmp_path / name)


def test_a_bad_picture_is_named_and_the_run_resumes_once_it_is_mended(
    tmp_path: Path,
) -> None:
    folder = pictures(tmp_path / "in", *(picture(48, 32, 2 * shift) for shift in range(4)))
    good = (folder / "2.png").read_bytes()
    cv2.imwrite(str(folder / "2.png"), picture(40, 32))
    with pytest.raises(InvalidParameterError, match=r"2\.png is 40x32, .* 48x32"):
        run(folder, "-o", tmp_path / "out.mp4", "--factor", 2)
    (folder / "2.png").write_bytes(good)
    assert run(folder, "-o", tmp_path / "out.mp4", "--factor", 2) == 0
    assert len(result(tmp_path / "out.mp4")[1]) == 8


@pytest.mark.parametrize("kind", ["sound only", "no frames", "cut header"])
def test_files_without_a_frame_are_named(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "in.mp4"
    match kind:
        case "sound only":
            ffmpeg("-f", "lavfi", "-i", "sine=d=0.3", "-c:a", "aac", path)
        case "no frames":
            nothing = ("-f", "lavfi", "-i", "testsrc2=s=64x48:r=12:d=1", "-frames:v", 0)
            ffmpeg(*nothing, "-movflags", "empty_moov+frag_keyframe", path)
        case "cut header":
            ffmpeg("-f", "lavfi", "-i", "testsrc2=s=64x48:r=12:d=1", path)
            path.write_bytes(path.read_bytes()[:400])
    with pytest.raises(InvalidParameterError) as caught:
        run(path, "-o", tmp_path / "out.mp4", "--factor", 2)
    assert caught.value.field == "input"
    assert not list(tmp_path.glob("out*"))


def test_places_that_cannot_be_written_are_named(tmp_path: Path) -> None:
    folder = pictures(tmp_path / "in", picture(48, 32))
    with pytest.raises(StorageError, match="cannot be written"):
        run(folder, "-o", "/proc/out.mp4", "--factor", 2)
    (tmp_path / "out.mp4").mkdir()
    with pytest.raises(InvalidParameterError, match="is a folder"):
        run(folder, "-o", tmp_path / "out.mp4", "--factor", 2, "--overwrite")
    (tmp_path / "in.mp4").symlink_to(tmp_path / "film.mp4")
    ffmpeg("-f", "lavfi", "-i", "testsrc2=s=64x48:r=12:d=0.3", tmp_path / "film.mp4")
    with pytest.raises(InvalidParameterError, match="the input itself"):
        run(tmp_path / "in.mp4", "-o", tmp_path / "film.mp4", "--factor", 2, "--overwrite")


FULL_DISK = """
import resource, sys
import numpy as np
from fractions import Fraction
from pathlib import Path
from engine.errors import EngineError
from engine.render.video.footage import PartWriter
resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))
rng = np.random.default_rng(1)
try:
    with PartWriter(Path(sys.argv[1]), (256, 256), Fraction(24), 1) as writer:
        for _ in range(int(sys.argv[2])):
            writer.write(rng.integers(0, 256, (256, 256, 3), dtype=np.uint8))
except EngineError as error:
    print(error.code, error.remedy)
"""


@pytest.mark.parametrize("frames", [3, 90], ids=["at its end", "in the middle"])
def test_an_encoder_that_cannot_write_is_an_error_with_a_remedy(
    tmp_path: Path, frames: int
) -> None:
    """The kernel ends the encoder at 20 KB."""
    command = [sys.executable, "-c", FULL_DISK, str(tmp_path / "out.mp4"), str(frames)]
    said = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert "a second start resumes" in said
    assert list(tmp_path.iterdir()) == []


def test_frames_too_large_for_the_machine_are_refused_with_numbers() -> None:
    check_room(7680, 4320, 10**10)
    with pytest.raises(DeviceMemoryError, match=r"15360x8640 take about 31\.\d GB .* 10\.0 GB"):
        check_room(15360, 8640, 10**10)


@pytest.mark.slow
def test_a_killed_run_is_resumed_by_the_next(tmp_path: Path) -> None:
    frames = [picture(48, 32, index % 16) for index in range(80)]
    with PartWriter(tmp_path / "in.mp4", (48, 32), Fraction(12), 18) as writer:
        for frame in frames:
            writer.write(frame)
    command = [sys.executable, "-m", "engine", "interpolate", str(tmp_path / "in.mp4")]
    command += ["-o", str(tmp_path / "out.mp4"), "--factor", "8"]
    with Process(command, tmp_path / "log") as first:
        first.until((tmp_path / "out.mp4.parts" / "part-00000.mp4").exists)
        first.kill()
    assert not (tmp_path / "out.mp4").exists()
    again = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    assert re.search("resuming after frame (240|480)", again.stderr)
    assert len(open_source(tmp_path / "out.mp4", Fraction(24)).times) == 640
    assert not list(tmp_path.glob("*.part*"))


LARGEST = """
import resource, sys
import numpy as np
from engine.render.rife import load_interpolator
rows, columns = np.mgrid[:4320, :7680].astype(np.float32)
def frame(shift):
    wave = np.sin((columns + shift) / 90) * np.sin(rows / 70)
    return np.repeat((127 + 100 * wave).astype(np.uint8)[..., None], 3, axis=2)
drawn, = load_interpolator("cpu").between(frame(0), frame(40), [0.5])
error = np.abs(drawn.astype(float) - frame(20)).mean()
print(drawn.shape == (4320, 7680, 3), error < 2, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""


@pytest.mark.slow
def test_frames_of_8k_are_drawn_in_bounded_memory() -> None:
    """7680 x 4320, in a process of its own; the bound is what docs/performance.md states."""
    command = [sys.executable, "-c", LARGEST]
    said = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    whole, close, kibibytes = said.split()
    assert (whole, close) == ("True", "True")
    assert int(kibibytes) < 8 * 2**20


@pytest.mark.parametrize(("size", "lookahead"), [((1920, 1080), 40), ((2560, 1440), 10)])
def test_large_frames_are_encoded_faster(
    tmp_path: Path, size: tuple[int, int], lookahead: int
) -> None:
    path = tmp_path / "part.mp4"
    with PartWriter(path, size, Fraction(24), 30) as writer:
        writer.write(np.zeros((size[1], size[0], 3), np.uint8))
    assert f"rc_lookahead={lookahead}".encode() in path.read_bytes()
