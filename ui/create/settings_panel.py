"""The settings of a film on the Create page: presets, size, seed, and advanced ones.

It knows the draft and the cards of models, not how scenes are shown.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import streamlit as st
from msgspec import structs

from engine.film.recipe import SETTINGS, Recipe, largest_upscale
from engine.models import Card, Defaults
from ui.create.music_panel import music_settings
from ui.create.widgets import choice_arguments, number_arguments, show_excess
from ui.shell.text import pixels, plain, size
from ui.storage import draft

PLACED_SETTINGS = (  # in a place of their own; ``_painting_settings`` draws the others
    *("width", "height", "upscale", "seed", "loop", "shared_noise", "anchor_attention"),
    *("model", "negative_prompt", "fps", "drift", "interpolation_factor", "spacing", "format"),
    *("music", "music_prompt", "music_seed", "music_volume", "music_fade_in", "music_fade_out"),
)


def negative_prompt(card: Card) -> str:
    """Return what a model does with a negative prompt."""
    if card.negative_prompt == "ignored":
        return "This model ignores negative prompts."
    if not card.defaults.guided:
        return "It has an effect only with a guidance scale above 1; this model is made for 1."
    return "The model avoids what it names, if the guidance scale is above 1."


def _painting_settings(models: dict[str, Card], card: Card | None) -> None:
    """Draw the settings that change keyframes."""
    if models:
        _model(models)
    _negative_prompt(card)
    for name in draft.SETTINGS:
        if name not in PLACED_SETTINGS:
            _widget(name)


def _motion_settings() -> None:
    """Draw the settings of the film between its keyframes, and of the file."""
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
        on_change=lambda: _use_model_defaults(models),
        help=f"{field.description}  \n"
        + "  \n".join(_model_line(card) for card in models.values()),
    )


def _use_model_defaults(models: dict[str, Card]) -> None:
    state: Any = st.session_state
    draft.use_defaults(state, models[state[draft.key(state, "model")]].defaults)


def _model_line(card: Card) -> str:
    """Return one line on a model: steps, size, licence."""
    parts = [f"{card.defaults.num_inference_steps} steps"]
    parts += [f"{size(card.download)} to download"] * bool(card.download)
    parts += [card.licence] * bool(card.licence)
    return f"**{plain(card.title)}**: {plain(', '.join(parts))}"


def _negative_prompt(card: Card | None) -> None:
    field, setting = SETTINGS["negative_prompt"], _setting("negative_prompt")
    st.text_area(
        field.title,
        **setting,
        height=68,
        disabled=bool(card and card.negative_prompt == "ignored"),
        help=field.description + (f" {plain(card.title)}: {negative_prompt(card)}" if card else ""),
    )
    show_excess(st.session_state[setting["key"]], field)


def _setting(name: str) -> dict[str, Any]:
    return draft.setting(st.session_state, name)


Settings = dict[str, Any]


class Preset(NamedTuple):
    """Settings under a name; ``fill`` returns them for a model's defaults."""

    name: str
    help: str
    fill: Callable[[Defaults], Settings]


def _preset_settings(
    defaults: Defaults, steps: float, fps: int, factor: int, drift: float
) -> Settings:
    painted = {k: v for k, v in structs.asdict(defaults).items() if k not in ("width", "height")}
    wanted = max(4, round(defaults.num_inference_steps * steps))
    return painted | {
        "num_inference_steps": SETTINGS["num_inference_steps"].bounds.clamp(wanted),
        "fps": fps,
        "interpolation_factor": factor,
        "drift": round(defaults.drift * drift * 32) / 32,
    }


PRESETS = (
    Preset(
        "Balanced",
        "The model's own number of steps, at 24 frames per second.",
        lambda defaults: _preset_settings(defaults, 1, 24, 8, 1),
    ),
    Preset(
        "Quick look",
        "A rough version in a third of the time, to try your prompts.",
        lambda defaults: _preset_settings(defaults, 0.5, 12, 6, 1),
    ),
    Preset(
        "Fine",
        "One and a half times the steps and twice the keyframes: slow, with more detail.",
        lambda defaults: _preset_settings(defaults, 1.5, 24, 4, 1),
    ),
    Preset(
        "Still life",
        "The ground does not move; only light and weather change.",
        lambda defaults: _preset_settings(defaults, 1, 24, 12, 0),
    ),
    Preset(
        "Travelling",
        "The ground moves past twice as fast, at 30 frames per second.",
        lambda defaults: _preset_settings(defaults, 1, 30, 6, 2),
    ),
)


def matching_preset(settings: Recipe, defaults: Defaults) -> str:
    """Return the name of the preset with these settings; "" if there is none."""
    for preset in PRESETS:
        if preset.fill(defaults).items() <= structs.asdict(settings).items():
            return preset.name
    return ""


