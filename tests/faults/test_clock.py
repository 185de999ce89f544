"""A clock that is set back by a day under a running engine, as far as the engine can see."""

import shutil
import sqlite3
import subprocess
from pathlib import Path

import pytest

from engine.storage.journal import Journal, ObjectRecord
from tests.conftest import a_recipe, connected
from tests.faults.processes import an_engine_process, film_of

pytestmark = pytest.mark.anyio
JOB, NEXT, LAST = "job-0001", "job-0002", "job-0003"
DAY = 86_400
SHIM = r"""
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/time.h>
#include <time.h>

/* Seconds to add to the real clock; the file is read anew each time. */
static long shift(void) {
    long seconds = 0;
    FILE *file = fopen(getenv("CLOCK_SHIFT"), "r");
    if (file) {
        if (fscanf(file, "%ld", &seconds) != 1) seconds = 0;
        fclose(file);
    }
    return seconds;
}

int clock_gettime(clockid_t clock, struct timespec *now) {
    static int (*real)(clockid_t, struct timespec *);
    if (!real) real = dlsym(RTLD_NEXT, "clock_gettime");
    int result = real(clock, now);
    if (clock == CLOCK_REALTIME) now->tv_sec += shift();
    return result;
}

time_t time(time_t *into) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    if (into) *into = now.tv_sec;
    return now.tv_sec;
}

int gettimeofday(struct timeval *restrict now, void *restrict zone) {
    struct timespec fine;
    clock_gettime(CLOCK_REALTIME, &fine);
    now->tv_sec = fine.tv_sec;
    now->tv_usec = fine.tv_nsec / 1000;
    return 0;
}
"""


@pytest.fixture
def shim(tmp_path: Path) -> Path:
    """A library that shows a shifted clock to the process that loads it."""
    compiler = shutil.which("cc")
    if compiler is None:
        pytest.skip("there is no C compiler to build the shifted clock with")
    source, library = tmp_path / "clock.c", tmp_path / "clock.so"
    source.write_text(SHIM)
    command = [compiler, "-shared", "-fPIC", "-o", str(library), str(source), "-ldl"]
    built = subprocess.run(command, capture_output=True, text=True, check=False)
    if built.returncode:
        pytest.skip(f"the shifted clock cannot be built here: {built.stderr[-200:]}")
    return library


async def test_a_clock_set_back_disturbs_no_job(tmp_path: Path, shim: Path) -> None:
    shift = tmp_path / "shift"
    shift.write_text("0")
    shown = {"LD_PRELOAD": str(shim), "CLOCK_SHIFT": str(shift), "STEP_SECONDS": "0.01"}
    recipe = a_recipe("dawn", "noon", num_inference_steps=8)
    async with an_engine_process(tmp_path / "data", **shown) as (engine, _):
        async with connected(engine) as client:
            await client.connection.submit(JOB, recipe)
            await client.connection.watch(JOB)
            await client.reached(JOB, "keyframe advanced", 2)
            shift.write_text(str(-DAY))
            assert await client.ended(JOB) == "Finished"
            log = client.events(JOB)
            assert log[0].at - log[-1].at > DAY / 2  # the engine did see it
            assert [event.seq for event in log] == list(range(1, len(log) + 1))
        async with connected(engine) as late:  # proves itself to an engine that lives yesterday
            await film_of(late, NEXT, recipe)
            shift.write_text(str(-2 * DAY))
            await late.connection.submit(LAST, recipe)
            jobs = [summary.job for summary in await late.connection.jobs()]
            assert jobs == [LAST, NEXT, JOB]
            snapshot = await late.connection.watch(JOB, after=None)
            assert (snapshot.fraction, snapshot.remaining) == (1.0, 0.0)
            for pieces in snapshot.progress.pieces.values():
                assert pieces.timing.seconds >= 0


def test_the_order_of_use_is_counted_and_not_taken_from_the_clock(tmp_path: Path) -> None:
    def row(name: str) -> ObjectRecord:
        return ObjectRecord(name * 64, "0" * 64, 1, "image/png")

    journal = Journal(tmp_path / "j.db")
    for name in "abc":
        journal.add_object(row(name))
    journal.touch_objects(["a" * 64])
    journal.close()
    with sqlite3.connect(tmp_path / "j.db") as db:  # as an engine of tomorrow would have left it
        db.execute("UPDATE object SET used_at = used_at + 4e9")
    db.close()
    journal = Journal(tmp_path / "j.db")
    journal.add_object(row("d"))
    journal.touch_objects(["b" * 64])
    assert [found.name[0] for found in journal.objects_by_use()] == ["c", "a", "d", "b"]
    journal.close()
