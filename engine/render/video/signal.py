"""What the numbers of a film's pixels mean: matrix, range, primaries and transfer of its colours.

Read from the film's tags; what they leave open is taken from its size, as players do. Knows nothing
about when frames are shown.

Sources: ITU-T H.273 for the names; for what is assumed of untagged films, mpv's rule: BT.709 from
1280 pixels of width or 577 of height on, else BT.601.
"""

import re
from dataclasses import dataclass, replace
from pathlib import Path

from engine.errors import InvalidParameterError
from engine.render.video.ffmpeg import report

HDR = {"smpte2084": "PQ", "arib-std-b67": "HLG"}
DEEP = re.compile(r"(9|10|12|14|16|f16|f32)(le|be)$|^(p[024]1|rgb48|rgba64|bgr48|bgra64|ya16|y21)")
ALPHA = re.compile(r"rgba|bgra|argb|abgr|gbrap|yuva|ya8|ya16|pal8|ayuv|vuya")
# Light of up to 1000 candela a square metre becomes BT.709.
TONE_MAP = (
    "zscale=t=linear:npl=100,format=gbrpf32le,zscale=p=bt709,tonemap=hable:desat=0,"
    "zscale=t=bt709:m=bt709:r=tv,format=yuv420p,"
)
UNKNOWN = ("unknown", "reserved")
HD_WIDTH, HD_HEIGHT = 1280, 577  # pixels from which either makes a film HD
PAL_HEIGHT = 576
JUDGED_FRAMES = 100  # of a film, for whether it is interlaced
# Lines of interlaced video; at other heights votes for combs come from fine detail.
INTERLACED_HEIGHTS = (480, 486, 576, 1080, 1088)
# Matrices that ffmpeg's scaler reads and writes.
MATRICES = ("bt709", "bt470bg", "smpte170m", "bt2020nc", "smpte240m", "fcc")
# Without these colours drift by 3 of 255.
EXACT_SCALING = "flags=bicubic+accurate_rnd+full_chroma_int"


@dataclass(frozen=True)
class Signal:
    """How a film's pixels are to be read, and are written again; names as ffmpeg has them.

    Attributes:
        pixels: ffmpeg's pixel format.
        matrix: how colours became luma and chroma; ``gbr`` where they did not.
        range: ``tv`` or ``pc``.
        primaries: which red, green and blue are meant.
        transfer: how light became numbers.
        interlaced: whether its frames are two fields of different moments.
        deep: whether it has more than 8 bits; its frames are read as 16.
        alpha: whether its pixels may be transparent.
        mastering: x265's options for the metadata of the display that HDR was graded on.
    """

    pixels: str = "rgb24"
    matrix: str = "gbr"
    range: str = "pc"
    primaries: str = "bt709"
    transfer: str = "bt709"
    interlaced: bool = False
    deep: bool = False
    alpha: bool = False
    mastering: str = ""

    @property
    def is_rgb(self) -> bool:
        """Whether it has no luma, as GIF and PNG."""
        return self.matrix == "gbr"

    @property
    def hdr(self) -> str:
        """Which HDR it is, PQ or HLG; empty for others."""
        return HDR.get(self.transfer, "")

    def reading(self) -> str:
        """Return options of ffmpeg's ``scale`` that turn it into RGB."""
        return "" if self.is_rgb else f":in_color_matrix={self.matrix}:in_range={self.range}"

    def written(self) -> "Signal":
        """Return the signal in which its frames are encoded: RGB becomes BT.709."""
        return replace(self, matrix="bt709", range="tv") if self.is_rgb else self

    def writing(self) -> str:
        """Return options of ffmpeg's ``scale`` that turn RGB into it."""
        return f"out_color_matrix={self.matrix}:out_range={self.range}"

    def tags(self) -> str:
        """Return ffmpeg's filter that writes it on frames."""
        return (
            f"setparams=range={self.range}:colorspace={self.matrix}"
            f":color_primaries={self.primaries}:color_trc={self.transfer}"
        )


PICTURES = Signal()  # RGB without tags


