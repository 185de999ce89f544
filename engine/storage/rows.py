"""What the journal's rows hold, as values, and how they are read. It knows no SQL.

Whatever cannot be read raises ``msgspec.MsgspecError``.
"""

from typing import Any

import msgspec

from engine.film.events import AnyEvent, Finished, Logged
from engine.film.recipe import Recipe

RECIPES, EVENTS = msgspec.json.Decoder(Recipe), msgspec.json.Decoder(AnyEvent)


class JobRow(msgspec.Struct, frozen=True):
    """A job as it is kept."""

    id: str
    recipe: Recipe
    created_at: float
    ended: bool


class Ended(msgspec.Struct, frozen=True):
    """A job that has ended: when, in Unix seconds, and with which film; "" without one."""

    id: str
    at: float
    film: str


class ObjectRow(msgspec.Struct, frozen=True):
    """A finished node: its content address, the hash and size of its content, its media type.

    ``detail`` is what its maker had to say of it, such as a segment's judgement; ``origin`` is the
    device that made it.
    """

    name: str
    sha256: str
    size: int
    media_type: str
    detail: str = ""
    origin: str = ""


def read_job(row: tuple[Any, ...]) -> JobRow:
    """Read ``id, recipe, created_at, ended``."""
    job, recipe, created_at, ended = row
    return JobRow(job, RECIPES.decode(recipe), created_at, bool(ended))


def read_event(row: tuple[Any, ...]) -> Logged:
    """Read ``seq, at, body``."""
    seq, at, body = row
    return Logged(seq=seq, at=at, event=EVENTS.decode(body))


def read_end(job: str, at: float | None, body: bytes | None) -> Ended:
    """Read a job that has ended with its last event, if there is one: ``id, at, body``."""
    last = EVENTS.decode(body) if body else None
    return Ended(job, at or 0.0, last.object if isinstance(last, Finished) else "")