CUSTOM_SIZE = "Custom"
UNKNOWN_DEFAULTS = Defaults(width=256, height=256)  # until an engine has reported its models


def _presets(defaults: Defaults) -> None:
    """Draw a button for each preset."""
    state: Any = st.session_state
    now = matching_preset(draft.current(state).settings, defaults)
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


def settings_panel(models: dict[str, Card]) -> None:
    """Draw the settings: the common ones first, the others in an expander."""
    card = models.get(draft.current(st.session_state).settings.model)
    defaults = card.defaults if card else UNKNOWN_DEFAULTS
    with st.container(key="glass_settings", border=True):
        _presets(defaults)
        _size(defaults)
        _enlargement()
        _seed()
        _widget("loop")
        _subject_settings(card)
        with st.expander("Advanced"):
            _painting_settings(models, card)
            _motion_settings()
        music_settings()


def _seed() -> None:
    state: Any = st.session_state
    locked = draft.current(state).locked
    with st.container(horizontal=True, vertical_alignment="bottom", gap="small"):
        _number("seed")
        st.button(
            "New seed",
            key="dice",
            icon=":material/casino:",
            help="Another seed",
            on_click=lambda: draft.change(state, seed=draft.new_seed()),
        )
        st.button(
            "Unlock seed" if locked else "Lock seed",
            key="lock",
            icon=":material/lock:" if locked else ":material/lock_open:",
            help="Locked: the next film has the same seed. Unlocked: each film has its own.",
            on_click=draft.lock,
            args=[state, not locked],
        )


def _subject_settings(card: Card | None) -> None:
    """Draw what keeps a subject, where it has an effect: scenes that do not morph, some models."""
    if any(scene.motion != "morph" for scene in draft.current(st.session_state).scenes[1:]):
        _widget("shared_noise")
    if card and card.anchor_attention:
        _widget("anchor_attention")


def _size(defaults: Defaults) -> None:
    state: Any = st.session_state
    now = draft.current(state).settings
    options = sizes(defaults)
    current = (now.width, now.height)
    names = [*options, CUSTOM_SIZE]
    found = next((name for name, sides in options.items() if sides == current), CUSTOM_SIZE)
    key = f"{draft.PREFIX}size-{_key('width')}-{_key('height')}"
    chosen_size = st.selectbox(
        "Size",
        names,
        index=names.index(draft.first(state, key, found)),
        format_func=lambda name: (
            f"{name} · {options[name][0]} × {options[name][1]}" if name in options else name
        ),
        key=key,
        on_change=lambda: _change_size(options.get(state[key])),
        help="Each is about as large as the pictures that the model was trained with.",
    )
    if chosen_size == CUSTOM_SIZE:
        left, right = st.columns(2)
        with left:
            _side("width")
        with right:
            _side("height")


def _side(name: str) -> None:
    """Draw a side of a custom size; other lengths than the models can paint are rounded."""
    setting = _setting(name)

    def snap() -> None:
        draft.change(st.session_state, **{name: nearest_side(st.session_state[setting["key"]])})

    st.number_input(**number_arguments(SETTINGS[name]), **setting, on_change=snap)


def _enlargement() -> None:
    """Draw how large the frames become, of what their limit allows."""
    state: Any = st.session_state
    now = draft.current(state).settings
    factors = range(1, largest_upscale(now.width, now.height) + 1)
    if now.upscale and now.upscale not in factors:
        draft.change(state, upscale=factors[-1])
    draft.renew(state, "upscale", (now.width, now.height))  # the browser sends labels
    field = SETTINGS["upscale"]
    st.selectbox(
        field.title,
        factors,
        format_func=lambda factor: (
            f"{field.format(factor)} · {pixels(now.width * factor, now.height * factor)}"
        ),
        help=field.description,
        **draft.choice(state, "upscale", factors),
    )


def _change_size(sides: tuple[int, int] | None) -> None:
    if sides:
        draft.change(st.session_state, width=sides[0], height=sides[1])


def _key(name: str) -> str:
    return draft.key(st.session_state, name)


def sizes(defaults: Defaults) -> dict[str, tuple[int, int]]:
    """Return sizes like the model's own, which comes first, as a recipe accepts them."""
    width, height = defaults.width, defaults.height
    if width == height:
        long, short = nearest_side(width * 4 / 3), nearest_side(height * 3 / 4)
        return {"Square": (width, height), "Wide": (long, short), "Tall": (short, long)}
    long, short = max(width, height), min(width, height)
    turned = {"Wide": (long, short), "Tall": (short, long), "Square": (short, short)}
    return turned if width > height else {"Tall": turned.pop("Tall"), **turned}


def nearest_side(pixels: float) -> int:
    """Return the accepted length of a side that is nearest to ``pixels``."""
    field = SETTINGS["width"]
    unit = field.multiple_of or 1
    return int(field.bounds.clamp(round(pixels / unit) * unit))
