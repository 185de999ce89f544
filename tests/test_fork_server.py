"""A forked worker is to its engine what a started one is."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.processes import ROOT, START_TIMEOUT, Process

pytestmark = pytest.mark.slow
WORKER = [sys.executable, "-m", "engine.render.worker"]


@pytest.fixture(autouse=True)
def forked(forking: dict[str, str], forked_workers: None) -> None:
    if not forking:
        pytest.skip("workers are forked on Linux only")


def test_arguments_output_and_status_pass_through(tmp_path: Path) -> None:
    with Process([*WORKER, "--list"], tmp_path / "log") as worker:
        assert worker.line()
        assert worker.wait() == 0
    with Process([*WORKER, "--unheard"], tmp_path / "log") as worker:
        assert worker.wait(START_TIMEOUT) == 2
        assert "--unheard" in worker.log


@pytest.mark.parametrize("how", ["its input ends", "it is killed"])
def test_a_worker_ends_when(how: str) -> None:
    pipe = subprocess.PIPE
    with subprocess.Popen([*WORKER, "--device", "cpu"], cwd=ROOT, stdin=pipe, stdout=pipe) as begun:
        assert begun.stdin
        assert begun.stdout
        assert begun.stdout.read(1)  # it is ready
        if how == "it is killed":
            begun.kill()
        else:
            begun.stdin.close()
        begun.stdout.read()  # ends only with the forked process
        assert begun.wait(START_TIMEOUT) == (-9 if how == "it is killed" else 0)
