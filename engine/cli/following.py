"""One film followed to its end over one or more connections, with a report of how far it is.

It knows an engine's connection; it starts no engine and saves no file.
"""

import asyncio
import contextlib
import uuid
from collections.abc import Sequence
from typing import NamedTuple

from engine.cli.report import Report
from engine.errors import (
    ConnectionLostError,
    EngineUnreachableError,
    JobCancelledError,
    VisionFluxError,
)
from engine.film.events import Planned
from engine.film.progress import Progress, advance
from engine.film.recipe import Recipe
from engine.wire.client import Connection, LinkState, LogRestarted, Message
from engine.wire.messages.responses import JobEvent


class Place(NamedTuple):
    """Which film it is of those that a command makes, from 0, and how many these are."""

    number: int = 0
    of: int = 1


class Following:
    """One job followed to its end.

    It outlives connections and engines: another engine on the same data folder has the same job.

    Attributes:
        recipe: that was submitted; None before.
        progress: of the job.
    """

    def __init__(self, output: str, report: Report, place: Place) -> None:
        self.job, self.progress = str(uuid.uuid4()), Progress()
        self.recipe: Recipe | None = None
        self._output, self._report, self._place = output, report, place
        self._failure: VisionFluxError | None = None
        self._connected = True
        self._news = asyncio.Event()

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
        self._report.progress(self._output, self.progress, self._place)
        self._news.set()

    def _note_prompts(self, painted: Sequence[str]) -> None:
        """Report what is painted in scenes whose prompts leave something open."""
        scenes = self.recipe.scenes if self.recipe else ()
        for scene, prompt in zip(scenes, painted, strict=False):
            if prompt != scene.prompt:
                self._report.note(f"painted as: {prompt}")

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
        for asked in (
            connection.submit(self.job, recipe),
            connection.watch(self.job, after=self.progress.seq, previews=False),
        ):
            with contextlib.suppress(ConnectionLostError):  # it is watched once that is back
                await asked
        await self._end(connection, patience)
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
                self._report.note(
                    f"the connection to the engine broke; trying again for {patience:.0f} s"
                )
            try:
                await connection.connected(patience)
            except (ConnectionLostError, EngineUnreachableError) as error:
                problem = f"the engine went away while it made the film: {error}"
                remedy = "run the command again once it is back: what is finished is reused"
                raise EngineUnreachableError(problem, remedy=remedy) from error
