r"""Prompts with weights, as the common web interface for Stable Diffusion reads them.

``(fox)`` counts 1.1 times, ``((fox))`` 1.21 times, ``(fox:1.3)`` 1.3 times and ``[fox]`` a 1.1th;
``\(`` and its like stand for the sign itself, and ``BREAK`` begins a new part. A sign without its
partner is closed at the end, or left as it is. Pure: it knows no model and no tokens.
"""

import re
from typing import NamedTuple

STEP = 1.1  # what one pair of brackets multiplies or divides by
LARGEST = 10.0  # a weight beyond is read as this one; far smaller ones spoil a picture already
SAFE_BYTES = 75  # A token has a byte at least, so as many bytes never need a second part.
_SIGNS = re.compile(
    r"""\\[()\[\]\\]              # an escaped sign
    | \(|\[|\]
    | :\s*([0-9]*\.?[0-9]+)\s*\)  # a weight and the end of its bracket
    | \)
    | \bBREAK\b""",
    re.VERBOSE,
)


class Part(NamedTuple):
    """A piece of a prompt and how much it counts; None stands for ``BREAK``."""

    text: str | None
    weight: float


def parts_of(prompt: str) -> list[Part]:
    """Return the pieces of a prompt in order, each with its weight in [0, 10]."""
    parts: list[Part] = []
    opened: list[tuple[str, int]] = []  # each open bracket, and the first part inside of it

    def scale(begin: int, factor: float) -> None:
        parts[begin:] = [Part(text, weight * factor) for text, weight in parts[begin:]]

    def close(bracket: str, factor: float) -> bool:
        if not opened or opened[-1][0] != bracket:
            return False
        scale(opened.pop()[1], factor)
        return True

    at = 0
    for found in _SIGNS.finditer(prompt):
        if found.start() > at:
            parts.append(Part(prompt[at : found.start()], 1.0))
        at, sign = found.end(), found[0]
        if sign in {"(", "["}:
            opened.append((sign, len(parts)))
        elif sign == "BREAK":
            parts.append(Part(None, 1.0))
        elif sign.startswith("\\"):
            parts.append(Part(sign[1], 1.0))
        elif not close("[" if sign == "]" else "(", _factor(sign, found[1])):
            parts.append(Part(sign, 1.0))
    if at < len(prompt):
        parts.append(Part(prompt[at:], 1.0))
    while opened:
        bracket, begin = opened.pop()
        scale(begin, STEP if bracket == "(" else 1 / STEP)
    return _joined(parts)


def has_weights(prompt: str) -> bool:
    """Return whether some words of a prompt count more or less than others."""
    return any(part.weight != 1 for part in parts_of(prompt))


def is_plain(prompt: str) -> bool:
    """Return whether every model reads a prompt alike: it has no sign, and is short."""
    return not _SIGNS.search(prompt) and len(prompt.encode()) <= SAFE_BYTES


def _factor(sign: str, weight: str | None) -> float:
    if weight is not None:
        return float(weight)
    return 1 / STEP if sign == "]" else STEP


def _joined(parts: list[Part]) -> list[Part]:
    """Return parts with neighbours of one weight joined, and weights within their limit."""
    joined: list[Part] = []
    for text, exact in parts:
        weight = min(round(exact, 6), LARGEST)
        if joined and text is not None and joined[-1].weight == weight and joined[-1].text:
            joined[-1] = Part(joined[-1].text + text, weight)
        else:
            joined.append(Part(text, weight))
    return joined or [Part("", 1.0)]
