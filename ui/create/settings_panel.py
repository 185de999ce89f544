"""The fine tuning of a film on the Create page: how its keyframes are painted, how it moves.

It knows the draft and what a model's card says, not the scenes.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import streamlit as st
from msgspec import structs

from engine.film.recipe import SETTINGS, Recipe
from engine.models import Card, Defaults
from ui.create.widgets import choice_arguments, number_arguments
from ui.shell.text import plain, size
from ui.storage import draft

PLACED = (  # settings that have a place of their own; the others follow each other in ``painting``
    *("width", "height", "seed", "loop", "shared_noise", "anchor_attention"),
    *("model", "negative_prompt", "fps", "drift", "interpolation_factor", "spacing", "format"),
)


def negative_prompt(card: Card) -> str:
    """Return what a model does with a negative prompt."""
    if card.negative_prompt == "ignored":
        return "It has no place for one: what is written there changes nothing."
    if not card.defaults.guided:
        return "Heeded only with guidance above 1; this model is made for 1."
    return "It keeps away from what is named there, as long as guidance is above 1."


def painting(models: dict[str, Card], card: Card | None) -> None:
    """Draw what shapes the keyframes."""
    if models:
        _model(models)
    _negative_prompt(card)
    for name in draft.SETTINGS:
        if name not in PLACED:
            _widget(name)


def moving() -> None:
    """Draw what shapes the film between and beyond the keyframes."""
    left, right = st.columns(2)
    with left:
        _number("fps")
        _widget("drift")
    with right:
        _number("interpolation_factor")
        _widget("spacing")
        _widget("format")


def _widget(name: str) -> None:
    """Draw a setting by its kind: a select box, a toggle or a slider."""
    field = SETTINGS[name]
    if field.names:
        st.selectbox(**choice_arguments(field), **draft.choice(st.session_state, name, field.names))
    elif field.kind is bool:
        st.toggle(field.title, **_setting(name), help=field.description)
    else:
        st.slider(**number_arguments(field), **_setting(name))


def _number(name: str) -> None:
    """Draw a setting as a number to type."""
    st.number_input(**number_arguments(SETTINGS[name]), **_setting(name))


def _model(models: dict[str, Card]) -> None:
    field = SETTINGS["model"]
    st.selectbox(
        field.title,
        models,
        format_func=lambda name: models[name].title,
        **draft.choice(st.session_state, "model", models),
        on_change=lambda: _adopt(models),
        help=f"{field.description}  \n" + "  \n".join(_line(card) for card in models.values()),
    )


def _adopt(models: dict[str, Card]) -> None:
    state: Any = st.session_state
    draft.use_defaults(state, models[state[draft.key(state, "model")]].defaults)


def _line(card: Card) -> str:
    """Return one line on a model: steps, size, licence."""
    parts = [f"{card.defaults.num_inference_steps} steps"]
    parts += [f"{size(card.download)} to fetch"] * bool(card.download)
    parts += [card.licence] * bool(card.licence)
    return f"**{plain(card.title)}**: {plain(', '.join(parts))}"


def _negative_prompt(card: Card | None) -> None:
    field = SETTINGS["negative_prompt"]
    st.text_area(
        field.title,
        **_setting("negative_prompt"),
        max_chars=int(field.bounds.most),
        height=68,
        disabled=bool(card and card.negative_prompt == "ignored"),
        help=field.description + (f" {plain(card.title)}: {negative_prompt(card)}" if card else ""),
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
    painted = {k: v for k, v in structs.asdict(defaults).items() if k not in ("width", "height")}
    wanted = max(4, round(defaults.num_inference_steps * steps))
    return painted | {
        "num_inference_steps": SETTINGS["num_inference_steps"].bounds.clamp(wanted),
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


def chosen(settings: Recipe, defaults: Defaults) -> str:
    """Return the name of the preset that the settings are; empty if they are none."""
    for preset in PRESETS:
        if preset.fill(defaults).items() <= structs.asdict(settings).items():
            return preset.name
    return ""


CUSTOM = "Custom"
UNKNOWN = Defaults(width=256, height=256)  # while no engine has told what its models want


def presets(defaults: Defaults) -> None:
    """Offer the named ways of making a film."""
    state: Any = st.session_state
    now = chosen(draft.current(state).settings, defaults)
    with st.container(key="presets", horizontal=True, gap="xsmall"):
        for preset in PRESETS:
            st.button(
                preset.name,
                key=f"preset-{preset.name}",
                help=preset.help,
                icon=":material/check:" if preset.name == now else None,
                on_click=draft.change,
                args=[state],
                kwargs=preset.fill(defaults),
            )


def dials(models: dict[str, Card]) -> None:
    """Draw the settings: what matters first, fine tuning folded away."""
    card = models.get(draft.current(st.session_state).settings.model)
    defaults = card.defaults if card else UNKNOWN
    with st.container(key="glass_settings", border=True):
        presets(defaults)
        _size(defaults)
        _seed()
        _widget("loop")
        _identity(card)
        with st.expander("Advanced"):
            painting(models, card)
            moving()


def _seed() -> None:
    state: Any = st.session_state
    locked = draft.current(state).locked
    with st.container(horizontal=True, vertical_alignment="bottom", gap="small"):
        _number("seed")
        st.button(
            "New seed",
            key="dice",
            icon=":material/casino:",
            help="Roll another seed",
            on_click=lambda: draft.change(state, seed=draft.new_seed()),
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
    if any(scene.motion != "morph" for scene in draft.current(st.session_state).scenes[1:]):
        _widget("shared_noise")
    if card and card.anchor_attention:
        _widget("anchor_attention")


def _size(defaults: Defaults) -> None:
    state: Any = st.session_state
    now = draft.current(state).settings
    options = sizes(defaults)
    current = (now.width, now.height)
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
            _number("width")
        with right:
            _number("height")


def _resize(sides: tuple[int, int] | None) -> None:
    if sides:
        draft.change(st.session_state, width=sides[0], height=sides[1])


def _key(name: str) -> str:
    return draft.key(st.session_state, name)


def sizes(defaults: Defaults) -> dict[str, tuple[int, int]]:
    """Return sizes of about the model's own area, as a recipe accepts them."""
    width, height = defaults.width, defaults.height
    long, short = _side(width * 4 / 3), _side(height * 3 / 4)
    return {"Square": (width, height), "Wide": (long, short), "Tall": (short, long)}


def _side(pixels: float) -> int:
    """Return the accepted length of a side that is nearest to ``pixels``."""
    field = SETTINGS["width"]
    unit = field.multiple_of or 1
    return int(field.bounds.clamp(round(pixels / unit) * unit))
