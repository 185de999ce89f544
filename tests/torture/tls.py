"""Puts nginx with TLS before an engine, and reloads, kills and starts it again at random.

The certificate is made here and trusted as a private authority's would be: by the SSL context that
clients use by default, whose authorities ``SSL_CERT_FILE`` names.
"""

import asyncio
import os
import random
import shutil
import signal
import subprocess
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from urllib.parse import urlsplit

import psutil
import pytest

from engine.errors import EngineUnreachableError
from engine.wire.handshake import open_socket
from engine.wire.messages.limits import CONTROL_PATH
from engine.wire.pairing import Pairing
from tests.torture.cuts import AT_ONCE, Session, draw_noise
from tests.torture.rig import Outcome, a_machine, alive, end, free_port, tiny

STEP_SECONDS = "0.01"
CALM = (0.2, 1.5)  # seconds between two blows
CONFIGURATION = """
daemon off; pid {folder}/pid; error_log {folder}/error.log; worker_processes 2;
{user}
worker_shutdown_timeout 300ms;
events {{}}
http {{
  access_log off;
  client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy;
  fastcgi_temp_path {folder}/fastcgi; uwsgi_temp_path {folder}/uwsgi; scgi_temp_path {folder}/scgi;
  {maps}
  server {{
    listen 127.0.0.1:{port} ssl;
    ssl_certificate {folder}/certificate.pem; ssl_certificate_key {folder}/key.pem;
    {server}
    location / {{
      proxy_pass {target};
      proxy_http_version 1.1;
      proxy_read_timeout {patience};
      proxy_set_header Host $host;
      proxy_set_header Upgrade $http_upgrade;
      proxy_set_header Connection "upgrade";
    }}
  }}
}}
"""


def lacking() -> str:
    """Return the program that is missing for this scenario, or an empty string."""
    return next((name for name in ("nginx", "openssl") if not shutil.which(name)), "")


class Nginx:
    """A TLS reverse proxy before an engine; ``way`` leads through it.

    Args:
        folder: for its files; must not exist.
        engine: the engine behind it.
        names: that the certificate is for.
        target: where requests go, if not to the engine; may name nginx's variables.
        patience: after which a silent connection is closed.
        maps: more of the configuration, outside of the server.
        server: likewise, inside.
    """

    def __init__(
        self,
        folder: Path,
        engine: Pairing,
        names: str = "DNS:localhost",
        target: str = "",
        patience: str = "60s",
        maps: str = "",
        server: str = "",
    ) -> None:
        folder.mkdir()
        self.folder, port = folder, free_port()
        self.way = Pairing(f"https://localhost:{port}", engine.key)
        self._process: psutil.Popen | None = None
        text = CONFIGURATION.format(
            folder=folder,
            port=port,
            target=target or engine.url,
            patience=patience,
            # Else root's workers become somebody who may not enter a private temporary folder.
            user="" if os.getuid() else "user root root;",
            maps=maps,
            server=server,
        )
        (folder / "nginx.conf").write_text(text)
        options = ("-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost")
        subject = ("-addext", f"subjectAltName={names}")
        files = ("-keyout", str(folder / "key.pem"), "-out", str(folder / "certificate.pem"))
        command = ["openssl", "req", "-x509", *options, *subject, *files]
        subprocess.run(command, check=True, capture_output=True)

    async def start(self) -> None:
        """Start it and wait until it takes connections."""
        command = ["nginx", "-e", str(self.folder / "error.log"), "-p", str(self.folder)]
        self._process = psutil.Popen([*command, "-c", str(self.folder / "nginx.conf")])
        target = urlsplit(self.way.url)
        async with asyncio.timeout(30):
            while True:
                assert self._process.poll() is None, (self.folder / "error.log").read_text()
                with suppress(OSError):
                    _, writer = await asyncio.open_connection(target.hostname, target.port)
                    writer.close()
                    return
                await asyncio.sleep(0.02)

    def reload(self) -> None:
        """Have it read its configuration again; the workers of before end with their lines."""
        assert self._process
        self._process.send_signal(signal.SIGHUP)

    def lose_worker(self) -> None:
        """Kill the processes that carry the connections; nginx starts others."""
        assert self._process
        for worker in filter(alive, self._process.children()):
            with suppress(psutil.NoSuchProcess):
                worker.kill()

    async def kill(self) -> None:
        """Kill all of it."""
        if self._process:
            await end(self._process)


@asynccontextmanager
async def behind_nginx(folder: Path, engine: Pairing) -> AsyncIterator[Nginx]:
    """Run nginx before an engine, with a certificate that clients of this process trust."""
    nginx = Nginx(folder, engine)
    before = os.environ.get("SSL_CERT_FILE")
    try:
        await nginx.start()
        await _refused_untrusted(nginx.way)
        os.environ["SSL_CERT_FILE"] = str(folder / "certificate.pem")
        yield nginx
    finally:
        os.environ.pop("SSL_CERT_FILE", None)
        if before:
            os.environ["SSL_CERT_FILE"] = before
        await nginx.kill()


async def _refused_untrusted(way: Pairing) -> None:
    """Make sure that verification is on: an unknown certificate opens nothing."""
    with pytest.raises(EngineUnreachableError, match="certificate"):
        async with open_socket(way, CONTROL_PATH):
            pass


async def torment(nginx: Nginx, dice: random.Random, counts: Counter[str], most: int) -> None:
    """Strike nginx at random instants, ``most`` times: a slow machine must come to an end, too."""
    for _ in range(most):
        await asyncio.sleep(dice.uniform(*CALM))
        blow = dice.choice(("reload", "lose worker", "kill"))
        counts.update(("blows", f"of {blow}"))
        match blow:
            case "reload":
                nginx.reload()
            case "lose worker":
                nginx.lose_worker()
            case "kill":
                await nginx.kill()
                await asyncio.sleep(dice.uniform(0.0, 1.0))
                await nginx.start()


async def run(folder: Path, dice: random.Random, number: int) -> Outcome:
    """Hold ``number`` sessions through nginx while it is struck."""
    outcome = Outcome("sessions through nginx with TLS, reloaded and killed at random")
    draw_noise(folder / "picture.png")
    places, options = asyncio.Semaphore(AT_ONCE), {"stand_in": True, "STEP_SECONDS": STEP_SECONDS}
    async with (
        a_machine(folder / "engine", **options) as (machine, engine),
        behind_nginx(folder / "nginx", engine) as nginx,
    ):

        async def hold(index: int) -> None:
            async with places:
                about = (f"tls-{index:03}", nginx.way, engine, folder, tiny(index), outcome)
                await Session(*about).run()

        blows = asyncio.create_task(torment(nginx, dice, outcome.counts, number))
        async with asyncio.TaskGroup() as group:
            for index in range(number):
                group.create_task(hold(index))
        blows.cancel()
        outcome.check(not machine.tracebacks(), f"tracebacks in {machine.data / 'log'}")
    return outcome
