"""The films of one owner: a row each in SQL, and their files in a folder.

A job has a row from its submission on, so that a page finds it after a reload and the app after a
restart; it is finished once its film is in the folder. Any SQLAlchemy engine can be used: SQLite by
default, PostgreSQL for a shared installation. No method reads or changes another owner's films. It
does not know connections, accounts or pages.
"""

import os
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Literal, NamedTuple

import msgspec
import sqlalchemy as sa
from sqlalchemy.orm import Session

from engine.errors import ErrorReport
from engine.film.events import Finished
from engine.film.recipe import Recipe
from ui.storage.migrations import upgrade
from ui.storage.tables import ENDED, UNFINISHED, EventLogEpoch, EventRow, Film, FormerJob, Piece

Status = Literal["submitting", "running", "finished", "cancelled", "failed"]
Sort = Literal["newest", "oldest", "title", "longest", "largest"]
UNDO_SECONDS = 24 * 3600.0  # after which a discarded film can no longer be restored
LISTED_FILMS = 12  # jobs that await approval, and jobs without a film, that pages list
SINGLE = 0.15  # seconds; an animatic that is no longer is a single keyframe
FORGET_AFTER_SECONDS = 30 * UNDO_SECONDS  # after which jobs that no page lists are deleted

INCOMPLETE_SUFFIXES = (".part", ".whole")  # of the files of downloads that were interrupted


class Totals(NamedTuple):
    """The number of films, and the sums of their seconds and bytes."""

    films: int
    seconds: float
    size: int


