"""GIF: a small looping picture of a film, with a palette of its own and a comment.

It knows ffmpeg and the GIF file format; it knows no recipe, only text.
"""

from collections.abc import Sequence
from pathlib import Path

from engine.errors import AssemblyError
from engine.render.video.ffmpeg import address, film_input, run

MAX_SIDE = 320  # pixels
MAX_FPS = 15
MAX_BYTES = 8_000_000  # what chats and project pages still show
SIDES = (MAX_SIDE, 240, 160, 96)  # tried in turn until the file is small enough

COMMENT = b"\x21\xfe"
EXTENSION = COMMENT[0]


def draw(source: Sequence[str], path: Path, *, fps: int, scratch: Path) -> None:
    """Draw a film as a GIF that loops for ever.

    Its longer side is at most ``MAX_SIDE``, its rate the film's divided by a whole number, so that
    frames are evenly spaced, and at most ``MAX_FPS``. Where it would exceed ``MAX_BYTES`` it is
    drawn smaller, with half as many frames.

    Args:
        source: the arguments with which ffmpeg opens the film.
        path: written to.
        fps: of the film.
        scratch: a folder for the palette.

    Raises:
        AssemblyError: ffmpeg failed, or even the smallest GIF is too large.
    """
    every = -(-fps // MAX_FPS)
    for side in SIDES:
        _draw(source, path, scratch / "palette.png", every=every, side=side)
        if path.stat().st_size <= MAX_BYTES:
            return
        every = min(2 * every, max(1, fps // 4))
    raise AssemblyError(
        f"as a GIF the film takes more than {MAX_BYTES / 1e6:.0f} MB even at {SIDES[-1]} pixels",
        remedy="choose mp4, or make the film shorter",
    )


def _draw(source: Sequence[str], path: Path, palette: Path, *, every: int, side: int) -> None:
    """Draw in two passes over the film, so that no pass holds it in memory.

    A palette of whole pictures, dithered in an ordered pattern: measured on two moving landscapes,
    a palette of the changes alone (``diff``) is 0.6 to 1.4 dB worse once blurred as an eye does it,
    and error diffusion 1.8 dB better, but it crawls and takes up to twice the bytes.
    """
    fit = f"min({side}\\,iw):min({side}\\,ih)"
    small = f"framestep={every},scale={fit}:force_original_aspect_ratio=decrease:flags=lanczos"
    made = ["-vf", f"{small},palettegen=stats_mode=full", "-frames:v", "1", address(palette)]
    run([*source, *made])
    dither = "paletteuse=dither=bayer:bayer_scale=3:diff_mode=rectangle"
    graph = f"[0:v]{small}[small];[small][1:v]{dither}"
    drawn = ["-lavfi", graph, "-loop", "0", "-f", "gif", address(path)]
    run([*source, *film_input(palette), *drawn])


def is_gif(path: Path) -> bool:
    """Return whether a file begins like a GIF."""
    with path.open("rb") as file:
        return file.read(6) in (b"GIF87a", b"GIF89a")


def add_comment(path: Path, text: str) -> None:
    """Put a comment before the first picture of a GIF (after the last, ffmpeg counts a frame more).

    Source: CompuServe, "Graphics Interchange Format, version 89a", 1990, section 24. It asks for
    ASCII; the comment is UTF-8, which picture viewers ignore.
    """
    content, gif = text.encode(), path.read_bytes()
    if not content:
        return  # ffmpeg stops reading at an empty comment
    chunks = (content[at : at + 255] for at in range(0, len(content), 255))
    blocks = b"".join(bytes([len(chunk)]) + chunk for chunk in chunks)
    start = 13 + _colours(gif[10])
    path.write_bytes(gif[:start] + COMMENT + blocks + b"\0" + gif[start:])


def read_comment(path: Path) -> str | None:
    """Return the first comment of a GIF; None where there is none or the file is damaged."""
    data = path.read_bytes()
    try:
        at = 13 + _colours(data[10])
        while data[at] == EXTENSION:
            kind, (end, content) = data[at : at + 2], _blocks(data, at + 2)
            if kind == COMMENT:
                return content.decode()
            at = end
    except (IndexError, UnicodeDecodeError):
        pass
    return None


def _colours(flags: int) -> int:
    """Return the length in bytes of the colour table that ``flags`` announce."""
    return 3 * 2 ** ((flags & 7) + 1) if flags & 0x80 else 0


def _blocks(data: bytes, at: int) -> tuple[int, bytes]:
    """Return where a chain of sub-blocks ends, and their content."""
    parts = []
    while size := data[at]:
        parts.append(data[at + 1 : at + 1 + size])
        at += 1 + size
    return at + 1, b"".join(parts)
