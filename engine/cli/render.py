"""``python -m engine render``: prompts in, film files out, a report of the progress meanwhile.

It is a client like any other: it uses the engine that runs on the data folder, or starts one for
as long as the films take.
"""

import argparse
import asyncio
import contextlib
import secrets
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec

from engine import daemon, local
from engine.cli.following import Following, Place
from engine.cli.orders import (
    NO_MOVE,
    OWN_FLAGS,
    SCENE_SECONDS,
    SHORT_NAMES,
    Order,
    add_sources,
    orders_of,
)
from engine.cli.output import Claim, check_output, claimed, refused
from engine.cli.report import Report, report
from engine.errors import (
    FolderInUseError,
    InvalidParameterError,
    NotPairedError,
    TransportError,
    VisionFluxError,
)
from engine.film.camera import PRESETS
from engine.film.fields import Field
from engine.film.recipe import SETTINGS
from engine.film.stages import KEYFRAME
from engine.models import KNOWN, Defaults, Model, catalogue, interpolators, split_source, upscalers
from engine.wire.client import Connection
from engine.wire.pairing import Pairing

RECONNECT_TIMEOUT = 60.0  # seconds that the engine of --engine may be away while a film is made
JOIN_TIMEOUT = 60.0  # seconds that another engine of this computer may take to start or to end
TAKEOVER_PAUSE = 0.2  # seconds between two looks for the engine of this computer

