"""The networks that draw in-betweens: the operator's choices and the names for users.

It knows names, not weights: ``engine.render.rife`` downloads and loads them.
"""

from pathlib import Path

from engine.errors import InvalidParameterError

AUTO, OFFLINE = "auto", "offline"
DEFAULT = "4.25"  # what RIFE's author recommends for most scenes
FETCHABLE = (
    *("4.25", "4.25.lite", "4.25.heavy", "4.26", "4.26.heavy"),
    *("4.6", "4.7", "4.15", "4.15.lite", "4.16.lite", "4.17", "4.17.lite", "4.18"),
)
HELP = (
    "network for in-betweens: offline, a version that is fetched once (4.25, 4.26, 4.25.lite, …), "
    "or a RIFE 4.x file; auto is 4.25 on a GPU, else offline (%(default)s)"
)


def check_choice(text: str) -> str:
    """Return a valid choice for workers, with the path of a file made absolute.

    Raises:
        InvalidParameterError: it is neither a known version nor a file.
    """
    if text in (AUTO, OFFLINE, *FETCHABLE):
        return text
    path = Path(text).expanduser()
    if path.is_file():
        return str(path.resolve())
    raise InvalidParameterError(
        "rife",
        f"{text[:80]!r} is neither a version that can be downloaded nor a file",
        f"use {AUTO}, {OFFLINE}, one of {', '.join(FETCHABLE)}, or a RIFE 4.x file",
    )


def display_name(identity: str) -> str:
    """Return the display name of a network's identity such as ``rife-4.25@…``; "" for none."""
    name = identity.partition("@")[0].removeprefix("rife-")
    return "offline network" if name == OFFLINE else f"RIFE {name}" if name else ""
