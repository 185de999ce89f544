"""Those who do not know the key: wrong proofs, half requests, raw bytes; none changes a thing."""

import asyncio
import contextlib
import os
import random
from collections.abc import Callable

from engine.wire import pairing
from engine.wire.messages.limits import CONTROL_PATH, DATA_PATH
from tests.fuzz.target import PATIENCE, Target

UPGRADE = (
    "GET {path} HTTP/1.1\r\nHost: {host}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n"
    "Sec-WebSocket-Protocol: visionflux.v2\r\n{more}\r\n"
)
REQUESTS = (
    '{"type":"submit","id":1,"job":"stranger-%d","recipe":{"scenes":[{"prompt":"a"}]}}',
    '{"type":"cancel","id":2,"job":"job-%04d"}',
    '{"type":"watch","id":3,"job":"job-%04d","after":0}',
    '{"type":"jobs","id":%d}',
)
AT_ONCE, FRAMES = 16, 20  # strangers at a time; messages that each sends


def visit(target: Target, number: int, chance: random.Random) -> None:
    """Let ``number`` strangers in a row of crowds try; none may be let in or change anything."""
    target.settle()
    before = target.state()
    asyncio.run(_crowd(target, number, chance))
    assert target.state() == before
    target.check()


async def _crowd(target: Target, number: int, chance: random.Random) -> None:
    turns = asyncio.Semaphore(AT_ONCE)

    async def one(seed: int) -> None:
        async with turns:
            await _stranger(target, random.Random(seed))

    await asyncio.gather(*(one(chance.getrandbits(64)) for _ in range(number)))


async def _stranger(target: Target, chance: random.Random) -> None:
    host, port = target.address
    request = chance.choice(KINDS)(target, chance)
    reader, writer = await asyncio.open_connection(host, port)
    said = b""
    with contextlib.suppress(ConnectionError):
        for piece in _pieces(request, chance):
            writer.write(piece)
            await writer.drain()
        for _ in range(FRAMES):
            target.counts["unauthenticated"] += 1
            writer.write(_frame(chance))
        writer.write_eof()
        async with asyncio.timeout(PATIENCE):
            said = await reader.read()
    assert b" 101 " not in said.split(b"\r\n")[0], (request, said)
    assert pairing.PROOF_HEADER.lower().encode() not in said.lower(), (request, said)
    writer.close()
    with contextlib.suppress(ConnectionError):
        await writer.wait_closed()


def _pieces(request: bytes, chance: random.Random) -> list[bytes]:
    """Cut a request, so that some come slowly and in many pieces."""
    if chance.random() < 0.8:
        return [request]
    return [request[at : at + 7] for at in range(0, len(request), 7)]


def _frame(chance: random.Random) -> bytes:
    """Return a masked text frame with a request, as a client sends it."""
    text = (chance.choice(REQUESTS) % chance.randrange(9999)).encode()
    mask = os.urandom(4)
    body = bytes(byte ^ mask[at % 4] for at, byte in enumerate(text))
    return bytes([0x81, 0x80 | len(body)]) + mask + body


def _upgrade(target: Target, more: str, path: str = CONTROL_PATH, host: str = "") -> bytes:
    host = host or ":".join(target.address)
    return UPGRADE.format(path=path, host=host, more=more).encode("latin-1")


def _wrong_proof(target: Target, chance: random.Random) -> bytes:
    header, _ = pairing.authorization(chance.randbytes(32), CONTROL_PATH)
    path = chance.choice([CONTROL_PATH, DATA_PATH, "/v1/", "/../engine.key", "/healthz"])
    return _upgrade(target, f"Authorization: {header}\r\n", path)


def _old_or_mislaid_proof(target: Target, chance: random.Random) -> bytes:
    """Return a genuine proof for another path or another time."""
    header, _ = pairing.authorization(
        target.engine.key, DATA_PATH, skew=chance.choice([0, 3600, -3600])
    )
    return _upgrade(target, f"Authorization: {header}\r\n")


def _spoilt_proof(target: Target, chance: random.Random) -> bytes:
    header, _ = pairing.authorization(target.engine.key, CONTROL_PATH)
    place = chance.randrange(len(header))
    strange = chance.choice(["", "\xff", " ", "\t", "=", "0" * 300, "A"])
    if strange == header[place]:
        strange = ""
    return _upgrade(target, f"Authorization: {header[:place]}{strange}{header[place + 1 :]}\r\n")


def _two_proofs(target: Target, _chance: random.Random) -> bytes:
    header, _ = pairing.authorization(target.engine.key, CONTROL_PATH)
    return _upgrade(target, f"Authorization: {header}\r\nAuthorization: {header}\r\n")


def _browser(target: Target, chance: random.Random) -> bytes:
    """Return a website's request: another Host, an Origin, and at times even the proof."""
    header, _ = pairing.authorization(target.engine.key, CONTROL_PATH)
    proof = f"Authorization: {header}\r\n" if chance.random() < 0.5 else ""
    origin = chance.choice(["http://evil.example", "null", ""])
    return _upgrade(target, f"{proof}Origin: {origin}\r\n", host="evil.example")


def _no_proof(target: Target, chance: random.Random) -> bytes:
    return _upgrade(target, "", chance.choice([CONTROL_PATH, DATA_PATH, "/", "/?" + "a" * 3000]))


def _half(target: Target, chance: random.Random) -> bytes:
    whole = _wrong_proof(target, chance)
    return whole[: chance.randrange(len(whole))]


def _flipped(target: Target, chance: random.Random) -> bytes:
    whole = bytearray(_no_proof(target, chance))
    for _ in range(chance.randrange(1, 6)):
        whole[chance.randrange(len(whole))] ^= 1 << chance.randrange(8)
    return bytes(whole)


def _bytes(_target: Target, chance: random.Random) -> bytes:
    return chance.randbytes(chance.randrange(1, 500)) + b"\r\n\r\n"


def _strange_http(target: Target, chance: random.Random) -> bytes:
    host = ":".join(target.address)
    return chance.choice(
        [
            f"GET {CONTROL_PATH} HTTP/1.1\r\n\r\n",
            f"POST {CONTROL_PATH} HTTP/1.1\r\nHost: {host}\r\nContent-Length: 99\r\n\r\n",
            f"GET /healthz HTTP/2\r\nHost: {host}\r\n\r\n",
            f"GET /{'a' * 9000} HTTP/1.1\r\nHost: {host}\r\n\r\n",
            f"GET / HTTP/1.1\r\n{'X: y' + chr(13) + chr(10)}" * 200,
            f"DELETE /healthz HTTP/1.1\r\nHost: {host}\r\n\r\n",
            f"GET {CONTROL_PATH} HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nffffffff\r\n",
            "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        ]
    ).encode()


KINDS: tuple[Callable[[Target, random.Random], bytes], ...] = (
    *(_wrong_proof, _old_or_mislaid_proof, _spoilt_proof, _two_proofs, _browser, _no_proof),
    *(_half, _flipped, _bytes, _strange_http),
)
