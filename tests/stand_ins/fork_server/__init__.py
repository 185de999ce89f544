"""Workers that are forked instead of started, so that tests do not wait for torch's import.

An import of everything that a worker needs takes some nine seconds of a core. Here one process has
imported it, and forks itself for each worker that an engine starts with these variables in its
environment. Everything else is real: the engine starts its usual command, whose interpreter
(``sitecustomize.py``) hands its arguments, folder, environment and standard streams to the server
(``__main__.py``), ends as the worker ends, and takes the worker with it when it is killed.

Not for tests of a worker's start, of its address space, or of variables that an import reads.
"""

import os
import secrets
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.processes import END_TIMEOUT, ROOT

ADDRESS = "WORKER_FORK_SERVER"
FOLDER = Path(__file__).parent


@contextmanager
def running(log: Path) -> Iterator[dict[str, str]]:
    """Run a server; yield the variables for engines. Where it cannot run, there are none."""
    if not hasattr(os, "pidfd_open"):  # only Linux has it, and names for sockets without files
        yield {}
        return
    address = f"visionflux-{secrets.token_hex(8)}"
    with log.open("wb") as sink:
        server = subprocess.Popen(
            [sys.executable, "-m", __name__, address],
            cwd=ROOT,
            env={**os.environ, "OMP_NUM_THREADS": "1"},  # threads would not outlive a fork
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=sink,
        )
    assert server.stdout
    assert server.stdout.readline(), log.read_text()  # it listens, in a process of its own
    server.stdout.close()
    server.wait(END_TIMEOUT)
    yield {ADDRESS: address, "PYTHONPATH": str(FOLDER)}
    assert server.stdin
    server.stdin.close()
