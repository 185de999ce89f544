"""What rides along with a film's pictures: subtitles, attachments, and which containers hold them.

Knows nothing about frames, and leaves sound to whoever joins the film.
"""

import re
from collections.abc import Sequence
from typing import NamedTuple

TEXT_SUBTITLES = ("subrip", "srt", "ass", "ssa", "webvtt", "mov_text", "text")
# The text subtitles that each container holds as they are, and what others become there.
KEPT_TEXT = {
    ".mkv": ("subrip", "srt", "ass", "ssa", "webvtt"),
    ".mp4": ("mov_text",),
    ".webm": ("webvtt",),
}
CONVERTED_TEXT = {".mkv": "srt", ".mp4": "mov_text", ".webm": "webvtt"}
KEPT_PICTURES = {".mkv": ("hdmv_pgs_subtitle", "dvd_subtitle", "dvb_subtitle"), ".mp4": ()}
SAME_AS = {".mov": ".mp4"}
HAVE_ATTACHMENTS = (".mkv",)


class Stream(NamedTuple):
    """A stream of a film that holds no pictures and no sound.

    Attributes:
        number: among the film's streams.
        kind: ``Subtitle``, ``Attachment`` or ``Data``.
        codec: as ffmpeg calls it.
    """

    number: int
    kind: str
    codec: str


class Carried(NamedTuple):
    """What a container takes along.

    Attributes:
        arguments: of ffmpeg's output, for the second input's streams.
        lost: a sentence about what it cannot hold; empty where it holds all.
    """

    arguments: list[str]
    lost: str


def read_streams(remarks: str) -> tuple[Stream, ...]:
    """Find the streams in what ffmpeg reports about a film that it opened."""
    found = re.findall(
        r"^ *Stream #0:(\d+)\S*: (Subtitle|Attachment|Data): (\w+)",
        remarks.partition("Output #0")[0],
        re.MULTILINE,
    )
    return tuple(Stream(int(number), kind, codec) for number, kind, codec in found)


def carry(streams: Sequence[Stream], suffix: str) -> Carried:
    """Decide what a container, known by its suffix, takes along of a film's streams."""
    container = SAME_AS.get(suffix.lower(), suffix.lower())
    arguments: list[str] = []
    lost: list[str] = []
    subtitles = 0
    for stream in streams:
        codec = _codec(stream, container)
        if not codec:
            lost.append(f"{stream.kind.lower()} {stream.number} ({stream.codec})")
            continue
        arguments += ["-map", f"1:{stream.number}"]
        if stream.kind == "Subtitle":
            arguments += [f"-c:s:{subtitles}", codec]
            subtitles += 1
        else:
            arguments += ["-c:t", codec]
    named = f"{suffix[1:]} cannot hold {', '.join(lost)}; left out" if lost else ""
    return Carried(arguments, named)


def _codec(stream: Stream, container: str) -> str:
    """How a container holds a stream: ``copy``, a codec to convert it to, or not at all."""
    if stream.kind == "Attachment":
        return "copy" if container in HAVE_ATTACHMENTS else ""
    if stream.kind != "Subtitle":
        return ""
    if stream.codec in (*KEPT_TEXT.get(container, ()), *KEPT_PICTURES.get(container, ())):
        return "copy"
    return CONVERTED_TEXT.get(container, "") if stream.codec in TEXT_SUBTITLES else ""
