"""The parts of the Create page that shape a recipe: scenes, settings, what a model knows."""

from collections.abc import Callable
from typing import Any, get_args

import streamlit as st

from engine import graph
from engine.errors import VisionFluxError
from engine.models import Card, Defaults
from engine.protocol import Hello
from engine.recipe import MAX_PROMPT, MAX_SCENES, Motion, Recipe, Scheduler
from ui import draft
from ui.words import plain

CUSTOM = "Custom"
FORMATS = {"mp4": "MP4 video", "gif": "GIF"}
MOTIONS: dict[Motion, str] = {"morph": "Melt into each other", "cut": "Cut"}
SCHEDULERS: dict[Scheduler, str] = {
    "dpmsolver++": "DPM-Solver++",
    "ddim": "DDIM",
    "euler": "Euler",
    "unipc": "UniPC",
}
assert set(SCHEDULERS) == set(get_args(Scheduler))


def choose_model(hello: Hello | None) -> Card | None:
    """Begin a draft if there is none; return the card of its model, if the engine has it."""
    state: Any = st.session_state
    models = {model.name: model.card for model in hello.models} if hello else {}
    if not models:
        draft.begin(state, Recipe(scenes=(draft.EMPTY,)).model, Defaults(width=256, height=256))
        state["draft"].setdefault("guessed", True)
        return None
    first = next(iter(models))
    draft.begin(state, first, models[first].defaults)
    guessed = state["draft"].pop("guessed", False)
    if state["draft"]["settings"]["model"] not in models or guessed:
        name = state["draft"]["settings"]["model"]
        name = name if name in models else first
        draft.put(state, model=name)
        draft.adopt(state, models[name].defaults)
    draft.keep(state)
    return models[state["draft"]["settings"]["model"]]


def scenes(problem_of: Callable[[str], None]) -> None:
    """Draw the scenes; ``problem_of`` shows what is wrong with a field."""
    state: Any = st.session_state
    parts = state["draft"]["scenes"]
    for index, scene in enumerate(parts):
        with st.container(key=f"glass_scene_{scene['id']}", border=True):
            _scene(index, scene, alone=len(parts) == 1)
            problem_of(f"scenes[{index}]")
    if len(parts) < MAX_SCENES:
        st.button(
            "Add a scene",
            key="add-scene",
            icon=":material/add:",
            type="tertiary",
            on_click=draft.add_scene,
            args=[state],
        )


def _scene(index: int, scene: dict[str, Any], *, alone: bool) -> None:
    state: Any = st.session_state
    st.text_area(
        f"Scene {index + 1}",
        key=draft.scene_key(scene, "prompt"),
        placeholder="dawn over the sea, sun on the left",
        max_chars=MAX_PROMPT,
        height=96,
    )
    with st.container(horizontal=True, vertical_alignment="bottom"):
        st.number_input(
            "Seconds",
            min_value=0.1,
            max_value=120.0,
            step=0.5,
            format="%.1f",
            key=draft.scene_key(scene, "seconds"),
            width=150,
        )
        if not alone:
            st.button(
                "Remove",
                key=f"drop-{scene['id']}",
                type="tertiary",
                on_click=draft.drop_scene,
                args=[state, scene["id"]],
            )


def price() -> None:
    """Say what the film will consist of."""
    draft.keep(st.session_state)
    settings = st.session_state["draft"]["settings"]
    try:
        recipe = draft.recipe_of(st.session_state, filler="…")
    except VisionFluxError:
        return
    keyframes = len(graph.keyframe_frames(recipe))
    st.caption(
        f"{recipe.seconds:g} s · {recipe.frames} frames at {settings['fps']} fps, drawn between "
        f"{keyframes} painted keyframes"
    )


def knowledge(card: Card) -> None:
    """Say what the model knows."""
    with st.container(key="glass_knows", border=True, gap="small"):
        st.markdown(f"**{plain(card.title)}**")
        if card.description:
            st.caption(plain(card.description))
        for kind, words in card.knows.items():
            st.markdown(f":gray[{plain(kind.capitalize())}]  \n{plain(' · '.join(words))}")


