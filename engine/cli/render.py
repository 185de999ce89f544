"""``python -m engine render``: prompts in, a film file out, a progress bar meanwhile.

It is a client like any other: it uses the engine that runs on the data folder, or starts one for
as long as the film takes.
"""

import argparse
import asyncio
import contextlib
import sys
import time
import uuid
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec
from tqdm import tqdm

from engine import daemon, local
from engine.errors import (
    ConnectionLostError,
    EngineUnreachableError,
    FolderInUseError,
    InvalidParameterError,
    JobCancelledError,
    NotPairedError,
    StorageError,
    TransportError,
    VisionFluxError,
)
from engine.film.activity import activity as pieces_activity
from engine.film.camera import PRESETS
from engine.film.events import Planned
from engine.film.fields import Field, fields_of
from engine.film.progress import Progress, advance
from engine.film.recipe import SETTINGS, Recipe, Scene, parse_recipe
from engine.film.stages import KEYFRAME
from engine.models import KNOWN, Defaults, Model, catalogue, interpolators, upscalers
from engine.wire.client import Connection, LinkState, LogRestarted, Message
from engine.wire.messages.responses import Hello, JobEvent
from engine.wire.pairing import Pairing

RECONNECT_TIMEOUT = 60.0  # seconds that the engine of --engine may be away while a film is made
JOIN_TIMEOUT = 60.0  # seconds that another engine of this computer may take to start or to end
TAKEOVER_PAUSE = 0.2  # seconds between two looks for the engine of this computer

NO_MOVE = "none"
SCENE_SECONDS: float = fields_of(Scene)["seconds"].default
OWN_FLAGS = ("model", "format")  # settings that are not given by a flag made from their field
SHORT_NAMES = {"num_inference_steps": "steps"}  # flags that are not named like their field


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    parser.add_argument("prompts", nargs="+", metavar="PROMPT", help="one prompt for each scene")
    parser.add_argument(
        "-o", "--output", type=Path, default=Path("film.mp4"), help=".mp4 or .gif (%(default)s)"
    )
    parser.add_argument(
        "--camera",
        action="append",
        default=[],
        metavar="MOVE",
        help=f"a scene's camera: {', '.join(PRESETS).lower()}; numbers, as in zoom=1.3,roll=5; or "
        f"{NO_MOVE}. Once for all scenes, or once for each",
    )
    parser.add_argument(
        "--seconds", type=float, help=f"length of the film ({SCENE_SECONDS:g} for each scene)"
    )
    for field in SETTINGS.values():
        if field.name not in OWN_FLAGS:
            _add_flag(parser, field)
    parser.add_argument(
        "--model",
        default=SETTINGS["model"].default,
        help="a model that the engine offers, or one as serve takes it (%(default)s)",
    )
    parser.add_argument("--engine", metavar="LINK", help="pairing link of another engine to use")


def flag_of(name: str) -> str:
    """Return the flag of a setting."""
    return f"--{SHORT_NAMES.get(name, name).replace('_', '-')}"


def _add_flag(parser: argparse.ArgumentParser, field: Field) -> None:
    """Add the flag of a setting, which is None unless it is given."""
    flag = flag_of(field.name)
    text = f"{field.title}. {field.description}"
    if field.kind is bool:
        parser.add_argument(flag, dest=field.name, action="store_true", default=None, help=text)
        return

    def value(text: str) -> Any:
        try:
            return field.parse(text)
        except msgspec.ValidationError as error:
            raise argparse.ArgumentTypeError(f"{text!r} is refused; {field.remedy}") from error

    notes = [", ".join(map(str, field.names)) or str(field.limits)] if field.kind is not str else []
    notes.append(f"default: {_default(field)}")
    parser.add_argument(
        flag,
        dest=field.name,
        type=value,
        metavar=flag[2:].upper().replace("-", "_"),
        help=f"{text} ({'; '.join(notes)})",
    )


def _default(field: Field) -> str:
    """Return in words what a setting is if its flag is not given."""
    if field.name in Defaults.__struct_fields__:
        return "the model's"
    return "none" if field.default == "" else str(field.default)


def run(options: argparse.Namespace) -> int:
    """Make the film; return the exit status."""
    return asyncio.run(_render(options))


def recipe_from(options: argparse.Namespace, hello: Hello) -> Recipe:
    """Build the recipe that the arguments ask for; what they leave open is the model's default.

    Raises:
        InvalidParameterError: an argument is not acceptable.
    """
    scenes = len(options.prompts)
    seconds = SCENE_SECONDS * scenes if options.seconds is None else options.seconds
    given = {name: getattr(options, name) for name in SETTINGS if name not in OWN_FLAGS}
    cameras = _cameras(options.camera, scenes)
    recipe: dict[str, Any] = {
        **_defaults(options.model, hello),
        **{name: value for name, value in given.items() if value is not None},
        "scenes": [
            {"prompt": prompt, "seconds": seconds / scenes, **camera}
            for prompt, camera in zip(options.prompts, cameras, strict=True)
        ],
        "format": _format(options.output),
        "model": options.model,
    }
    return parse_recipe(recipe)


