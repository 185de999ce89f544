"""The tables of this laptop's database: films, and the pieces that they are made of.

It knows what a row holds, not who reads or writes it.
"""

import msgspec
import sqlalchemy as sa
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from engine.errors import ErrorReport
from engine.recipe import Recipe

UNFINISHED = ("submitting", "running")


class Base(DeclarativeBase):
    """Base of the tables."""


class Film(Base):
    """A film, or the job that will make one.

    Attributes:
        engine: id of the engine that works on it.
        size: bytes of the file; 0 until it is here.
        created_at: Unix seconds, as ``finished_at``.
        interpolator: identity of the network that drew in-betweens; empty if unknown.
    """

    __tablename__ = "films"

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

    @property
    def recipe(self) -> Recipe:
        """What the film was made from."""
        return msgspec.json.decode(self.recipe_json, type=Recipe)

    @property
    def error(self) -> ErrorReport | None:
        """Why it failed."""
        return msgspec.json.decode(self.error_json, type=ErrorReport) if self.error_json else None


class Piece(Base):
    """A finished keyframe or segment of a film, as its engine told of it.

    Attributes:
        index: position in the film, from 0, among the pieces of its kind.
        object: content address; pieces that are alike share it.
        sha256: of the content, hexadecimal.
        size: bytes.
        origin: the device that made it; empty if unknown.
        detail: a segment's judgement; of a keyframe ``tiled`` or empty.
    """

    __tablename__ = "pieces"

    job: Mapped[str] = mapped_column(sa.String(64), primary_key=True)
    media_type: Mapped[str] = mapped_column(sa.String(16), primary_key=True)
    index: Mapped[int] = mapped_column("position", primary_key=True, autoincrement=False)
    object: Mapped[str] = mapped_column(sa.String(64), index=True)
    sha256: Mapped[str] = mapped_column(sa.String(64))
    size: Mapped[int] = mapped_column(sa.BigInteger)
    origin: Mapped[str] = mapped_column(sa.Text, default="")
    detail: Mapped[str] = mapped_column(sa.String(32), default="")

    @property
    def is_keyframe(self) -> bool:
        """Whether it is a keyframe rather than a segment."""
        return self.media_type == KEYFRAME


KEYFRAME, SEGMENT = "image/png", "video/mp4"
