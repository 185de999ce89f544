"""The networks that draw in-betweens: the operator's choices and the names for users.

It knows names, not weights: ``engine.render.weights.rife`` downloads them, ``engine.render.rife``
loads them.
"""

from pathlib import Path

from engine.errors import InvalidParameterError

AUTO, DIS = "auto", "dis"
DEFAULT = "4.25"  # what RIFE's author recommends for most scenes
FETCHABLE = (
    *("4.25", "4.25.lite", "4.25.heavy", "4.26", "4.26.heavy"),
    *("4.6", "4.7", "4.15", "4.15.lite", "4.16.lite", "4.17", "4.17.lite", "4.18"),
)
HELP = (
    "what draws in-betweens: auto is the official RIFE, downloaded once, or DIS optical flow where "
    "that fails; dis, a version of RIFE (4.25, 4.26, 4.25.lite, …) or a RIFE 4.x file are the "
    "other choices (%(default)s)"
)
NAMES = {
    DIS: "DIS optical flow",
    "rife-offline": "offline network",  # drew films until 2026-11; they stay in libraries
}


def check_choice(text: str) -> str:
    """Return a valid choice for workers, with the path of a file made absolute.

    Raises:
        InvalidParameterError: it is neither a known version nor a file.
    """
    if text in (AUTO, DIS, *FETCHABLE):
        return text
    path = Path(text).expanduser()
    if path.is_file():
        return str(path.resolve())
    raise InvalidParameterError(
        "rife",
        f"{text[:80]!r} is neither a version that can be downloaded nor a file",
        f"use {AUTO}, {DIS}, one of {', '.join(FETCHABLE)}, or a RIFE 4.x file",
    )


def label(choice: str) -> str:
    """Return the name of a choice for users, before anything is loaded."""
    if choice in (AUTO, DIS):
        return NAMES.get(choice, "RIFE")
    return f"RIFE {choice}" if choice in FETCHABLE else f"RIFE from {Path(choice).name}"


def display_name(identity: str) -> str:
    """Return the display name of a network's identity such as ``rife-4.25@…``; "" for none."""
    name = identity.partition("@")[0]
    return NAMES.get(name) or (f"RIFE {name.removeprefix('rife-')}" if name else "")
