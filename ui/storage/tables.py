"""The tables of the app's database: films, their pieces and event logs, and monthly traffic.

It knows the columns, not who reads or writes them. ``ui.storage.migrations`` upgrades older
databases, so a change of a table needs a step there; a new table does not.
"""

import msgspec
import sqlalchemy as sa
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from engine.errors import ErrorReport
from engine.film.recipe import Recipe
from engine.film.stages import STAGES, Stage

UNFINISHED, ENDED = ("submitting", "running"), ("failed", "cancelled")


class Base(DeclarativeBase):
    """Base of the tables."""


class Film(Base):
    """A film, or the job that will make one.

    Attributes:
        owner: id of the account that it belongs to; empty for an app without accounts.
        engine: id of the engine that makes it.
        title: of the film; its prompts until it is renamed.
        prompts: of its scenes, without repetitions.
        animatic: whether it only has keyframes, which await approval.
        shown: bytes of previews that were received while it was made.
        size: bytes of the file; 0 until it is downloaded.
        created_at: Unix seconds, as ``finished_at``.
        deleted_at: when it was discarded (Unix seconds); 0 if it was not.
        interpolator: identity of the network that drew in-betweens; empty if unknown.
    """

    __tablename__ = "films"
    __table_args__ = (sa.Index("films_of_owner", "owner", "status", "deleted_at", "created_at"),)

    job: Mapped[str] = mapped_column(sa.String(64), primary_key=True)
    engine: Mapped[str] = mapped_column(sa.String(128), index=True)
    status: Mapped[str] = mapped_column(sa.String(16), index=True)
    title: Mapped[str] = mapped_column(sa.Text)
    recipe_json: Mapped[str] = mapped_column(sa.Text)
    format: Mapped[str] = mapped_column(sa.String(8))
    created_at: Mapped[float] = mapped_column(sa.Float, index=True)
    finished_at: Mapped[float] = mapped_column(sa.Float, default=0.0)
    sha256: Mapped[str] = mapped_column(sa.String(64), default="")
    size: Mapped[int] = mapped_column(sa.BigInteger, default=0)
    frames: Mapped[int] = mapped_column(default=0)
    seconds: Mapped[float] = mapped_column(sa.Float, default=0.0)
    width: Mapped[int] = mapped_column(default=0)
    height: Mapped[int] = mapped_column(default=0)
    error_json: Mapped[str] = mapped_column(sa.Text, default="")
    interpolator: Mapped[str] = mapped_column(sa.Text, default="", server_default="")
    owner: Mapped[str] = mapped_column(sa.String(64), default="", server_default="")
    favourite: Mapped[bool] = mapped_column(default=False, server_default=sa.false())
    deleted_at: Mapped[float] = mapped_column(sa.Float, default=0.0, server_default="0")
    prompts: Mapped[str] = mapped_column(sa.Text, default="", server_default="")
    animatic: Mapped[bool] = mapped_column(default=False, server_default=sa.false())
    shown: Mapped[int] = mapped_column(sa.BigInteger, default=0, server_default="0")

    @property
    def recipe(self) -> Recipe:
        """The recipe of the film."""
        return msgspec.json.decode(self.recipe_json, type=Recipe)

    @property
    def error(self) -> ErrorReport | None:
        """Why the job failed; None if it did not."""
        return msgspec.json.decode(self.error_json, type=ErrorReport) if self.error_json else None


class Piece(Base):
    """A finished piece of a film, as its engine reported it.

    Attributes:
        key: of its stage; see ``STAGE_KEYS``.
        index: among the pieces of its stage, from 0, in order of time.
        object: content address, which equal pieces share.
        sha256: of the content, hexadecimal.
        size: bytes.
        origin: device that made it; empty if unknown.
        detail: remarks, as in ``events.PieceFinished``.
    """

    __tablename__ = "pieces"

    job: Mapped[str] = mapped_column(sa.String(64), primary_key=True)
    key: Mapped[str] = mapped_column("media_type", sa.String(16), primary_key=True)
    index: Mapped[int] = mapped_column("position", primary_key=True, autoincrement=False)
    object: Mapped[str] = mapped_column(sa.String(64), index=True)
    sha256: Mapped[str] = mapped_column(sa.String(64))
    size: Mapped[int] = mapped_column(sa.BigInteger)
    origin: Mapped[str] = mapped_column(sa.Text, default="")
    detail: Mapped[str] = mapped_column(sa.String(32), default="")

    @property
    def stage(self) -> Stage:
        """The stage that made it."""
        return STAGES[STAGE_NAMES.get(self.key, self.key)]


STAGE_KEYS = {"keyframe": "image/png", "segment": "video/mp4"}  # other stages: their names
STAGE_NAMES = {key: name for name, key in STAGE_KEYS.items()}


def stage_key(stage: Stage) -> str:
    """Return a stable key that identifies a stage in the database."""
    return STAGE_KEYS.get(stage.name, stage.name)


class EventRow(Base):
    """An event of a job's log, as its engine sent it.

    Attributes:
        seq: number in the log, from 1.
        at: Unix seconds on the engine's clock.
        kind: the event's ``type``.
    """

    __tablename__ = "events"

    job: Mapped[str] = mapped_column(sa.String(64), primary_key=True)
    seq: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    at: Mapped[float] = mapped_column(sa.Float)
    kind: Mapped[str] = mapped_column(sa.String(32))
    event_json: Mapped[str] = mapped_column(sa.Text)


class EventLogEpoch(Base):
    """The epoch of the engine's log from which a job's events were copied, if it is known.

    Attributes:
        epoch: as in ``responses.Hello``.
    """

    __tablename__ = "event_log_epochs"

    job: Mapped[str] = mapped_column(sa.String(64), primary_key=True)
    epoch: Mapped[str] = mapped_column(sa.Text)


class FormerJob(Base):
    """A job that made a film before the film was moved or started again.

    Attributes:
        number: in order of time.
        film: id of the film's current job.
        engine: id of the engine that had the former job.
        told: whether that engine has cancelled the former job.
    """

    __tablename__ = "former_jobs"

    number: Mapped[int] = mapped_column(primary_key=True)
    job: Mapped[str] = mapped_column(sa.String(64), unique=True)
    film: Mapped[str] = mapped_column(sa.String(64), index=True)
    engine: Mapped[str] = mapped_column(sa.String(128), index=True)
    told: Mapped[bool] = mapped_column(default=False)


class MonthlyTraffic(Base):
    """Bytes exchanged between one account and one engine in one month."""

    __tablename__ = "traffic"

    owner: Mapped[str] = mapped_column(sa.String(64), primary_key=True)
    engine: Mapped[str] = mapped_column(sa.String(128), primary_key=True)
    month: Mapped[str] = mapped_column(sa.String(7), primary_key=True)
    received: Mapped[int] = mapped_column(sa.BigInteger, default=0)
    sent: Mapped[int] = mapped_column(sa.BigInteger, default=0)


class Version(Base):
    """A version to which the database was upgraded; see ``ui.storage.migrations``."""

    __tablename__ = "schema_versions"

    number: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    reached_at: Mapped[float] = mapped_column(sa.Float)