def examples(card: Card) -> None:
    """Offer prompts to click."""
    state: Any = st.session_state
    if not card.examples:
        return
    st.caption("Or start from one of these")
    with st.container(key="examples", horizontal=True, gap="small"):
        for index, example in enumerate(card.examples[:6]):
            st.button(
                plain(example),
                key=f"example-{index}",
                on_click=draft.put_prompt,
                args=[state, example],
            )


def settings(models: dict[str, Card]) -> None:
    """Draw the settings: what matters first, fine tuning folded away."""
    with st.container(key="glass_settings", border=True):
        _size(models)
        left, right = st.columns(2)
        with left:
            st.number_input("Frames per second", min_value=1, max_value=60, step=1, key=_key("fps"))
        with right:
            st.selectbox(
                "Format", FORMATS, format_func=lambda name: FORMATS[name], key=_key("format")
            )
        _seed()
        with st.expander("Fine tuning"):
            _fine_tuning(models)


def _seed() -> None:
    state: Any = st.session_state
    with st.container(horizontal=True, vertical_alignment="bottom"):
        st.number_input(
            "Seed",
            min_value=0,
            max_value=2**32 - 1,
            step=1,
            key=_key("seed"),
            help="The same seed and settings give the same film again.",
        )
        st.button(
            "New seed",
            key="dice",
            icon=":material/casino:",
            on_click=lambda: draft.put(state, seed=draft.new_seed()),
        )


def _fine_tuning(models: dict[str, Card]) -> None:
    if models:
        st.selectbox(
            "Model",
            list(models),
            format_func=lambda name: models[name].title,
            key=_key("model"),
            on_change=lambda: _adopt(models),
        )
    st.text_area(
        "Negative prompt",
        key=_key("negative_prompt"),
        max_chars=MAX_PROMPT,
        height=68,
        help="What the pictures should stay away from.",
    )
    st.slider(
        "Steps",
        1,
        150,
        key=_key("num_inference_steps"),
        help="How often each keyframe is refined. More is slower, and not always better.",
    )
    st.slider(
        "Guidance scale",
        1.0,
        30.0,
        step=0.5,
        key=_key("guidance_scale"),
        help="How strictly the picture follows the prompt; 1 lets it wander.",
    )
    st.selectbox(
        "Scheduler",
        SCHEDULERS,
        format_func=lambda name: SCHEDULERS[name],
        key=_key("scheduler"),
        help="The recipe by which noise becomes a picture.",
    )
    st.selectbox(
        "Between scenes",
        MOTIONS,
        format_func=lambda name: MOTIONS[name],
        key=_key("motion"),
    )
    st.slider(
        "Drift",
        0.0,
        0.5,
        step=1 / 32,
        key=_key("drift"),
        help="How fast the ground moves past, in picture widths a second; 0 stands still.",
    )
    st.number_input(
        "Frames per keyframe",
        min_value=1,
        max_value=64,
        step=1,
        key=_key("interpolation_factor"),
        help="One of so many frames is painted, the others are drawn between. 1 paints them all.",
    )


def _adopt(models: dict[str, Card]) -> None:
    state: Any = st.session_state
    draft.adopt(state, models[state[_key("model")]].defaults)


def _size(models: dict[str, Card]) -> None:
    state: Any = st.session_state
    now = state["draft"]["settings"]
    card = models.get(now["model"])
    options = sizes(card.defaults if card else Defaults(width=256, height=256))
    current = (now["width"], now["height"])
    names = [*options, CUSTOM]
    found = next((name for name, sides in options.items() if sides == current), CUSTOM)
    key = f"{draft.PREFIX}size-{_key('width')}-{_key('height')}"
    state.setdefault(key, found)
    st.selectbox(
        "Size",
        names,
        format_func=lambda name: (
            f"{name} · {options[name][0]} × {options[name][1]}" if name in options else name
        ),
        key=key,
        on_change=lambda: _resize(options.get(state[key])),
    )
    if state[key] == CUSTOM:
        left, right = st.columns(2)
        with left:
            st.number_input("Width", min_value=64, max_value=1024, step=8, key=_key("width"))
        with right:
            st.number_input("Height", min_value=64, max_value=1024, step=8, key=_key("height"))


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
