"""The fine tuning of a film on the Create page: how its keyframes are painted, how it moves.

It knows the draft and what a model's card says, not the scenes.
"""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, get_args

import streamlit as st

from engine.film.recipe import MAX_PROMPT, Scheduler, Spacing
from engine.models import Card, Defaults
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


Settings = dict[str, Any]


class Preset(NamedTuple):
    """A way of making a film; ``fill`` returns its settings for a model."""

    name: str
    help: str
    fill: Callable[[Defaults], Settings]


def _settings(defaults: Defaults, steps: float, fps: int, factor: int, pace: float) -> Settings:
    return {
        "num_inference_steps": max(4, min(150, round(defaults.num_inference_steps * steps))),
        "guidance_scale": defaults.guidance_scale,
        "scheduler": defaults.scheduler,
        "fps": fps,
        "interpolation_factor": factor,
        "drift": round(defaults.drift * pace * 32) / 32,
    }


PRESETS = (
    Preset(
        "Balanced",
        "What this model does well: its own steps and 24 frames a second.",
        lambda defaults: _settings(defaults, 1, 24, 8, 1),
    ),
    Preset(
        "Quick look",
        "A rough version in a third of the time, to see whether the words work.",
        lambda defaults: _settings(defaults, 0.5, 12, 6, 1),
    ),
    Preset(
        "Fine",
        "Half as many steps again and twice as many painted keyframes; slow, and rich in detail.",
        lambda defaults: _settings(defaults, 1.5, 24, 4, 1),
    ),
    Preset(
        "Still life",
        "The ground rests; only light and weather change.",
        lambda defaults: _settings(defaults, 1, 24, 12, 0),
    ),
    Preset(
        "Travelling",
        "The land passes by twice as fast, in 30 smooth frames a second.",
        lambda defaults: _settings(defaults, 1, 30, 6, 2),
    ),
)


def chosen(settings: Settings, defaults: Defaults) -> str:
    """Return the name of the preset that the settings are; empty if they are none."""
    for preset in PRESETS:
        if preset.fill(defaults).items() <= settings.items():
            return preset.name
    return ""


CUSTOM = "Custom"
UNKNOWN = Defaults(width=256, height=256)  # while no engine has told what its models want


def presets(defaults: Defaults) -> None:
    """Offer the named ways of making a film."""
    state: Any = st.session_state
    now = chosen(state["draft"]["settings"], defaults)
    with st.container(key="presets", horizontal=True, gap="xsmall"):
        for preset in PRESETS:
            st.button(
                preset.name,
                key=f"preset-{preset.name}",
                help=preset.help,
                icon=":material/check:" if preset.name == now else None,
                on_click=draft.put,
                args=[state],
                kwargs=preset.fill(defaults),
            )


def dials(models: dict[str, Card]) -> None:
    """Draw the settings: what matters first, fine tuning folded away."""
    card = models.get(st.session_state["draft"]["settings"]["model"])
    defaults = card.defaults if card else UNKNOWN
    with st.container(key="glass_settings", border=True):
        presets(defaults)
        _size(defaults)
        _seed()
        st.toggle(
            "Loop",
            **_setting("loop"),
            help="The film ends where it began, so that it can run on and on without a seam.",
        )
        _identity(card)
        with st.expander("Advanced"):
            painting(models, card)
            moving()


def _seed() -> None:
    state: Any = st.session_state
    locked = state["draft"]["locked"]
    with st.container(horizontal=True, vertical_alignment="bottom", gap="small"):
        st.number_input(
            "Seed",
            min_value=0,
            max_value=2**32 - 1,
            step=1,
            **_setting("seed"),
            help="Where the picture begins. The same seed and settings give the same film again.",
        )
        st.button(
            "New seed",
            key="dice",
            icon=":material/casino:",
            help="Roll another seed",
            on_click=lambda: draft.put(state, seed=draft.new_seed()),
        )
        st.button(
            "Unlock seed" if locked else "Lock seed",
            key="lock",
            icon=":material/lock:" if locked else ":material/lock_open:",
            help="Locked: the next film has the same seed. Open: each film rolls its own.",
            on_click=draft.lock,
            args=[state, not locked],
        )


def _identity(card: Card | None) -> None:
    """Offer to begin scenes alike, where some do not melt in, and to look at the first keyframe."""
    if any(scene["motion"] != "morph" for scene in st.session_state["draft"]["scenes"][1:]):
        st.toggle(
            "Identity lock",
            **_setting("shared_noise"),
            help="Scenes that are cut or faded in begin with the noise of the first one, so that "
            "what is where stays: the sun, the horizon, whoever stands there.",
        )
    if card and card.anchor_attention:
        st.toggle(
            "Keep the subject",
            **_setting("anchor_attention"),
            help="Every keyframe looks at the first one while it is painted, so that whoever is "
            "seen there stays recognisable. Painting takes about twice as long.",
        )


def _size(defaults: Defaults) -> None:
    state: Any = st.session_state
    now = state["draft"]["settings"]
    options = sizes(defaults)
    current = (now["width"], now["height"])
    names = [*options, CUSTOM]
    found = next((name for name, sides in options.items() if sides == current), CUSTOM)
    key = f"{draft.PREFIX}size-{_key('width')}-{_key('height')}"
    chosen_size = st.selectbox(
        "Size",
        names,
        index=names.index(draft.first(state, key, found)),
        format_func=lambda name: (
            f"{name} · {options[name][0]} × {options[name][1]}" if name in options else name
        ),
        key=key,
        on_change=lambda: _resize(options.get(state[key])),
        help="Shapes of about the area that the model was trained on, where it paints best.",
    )
    if chosen_size == CUSTOM:
        left, right = st.columns(2)
        with left:
            st.number_input("Width", min_value=64, max_value=1024, step=8, **_setting("width"))
        with right:
            st.number_input("Height", min_value=64, max_value=1024, step=8, **_setting("height"))


def _resize(sides: tuple[int, int] | None) -> None:
    if sides:
        draft.put(st.session_state, width=sides[0], height=sides[1])


def _key(name: str) -> str:
    return draft.key(st.session_state, name)


def sizes(defaults: Defaults) -> dict[str, tuple[int, int]]:
    """Return sizes of about the model's own area, in multiples of 8 pixels."""
    width, height = defaults.width, defaults.height
    long, short = _eight(width * 4 / 3), _eight(height * 3 / 4)
    return {"Square": (width, height), "Wide": (long, short), "Tall": (short, long)}


def _eight(pixels: float) -> int:
    return max(64, min(1024, round(pixels / 8) * 8))
