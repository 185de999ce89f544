"""engine.cli.fetch: a part of set-up that is silent, or one line where no source answers."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.engine.cli.test_render import engine

NOWHERE = "http://127.0.0.1:9"
CUT_OFF = {
    "HF_ENDPOINT": NOWHERE,
    "HTTPS_PROXY": NOWHERE,
    "PIP_CONFIG_FILE": os.devnull,
    "PIP_INDEX_URL": NOWHERE,
    "PIP_FIND_LINKS": "",
}


@pytest.mark.slow
def test_without_a_network_one_line_gives_the_reason_of_each_source(tmp_path: Path) -> None:
    ended = engine("fetch", data=tmp_path, HF_HOME=str(tmp_path), **CUT_OFF)
    assert ended.returncode == 1
    assert ended.stdout == ""
    (line,) = ended.stderr.splitlines()
    assert line.startswith("DIS optical flow will draw in-betweens")
    assert "pip: the index cannot be reached" in line
    assert line.count("cannot be reached") == 3
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


@pytest.mark.slow
def test_it_is_silent_and_asks_nobody_where_the_network_is_here(tmp_path: Path) -> None:
    code = "from engine.render.weights.rife import find_official; print(find_official('auto'))"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    if found.stdout.strip() == "None":
        pytest.skip("the official weights are not on this machine: python -m engine fetch")
    ended = engine("fetch", data=tmp_path, **CUT_OFF)
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "", "")
