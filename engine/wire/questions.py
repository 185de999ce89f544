"""Requests that wait for their answers, on one socket after another.

It knows numbers, time and that an answer may be a refusal, not what is asked.
"""

import asyncio
import itertools
from typing import Any, TypeVar

from websockets.asyncio.client import ClientConnection
from websockets.exceptions import ConnectionClosed

from engine.errors import ConnectionLostError, MalformedMessageError, VisionFluxError
from engine.wire.messages import codec as encoding
from engine.wire.messages import requests
from engine.wire.messages import responses as answers

A = TypeVar("A", bound=answers.Answer)

PATIENCE = 30.0  # seconds to wait for an answer


class Questions:
    """What was asked and not answered yet."""

    def __init__(self) -> None:
        self._numbers = itertools.count(1)
        self._waiting: dict[int, asyncio.Future[Any]] = {}

    def number(self) -> int:
        """Return the number of the next request."""
        return next(self._numbers)

    async def ask(
        self, socket: ClientConnection | None, request: requests.Request, kind: type[A]
    ) -> A:
        """Send a request and return its answer.

        Args:
            socket: to the engine; None while there is no connection.
            request: under a number of ours.
            kind: of the answer.

        Raises:
            VisionFluxError: the engine refused it.
            ConnectionLostError: there is no connection, or it broke before the answer.
        """
        if socket is None:
            raise ConnectionLostError("the engine is not connected at the moment")
        future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._waiting[request.id] = future
        try:
            async with asyncio.timeout(PATIENCE):
                await socket.send(encoding.encode(request))
                answer = await future
        except (ConnectionClosed, TimeoutError) as error:
            raise ConnectionLostError("the connection broke before the engine answered") from error
        finally:
            self._waiting.pop(request.id, None)
        if not isinstance(answer, kind):
            raise MalformedMessageError(f"the engine answered with {type(answer).__name__}")
        return answer

    def answer(self, message: object) -> None:
        """Hand a message on to who waits for it, if anybody does."""
        future = self._waiting.get(getattr(message, "re", None) or -1)
        if future and not future.done():
            if isinstance(message, answers.Refused):
                future.set_exception(VisionFluxError.restore(message.error))
            else:
                future.set_result(message)

    def lose(self) -> None:
        """Tell all who wait that the connection broke."""
        for future in self._waiting.values():
            if not future.done():
                future.set_exception(ConnectionLostError("the connection to the engine broke"))
