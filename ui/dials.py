"""The settings of the whole film on the Create page: presets, shape and seed, the rest folded away.

It knows the draft and what a model's card says, not the scenes.
"""

from typing import Any, get_args

import streamlit as st

from engine.models import Card, Defaults
from engine.recipe import MAX_PROMPT, Scheduler, Spacing
from ui import draft
from ui.presets import PRESETS, chosen
from ui.words import plain, size

CUSTOM = "Custom"
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
        _identity()
        with st.expander("Advanced"):
            _painting(models, card)
            _moving()


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


def _identity() -> None:
    """Offer to begin scenes alike, where there are some that do not melt out of the one before."""
    if any(scene["motion"] != "morph" for scene in st.session_state["draft"]["scenes"][1:]):
        st.toggle(
            "Identity lock",
            **_setting("shared_noise"),
            help="Scenes that are cut or faded in begin with the noise of the first one, so that "
            "what is where stays: the sun, the horizon, whoever stands there.",
        )


def negative_prompt(card: Card) -> str:
    """Return what a model does with a negative prompt."""
    if card.negative_prompt == "ignored":
        return "It has no place for one: what is written there changes nothing."
    if card.defaults.guidance_scale <= 1:
        return "Heeded only with guidance above 1; this model is made for 1."
    return "It keeps away from what is named there, as long as guidance is above 1."


def _painting(models: dict[str, Card], card: Card | None) -> None:
    """Draw what shapes the keyframes."""
    if models:
        st.selectbox(
            "Model",
            list(models),
            format_func=lambda name: models[name].title,
            **draft.choice(st.session_state, "model", models),
            on_change=lambda: _adopt(models),
            help="Who paints the keyframes. Each brings its own sane settings along.  \n"
            + "  \n".join(_help(card) for card in models.values()),
        )
    st.text_area(
        "Negative prompt",
        **_setting("negative_prompt"),
        max_chars=MAX_PROMPT,
        height=68,
        disabled=bool(card and card.negative_prompt == "ignored"),
        help="What the pictures should stay away from."
        + (f" {plain(card.title)}: {negative_prompt(card)}" if card else ""),
    )
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
    st.selectbox(
        "Scheduler",
        SCHEDULERS,
        format_func=lambda name: SCHEDULERS[name],
        **draft.choice(st.session_state, "scheduler", SCHEDULERS),
        help="The method by which noise becomes a picture. DPM-Solver++ needs the fewest steps.",
    )


def _help(card: Card) -> str:
    """Return one line on a model: steps, size, licence."""
    parts = [f"{card.defaults.num_inference_steps} steps"]
    parts += [f"{size(card.download)} to fetch"] * bool(card.download)
    parts += [card.licence] * bool(card.licence)
    return f"**{plain(card.title)}**: {plain(', '.join(parts))}"


def _moving() -> None:
    """Draw what shapes the film between and beyond the keyframes."""
    left, right = st.columns(2)
    with left:
        st.number_input(
            "Frames per second",
            min_value=1,
            max_value=60,
            step=1,
            **_setting("fps"),
            help="24 looks like cinema; more is smoother and takes longer.",
        )
        st.slider(
            "Drift",
            0.0,
            1.0,
            step=1 / 32,
            **_setting("drift"),
            help="How fast the ground moves past, in picture widths a second; 0 stands still.",
        )
    with right:
        st.number_input(
            "Frames per keyframe",
            min_value=1,
            max_value=64,
            step=1,
            **_setting("interpolation_factor"),
            help="One of so many frames is painted, the others are drawn between.",
        )
        st.selectbox(
            "Keyframes stand",
            SPACINGS,
            format_func=lambda name: SPACINGS[name],
            **draft.choice(st.session_state, "spacing", SPACINGS),
            help="Where the picture changes: more keyframes there, and an even pace. On the beat: "
            "at equal distances, as scenes and noise give them.",
        )
        st.selectbox(
            "Format",
            FORMATS,
            format_func=lambda name: FORMATS[name],
            **draft.choice(st.session_state, "format", FORMATS),
            help="MP4 is sharp and small. A GIF plays anywhere, with fewer colours and frames.",
        )


def _adopt(models: dict[str, Card]) -> None:
    state: Any = st.session_state
    draft.adopt(state, models[state[_key("model")]].defaults)


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


def _setting(name: str) -> dict[str, Any]:
    return draft.setting(st.session_state, name)


def _key(name: str) -> str:
    return draft.key(st.session_state, name)


def sizes(defaults: Defaults) -> dict[str, tuple[int, int]]:
    """Return sizes of about the model's own area, in multiples of 8 pixels."""
    width, height = defaults.width, defaults.height
    long, short = _eight(width * 4 / 3), _eight(height * 3 / 4)
    return {"Square": (width, height), "Wide": (long, short), "Tall": (short, long)}


def _eight(pixels: float) -> int:
    return max(64, min(1024, round(pixels / 8) * 8))