EXIT_SOME_FAILED = 1


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    add_sources(parser)
    parser.add_argument(
        "-o",
        "--output",
        type=Path,
        metavar="FILE",
        help=".mp4 or .gif (film.mp4); of several films, their folder",
    )
    parser.add_argument("--overwrite", action="store_true", help="replace an existing output")
    parser.add_argument(
        "--json",
        action="store_true",
        help="write one event a line to the standard output, as docs/command-line.md documents",
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
        help=f"a model that the engine offers, or one as serve takes it "
        f"({SETTINGS['model'].default})",
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
            return seed_of(text) if field.name == "seed" else field.parse(text)
        except msgspec.ValidationError as error:
            raise argparse.ArgumentTypeError(f"{text!r} is refused; {field.remedy}") from error

    notes = [", ".join(map(str, field.names)) or str(field.limits)] if field.kind is not str else []
    notes += ["random"] if field.name == "seed" else []
    notes += [f"default: {_default(field)}"] if field.default is not None else []
    parser.add_argument(
        flag,
        dest=field.name,
        type=value,
        metavar=flag[2:].upper().replace("-", "_"),
        help=f"{text} ({'; '.join(notes)})",
    )


def seed_of(text: str) -> int:
    """Return the seed that a text stands for: ``random`` and -1 pick one.

    One of 64 bits is taken by its last 32, as torch's generator on a CPU does itself.

    Raises:
        msgspec.ValidationError: it is none.
    """
    if text.strip().lower() in ("random", "-1"):
        return secrets.randbits(32)
    with contextlib.suppress(ValueError):
        if 2**32 <= int(text) < 2**64:
            return int(text) % 2**32
    return int(SETTINGS["seed"].parse(text))


def _default(field: Field) -> str:
    """Return in words what a setting is if its flag is not given."""
    if field.name in Defaults.__struct_fields__:
        return "the model's"
    return "none" if field.default == "" else str(field.default)


def run(options: argparse.Namespace) -> int:
    """Make the films; return the exit status.

    Raises:
        VisionFluxError: the films cannot be made.
    """
    shown = report(as_json=options.json)
    try:
        return asyncio.run(_render(options, shown))
    except OSError as error:
        shown.failed("", refused(error))
        raise
    except VisionFluxError as error:
        shown.failed("", error)
        raise
    finally:
        shown.close()


class Film:
    """A film in the making: what is asked for, how far it is, and the place that is held for it.

    Attributes:
        error: why it cannot be made; None unless it failed.
    """

    def __init__(self, order: Order, model: str, claim: Claim, shown: Report, place: Place) -> None:
        self.order, self.output = order, str(order.output)
        self.error: VisionFluxError | None = None
        self._model, self._claim, self._shown = model, claim, shown
        self._following = Following(self.output, shown, place)

    @property
    def row(self) -> str:
        """What became of it, as a line of a table."""
        film, progress = self._following.progress.film, self._following.progress
        if self.error or not film:
            return f"{self.output}: failed: {self.error or 'not made'}"
        took = progress.ended_at - progress.started_at
        return f"{self.output}: {film.frames} frames, {film.seconds:.2f} s, made in {took:.0f} s"

    async def make(self, engine: Pairing, patience: float) -> None:
        """Have an engine make the film, or finish it, and save it.

        Raises:
            TransportError: the engine went away, for longer than ``patience`` seconds.
            VisionFluxError: the engine refused the film, or could not make it.
        """
        following = self._following
        connection = Connection(
            engine,
            on_message=following.take,
            on_state=following.link_changed,
            on_refused=following.refused,
        )
        link = asyncio.create_task(connection.run())
        try:
            hello = await connection.connected()
            following.recipe = following.recipe or self.order.recipe(hello, self._model)
            await following.through(connection, following.recipe, patience)
            await self._save(connection)
        except asyncio.CancelledError:
            with contextlib.suppress(VisionFluxError):
                await connection.cancel(following.job)
            raise
        finally:
            await connection.close()
            await link

    async def _save(self, connection: Connection) -> None:
        progress, recipe = self._following.progress, self._following.recipe
        film = progress.film
        assert film
        assert recipe
        with self._claim.writing():
            await connection.fetch(film.object, self._claim.download)
        painted, keyframes = progress.of(KEYFRAME).timing.count, len(progress.keyframes)
        by = interpolators.display_name(film.interpolator) if film.interpolator else None
        facts = {
            "frames": film.frames,
            "seconds": film.seconds,
            "width": film.width,
            "height": film.height,
            "keyframes": keyframes,
            "painted": painted,
            "interpolator": by,
            "seed": recipe.seed,
        }
        self._shown.finished(
            self.output,
            f"{self.output}: {film.frames} frames, {film.seconds:.2f} s, "
            f"{film.width}x{film.height}; {painted} of {keyframes} keyframes painted, the others "
            f"reused{f', in-betweens by {by}' if by else ''}; seed {recipe.seed}",
            facts,
        )


async def _render(options: argparse.Namespace, shown: Report) -> int:
    orders = orders_of(options, shown.note)
    _check_distinct(orders)
    for order in orders:
        check_output(order.output, overwrite=options.overwrite)
    models = _offered(orders)
    with contextlib.ExitStack() as places:
        films = []
        for index, order in enumerate(orders):
            claim = places.enter_context(claimed(order.output, overwrite=options.overwrite))
            name = models[order.model].name if order.model in models else order.model
            films.append(Film(order, name, claim, shown, Place(index, len(orders))))
        await _make_all(options, list(models.values()), films, shown)
    if len(films) == 1:
        return 0
    for film in films:
        shown.note(film.row)
    return EXIT_SOME_FAILED if any(film.error for film in films) else 0


def _check_distinct(orders: list[Order]) -> None:
    seen = set()
    for order in orders:
        if (place := order.output.absolute()) in seen:
            problem = f"two films would be written to {order.output}"
            raise InvalidParameterError("output", problem, "name the files differently")
        seen.add(place)


async def _make_all(
    options: argparse.Namespace, models: list[Model], films: list[Film], shown: Report
) -> None:
    """Make films one after another; of several, one that cannot be made stops no other."""
    waiting = list(films)
    while waiting:
        async with _engine(options, models) as (engine, joined):
            patience = 0.0 if joined else RECONNECT_TIMEOUT
            try:
                while waiting:
                    await _make(waiting[0], engine, patience, shown, alone=len(films) == 1)
                    del waiting[0]
                return
            except NotPairedError:
                raise
            except TransportError as error:
                if not joined:
                    raise
                shown.note(f"{error}; the film is continued by another engine here")
        await asyncio.sleep(TAKEOVER_PAUSE)


async def _make(
    film: Film, engine: Pairing, patience: float, shown: Report, *, alone: bool
) -> None:
    try:
        await film.make(engine, patience)
    except TransportError:
        raise
    except VisionFluxError as error:
        if alone:
            raise
        film.error = error
        shown.failed(film.output, error)
        shown.note(f"{film.output}: {error}")


@asynccontextmanager
async def _engine(
    options: argparse.Namespace, models: list[Model]
) -> AsyncIterator[tuple[Pairing, bool]]:
    """Give the engine to use: the one of --engine, the running one, or one of our own.

    With it comes whether we joined an engine of another program, which may end before the film.
    """
    if options.engine:
        yield Pairing.parse(options.engine), False
        return
    data = (options.data or local.data_folder()) / "engine"
    offered = catalogue() | {model.name: model for model in models}
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
            running = daemon.running(daemon.Options(data=data, models=offered, **work))
            try:
                engine = await stack.enter_async_context(running)
            except FolderInUseError:  # another one starts, or ends
                if time.monotonic() > deadline:
                    raise
            else:
                yield engine, False
                return
        await asyncio.sleep(TAKEOVER_PAUSE)


def _offered(orders: list[Order]) -> dict[str, Model]:
    """Return the models of films that name more than an engine's own, by what the films say."""
    return {order.model: model for order in orders if (model := _model(order.model))}


def _model(given: str) -> Model | None:
    base, *_ = split_source(given)
    if not (base in KNOWN or "/" in base or Path(base).exists()):
        return None
    *_, model = catalogue([given]).values()
    return model