class Library:
    """Reads and writes films; safe to use from any thread."""

    def __init__(self, engine: sa.Engine, folder: Path, owner: str = "") -> None:
        """Open the library; create its tables and its folder if they are missing.

        Args:
            engine: from ``migrations.sqlite_engine``, or from ``st.connection(…).engine``.
            folder: of the films' files; owners may share it.
            owner: id of the account; empty for an app without accounts.
        """
        self.engine = engine
        self.folder = folder
        self.owner = owner
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        upgrade(engine)

    def add(self, job: str, recipe: Recipe, engine: str) -> None:
        """Add a job that is about to be submitted to the engine with that id."""
        prompts = " → ".join(dict.fromkeys(scene.prompt.strip() for scene in recipe.scenes))
        film = Film(
            job=job,
            owner=self.owner,
            engine=engine,
            status="submitting",
            title=prompts,
            prompts=prompts,
            recipe_json=msgspec.json.encode(recipe).decode(),
            format=recipe.format,
            animatic=recipe.animatic,
            created_at=time.time(),
        )
        with self._session() as session:
            session.add(film)

    def get(self, job: str) -> Film | None:
        """Return a film by its job's id; None if there is none, or it was discarded."""
        with self._session() as session:
            return session.scalar(sa.select(Film).where(self._own(job), _NOT_DISCARDED))

    def may_submit(self, job: str) -> bool:
        """Return whether a film may be submitted under a job's id.

        That is not the case if the job failed, was cancelled or was discarded.
        """
        query = sa.select(Film.status, Film.deleted_at).where(Film.job == job)
        with self._session() as session:
            row = session.execute(query).one_or_none()
        return row is None or (row.status not in ENDED and not row.deleted_at)

    def accepted(self, job: str) -> None:
        """Store that the engine has accepted a job, unless the job has ended meanwhile."""
        self._update(job, Film.status == "submitting", status="running")

    def note_shown(self, job: str, count: int) -> None:
        """Store how many bytes of previews of an unfinished film were received."""
        self._update(job, shown=count)

    def finish(self, job: str, film: Finished) -> None:
        """Store that the film's file is in the folder."""
        self._update(
            job,
            status="finished",
            finished_at=time.time(),
            **{name: getattr(film, name) for name in _MEASURES},
        )

    def end(self, job: str, status: Status, error: ErrorReport | None = None) -> None:
        """Store that a job ended without a film."""
        text = msgspec.json.encode(error).decode() if error else ""
        self._update(job, status=status, finished_at=time.time(), error_json=text)

    def replace(self, job: str, by: str, engine: str, *, ended: bool = False) -> bool:
        """Give a film a new job, which is about to be submitted to another engine.

        The film keeps its pieces, thumbnails and time of creation, and its former job is stored.
        Replacing a job by its former job undoes this.

        Args:
            job: id of the film's job.
            by: id of its new job.
            engine: id of the engine that continues the film.
            ended: whether the film failed or was cancelled; False if it is unfinished.

        Returns:
            Whether the film was changed: False if its status has changed meanwhile.
        """
        expected = sa.and_(self._own(job), Film.status.in_(ENDED if ended else UNFINISHED))
        with self._session() as session:
            before = session.scalar(sa.select(Film.engine).where(expected))
            fresh = {"status": "submitting", "error_json": "", "finished_at": 0.0}
            change = sa.update(Film).where(expected).values(job=by, engine=engine, **fresh)
            if not session.execute(change).rowcount:  # type: ignore[attr-defined]
                return False
            session.execute(sa.delete(Piece).where(Piece.job == by))  # of a late message
            session.execute(sa.update(Piece).where(Piece.job == job).values(job=by))
            session.execute(sa.update(FormerJob).where(FormerJob.film == job).values(film=by))
            undone = session.execute(sa.delete(FormerJob).where(FormerJob.job == by))
            if not undone.rowcount:  # type: ignore[attr-defined]
                session.add(FormerJob(job=job, film=by, engine=before))
        with suppress(FileNotFoundError):
            (self.folder / job).rename(self.folder / by)
        return True

    def successor(self, job: str) -> str | None:
        """Return the job that has replaced a former job; None if none has."""
        query = sa.select(FormerJob.film).join(Film, Film.job == FormerJob.film)
        query = query.where(FormerJob.job == job, Film.owner == self.owner, _NOT_DISCARDED)
        with self._session() as session:
            return session.scalar(query)

    def unfinished(self, engine: str | None = None) -> list[Film]:
        """Return the unfinished jobs, oldest first; only those of one engine if it is given."""
        query = self._select(Film.status.in_(UNFINISHED)).order_by(Film.created_at)
        if engine is not None:
            query = query.where(Film.engine == engine)
        return self._all(query)

    def waiting(self, limit: int | None = LISTED_FILMS) -> list[Film]:
        """Return the animatics, whose keyframes await approval, newest first.

        Of a single keyframe there is nothing to approve.
        """
        reviewed = Film.status == "finished", Film.animatic.is_(True), Film.seconds > SINGLE
        query = self._select(sa.and_(*reviewed))
        return self._all(query.order_by(Film.created_at.desc()).limit(limit))

    def ended(self, limit: int | None = LISTED_FILMS) -> list[Film]:
        """Return the jobs that failed or were cancelled, newest first."""
        query = self._select(Film.status.in_(ENDED)).order_by(Film.finished_at.desc())
        return self._all(query.limit(limit))

    def films(
        self,
        search: str = "",
        *,
        sort: Sort = "newest",
        favourites: bool = False,
        limit: int = 24,
        offset: int = 0,
    ) -> list[Film]:
        """Return finished films whose titles or prompts contain ``search``; no animatics.

        Args:
            search: text to find; case does not matter, and no character is special.
            sort: the order.
            favourites: whether to return favourites only.
            limit: maximal number of films.
            offset: number of films to skip.
        """
        query = sa.select(Film).where(self._finished(search, favourites))
        return self._all(query.order_by(*_ORDERS[sort], Film.job).limit(limit).offset(offset))

    def totals(self, search: str = "", *, favourites: bool = False) -> Totals:
        """Return the sums of the finished films whose titles or prompts contain ``search``."""
        seconds, size = sa.func.sum(Film.seconds), sa.func.sum(Film.size)
        query = sa.select(sa.func.count(), seconds, size)
        query = query.where(self._finished(search, favourites))
        with self._session() as session:
            films, length, weight = session.execute(query).one()
        return Totals(films, float(length or 0), int(weight or 0))

    def rename(self, job: str, title: str) -> None:
        """Change a film's title; an empty title is replaced by its prompts."""
        title = " ".join(title.split())[:200]
        self._update(job, title=title or Film.prompts)

    def set_favourite(self, job: str, favourite: bool) -> None:
        """Store whether a film is a favourite."""
        self._update(job, favourite=favourite)

    def discard(self, job: str) -> None:
        """Hide a film that is not being made; ``restore`` undoes this for a day."""
        self._update(job, Film.status.not_in(UNFINISHED), deleted_at=time.time())

    def is_discarded(self, job: str) -> bool:
        """Return whether a film was discarded and can be restored."""
        query = sa.select(Film.job).where(self._own(job), ~_NOT_DISCARDED)
        with self._session() as session:
            return session.scalar(query) is not None

    def restore(self, job: str) -> None:
        """Show a discarded film again."""
        self._update(job, deleted_at=0.0)

    def sweep(self) -> None:
        """Delete films discarded over a day ago, and jobs that no page has listed for a month."""
        before = sa.and_(~_NOT_DISCARDED, Film.deleted_at < time.time() - UNDO_SECONDS)
        query = sa.select(Film.job).where(Film.owner == self.owner, before)
        with self._session() as session:
            jobs = list(session.scalars(query))
        unlisted = self.waiting(None)[LISTED_FILMS:] + self.ended(None)[LISTED_FILMS:]
        jobs += [
            film.job for film in unlisted if film.finished_at < time.time() - FORGET_AFTER_SECONDS
        ]
        for job in jobs:
            self.delete(job)

    def remove_incomplete_downloads(self, before: float) -> None:
        """Remove files of interrupted downloads of jobs that have ended.

        Args:
            before: Unix seconds; younger files are kept, since they may be in use.
        """
        query = sa.select(Film.job).where(Film.owner == self.owner, Film.status.not_in(UNFINISHED))
        with self._session() as session:
            jobs = list(session.scalars(query))
        for job in jobs:
            with suppress(FileNotFoundError), os.scandir(self.folder / job) as files:
                for file in files:
                    if file.name.endswith(INCOMPLETE_SUFFIXES) and file.stat().st_mtime < before:
                        Path(file).unlink(missing_ok=True)

    def start_images(self) -> set[str]:
        """Return the SHA-256 of all start images, including those of discarded films."""
        mine = sa.and_(Film.owner == self.owner, Film.recipe_json.contains('"start_image"'))
        with self._session() as session:
            films = session.scalars(sa.select(Film).where(mine))
            return {image for film in films for image in film.recipe.start_images}

    def delete(self, job: str) -> None:
        """Delete a film with its rows and files."""
        with self._session() as session:
            if session.scalar(sa.select(Film.owner).where(Film.job == job)) != self.owner:
                return
            former = list(session.scalars(sa.select(FormerJob.job).where(FormerJob.film == job)))
            for table in (Film, Piece, EventRow, EventLogEpoch):
                session.execute(sa.delete(table).where(table.job.in_([job, *former])))
            session.execute(sa.delete(FormerJob).where(FormerJob.film == job, FormerJob.told))
        shutil.rmtree(self.folder / job, ignore_errors=True)

    def file(self, film: Film) -> Path:
        """Return the path of a film's file."""
        return self._own_folder(film.job) / f"film.{film.format}"

    def poster(self, job: str) -> Path:
        """Return the path of a film's poster (PNG)."""
        return self.folder / job / "poster.png"

    def thumbnail(self, job: str, index: int) -> Path:
        """Return the path of a keyframe's thumbnail (JPEG)."""
        return self._own_folder(job) / f"keyframe-{index:04d}.jpg"

    def thumbnails(self, job: str) -> list[int]:
        """Return the indexes of the keyframes that have thumbnails, ascending."""
        found = (self.folder / job).glob("keyframe-*.jpg")
        return sorted(int(path.stem.removeprefix("keyframe-")) for path in found)

    def _own_folder(self, job: str) -> Path:
        folder = self.folder / job
        folder.mkdir(exist_ok=True, mode=0o700)
        return folder

    def _own(self, job: str) -> sa.ColumnElement[bool]:
        return sa.and_(Film.job == job, Film.owner == self.owner)

    def _select(self, condition: Any) -> sa.Select[Film]:
        return sa.select(Film).where(Film.owner == self.owner, _NOT_DISCARDED, condition)

    def _finished(self, search: str, favourites: bool) -> sa.ColumnElement[bool]:
        wanted = [Film.owner == self.owner, Film.status == "finished", _NOT_DISCARDED]
        wanted.append(Film.animatic.is_(False))
        if favourites:
            wanted.append(Film.favourite.is_(True))
        if search := search.strip():
            texts = (Film.title, Film.prompts)
            wanted.append(sa.or_(*(text.icontains(search, autoescape=True) for text in texts)))
        return sa.and_(*wanted)

    def _update(self, job: str, *conditions: Any, **values: Any) -> None:
        with self._session() as session:
            session.execute(sa.update(Film).where(self._own(job), *conditions).values(**values))

    def _all(self, query: sa.Select[Film]) -> list[Film]:
        with self._session() as session:
            return list(session.scalars(query))

    @contextmanager
    def _session(self) -> Iterator[Session]:
        with Session(self.engine, expire_on_commit=False) as session, session.begin():
            yield session


_NOT_DISCARDED = Film.deleted_at == 0.0
_ORDERS: dict[Sort, tuple[Any, ...]] = {
    "newest": (Film.created_at.desc(),),
    "oldest": (Film.created_at,),
    "title": (sa.func.lower(Film.title),),
    "longest": (Film.seconds.desc(), Film.created_at.desc()),
    "largest": (Film.size.desc(), Film.created_at.desc()),
}
_MEASURES = ("sha256", "size", "frames", "seconds", "width", "height", "interpolator")
