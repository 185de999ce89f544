"""Weights are read as the common web interface reads them."""

import pytest

from engine.film.prompt_weights import LARGEST, Part, is_plain, parts_of


@pytest.mark.parametrize(
    ("prompt", "expected"),
    [
        ("a fox", [("a fox", 1.0)]),
        ("", [("", 1.0)]),
        ("a (fox)", [("a ", 1.0), ("fox", 1.1)]),
        ("a ((fox)) runs", [("a ", 1.0), ("fox", 1.21), (" runs", 1.0)]),
        ("a [fox]", [("a ", 1.0), ("fox", 0.909091)]),
        ("a (fox:1.3)", [("a ", 1.0), ("fox", 1.3)]),
        ("(fox: .5 ) hill", [("fox", 0.5), (" hill", 1.0)]),
        ("(a (red:1.5) fox:2)", [("a ", 2.0), ("red", 3.0), (" fox", 2.0)]),
        ("([fox])", [("fox", 1.0)]),
        (r"a fox \(smiling\)", [("a fox (smiling)", 1.0)]),
        (r"\[x\] \\", [("[x] \\", 1.0)]),
        ("a (fox", [("a ", 1.0), ("fox", 1.1)]),
        ("a fox)", [("a fox)", 1.0)]),
        ("a ] fox", [("a ] fox", 1.0)]),
        ("(fox]", [("fox]", 1.1)]),
        ("ratio 16:9", [("ratio 16:9", 1.0)]),
        ("at 10:30)", [("at 10:30)", 1.0)]),
        ("(fox:high)", [("fox:high", 1.1)]),
        ("(fox:0)", [("fox", 0.0)]),
        ("(fox:99)", [("fox", LARGEST)]),
        ("sea BREAK sky", [("sea ", 1.0), (None, 1.0), (" sky", 1.0)]),
        ("no BREAKFAST", [("no BREAKFAST", 1.0)]),
    ],
)
def test_parts_and_their_weights(prompt: str, expected: list[tuple[str, float]]) -> None:
    assert parts_of(prompt) == [Part(*each) for each in expected]


def test_deep_brackets_are_read_without_recursion() -> None:
    assert parts_of("(" * 2000) == [Part("", 1.0)]
    assert parts_of("(" * 900 + "a" + ")" * 900)[0].weight == LARGEST


@pytest.mark.parametrize("prompt", ["a fox", "a fox, 4k: best", "x" * 75])
def test_prompts_without_signs_are_plain(prompt: str) -> None:
    assert is_plain(prompt)


@pytest.mark.parametrize("prompt", ["a (fox)", "a [fox]", r"\(", "a BREAK b", "x" * 76, "é" * 40])
def test_signs_and_length_are_noticed(prompt: str) -> None:
    assert not is_plain(prompt)
