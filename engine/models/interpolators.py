"""Which network draws in-betweens: what an operator may ask for, and what users are told.

It knows names, not weights: ``engine.render.rife`` fetches and loads them.
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
    """Return a choice as workers understand it: a file's path becomes absolute.

    Raises:
        InvalidParameterError: it is no known version, and no file.
    """
    if text in (AUTO, OFFLINE, *FETCHABLE):
        return text
    path = Path(text).expanduser()
    if path.is_file():
        return str(path.resolve())
    raise InvalidParameterError(
        "rife",
        f"{text[:80]!r} is no version that can be fetched, and no file",
        f"use {AUTO}, {OFFLINE}, one of {', '.join(FETCHABLE)}, or a RIFE 4.x file",
    )


def display_name(identity: str) -> str:
    """Return what users call the network of an identity such as ``rife-4.25@…``; "" for none."""
    name = identity.partition("@")[0].removeprefix("rife-")
    return "offline network" if name == OFFLINE else f"RIFE {name}" if name else ""
