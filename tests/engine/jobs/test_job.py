"""A job in memory: who is told, and how often."""

import asyncio

import pytest

from engine.film import events
from engine.jobs.job import Job
from engine.storage.journal import JobRecord
from tests.conftest import a_recipe

pytestmark = pytest.mark.anyio


def a_job() -> Job:
    return Job(JobRecord("job-0001", a_recipe(), 0.0, False), [])


def add(job: Job) -> None:
    event = events.Queued(position=0)
    job.add(events.Logged(seq=job.progress.seq + 1, at=0.0, event=event))


async def test_watchers_are_notified_once_of_events_at_one_time() -> None:
    job, told = a_job(), []
    job.watchers.add(lambda: told.append(len(job.frames)))
    for _ in range(5):
        add(job)
    async with asyncio.timeout(20):
        while not told:
            await asyncio.sleep(0.001)
    assert told == [5]
    add(job)
    async with asyncio.timeout(20):
        while told != [5, 6]:
            await asyncio.sleep(0.001)


async def test_more_watchers_are_notified_less_often() -> None:
    job, told = a_job(), []
    for number in range(20_000):  # they rest for a minute
        job.watchers.add(lambda number=number: told.append(number))
    add(job)
    async with asyncio.timeout(20):
        while not told:
            await asyncio.sleep(0.001)
    told.clear()
    for _ in range(5):
        add(job)
        await asyncio.sleep(0.01)
    assert not told


async def test_a_job_without_watchers_notifies_nobody() -> None:
    job = a_job()
    add(job)
    assert len(job.frames) == 1