def read_signal(film: Path) -> Signal:
    """Read the signal of a film's beginning.

    Raises:
        AssemblyError: ffmpeg cannot be started.
        InvalidParameterError: its colours are encoded in a way that cannot be read.
    """
    text = report(film, "showinfo=checksum=0,scale,idet", "-frames:v", str(JUDGED_FRAMES))
    shown: dict[str, str] = {}
    for key, value in re.findall(r"\b(color_\w+|fmt):(\S+)", text):
        shown.setdefault(key, value)
    shape = re.search(r"\bs:(\d+)x(\d+) i:(\w)", text)
    width, height = (int(shape[1]), int(shape[2])) if shape else (0, 0)
    flagged = bool(shape and shape[3] in "TB")
    interlaced = _is_interlaced(text, flagged, height)
    completed = _completed(shown, width, height)
    return replace(completed, interlaced=interlaced, mastering=_mastering(text))


def _is_interlaced(text: str, flagged: bool, height: int) -> bool:
    """Whether most frames are two moments: flagged so, or combed at a height of such video."""
    votes = re.findall(r"Multi frame detection: TFF: *(\d+) BFF: *(\d+) Prog\w*: *(\d+)", text)
    top, bottom, whole = map(int, votes[-1]) if votes else (0, 0, 0)
    combed, frames = max(top, bottom), len(re.findall(r"\] n: *\d+ pts:", text))
    if flagged:
        return whole <= combed
    return height in INTERLACED_HEIGHTS and 2 * combed > frames and not whole


def _mastering(text: str) -> str:
    """Return x265's options for what a film says about the display that it was graded on."""
    point = r"\(([\d.]+),? *([\d.]+)\)"
    display = re.search(
        rf"r{point} g{point} b{point} wp{point} min_luminance=([\d.]+), max_luminance=([\d.]+)",
        text,
    )
    light = re.search(r"MaxCLL=(\d+), MaxFALL=(\d+)", text)
    options = []
    if display:
        rx, ry, gx, gy, bx, by, wx, wy = (round(float(n) * 50_000) for n in display.groups()[:8])
        low, high = (round(float(n) * 10_000) for n in display.groups()[8:])
        points = f"G({gx},{gy})B({bx},{by})R({rx},{ry})WP({wx},{wy})"
        options.append(f"master-display={points}L({high},{low})")
    if light:
        options.append(f"max-cll={light[1]},{light[2]}")
    return ":".join(options)


def tone_mapped(signal: Signal) -> Signal:
    """Return what a signal is behind ``TONE_MAP``."""
    return replace(
        signal, pixels="yuv420p", matrix="bt709", range="tv", primaries="bt709", transfer="bt709",
        deep=False, mastering="",
    )  # fmt: skip


def _completed(shown: dict[str, str], width: int, height: int) -> Signal:
    """Fill in what a film does not say."""
    pixels = shown.get("fmt", "yuv420p")
    usual = _usual(pixels, width, height)

    def tag(name: str, otherwise: str) -> str:
        found = shown.get(f"color_{name}", "unknown")
        return otherwise if found in UNKNOWN else found

    signal = Signal(
        pixels,
        tag("space", usual.matrix),
        tag("range", usual.range),
        tag("primaries", usual.primaries),
        tag("trc", usual.transfer),
        deep=bool(DEEP.search(pixels)),
        alpha=bool(ALPHA.match(pixels)),
    )
    if signal.is_rgb or signal.matrix in MATRICES:
        return signal
    problem = f"its colours are encoded by the matrix {signal.matrix}, which cannot be read"
    remedy = f"convert it to one of {', '.join(MATRICES)} first"
    raise InvalidParameterError("input", problem, remedy)


def _usual(pixels: str, width: int, height: int) -> Signal:
    """What players assume of a film of this size without tags."""
    if not pixels.startswith(("yuv", "nv", "p0", "p2", "uyvy", "yvyu", "xyz", "gray", "ya", "y2")):
        return Signal(pixels)
    span = "pc" if pixels.startswith("yuvj") else "tv"
    if width >= HD_WIDTH or height >= HD_HEIGHT:
        return Signal(pixels, "bt709", span, "bt709", "bt709")
    if height == PAL_HEIGHT:
        return Signal(pixels, "bt470bg", span, "bt470bg", "bt709")
    return Signal(pixels, "smpte170m", span, "smpte170m", "bt709")
