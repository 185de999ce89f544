"""The networks that enlarge pictures: the operator's choices, their limits and the names for users.

It knows names and sizes, not weights: ``engine.render.upscale`` downloads and loads them.
"""

from pathlib import Path
from typing import NamedTuple

from engine.errors import InvalidParameterError
from engine.film.recipe import MAX_FILM_PIXELS, MAX_FILM_SIDE

FACTORS = (2, 3, 4)
DEFAULT = "animevideov3"
LICENCE = "BSD-3-Clause"  # of all networks below: Real-ESRGAN, Xintao Wang


class KnownUpscaler(NamedTuple):
    """A network that is downloaded once.

    Attributes:
        title: for users.
        factor: by which the network itself enlarges; smaller ones are reduced from it.
        megabytes: of its file, at most.
    """

    title: str
    factor: int
    megabytes: float


KNOWN = {
    "animevideov3": KnownUpscaler("Real-ESRGAN AnimeVideo v3, small and quick", 4, 2.5),
    "general-x4v3": KnownUpscaler("Real-ESRGAN General v3, small, for photographs", 4, 4.9),
    "x4plus": KnownUpscaler("Real-ESRGAN x4plus, large, for photographs", 4, 67),
    "x4plus-anime": KnownUpscaler("Real-ESRGAN x4plus anime, for drawings", 4, 18),
}
HELP = (
    f"network that enlarges: {', '.join(KNOWN)}, or a file of your own that spandrel knows "
    "(%(default)s)"
)


def check_choice(text: str) -> str:
    """Return a valid choice for workers, with the path of a file made absolute.

    Raises:
        InvalidParameterError: it is neither a known network nor a file.
    """
    if text in KNOWN:
        return text
    path = Path(text).expanduser()
    if path.is_file():
        return str(path.resolve())
    raise InvalidParameterError(
        "upscaler",
        f"{text[:80]!r} is neither a known network nor a file",
        f"use one of {', '.join(KNOWN)}, or a .safetensors, .pth or .param file",
    )


def check_factor(factor: int) -> int:
    """Return the factor.

    Raises:
        InvalidParameterError: nothing enlarges by it.
    """
    if factor not in FACTORS:
        offered = ", ".join(map(str, FACTORS))
        raise InvalidParameterError("factor", f"{factor} is not offered", f"use one of {offered}")
    return factor


def enlarged_size(width: int, height: int, factor: int) -> tuple[int, int]:
    """Return width and height of a picture, enlarged.

    Raises:
        InvalidParameterError: nothing enlarges by the factor, or the result would exceed
            the limits of films.
    """
    check_factor(factor)
    sides = width * factor, height * factor
    if max(sides) > MAX_FILM_SIDE or sides[0] * sides[1] > MAX_FILM_PIXELS:
        raise InvalidParameterError(
            "factor",
            f"{width}x{height} enlarged {factor} times is {sides[0]}x{sides[1]}; a side of "
            f"at most {MAX_FILM_SIDE} and {MAX_FILM_PIXELS / 1e6:.1f} million pixels are possible",
            "choose a smaller factor or a smaller picture",
        )
    return sides


def display_name(identity: str) -> str:
    """Return the display name of a network's identity such as ``animevideov3@…``; "" for none."""
    name = identity.partition("@")[0]
    return KNOWN[name].title.partition(",")[0] if name in KNOWN else name
