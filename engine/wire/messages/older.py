"""Reads the messages of engines that speak version 1 of the protocol.

They differ in the events and in a snapshot's state only; both become what they are today.
"""

import msgspec

from engine.film import older
from engine.film.recipe import Recipe
from engine.wire.messages import responses
from engine.wire.messages.responses import Response


class Snapshot(Response, frozen=True, kw_only=True, tag="snapshot"):
    """As ``responses.Snapshot``, with the state as version 1 has it."""

    re: int
    job: str
    recipe: Recipe
    created_at: float
    progress: older.OlderProgress
    fraction: float
    remaining: float | None
    epoch: str = ""


class JobEvent(Response, frozen=True, kw_only=True, tag="event"):
    """As ``responses.JobEvent``, with the event as version 1 has it."""

    job: str
    seq: int
    at: float
    event: older.EitherEvent


Unchanged = (
    responses.Hello
    | responses.Accepted
    | responses.JobList
    | responses.Missing
    | responses.Done
    | responses.ObjectInfo
    | responses.Refused
)
_DECODER = msgspec.json.Decoder(Unchanged | Snapshot | JobEvent)


def read_response(text: str) -> responses.AnyResponse:
    """Read a text message of an engine that speaks version 1.

    Raises:
        msgspec.MsgspecError: it is none.
    """
    response: Unchanged | Snapshot | JobEvent = _DECODER.decode(text)
    match response:
        case JobEvent() as old:
            event = older.current(old.event)
            return responses.JobEvent(job=old.job, seq=old.seq, at=old.at, event=event)
        case Snapshot() as old:
            return responses.Snapshot(
                re=old.re,
                job=old.job,
                recipe=old.recipe,
                created_at=old.created_at,
                progress=old.progress.current(),
                fraction=old.fraction,
                remaining=old.remaining,
                epoch=old.epoch,
            )
    return response
