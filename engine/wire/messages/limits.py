"""What both ends know before the first message: version, paths, limits and forms of names."""

from typing import Annotated

import msgspec
from msgspec import Meta

from engine.film import preview_budget
from engine.film.recipe import MAX_FRAMES, MAX_PROMPT, MAX_SCENES, SETTINGS

VERSION = 2
SUBPROTOCOL = "visionflux.v2"
OLDER_SUBPROTOCOL = "visionflux.v1"  # clients still understand it; see ``messages.older``
CONTROL_PATH = "/v1/ws"
DATA_PATH = "/v1/data"
HEALTH_PATH = "/healthz"


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """What the engine accepts, in bytes unless stated otherwise."""

    message: int = 12 * 2**20
    chunk: int = 256 * 2**10
    connections: int = 64  # at once
    queued_jobs: int = 32  # in all
    client_jobs: int = 16  # waiting, of one connection
    watched_jobs: int = 64  # by one connection
    upload: int = 64 * 2**20  # one object
    uploads: int = 8  # objects that one connection uploads at once
    scenes: int = MAX_SCENES
    prompt: int = MAX_PROMPT  # characters
    frames: int = MAX_FRAMES
    min_side: int = int(SETTINGS["width"].bounds.least)  # pixels
    max_side: int = int(SETTINGS["width"].bounds.most)  # pixels
    max_steps: int = int(SETTINGS["num_inference_steps"].bounds.most)


LIMITS = Limits()

JobId = Annotated[str, Meta(pattern=r"^[A-Za-z0-9_-]{8,64}\Z")]
ObjectName = Annotated[str, Meta(pattern=r"^[0-9a-f]{64}\Z")]
RequestId = Annotated[int, Meta(ge=0, le=2**53)]
Budget = Annotated[int, Meta(ge=0, le=preview_budget.MAX_BUDGET_BYTES)] | None
