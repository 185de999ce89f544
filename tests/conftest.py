"""What several tests share: an engine with a stand-in worker, and clients of it."""

import asyncio
import os
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from types import SimpleNamespace

import hypothesis
import pytest

import engine.render  # sets how torch's threads wait, before anything loads torch
from benchmarks.clients import running
from engine import daemon
from engine.film.recipe import Recipe
from engine.film.recipe_json import parse_recipe
from engine.models import Card, Model
from engine.wire import handshake, pairing
from engine.wire.client import Connection, Message
from engine.wire.messages.responses import JobEvent, Preview
from engine.wire.pairing import Pairing
from tests.pieces import finished, kind_of
from tests.stand_ins import fork_server

hypothesis.settings.register_profile("untimed", deadline=None)  # no test is a timed one
hypothesis.settings.load_profile("untimed")
STAND_IN = (sys.executable, "-m", "tests.stand_ins.worker")
MODELS = {"landscapes": Model(name="landscapes", source="nowhere", card=Card(title="Stand-in"))}
PATIENCE = 60.0  # seconds that anything in a test may take


# Tests run side by side, and their networks are so small that threads mostly wait for each other.
os.environ.setdefault("OMP_NUM_THREADS", "1")
# Slow as a whole: they load torch or start browsers, proxies, pages or many engines. The fast part
# does not even read them. Elsewhere a test that takes more than 5 seconds is marked by itself.
SLOW = (
    "browser",
    "engine/cli/test_interpolate.py",
    "engine/cli/test_upscale.py",
    "engine/music/test_player.py",
    "engine/render",
    "corpus",
    "engine/tunnels",
    "faults",
)
SLOW += ("films", "pages", "test_fuzz.py", "test_torture.py", "training")
# The longest first, so that no process is left alone with one at the end (see the Makefile), and
# browsers between others, for several at once slow each other down.
FIRST = ("browser/test_studio.py", "films/test_workers.py", "browser/test_create.py")
FIRST += ("test_torture.py", "browser/test_autosubmit.py", "films/test_same_film.py")
FIRST += ("browser/test_recovery.py", "faults/test_memory.py", "browser/test_library.py", "films")
FIRST += ("browser/test_home.py", "faults", "browser", "training", "engine/cli")
SLOW_PATHS = tuple(str(Path(__file__).parent / name) for name in SLOW)


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Skip files without tests of the chosen part: every process would import all they need."""
    if config.option.markexpr == "not slow":
        return _is_slow(collection_path) or None
    if config.option.markexpr == "slow" and collection_path.suffix == ".py":
        has_slow = _is_slow(collection_path) or "mark.slow" in collection_path.read_text("utf-8")
        return None if has_slow else True
    return None


def pytest_itemcollected(item: pytest.Item) -> None:
    if _is_slow(item.path):
        item.add_marker(pytest.mark.slow)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    folder = Path(__file__).parent
    first = [str(folder / name) for name in FIRST]
    items.sort(key=lambda item: _position(str(item.path), first))


def pytest_collection_finish(session: pytest.Session) -> None:
    if session.config.option.markexpr == "not slow" and "torch" in sys.modules:
        raise pytest.UsageError("a fast test module imports torch; name it in SLOW of conftest.py")


def _position(path: str, first: list[str]) -> int:
    return next((i for i, start in enumerate(first) if path.startswith(start)), len(first))


def _is_slow(path: Path) -> bool:
    return str(path).startswith(SLOW_PATHS)


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="session")
def forking(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """Variables with which an engine's real workers are forked instead of started."""
    with fork_server.running(tmp_path_factory.mktemp("forking") / "log") as variables:
        yield variables


@pytest.fixture
def forked_workers(forking: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the workers of a test's engines be forked."""
    for name, value in forking.items():
        monkeypatch.setenv(name, value)


def a_recipe(*prompts: str, **settings: object) -> Recipe:
    """Return a small recipe: half a second for each scene, two steps."""
    scenes = [{"prompt": prompt, "seconds": 0.5} for prompt in prompts or ("dawn",)]
    return parse_recipe({"scenes": scenes, "num_inference_steps": 2, **settings})


@asynccontextmanager
async def an_engine(data: Path, **options: object) -> AsyncIterator[Pairing]:
    """Run an engine with the stand-in worker."""
    settings = {"models": MODELS, "worker": STAND_IN, **options}
    async with daemon.running(daemon.Options(data=data, **settings)) as engine:
        yield engine


@pytest.fixture
async def engine(tmp_path: Path) -> AsyncIterator[Pairing]:
    async with an_engine(tmp_path) as running:
        yield running


class Client:
    """A connection that keeps everything it hears."""

    def __init__(self, engine: Pairing) -> None:
        self.heard: list[Message] = []
        self.connection = Connection(engine, on_message=self._take)
        self._news = asyncio.Event()

    def _take(self, message: Message) -> None:
        self.heard.append(message)
        self._news.set()

    def events(self, job: str) -> list[JobEvent]:
        return [m for m in self.heard if isinstance(m, JobEvent) and m.job == job]

    def types(self, job: str) -> list[str]:
        return [kind_of(message.event) for message in self.events(job)]

    @property
    def previews(self) -> list[Preview]:
        return [m for m in self.heard if isinstance(m, Preview)]

    async def until(self, condition: Callable[[], bool], patience: float = PATIENCE) -> None:
        """Wait until what was heard makes ``condition`` true."""
        async with asyncio.timeout(patience):
            while not condition():
                self._news.clear()
                await self._news.wait()

    async def begin(self, job: str, recipe: Recipe) -> None:
        """Submit a job and watch it."""
        await self.connection.submit(job, recipe)
        await self.connection.watch(job)

    async def rest(self, job: str) -> None:
        """Have a job paused and wait until it rests."""
        await self.connection.pause(job)
        await self.until(lambda: self.types(job)[-1] == "Paused")

    def finished(self, job: str) -> list[int]:
        """Return the indexes of keyframes, in the order in which they were finished."""
        told = [message.event for message in self.events(job)]
        return [event.index for event in finished(told, "keyframe")]

    async def count(self, job: str, number: int) -> None:
        """Wait until ``number`` events of a job were heard."""
        await self.until(lambda: len(self.events(job)) >= number)

    async def reached(self, job: str, kind: str, number: int) -> None:
        """Wait until ``number`` events of a kind were heard, or the job is finished."""
        await self.until(
            lambda: self.types(job).count(kind) >= number or "Finished" in self.types(job)
        )

    async def ended(self, job: str) -> str:
        """Wait for a job's last event and return its type."""
        last = {"Finished", "Cancelled", "Failed"}
        await self.until(lambda: bool(last & set(self.types(job))))
        return self.types(job)[-1]


@asynccontextmanager
async def connected(engine: Pairing) -> AsyncIterator[Client]:
    """Connect a client for as long as the context lasts."""
    client = Client(engine)
    async with running(client.connection):
        yield client


def set_clock(monkeypatch: pytest.MonkeyPatch, ahead: float) -> None:
    """Set the clock of the clients here wrong, by so many seconds."""
    true_authorization, true_time = pairing.authorization, time.time

    def authorization(key: bytes, path: str, *, skew: float = 0.0) -> tuple[str, str]:
        return true_authorization(key, path, skew=skew + ahead)

    wrong = SimpleNamespace(time=lambda: true_time() + ahead, monotonic=time.monotonic)
    monkeypatch.setattr(handshake, "time", wrong)
    monkeypatch.setattr(handshake, "pairing", SimpleNamespace(**vars(pairing)))
    monkeypatch.setattr(handshake.pairing, "authorization", authorization)
