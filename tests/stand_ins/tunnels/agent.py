"""A stand-in for the agents of tunnel vendors: it speaks as they do and forwards for real.

It is started under the vendor's program name. Its end of the vendor's network is a socket in the
folder ``EDGE``, named for the public host; ``tests.stand_ins.tunnels.edge`` leads there. ``MOOD``
makes it fail as the real ones do: a code of ngrok's, or ``silent``. Only the standard library is
used: it starts often.
"""

import asyncio
import json
import os
import sys
import uuid
from pathlib import Path

EDGE, MOOD = Path(os.environ.get("EDGE", "")), os.environ.get("MOOD", "")
TOKEN = "2tOkEnOfSomebodyAtNgrok_4nq9771bPxe8ctg7LKr2C"
REFUSED = {
    "105": "The authtoken you specified does not look like a proper ngrok authtoken.",
    "107": "The authtoken you specified is properly formed, but it is invalid.",
    "4018": "Usage of ngrok requires a verified account and authtoken.",
}


async def forward(host: str, upstream: str) -> None:
    """Listen as ``host`` on the vendor's edge, and carry bytes to and from ``upstream``."""
    name, _, port = upstream.rpartition("/")[2].partition(":")

    async def carry(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            onward, back = await asyncio.open_connection(name, int(port))
        except OSError:
            await reader.readuntil(b"\r\n\r\n")
            writer.write(
                b"HTTP/1.1 502 Bad Gateway\r\nngrok-error-code: ERR_NGROK_8012\r\n"
                b"Connection: close\r\nContent-Length: 0\r\n\r\n"
            )
            writer.close()
            return
        await asyncio.gather(pump(reader, back), pump(onward, writer))

    (EDGE / f"{host}.sock").unlink(missing_ok=True)
    await asyncio.start_unix_server(carry, EDGE / f"{host}.sock")
    (EDGE / f"{host}.sock").chmod(0o777)  # for nginx's workers


async def pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    except OSError:
        pass
    finally:
        writer.close()


# As ngrok


def say(level: str, message: str, **more: str) -> None:
    fields = {"t": "2026-11-23T10:00:00+0000", "lvl": level, "msg": message, **more}
    line = " ".join(f"{key}={json.dumps(value)}" for key, value in fields.items())
    print(line, flush=True)


def refuse(code: str) -> None:
    token = os.environ.get("NGROK_AUTHTOKEN", "")
    text = f"authentication failed: {REFUSED[code]}\nYour authtoken: {token}\n\nERR_NGROK_{code}\n"
    say("eror", "failed to reconnect session", obj="tunnels.session", err=text)
    say("crit", "command failed", err=text)
    sys.exit(1)


async def ngrok() -> None:
    server = await asyncio.start_server(Api().serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    say("info", "starting web service", obj="web", addr=f"127.0.0.1:{port}")
    token = os.environ.get("NGROK_AUTHTOKEN", "")
    if token != TOKEN:
        refuse("4018" if not token else "107" if len(token) == len(TOKEN) else "105")
    say("info", "client session established", obj="tunnels.session")
    say("info", "tunnel session started", obj="tunnels.session")
    await asyncio.Event().wait()


class Api:
    """The agent's own HTTP API, as far as pyngrok uses it."""

    def __init__(self) -> None:
        self.endpoints: dict[str, dict[str, object]] = {}

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        method, path, _ = head.split(" ", 2)
        lines = [line for line in head.lower().splitlines() if line.startswith("content-length:")]
        body = await reader.readexactly(int(lines[0].split(":")[1])) if lines else b"{}"
        status, answer = await self.answer(method, path, json.loads(body))
        data = json.dumps(answer).encode()
        writer.write(b"HTTP/1.1 %d x\r\nConnection: close\r\n" % status)
        writer.write(b"Content-Length: %d\r\n\r\n" % len(data) + data)
        writer.close()

    async def answer(self, method: str, path: str, asked: dict) -> tuple[int, dict]:
        name = path.removeprefix("/api/endpoints").strip("/")
        if method == "POST":
            return await self.begin(asked)
        if not name:
            return 200, {"endpoints": list(self.endpoints.values())}
        if name not in self.endpoints:
            return 404, {"status_code": 404, "msg": "not found"}
        return 200, self.endpoints[name]

    async def begin(self, asked: dict) -> tuple[int, dict]:
        if MOOD.startswith("ERR_NGROK"):
            told = {"error_code": 103, "msg": "failed to start tunnel", "details": {"err": MOOD}}
            return 502, told
        (EDGE / "asked.json").write_text(json.dumps(asked))
        url = asked.get("url") or f"https://{uuid.uuid4().hex[:8]}.ngrok-free.dev"
        await forward(url.removeprefix("https://"), asked["upstream"]["url"])
        made = {"name": uuid.uuid4().hex, "url": url, "upstream": asked["upstream"]}
        self.endpoints[str(made["name"])] = made
        return 201, made


# As cloudflared


async def cloudflared(arguments: list[str]) -> None:
    assert arguments[0] == "tunnel"
    print(
        "2026-11-23T10:00:00Z INF Requesting new quick Tunnel on trycloudflare.com...", flush=True
    )
    if MOOD == "refused":
        error = 'failed to unmarshal quick Tunnel: Post "https://api.trycloudflare.com/tunnel"'
        sys.exit(f"2026-11-23T10:00:00Z ERR {error}: connection refused")
    host = f"quick-{uuid.uuid4().hex[:8]}.trycloudflare.com"
    await forward(host, arguments[arguments.index("--url") + 1])
    if MOOD != "silent":
        print(f"2026-11-23T10:00:00Z INF |  https://{host}  |", file=sys.stderr, flush=True)
    while True:  # far more than a pipe holds
        print("2026-11-23T10:00:00Z INF " + "x" * 4096, file=sys.stderr, flush=True)
        await asyncio.sleep(0.01)


if __name__ == "__main__":
    program, arguments = sys.argv[1], sys.argv[2:]
    with (EDGE / "commands").open("a") as file:
        file.write(json.dumps([program, *arguments, os.getpid()]) + "\n")
    asyncio.run(ngrok() if program == "ngrok" else cloudflared(arguments))
