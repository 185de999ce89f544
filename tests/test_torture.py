"""The short version of ``make torture``: its scenarios on a small scale.

Films that move to another engine are in ``test_ui_mover.py``. The seeds are fixed, so that a
failure can be had again, as far as the machine's pace allows.
"""

import random
from pathlib import Path

import pytest

from tests.torture import cuts, kills, soak, tls, watchers

pytestmark = pytest.mark.anyio


@pytest.mark.slow
async def test_a_killed_engine_finishes_the_same_film(tmp_path: Path) -> None:
    outcome = await kills.run(tmp_path, random.Random(1), 3)
    assert outcome.failures == []
    assert outcome.counts["kills"] >= 3


async def test_a_cut_line_loses_and_doubles_nothing(tmp_path: Path) -> None:
    outcome = await cuts.run(tmp_path, random.Random(1), 12)
    assert outcome.failures == []
    assert outcome.counts["sessions"] == 12


@pytest.mark.skipif(bool(tls.lacking()), reason=f"needs Debian's {tls.lacking()}")
async def test_a_tls_proxy_that_comes_and_goes_loses_nothing(tmp_path: Path) -> None:
    outcome = await tls.run(tmp_path, random.Random(1), 8)
    assert outcome.failures == []
    assert outcome.counts["sessions"] == 8
    assert outcome.counts["blows"] >= 1


@pytest.mark.slow
async def test_fifty_watchers_receive_everything(tmp_path: Path) -> None:
    outcome = await watchers.run(tmp_path, random.Random(1), 3)
    assert outcome.failures == []
    assert outcome.counts["logs"] == 3 * (watchers.WATCHERS - 2) + 1


async def test_many_films_leave_nothing_behind(tmp_path: Path) -> None:
    outcome = await soak.run(tmp_path, random.Random(1), 3 * soak.EARLY, stand_in=True)
    assert outcome.failures == []
