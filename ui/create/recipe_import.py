"""The recipe that a finished film carries, read from an MP4 that anybody may have made.

Only the boxes on the way to the comment are looked at (ISO 14496-12; ``moov/udta/meta/ilst/©cmt``,
where ffmpeg writes it), whatever else the file holds. It knows no films of the library.
"""

import struct

import streamlit as st

from engine.errors import RequestError, VisionFluxError
from engine.film.recipe import Recipe, read_recipe
from ui.storage import draft

WAY = (b"moov", b"udta", b"meta", b"ilst", b"\xa9cmt", b"data")
PREFACE = {b"meta": 4, b"data": 8}  # bytes before what a box holds
MAX_BOXES = 10_000  # that are looked at on one level
MAX_RECIPE = 2**20  # bytes


def recipe_in(film: bytes) -> Recipe:
    """Return the recipe of a film that VisionFlux made.

    Raises:
        RequestError: it is no MP4, carries no recipe, or one that is not acceptable.
    """
    if film[4:8] != b"ftyp":
        raise RequestError("this file is no MP4 film", remedy="drop an MP4 that VisionFlux made")
    comment = _comment(memoryview(film))
    if comment is None or b'"scenes"' not in comment[:MAX_RECIPE]:
        raise RequestError(
            "this film carries no recipe; another program made it, or took the recipe out",
            remedy="drop an MP4 just as VisionFlux gave it to you",
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
    """Return the comment of an MP4; None where there is none or the way to it is damaged."""
    for kind in WAY:
        inside = _box(film, kind)
        if inside is None:
            return None
        film = inside
    return bytes(film)


def _box(within: memoryview, wanted: bytes) -> memoryview | None:
    """Return what the first box of a kind holds; None where there is none or it is damaged."""
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
            return within[at + head + PREFACE.get(kind, 0) : at + size]
        at += size
    return None


def drop_zone() -> None:
    """Draw it, folded away."""
    turn = st.session_state.setdefault("dropped", 0)
    key = f"film-{turn}"
    with st.expander("Start from a finished film", icon=":material/movie:"):
        st.file_uploader(
            "Drop an MP4 that VisionFlux made: everything that made it comes back.",
            type="mp4",
            key=key,
            on_change=_drop,
            args=[key],
        )


def _drop(key: str) -> None:
    """Take the recipe out of a film that was dropped, and the film off the page."""
    dropped = st.session_state.get(key)
    if dropped is None:
        return
    st.session_state["dropped"] += 1
    st.session_state.pop("problem", None)
    try:
        draft.load(st.session_state, recipe_in(dropped.getvalue()))
    except VisionFluxError as error:
        st.session_state["problem"] = error.report()
    else:
        st.toast("The film's recipe is back on the storyboard.")
