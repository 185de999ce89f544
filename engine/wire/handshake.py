"""Opening a socket to an engine, with both ends proving that they know the key.

It knows addresses, proofs and the meaning of refusals; it knows no messages.
"""

import asyncio
import contextlib
import os
import ssl
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from email.utils import parsedate_to_datetime
from functools import partial
from socket import gaierror
from urllib.parse import urlsplit

import msgspec
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import InvalidHandshake, InvalidStatus
from websockets.http11 import Response
from websockets.typing import Subprotocol

from engine.errors import (
    EngineUnreachableError,
    ErrorReport,
    NotPairedError,
    ProtocolVersionError,
    TransportError,
    VisionFluxError,
)
from engine.wire import outages, pairing
from engine.wire.messages import limits
from engine.wire.pairing import Pairing
from engine.wire.transport import ByteCounter, CountingConnection, keepalive

CLOSE_TIMEOUT = 2.0  # seconds to wait for the other end when a connection is closed


@asynccontextmanager
async def open_socket(
    engine: Pairing, path: str, traffic: ByteCounter | None = None
) -> AsyncIterator[ClientConnection]:
    """Open a socket whose two ends have proved to each other that they know the key.

    Args:
        engine: where it is, and the key.
        path: one of the protocol's.
        traffic: counts what crosses the socket.

    Raises:
        EngineUnreachableError: nothing answers there.
        NotPairedError: the engine refused our key, or could not prove that it knows it.
        ProtocolVersionError: it speaks another version.
    """
    try:
        socket = await _open_by_either_clock(engine, path, traffic or ByteCounter())
    except InvalidStatus as error:
        raise _refused(error.response) from error
    except (OSError, InvalidHandshake, TimeoutError, EOFError) as error:
        raise _unreachable(engine, error) from error
    try:
        async with keepalive(socket):
            yield socket
    finally:
        await _shut(socket)


async def _shut(socket: ClientConnection) -> None:
    """Close the socket; abort it if the other end does not respond."""
    try:
        async with asyncio.timeout(2 * CLOSE_TIMEOUT):
            await socket.close()
    except TimeoutError:
        socket.transport.abort()


async def _open(
    engine: Pairing, path: str, traffic: ByteCounter, *, skew: float
) -> ClientConnection:
    authorization, nonce = pairing.authorization(engine.key, path, skew=skew)
    local = pairing.is_loopback(urlsplit(engine.url).hostname or "")
    socket = await connect(
        engine.websocket_url + path,
        subprotocols=[Subprotocol(limits.SUBPROTOCOL), Subprotocol(limits.OLDER_SUBPROTOCOL)],
        additional_headers={
            "Authorization": authorization,
            "ngrok-skip-browser-warning": "1",
        },
        proxy=None if local else True,
        compression=None,
        max_size=limits.LIMITS.message,
        ping_interval=None,  # see engine.wire.transport
        close_timeout=CLOSE_TIMEOUT,
        open_timeout=15,
        create_connection=partial(CountingConnection, traffic=traffic),  # type: ignore[arg-type]
    )
    response = socket.response
    given = response.headers.get(pairing.PROOF_HEADER, "") if response else ""
    if not pairing.same(given, pairing.proof(engine.key, nonce)):
        await socket.close()
        raise NotPairedError("what answers at this address does not know the engine's key")
    return socket


async def _open_by_either_clock(
    engine: Pairing, path: str, traffic: ByteCounter
) -> ClientConnection:
    """Open a socket; if our clock is wrong, try again with the engine's, which a 401 reports."""
    try:
        return await _open(engine, path, traffic, skew=0.0)
    except InvalidStatus as error:
        skew = _skew(error.response)
        if error.response.status_code != 401 or abs(skew) <= pairing.CLOCK_TOLERANCE / 2:
            raise
    return await _open(engine, path, traffic, skew=skew)


def _skew(response: Response) -> float:
    date = response.headers.get("Date")
    try:
        return parsedate_to_datetime(date).timestamp() - time.time() if date else 0.0
    except ValueError:
        return 0.0


def _refused(response: Response) -> TransportError:
    """Return the error for an answer other than 101."""
    if response.status_code == 401:
        return NotPairedError("the engine refused the key in this link")
    with contextlib.suppress(msgspec.MsgspecError, KeyError, TypeError):
        report = msgspec.convert(msgspec.json.decode(response.body or b"")["error"], ErrorReport)
        error = VisionFluxError.restore(report)
        if isinstance(error, ProtocolVersionError):  # its remedy is for developers, not users
            return ProtocolVersionError(report.message)
        if isinstance(error, TransportError):
            return error
    code = " ".join(response.headers.get_all("ngrok-error-code"))
    if outage := outages.of_answer(response.status_code, code, "cf-ray" in response.headers):
        return EngineUnreachableError(outage.problem, remedy=outage.remedy)
    return EngineUnreachableError(
        f"the address answers with HTTP {response.status_code}: "
        "no engine is behind it at the moment"
    )


def _unreachable(engine: Pairing, error: Exception) -> EngineUnreachableError:
    """Return the error for an engine that could not be reached, with a remedy."""
    host = urlsplit(engine.url).hostname
    match error:
        case ssl.SSLCertVerificationError():
            problem = f"the certificate of {host} cannot be trusted ({error.verify_message})"
            remedy = (
                "check the address; if it is right, have its certificate renewed, "
                "or make its authority known to this computer"
            )
        case ssl.SSLError():
            problem = f"what answers at {engine.url} does not speak https"
            remedy = "paste the whole link just as the engine printed it"
        case gaierror():
            problem = f"the name {host} is not known"
            remedy = "check the address, and whether this computer is online"
        case TimeoutError():
            problem = f"{host} did not answer in time"
            remedy = "check the address, and whether a firewall is in the way"
        case _:
            number = error.errno if isinstance(error, OSError) else None
            reason = os.strerror(number) if number else str(error) or type(error).__name__
            return EngineUnreachableError(f"no engine answers at {engine.url} ({reason})")
    return EngineUnreachableError(problem, remedy=remedy)
