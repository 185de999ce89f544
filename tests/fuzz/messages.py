"""What is sent: valid recipes and requests, and ways to spoil them. Pure strategies."""

import json
import struct
from typing import Any

from hypothesis import strategies as st

from engine.wire.messages import codec

Message = dict[str, Any]


class Long(str):
    """A long text that is shown by its beginning when a test fails."""

    def __repr__(self) -> str:
        return f"Long({self[:9]!r} … {len(self)})"


DEEP = st.sampled_from([Long("[" * 100_000), Long('{"a":' * 50_000)])
PLAIN = st.characters(exclude_categories=["Cs", "Cc"])  # the recipe's rules for texts
JOB_IDS = st.text("abcXYZ019_-", min_size=8, max_size=64)
NAMES = st.text("0123456789abcdef", min_size=64, max_size=64)
REQUEST_IDS = st.integers(0, 2**53)
SCENES = st.fixed_dictionaries(
    {"prompt": st.text(PLAIN, min_size=1, max_size=40).filter(str.strip)},
    optional={"seconds": st.sampled_from([0.1, 0.25, 1])},
)
RECIPES = st.fixed_dictionaries(
    {"scenes": st.lists(SCENES, min_size=1, max_size=3)},
    optional={
        "version": st.just(1),
        "negative_prompt": st.text(PLAIN, max_size=40),
        "seed": st.integers(0, 2**32 - 1),
        "width": st.integers(8, 128).map(lambda side: 8 * side),
        "height": st.integers(8, 128).map(lambda side: 8 * side),
        "num_inference_steps": st.integers(1, 5),
        "guidance_scale": st.floats(1, 30),
        "scheduler": st.sampled_from(["dpmsolver++", "ddim", "euler", "unipc"]),
        "model": st.just("landscapes"),
        "fps": st.integers(1, 12),
        "interpolation_factor": st.integers(1, 64),
        "drift": st.floats(0, 1),
        "motion": st.sampled_from(["morph", "cut"]),
        "format": st.sampled_from(["mp4", "gif"]),
    },
)
WEIRD = st.one_of(
    st.none(),
    st.booleans(),
    st.sampled_from([-1, 2**31, 2**53, 2**53 + 1, 2**63 - 1, 2**63, 2**64, 10**40, -(2**63), 0.5]),
    st.sampled_from([1e308, -0.0, 5e-324]),
    st.sampled_from(["", "../../engine.key", "a\0b", "..\\..\\x", "' OR 1=1 --", "\u202e", "%00"]),
    st.sampled_from(["A" * 64, "job-0001\n", "<script>", "\x1b[2J", "🏝" * 40, "x" * 70_000]),
    st.lists(st.integers(), max_size=3),
    st.dictionaries(st.text(max_size=3), st.integers(), max_size=3),
)
SPLINTERS = st.sampled_from(
    [
        *(b"NaN", b"Infinity", b"1e999", b"-1e999", b"0x10", b"01", b"1" * 5_000),
        *(b'"\\ud800"', b'"\\u0000"', b"\0", b"\xff", b"\xed\xa0\x80"),
        *(b"[" * 5_000, b'{"a":' * 2_000, b'"id":1,', b"}"),
    ]
)


def texts(message: Message) -> st.SearchStrategy[str]:
    """Return spoilt forms of a request, as text."""
    whole = json.dumps(message).encode()
    return st.one_of(_with_weird_values(message), _cut_and_flipped(whole))


@st.composite
def _with_weird_values(draw: st.DrawFn, message: Message) -> str:
    """Replace, drop or add a field, at the top or in the recipe."""
    changed = json.loads(json.dumps(message))
    place = changed["recipe"] if "recipe" in changed and draw(st.booleans()) else changed
    field = draw(st.sampled_from([*place, "extra", "type"]))
    if draw(st.integers(0, 5)):
        place[field] = draw(WEIRD)
    else:
        place.pop(field, None)
    return json.dumps(changed, ensure_ascii=draw(st.booleans()))


@st.composite
def _cut_and_flipped(draw: st.DrawFn, whole: bytes) -> str:
    """Spoil the bytes of a message; what is no UTF-8 any more becomes replacement characters."""
    return draw(spoilt(whole)).decode("utf-8", "replace")


@st.composite
def spoilt(draw: st.DrawFn, whole: bytes) -> bytes:
    """Flip a bit, cut, double, or put a splinter somewhere."""
    place = draw(st.integers(0, max(0, len(whole) - 1)))
    match draw(st.sampled_from(["flip", "cut", "double", "insert", "replace"])):
        case "flip":
            flipped = bytes([whole[place] ^ (1 << draw(st.integers(0, 7)))])
            return whole[:place] + flipped + whole[place + 1 :]
        case "cut":
            return whole[:place]
        case "double":
            return whole + whole[place:]
        case "insert":
            return whole[:place] + draw(SPLINTERS) + whole[place:]
    return whole[:place] + draw(SPLINTERS) + whole[place + 1 :]


def part(header: Message, payload: bytes) -> bytes:
    """Return the binary message of a part, with a header that need not be valid."""
    text = json.dumps(header).encode()
    return struct.pack(">BI", codec.PART_KIND, len(text)) + text + payload


GARBAGE = st.one_of(
    st.text(max_size=50),
    st.binary(max_size=50),
    st.sampled_from(["", "null", "[]", "{}", "1", '""', "\ufeff{}"]),
    DEEP,
    st.sampled_from(
        [b"", b"\3", b"\3\0\0\0\2{}", b"\3\xff\xff\xff\xff{}", b"\1\0\0\0\0", b"\0" * 99]
    ),
)
