"""The fine tuning of a film on the Create page: how its keyframes are painted, how it moves.

It knows the draft and what a model's card says, not the scenes.
"""

from collections.abc import Callable, Mapping
from typing import Any, get_args

import streamlit as st

from engine.film.recipe import MAX_PROMPT, Scheduler, Spacing
from engine.models import Card
from ui.shell.text import plain, size
from ui.storage import draft

FORMATS = {"mp4": "MP4 video", "gif": "GIF"}
SPACINGS: dict[Spacing, str] = {"adaptive": "Where it changes", "even": "On the beat"}
SCHEDULERS: dict[Scheduler, str] = {
    "dpmsolver++": "DPM-Solver++",
    "dpmsolver++karras": "DPM-Solver++ (Karras)",
    "ddim": "DDIM",
    "euler": "Euler",
    "unipc": "UniPC",
    "lcm": "LCM",
}
assert set(SCHEDULERS) == set(get_args(Scheduler))


def negative_prompt(card: Card) -> str:
    """Return what a model does with a negative prompt."""
    if card.negative_prompt == "ignored":
        return "It has no place for one: what is written there changes nothing."
    if card.defaults.guidance_scale <= 1:
        return "Heeded only with guidance above 1; this model is made for 1."
    return "It keeps away from what is named there, as long as guidance is above 1."


def painting(models: dict[str, Card], card: Card | None) -> None:
    """Draw what shapes the keyframes."""
    if models:
        _model(models)
    _negative_prompt(card)
    st.slider(
        "Steps",
        1,
        150,
        **_setting("num_inference_steps"),
        help="How often each keyframe is refined. More is slower, and not always better.",
    )
    st.slider(
        "Guidance scale",
        1.0,
        30.0,
        step=0.5,
        **_setting("guidance_scale"),
        help="How strictly the picture follows the prompt; 1 lets it wander.",
    )
    _choose(
        "Scheduler",
        "scheduler",
        SCHEDULERS,
        "The method by which noise becomes a picture. DPM-Solver++ needs the fewest steps.",
    )


def moving() -> None:
    """Draw what shapes the film between and beyond the keyframes."""
    left, right = st.columns(2)
    with left:
        _whole(
            "Frames per second",
            "fps",
            60,
            "24 looks like cinema; more is smoother and takes longer.",
        )
        _drift()
    with right:
        _whole(
            "Frames per keyframe",
            "interpolation_factor",
            64,
            "One of so many frames is painted, the others are drawn between.",
        )
        _choose(
            "Keyframes stand",
            "spacing",
            SPACINGS,
            "Where the picture changes: more keyframes there, and an even pace. On the beat: "
            "at equal distances, as scenes and noise give them.",
        )
        _choose(
            "Format",
            "format",
            FORMATS,
            "MP4 is sharp and small. A GIF plays anywhere, with fewer colours and frames.",
        )


def _model(models: dict[str, Card]) -> None:
    _choose(
        "Model",
        "model",
        {name: card.title for name, card in models.items()},
        "Who paints the keyframes. Each brings its own sane settings along.  \n"
        + "  \n".join(_line(card) for card in models.values()),
        on_change=lambda: _adopt(models),
    )


def _adopt(models: dict[str, Card]) -> None:
    state: Any = st.session_state
    draft.adopt(state, models[state[draft.key(state, "model")]].defaults)


def _line(card: Card) -> str:
    """Return one line on a model: steps, size, licence."""
    parts = [f"{card.defaults.num_inference_steps} steps"]
    parts += [f"{size(card.download)} to fetch"] * bool(card.download)
    parts += [card.licence] * bool(card.licence)
    return f"**{plain(card.title)}**: {plain(', '.join(parts))}"


def _negative_prompt(card: Card | None) -> None:
    st.text_area(
        "Negative prompt",
        **_setting("negative_prompt"),
        max_chars=MAX_PROMPT,
        height=68,
        disabled=bool(card and card.negative_prompt == "ignored"),
        help="What the pictures should stay away from."
        + (f" {plain(card.title)}: {negative_prompt(card)}" if card else ""),
    )


def _drift() -> None:
    st.slider(
        "Drift",
        0.0,
        1.0,
        step=1 / 32,
        **_setting("drift"),
        help="How fast the ground moves past, in picture widths a second; 0 stands still.",
    )


def _whole(label: str, name: str, most: int, text: str) -> None:
    """Draw a setting that is a number from 1 on."""
    st.number_input(label, min_value=1, max_value=most, step=1, **_setting(name), help=text)


def _choose(
    label: str,
    name: str,
    words: Mapping[Any, str],
    text: str,
    on_change: Callable[[], None] | None = None,
) -> None:
    """Draw a setting that is one of several; ``words`` says what each is called."""
    st.selectbox(
        label,
        words,
        format_func=lambda value: words[value],
        **draft.choice(st.session_state, name, words),
        on_change=on_change,
        help=text,
    )


def _setting(name: str) -> dict[str, Any]:
    return draft.setting(st.session_state, name)
