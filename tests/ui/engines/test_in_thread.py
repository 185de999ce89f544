import asyncio
import subprocess
import sys
from pathlib import Path

import pytest

from ui.engines.connections import in_daemon_thread

ROOT = Path(__file__).parents[3]
SCRIPT = """
import sys, threading, time
from pathlib import Path
from ui.engines.hub import Hub
from ui.storage.migrations import sqlite_engine
from ui.storage.library import Library

starting = threading.Event()

def start(_folder):
    starting.set()
    time.sleep(60)

folder = Path(sys.argv[1])
hub = Hub(
    Library(sqlite_engine(folder / "library.db"), folder / "films"),
    folder,
    start_local=start,
)
hub.start()
starting.wait()
hub.close()
"""


def test_work_beside_the_loop_returns_and_raises() -> None:
    assert asyncio.run(in_daemon_thread(lambda: 42)) == 42
    with pytest.raises(ZeroDivisionError):
        asyncio.run(in_daemon_thread(lambda: 1 // 0))


def test_the_app_ends_while_its_engine_is_still_starting(tmp_path: Path) -> None:
    subprocess.run([sys.executable, "-c", SCRIPT, str(tmp_path)], cwd=ROOT, check=True, timeout=30)
