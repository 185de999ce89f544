import json
import struct
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.errors import RequestError
from engine.film.recipe import Recipe, Scene
from engine.film.recipe_json import encode_recipe
from ui.create.recipe_import import COMMENT_PATH, recipe_in

RECIPE = Recipe(scenes=(Scene(prompt="dämmerung über <b>dem</b> Meer"), Scene(prompt="夜")), seed=7)
FTYP = struct.pack(">I4s4s4x", 16, b"ftyp", b"isom")


def box(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I4s", 8 + len(content), kind) + content


def film(comment: bytes, *, before: bytes = b"") -> bytes:
    """Return an MP4 that holds nothing but a comment, as ffmpeg nests it."""
    inside = comment
    for kind in reversed(COMMENT_PATH):
        preface = {b"meta": bytes(4), b"data": struct.pack(">II", 1, 0)}.get(kind, b"")
        inside = (before if kind == b"moov" else b"") + box(kind, preface + inside)
    return FTYP + inside


def test_the_recipe_of_a_film_comes_back() -> None:
    content = film(encode_recipe(RECIPE).encode(), before=box(b"free", bytes(1000)))
    assert recipe_in(content) == RECIPE


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "not an MP4"),
        (b"GIF89a" + bytes(100), "not an MP4"),
        (FTYP, "another program"),
        (film(b"Lavf60.3"), "another program"),
        (film(b'{"scenes": '), "not JSON"),
        (film(b"[" * 100_000), "another program"),
        (film(b'{"scenes": ' + b"[" * 100_000), "cannot be used"),
        (film(b'{"title": "mine"}'), "another program"),
        (film(b'{"scenes": [{"prompt": "a"}], "width": 515}'), "multiple"),
        (film(b'{"scenes": ' + b" " * 2**20), "too long"),
    ],
)
def test_what_is_no_film_of_ours_is_refused_in_plain_words(content: bytes, words: str) -> None:
    with pytest.raises(RequestError) as raised:
        recipe_in(content)
    assert words in str(raised.value)


def test_a_film_beyond_the_limits_is_refused() -> None:
    scenes = [{"prompt": "a", "seconds": 120}] * 2
    with pytest.raises(RequestError, match="frames"):
        recipe_in(film(json.dumps({"scenes": scenes, "fps": 60}).encode()))


@given(st.binary(max_size=200))
def test_any_bytes_are_refused_calmly(noise: bytes) -> None:
    for content in (noise, FTYP + noise, FTYP + box(b"moov", noise)):
        with pytest.raises(RequestError):
            recipe_in(content)


@given(st.integers(0, 400), st.binary(min_size=1, max_size=8))
def test_a_damaged_film_is_refused_or_read_correctly(at: int, damage: bytes) -> None:
    content = bytearray(film(encode_recipe(RECIPE).encode()))
    content[at : at + len(damage)] = damage
    with suppress(RequestError):
        recipe_in(bytes(content))
