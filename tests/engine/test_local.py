"""The engine on this computer: how it is found."""

import asyncio
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import an_engine

pytestmark = pytest.mark.anyio
CODE = """
import sys
from pathlib import Path
from engine import hosted, local
from engine.hosted import display
engine = local.find_engine(Path(sys.argv[1]))
assert engine
assert display.DIRECT_OPENER.open(engine.url + "/healthz", timeout=5).status == 200
"""


async def test_a_proxy_in_the_environment_does_not_hide_the_engine_here(tmp_path: Path) -> None:
    async with an_engine(tmp_path):
        kept = {name: value for name, value in os.environ.items() if "proxy" not in name.lower()}
        await _run(tmp_path, kept | {"http_proxy": "http://127.0.0.1:9"})


async def _run(folder: Path, environment: dict[str, str]) -> None:
    child = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", CODE, str(folder)), env=environment, stderr=subprocess.PIPE
    )
    _, complaint = await child.communicate()
    assert child.returncode == 0, complaint.decode()
