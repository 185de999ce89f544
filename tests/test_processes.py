"""The helper processes of the tests: whoever fails to start says why, at once."""

import sys
from pathlib import Path

import pytest

from tests.processes import Process

DIES = "import sys; print('on its way', flush=True); sys.exit('no such disk')"
LIVES = "import sys; print('ready', flush=True); sys.stdin.read(); print('goodbye')"


def test_a_process_that_dies_at_its_start_fails_its_test_with_what_it_wrote(tmp_path: Path) -> None:
    with Process([sys.executable, "-c", DIES], tmp_path / "log") as process:
        assert process.line() == "on its way"
        with pytest.raises(AssertionError, match="status 1; it wrote:\non its way\nno such disk"):
            process.line()
        with pytest.raises(AssertionError, match="has ended with status 1"):
            process.until(lambda: False)


def test_a_process_that_is_never_ready_is_given_up(tmp_path: Path) -> None:
    with Process([sys.executable, "-c", LIVES], tmp_path / "log", graceful=True) as process:
        assert process.line() == "ready"
        with pytest.raises(AssertionError, match=r"nothing in 0\.1 s; it wrote:\nready"):
            process.line(timeout=0.1)
        with pytest.raises(AssertionError, match="is not ready after"):
            process.until(lambda: False, timeout=0.1)
    assert process.output == "ready\ngoodbye\n"
    assert process.wait() == 0
