import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
import uvicorn
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket
from websockets.asyncio.client import connect

from tests.conftest import PATIENCE
from ui.shell.middleware import MIDDLEWARE

pytestmark = pytest.mark.anyio


async def greet(websocket: WebSocket) -> None:
    await websocket.accept()
    await websocket.send_text("hello")
    await websocket.receive()


def waits(connection: socket.socket) -> bool:
    return not connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)


@asynccontextmanager
async def answered(port: int, path: str) -> AsyncIterator[None]:
    """Have an answer over HTTP, or over a WebSocket for its path; the connection stays open."""
    if path == "/live":
        async with connect(f"ws://127.0.0.1:{port}{path}") as client:
            assert await client.recv() == "hello"
            yield
    else:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"GET / HTTP/1.1\r\nHost: here\r\n\r\n")
        await reader.readuntil(b"hello")
        yield
        writer.close()


@pytest.mark.parametrize("guarded", [True, False])
@pytest.mark.parametrize("path", ["/", "/live"])
async def test_no_message_waits_in_a_buffer(
    path: str, guarded: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    taken: list[socket.socket] = []
    accept = socket.socket.accept

    def noting(listening: socket.socket) -> tuple[socket.socket, object]:
        connection, address = accept(listening)
        taken.append(connection)
        return connection, address

    monkeypatch.setattr(socket.socket, "accept", noting)
    routes = [
        Route("/", lambda _: PlainTextResponse("hello")),
        WebSocketRoute("/live", greet),
    ]
    app = Starlette(routes=routes, middleware=MIDDLEWARE if guarded else [])
    listening = socket.socket(socket.AF_INET)  # as Streamlit opens its own: without a protocol
    listening.bind(("127.0.0.1", 0))
    listening.listen()
    server = uvicorn.Server(uvicorn.Config(app, log_level="error", ws="websockets-sansio"))
    serving = asyncio.create_task(server.serve([listening]))
    async with asyncio.timeout(PATIENCE):
        async with answered(listening.getsockname()[1], path):
            assert [waits(connection) for connection in taken] == [not guarded]
        server.should_exit = True
        await serving
