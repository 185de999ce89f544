"""Reads the recipe in the metadata of a film, an MP4 that anybody may have made.

Only the boxes on the path to the comment are parsed (ISO 14496-12; ``moov/udta/meta/ilst/©cmt``,
where ffmpeg writes it). It does not know the library.
"""

import struct

import streamlit as st

from engine.errors import RequestError, VisionFluxError
from engine.film.recipe import Recipe
from engine.film.recipe_json import read_recipe
from ui.films.remix import remix
from ui.shell import theme

COMMENT_PATH = (b"moov", b"udta", b"meta", b"ilst", b"\xa9cmt", b"data")
HEADER_BYTES = {b"meta": 4, b"data": 8}  # of a box, before its content
MAX_BOXES = 10_000  # parsed on one level
MAX_RECIPE = 2**20  # bytes


def recipe_in(film: bytes) -> Recipe:
    """Return the recipe of a film that VisionFlux made.

    Raises:
        RequestError: it is no MP4, has no recipe, or has one that is not acceptable.
    """
    if film[4:8] != b"ftyp":
        raise RequestError(
            "this file is not an MP4 film", remedy="drop an MP4 that VisionFlux made"
        )
    comment = _comment(memoryview(film))
    if comment is None or b'"scenes"' not in comment[:MAX_RECIPE]:
        raise RequestError(
            "this film contains no recipe; another program made it, or removed the recipe",
            remedy="drop an unchanged MP4 that VisionFlux made",
        )
    if len(comment) > MAX_RECIPE:
        raise RequestError("the recipe in this film is too long", remedy="drop another film")
    try:
        return read_recipe(comment)
    except RequestError as error:
        problem = f"the recipe in this film cannot be used: {error}"
        remedy = "it was changed, or a newer VisionFlux made it; update, or drop another film"
        raise RequestError(problem, remedy=remedy) from error


def _comment(film: memoryview) -> bytes | None:
    """Return the comment of an MP4; None if it has none or the boxes are damaged."""
    for kind in COMMENT_PATH:
        inside = _box(film, kind)
        if inside is None:
            return None
        film = inside
    return bytes(film)


def _box(within: memoryview, wanted: bytes) -> memoryview | None:
    """Return the content of the first box of a kind; None if there is none or it is damaged."""
    at = 0
    for _ in range(MAX_BOXES):
        if len(within) - at < 8:
            return None
        size, kind = struct.unpack_from(">I4s", within, at)
        head = 8
        if size == 1 and len(within) - at >= 16:  # a 64-bit size follows
            size, head = struct.unpack_from(">Q", within, at + 8)[0], 16
        elif size == 0:  # up to the end
            size = len(within) - at
        if not head <= size <= len(within) - at:
            return None
        if kind == wanted:
            return within[at + head + HEADER_BYTES.get(kind, 0) : at + size]
        at += size
    return None


def drop_zone() -> None:
    """Draw a file uploader for a finished film, in an expander."""
    turn = st.session_state.setdefault("dropped", 0)
    key = f"film-{turn}"
    with st.expander("Start from a finished film", icon=":material/movie:"):
        st.file_uploader(
            "Drop an MP4 that VisionFlux made to load its scenes and settings.",
            type="mp4",
            key=key,
            on_change=_load_recipe,
            args=[key],
        )
        if report := st.session_state.get("refused-film"):
            theme.show_error(report)


def _load_recipe(key: str) -> None:
    """Load the recipe of an uploaded film, and clear the uploader."""
    dropped = st.session_state.get(key)
    if dropped is None:
        return
    st.session_state["dropped"] += 1
    st.session_state.pop("problem", None)
    st.session_state.pop("refused-film", None)
    try:
        remix(recipe_in(dropped.getvalue()), dropped.name.removesuffix(".mp4"))
    except VisionFluxError as error:
        st.session_state["refused-film"] = error.report()
    else:
        st.toast("The film's scenes and settings are loaded.")
