"""One paired engine: the hub's hold on it, and what a page may show of it. No logic of its own."""

import asyncio
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from engine.wire.client import Connection, LinkState
from engine.wire.messages.responses import Hello
from ui.engines.job_follower import Follower
from ui.storage.pairings import LOCAL

CONNECTING = LinkState(name="connecting")


@dataclass
class Link:
    """One engine: how to reach it, and how that is going.

    Attributes:
        engine: its id; empty until it was reached once.
        joined: whether its jobs are followed; not before it is clear that nobody else does.
        counted: bytes that came and went and are on the meter already.
        looked_at, described_at: monotonic time of a page's last look, and of its last hello.
    """

    key: str
    engine: str = ""
    joined: bool = True
    counted: tuple[int, int] = (0, 0)
    looked_at: float = 0.0
    described_at: float = 0.0
    connection: Connection | None = None
    follower: Follower | None = None
    state: LinkState = CONNECTING
    latency: float | None = None
    task: asyncio.Task[None] | None = None
    changed: asyncio.Event = field(default_factory=asyncio.Event)


@dataclass(frozen=True)
class EngineView:
    """What a page may show of an engine.

    Attributes:
        starting: it is being started; only the one on this computer ever is.
        resting: the user has stopped it; likewise.
        stoppable: the user may stop it; likewise.
    """

    key: str
    state: LinkState
    hello: Hello | None
    latency: float | None
    chosen: bool
    starting: bool
    resting: bool
    stoppable: bool

    @property
    def local(self) -> bool:
        """Whether it is the engine on this computer."""
        return self.key == LOCAL

    @property
    def connected(self) -> bool:
        """Whether films can be made on it now."""
        return self.state.name == "connected" and self.hello is not None

    @property
    def name(self) -> str:
        """What to call it."""
        return "This computer" if self.local else urlsplit(self.key).netloc