def _cameras(moves: list[str], scenes: int) -> list[dict[str, Any]]:
    """Return what each scene says of its camera."""
    if len(moves) not in (0, 1, scenes):
        problem = f"there are {len(moves)} for {scenes} scenes"
        raise InvalidParameterError("camera", problem, "give one for all, or one for each")
    found = [_camera(move) for move in moves]
    return (found or [{}]) * (scenes // max(1, len(found)))


def _camera(move: str) -> dict[str, Any]:
    named = {name.lower(): preset for name, preset in PRESETS.items()}
    name = move.strip().lower()
    if name == NO_MOVE:
        return {}
    if name in named:
        return {"camera": msgspec.to_builtins(named[name])}
    parts = [part.partition("=") for part in name.split(",")]
    if not all(equals for _, equals, _ in parts):
        remedy = f"choose one of: {', '.join(named)}, {NO_MOVE}; or give zoom=1.3,pan_x=0.2"
        raise InvalidParameterError("camera", f"there is no move {move!r}", remedy)
    return {"camera": {field.strip(): _number(value) for field, _, value in parts}}


def _number(text: str) -> float | str:
    with contextlib.suppress(ValueError):
        return float(text)
    return text.strip()


def activity(progress: Progress) -> str:
    """Return in a few words what the engine does."""
    if progress.phase == "loading":
        return f"Loading {progress.model or 'the model'} · {progress.loaded_percent:.0f} %"
    return pieces_activity(progress) or progress.status


async def _render(options: argparse.Namespace) -> int:
    _check_output(options.output)
    _cameras(options.camera, len(options.prompts))  # before an engine is started for nothing
    model = _offered(options)
    with contextlib.closing(Following(str(uuid.uuid4()))) as following:
        while True:
            async with _engine(options, model) as (engine, joined):
                patience = 0.0 if joined else RECONNECT_TIMEOUT
                try:
                    await _make(engine, following, options, patience)
                    return 0
                except NotPairedError:
                    raise
                except TransportError as error:
                    if not joined:
                        raise
                    following.note(f"{error}; the film is continued by another engine here")
            await asyncio.sleep(TAKEOVER_PAUSE)


async def _make(
    engine: Pairing, following: "Following", options: argparse.Namespace, patience: float
) -> None:
    """Have an engine make the film, or finish it, and save the film.

    Raises:
        TransportError: the engine went away, for longer than ``patience`` seconds.
        VisionFluxError: the engine refused the film, or could not make it.
    """
    connection = Connection(
        engine,
        on_message=following.take,
        on_state=following.link_changed,
        on_refused=following.refused,
    )
    link = asyncio.create_task(connection.run())
    try:
        hello = await connection.connected()
        following.recipe = following.recipe or recipe_from(options, hello)
        await following.through(connection, following.recipe, patience)
        await _save(connection, following.progress, options.output)
    except asyncio.CancelledError:
        with contextlib.suppress(VisionFluxError):
            await connection.cancel(following.job)
        raise
    finally:
        await connection.close()
        await link


class Following:
    """One job followed to its end, with a progress bar on the terminal.

    It outlives connections and engines: another engine on the same data folder has the same job.
    """

    def __init__(self, job: str) -> None:
        self.job, self.progress = job, Progress()
        self.recipe: Recipe | None = None  # that was submitted
        self._failure: VisionFluxError | None = None
        self._connected = True
        self._news = asyncio.Event()
        layout = "{percentage:3.0f}% |{bar}| {desc} [{elapsed}{postfix}]"
        self._bar = tqdm(total=100, bar_format=layout, delay=0.2)

    def take(self, message: Message) -> None:
        """Take in an event of the job."""
        if message.job != self.job:
            return
        if isinstance(message, LogRestarted):
            self.progress = Progress()
        if not isinstance(message, JobEvent):
            return
        advance(self.progress, message)
        if isinstance(message.event, Planned):
            self._note_prompts(message.event.prompts)
        self._bar.n = round(100 * self.progress.fraction, 1)
        remaining = self.progress.remaining
        left = f" < {remaining:.0f} s left" if remaining else ""
        self._bar.set_postfix_str(left, refresh=False)
        self._bar.set_description_str(activity(self.progress))
        self._news.set()

    def _note_prompts(self, painted: Sequence[str]) -> None:
        """Print what is painted in scenes whose prompts leave something open."""
        scenes = self.recipe.scenes if self.recipe else ()
        for scene, prompt in zip(scenes, painted, strict=False):
            if prompt != scene.prompt:
                self.note(f"painted as: {prompt}")

    def link_changed(self, state: LinkState) -> None:
        """Note whether the engine is connected; one that refuses the connection ends the wait."""
        self._connected = state.name == "connected"
        if state.name == "refused" and state.error:
            self._failure = VisionFluxError.restore(state.error)
        self._news.set()

    def refused(self, job: str, error: VisionFluxError) -> None:
        """Note that the engine, after a reconnection, does not know the job."""
        if job == self.job:
            self._failure = error
            self._news.set()

    def close(self) -> None:
        """Leave the progress bar as it is."""
        self._bar.close()

    def note(self, text: str) -> None:
        """Print a line above the progress bar."""
        self._bar.write(text, file=sys.stderr)

    async def through(self, connection: Connection, recipe: Recipe, patience: float) -> None:
        """Submit the job, unless it is submitted, and wait for its end.

        Args:
            connection: to the engine.
            recipe: of the film.
            patience: seconds that a broken connection may take until it is back.

        Raises:
            TransportError: the connection did not come back in time, or was refused.
            VisionFluxError: the job failed, was cancelled, or the engine does not have it any more.
        """
        await connection.submit(self.job, recipe)
        await connection.watch(self.job, after=self.progress.seq, previews=False)
        await self._end(connection, patience)
        self.close()
        if self.progress.error:
            raise VisionFluxError.restore(self.progress.error)
        if self.progress.status == "cancelled":
            raise JobCancelledError("the film was cancelled by another client of the engine")

    async def _end(self, connection: Connection, patience: float) -> None:
        """Wait until the job has ended; raise if its engine cannot be reached any more."""
        while not self.progress.final:
            if self._failure:
                raise self._failure
            if self._connected:
                self._news.clear()
                await self._news.wait()
                continue
            if patience:
                self.note(f"the connection to the engine broke; trying again for {patience:.0f} s")
            try:
                await connection.connected(patience)
            except (ConnectionLostError, EngineUnreachableError) as error:
                problem = f"the engine went away while it made the film: {error}"
                remedy = "run the command again once it is back: what is finished is reused"
                raise EngineUnreachableError(problem, remedy=remedy) from error


@asynccontextmanager
async def _engine(
    options: argparse.Namespace, model: Model | None
) -> AsyncIterator[tuple[Pairing, bool]]:
    """Give the engine to use: the one of --engine, the running one, or one of our own.

    With it comes whether we joined an engine of another program, which may end before the film.
    """
    if options.engine:
        yield Pairing.parse(options.engine), False
        return
    data = (options.data or local.data_folder()) / "engine"
    models = catalogue() | ({model.name: model} if model else {})
    work = {
        "device": options.device,
        "rife": interpolators.check_choice(options.rife),
        "upscaler": upscalers.check_choice(options.upscaler),
        "batch": options.batch,
    }
    deadline = time.monotonic() + JOIN_TIMEOUT
    while True:
        if found := await asyncio.to_thread(local.find_engine, data):
            yield found, True
            return
        async with contextlib.AsyncExitStack() as stack:
            running = daemon.running(daemon.Options(data=data, models=models, **work))
            try:
                engine = await stack.enter_async_context(running)
            except FolderInUseError:  # another one starts, or ends
                if time.monotonic() > deadline:
                    raise
            else:
                yield engine, False
                return
        await asyncio.sleep(TAKEOVER_PAUSE)


def _offered(options: argparse.Namespace) -> Model | None:
    """Resolve --model where it names more than an engine's own; its name then replaces it."""
    base = options.model if Path(options.model).exists() else options.model.partition("+")[0]
    if not (base in KNOWN or "/" in base or Path(base).exists()):
        return None
    *_, model = catalogue([options.model]).values()
    options.model = model.name
    return model


def _defaults(name: str, hello: Hello) -> dict[str, Any]:
    cards = {model.name: model.card for model in hello.models}
    if name not in cards:
        return {}
    defaults = cards[name].defaults
    return {field: getattr(defaults, field) for field in defaults.__struct_fields__}


def _format(output: Path) -> str:
    if output.suffix.lower() not in (".mp4", ".gif"):
        raise InvalidParameterError(
            "output", f"{output.name!r} ends in neither .mp4 nor .gif", "give -o film.mp4"
        )
    return output.suffix.lower()[1:]


def _check_output(output: Path) -> None:
    _format(output)
    if not output.resolve().parent.is_dir():
        raise StorageError(
            f"the folder of {output} does not exist", remedy="create it, or give another -o"
        )


async def _save(connection: Connection, progress: Progress, output: Path) -> None:
    film = progress.film
    assert film
    await connection.fetch(film.object, output)
    painted = progress.of(KEYFRAME).timing.count
    drawn = (
        f", in-betweens by {interpolators.display_name(film.interpolator)}"
        if film.interpolator
        else ""
    )
    print(
        f"{output}: {film.frames} frames, {film.seconds:.2f} s, {film.width}x{film.height}; "
        f"{painted} of {len(progress.keyframes)} keyframes painted, the others reused{drawn}",
        file=sys.stderr,
    )
