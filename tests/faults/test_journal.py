"""Journals that were damaged: set aside, rebuilt from what can be read, nothing finished lost."""

import contextlib
import random
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from engine.daemon import JOURNAL
from engine.errors import StorageError
from engine.film import events
from engine.storage.journal import RESERVE_BYTES, Journal, ObjectRecord
from engine.storage.recovery import open_journal
from tests.conftest import a_recipe, an_engine, connected
from tests.faults.processes import an_engine_process, film_of, painted, refused_to_start

pytestmark = pytest.mark.anyio
FIRST, SECOND, AGAIN = "job-0001", "job-0002", "job-0003"
RECIPE = a_recipe("dawn", "noon")


def flipped(path: Path) -> None:
    """Spoil every page but the first, which says that this is a database."""
    content = bytearray(path.read_bytes())
    for place in range(4096 + 8, len(content), 1024):
        content[place : place + 64] = bytes(byte ^ 0xFF for byte in content[place : place + 64])
    path.write_bytes(content)


def cut_short(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def emptied(path: Path) -> None:
    path.write_bytes(b"")


def replaced(path: Path) -> None:
    path.write_bytes(random.Random(1).randbytes(20_000))


def missing(path: Path) -> None:
    path.unlink()


@pytest.mark.parametrize("damage", [flipped, cut_short, emptied, replaced, missing])
async def test_an_engine_outlives_its_journal(
    tmp_path: Path, damage: Callable[[Path], None]
) -> None:
    data = tmp_path / "data"
    async with an_engine_process(data) as (engine, _), connected(engine) as client:
        film = await film_of(client, FIRST, RECIPE)
    damage(data / JOURNAL)
    async with an_engine_process(data) as (engine, process), connected(engine) as client:
        assert await film_of(client, AGAIN, RECIPE) == film
        assert painted(client, AGAIN) == 0
        await client.connection.fetch(film.object, tmp_path / "film")
        if damage in (emptied, missing):
            assert "finished objects were found again" in process.log
        else:
            assert "E_STORAGE: the journal engine.db was damaged" in process.log
            assert f"It is kept as {data / JOURNAL}.damaged-1" in process.log
            assert (data / f"{JOURNAL}.damaged-1").exists()


async def test_a_journal_of_a_newer_version_is_refused_and_left_as_it_is(tmp_path: Path) -> None:
    data = tmp_path / "data"
    async with an_engine_process(data):
        pass
    with sqlite3.connect(data / JOURNAL) as db:
        db.execute("PRAGMA user_version = 99")
    db.close()
    before = (data / JOURNAL).read_bytes()
    said = refused_to_start(data)
    assert said.startswith("E_STORAGE: the journal engine.db was made by another version")
    assert "use that version, or choose another folder" in said
    assert (data / JOURNAL).read_bytes() == before


def a_journal(path: Path) -> None:
    """Fill a journal: one job that ended, one that did not, one object."""
    journal = Journal(path)
    for job in (FIRST, SECOND):
        journal.add_job(job, a_recipe(job), events.Queued(position=0))
        journal.append(job, 2, events.Started(attempt=1, device="cpu"), final=False)
    journal.append(FIRST, 3, events.Cancelled(), final=True)
    journal.add_object(ObjectRecord("a" * 64, "b" * 64, 3, "image/png"))
    journal.keep("f" * 64)
    journal.close()


EVENT = "UPDATE event SET body = 'x' WHERE job = '{}' AND seq = {}"


@pytest.mark.parametrize(
    ("change", "jobs", "unfinished", "last"),
    [
        ("UPDATE job SET recipe = x'00' WHERE id = 'job-0002'", 1, [], events.Cancelled),
        ("UPDATE job SET recipe = x'ff' WHERE id = 'job-0002'", 1, [], events.Cancelled),
        (EVENT.format(FIRST, 3), 2, [SECOND], events.Failed),
        (EVENT.format(FIRST, 2), 2, [SECOND], events.Failed),
        (EVENT.format(SECOND, 2), 2, [SECOND], events.Cancelled),
        ("UPDATE event SET body = 'x'", 2, [SECOND], events.Failed),
        ("UPDATE object SET size = 'x'", 2, [SECOND], events.Cancelled),
    ],
)
def test_what_can_be_read_is_kept(
    tmp_path: Path, change: str, jobs: int, unfinished: list[str], last: type[events.Event]
) -> None:
    path = tmp_path / JOURNAL
    a_journal(path)
    journal = Journal(path)
    engine_id = journal.engine_id
    journal.close()
    with sqlite3.connect(path) as db:
        db.execute(change)
    db.close()
    journal = open_journal(path)
    assert [row.id for row in journal.jobs(9)] == [SECOND, FIRST][-jobs:]
    assert [row.id for row in journal.unfinished()] == unfinished
    assert isinstance(journal.last_event(FIRST), last)
    assert journal.engine_id == engine_id
    assert bool(journal.object("a" * 64)) == ("object" not in change)
    assert journal.kept() == {"f" * 64}
    for row in journal.jobs(9):
        numbers = [logged.seq for logged in journal.events(row.id)]
        assert numbers == list(range(1, len(numbers) + 1))
    journal.close()


def test_any_flipped_byte_leaves_a_journal_that_opens(tmp_path: Path) -> None:
    a_journal(tmp_path / "whole.db")
    whole, chance = (tmp_path / "whole.db").read_bytes(), random.Random(2)
    for number in range(60):
        path = tmp_path / f"{number}.db"
        content = bytearray(whole)
        for _ in range(chance.choice([1, 1, 20])):
            content[chance.randrange(len(content))] ^= 1 << chance.randrange(8)
        path.write_bytes(content)
        with contextlib.suppress(StorageError):
            open_journal(path).close()
        if path.read_bytes()[60:64] != whole[60:64]:
            continue  # the flipped bit was the version's: refused, and left alone
        journal = open_journal(path)
        for row in journal.jobs(9):
            journal.events(row.id)
        journal.objects_by_use()
        journal.close()


def test_a_damaged_journal_is_never_overwritten(tmp_path: Path) -> None:
    path = tmp_path / JOURNAL
    for content in (b"first" * 999, b"second" * 999):
        path.write_bytes(content)
        open_journal(path).close()
    assert (tmp_path / f"{JOURNAL}.damaged-1").read_bytes() == b"first" * 999
    assert (tmp_path / f"{JOURNAL}.damaged-2").read_bytes() == b"second" * 999


def test_a_commit_that_fails_leaves_no_transaction_open(tmp_path: Path) -> None:
    journal = Journal(tmp_path / JOURNAL)
    journal.add_job(FIRST, RECIPE, events.Queued(position=0))
    with pytest.raises(StorageError):
        journal.add_job(FIRST, RECIPE, events.Queued(position=0))
    journal.add_job(SECOND, RECIPE, events.Queued(position=0))
    assert len(journal.jobs(9)) == 2
    assert (tmp_path / "engine.reserve").stat().st_size == RESERVE_BYTES
    journal.close()


async def test_a_log_that_was_cut_short_is_followed_to_its_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STEP_SECONDS", "0.004")
    async with an_engine(tmp_path) as engine, connected(engine) as client:
        await client.begin(FIRST, a_recipe("a", "b", num_inference_steps=40))
        await client.reached(FIRST, "segment finished", 2)
        await client.rest(FIRST)
        heard, epoch = client.events(FIRST)[-1].seq, client.connection.hello.epoch
    with closing(sqlite3.connect(tmp_path / JOURNAL)) as db, db:
        db.execute("UPDATE event SET body = 'x' WHERE job = ? AND seq = 6", (FIRST,))
    monkeypatch.setenv("STEP_SECONDS", "0")
    async with an_engine(tmp_path) as engine, connected(engine) as client:
        assert client.connection.hello.epoch != epoch
        await client.connection.watch(FIRST, after=heard)
        assert await client.ended(FIRST) == "Finished"
