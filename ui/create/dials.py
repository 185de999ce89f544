"""The settings of the whole film on the Create page: presets, shape and seed, the rest folded away.

It knows the draft and what a model's card says, not the scenes; ``ui.create.settings_panel`` is the
rest.
"""

from typing import Any

import streamlit as st

from engine.models import Card, Defaults
from ui.create import settings_panel as tuning
from ui.create.presets import PRESETS, chosen
from ui.storage import draft

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
            tuning.painting(models, card)
            tuning.moving()


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
