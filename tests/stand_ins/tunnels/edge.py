"""The vendors' network for tests: nginx with TLS that leads each public name to its agent.

Names under the vendors' domains are looked up here and lead to nginx; the agents' programs are
stand-ins, put where pyngrok and pycloudflared look for theirs. Nothing else is replaced.
"""

import json
import os
import shutil
import signal
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pycloudflared
import pytest
from pycloudflared.util import get_info

from engine.wire.pairing import Pairing
from tests.processes import ROOT, short_folder
from tests.stand_ins.tunnels.names import DOMAINS, leading
from tests.torture.tls import Nginx

NAMES = ",".join(f"DNS:*{domain}" for domain in DOMAINS)
AGENT = Path(__file__).with_name("agent.py")
MAPS = """
  map $host $at_ngrok { ~ngrok ERR_NGROK_3200; }
  map $host $at_cloudflare { ~trycloudflare 8f00000000000000-FRA; }
"""
OFFLINE = """
    error_page 502 504 = @offline;
    location @offline {
      add_header ngrok-error-code $at_ngrok always;
      add_header cf-ray $at_cloudflare always;
      if ($at_ngrok) { return 404; }
      return 530;
    }
"""
SITE = """
import sys
sys.path.insert(0, {root!r})
from tests.stand_ins.tunnels.names import lead
lead({port})
"""


class Edge:
    """The vendors' edge; ``environment`` is for engines in processes of their own."""

    def __init__(self, nginx: Nginx, environment: dict[str, str]) -> None:
        self.nginx, self.environment = nginx, environment

    def commands(self) -> list[list[Any]]:
        """Return what was started so far: program, arguments, and process id."""
        file = self.nginx.folder / "commands"
        return [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []

    def strike(self, what: signal.Signals) -> None:
        """Send a signal to the agent that was started last."""
        os.kill(self.commands()[-1][-1], what)


@asynccontextmanager
async def an_edge(monkeypatch: pytest.MonkeyPatch, patience: str = "60s") -> AsyncIterator[Edge]:
    """Run the vendors' network; this process and its children find it."""
    folder = short_folder()  # it holds sockets
    folder.chmod(0o755)
    nginx = Nginx(
        folder / "edge",
        Pairing("", b""),
        NAMES,
        target=f"http://unix:{folder}/edge/$host.sock:",
        patience=patience,
        maps=MAPS,
        server=OFFLINE,
    )
    (folder / "edge").chmod(0o755)
    site = folder / "site"
    shutil.copytree(Path(pycloudflared.__file__).parent, site / "pycloudflared")
    _program(site / "pycloudflared" / Path(get_info().executable).name, "cloudflared")
    _program(folder / "ngrok", "ngrok")
    port = nginx.way.url.rpartition(":")[2]
    root = str(ROOT)
    (site / "sitecustomize.py").write_text(SITE.format(root=root, port=port))
    environment = {
        "EDGE": str(nginx.folder),
        "PYNGROK_NGROK_PATH": str(folder / "ngrok"),
        "SSL_CERT_FILE": str(nginx.folder / "certificate.pem"),
        "PYTHONPATH": os.pathsep.join([str(site), root]),
    }
    for name in [name for name in os.environ if name.lower().endswith("_proxy")]:
        monkeypatch.delenv(name)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(socket, "getaddrinfo", leading(int(port)))
    monkeypatch.syspath_prepend(str(site))
    for name in [name for name in sys.modules if name.startswith("pycloudflared")]:
        monkeypatch.delitem(sys.modules, name)
    try:
        await nginx.start()
        yield Edge(nginx, environment)
    finally:
        await nginx.kill()
        shutil.rmtree(folder)


def _program(path: Path, name: str) -> None:
    path.write_text(f'#!/bin/sh\nexec "{sys.executable}" -S "{AGENT}" {name} "$@"\n')
    path.chmod(0o755)
