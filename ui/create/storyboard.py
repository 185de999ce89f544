"""The scenes on the Create page: users write, order, duplicate and remove them here.

It knows the draft and the model's card, not the engine or the settings of the whole film.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

import streamlit as st

from engine.film.fields import fields_of
from engine.film.prompt_weights import has_weights
from engine.film.recipe import MAX_SCENES, Scene
from engine.models import Card
from ui.create.camera_panel import scene_options, scene_preview
from ui.create.prompt_check import PromptCheck, check_prompts, prompt_check, teach_words
from ui.create.prompt_words import prompt_words
from ui.create.widgets import choice_arguments, number_arguments, show_excess
from ui.storage import draft
from ui.storage.draft import SceneDraft

CARD_WIDTH = 320  # pixels, if there are several
NO_WEIGHTS = "This model does not read weights. Write the words without brackets and numbers."


def storyboard(problem_of: Callable[[str], None], card: Card | None) -> None:
    """Draw the scenes.

    Args:
        problem_of: shows the error of a field, if it has one.
        card: of the model that paints them; None while it is not known.
    """
    state: Any = st.session_state
    scenes, seed = draft.current(state).scenes, draft.current(state).settings.seed
    checks = check_prompts([scene.prompt for scene in scenes], seed, card) if card else []
    if card:
        teach_words(card)
    _timeline(scenes)
    several = len(scenes) > 1
    with st.container(key="strip" if several else "lone", horizontal=several, gap="small"):
        for index, scene in enumerate(scenes):
            key = f"glass_scene_{scene.id}"
            with st.container(key=key, border=True, width=CARD_WIDTH if several else "stretch"):
                check = checks[index] if card and card.vocabulary else None
                _scene(index, scene, len(scenes), check, card)
                if card and not card.prompt_weights and has_weights(scene.prompt):
                    st.caption(NO_WEIGHTS)
                problem_of(f"scenes[{index}]")
        if len(scenes) < MAX_SCENES:
            st.button(
                "Add a scene",
                key="add-scene",
                icon=":material/add:",
                on_click=draft.add_scene,
                args=[state],
            )


def _scene(
    index: int, scene: SceneDraft, count: int, check: PromptCheck | None, card: Card | None
) -> None:
    prompt = draft.of_scene(st.session_state, scene, "prompt")
    st.text_area(
        f"Scene {index + 1}",
        **prompt,
        placeholder="dawn over the sea, sun on the left" if index == 0 else "…and then?",
        height=122,
    )
    show_excess(st.session_state[prompt["key"]], fields_of(Scene)["prompt"])
    if check:
        prompt_check(scene.id, scene.prompt, check, partial(_take, scene.id))
    with st.container(horizontal=True, vertical_alignment="bottom", gap="xsmall"):
        _seconds(scene)
        if index:
            _motion(scene)
        if count == 1:
            _buttons(index, scene.id, count)
    with st.container(key=f"own_{scene.id}", horizontal=True, gap="xsmall"):
        prompt_words(scene, card)
        scene_options(scene)
    scene_preview(scene)
    if count > 1:
        _buttons(index, scene.id, count)


def _take(scene_id: str, prompt: str) -> None:
    draft.set_prompt(st.session_state, scene_id, prompt)


def _seconds(scene: SceneDraft) -> None:
    st.number_input(
        **number_arguments(fields_of(Scene)["seconds"]),
        format="%.1f",
        **draft.of_scene(st.session_state, scene, "seconds"),
        width=118,
    )


def _motion(scene: SceneDraft) -> None:
    motion = draft.of_scene(st.session_state, scene, "motion")
    st.segmented_control(
        **choice_arguments(fields_of(Scene)["motion"]),
        key=motion["key"],
        default=motion["value"],
        required=True,
    )


def _buttons(index: int, scene_id: str, count: int) -> None:
    """Draw a scene's buttons; those that would have no effect are disabled."""
    state: Any = st.session_state
    with st.container(key=f"tools_{scene_id}", horizontal=True, gap="xsmall"):
        if count > 1:
            earlier = {"disabled": index == 0, "on_click": draft.move_scene}
            later = {"disabled": index == count - 1, "on_click": draft.move_scene}
            _button("Earlier", "arrow_back", scene_id, args=[state, scene_id, -1], **earlier)
            _button("Later", "arrow_forward", scene_id, args=[state, scene_id, 1], **later)
        full = {"disabled": count >= MAX_SCENES, "on_click": draft.copy_scene}
        _button("Duplicate", "content_copy", scene_id, args=[state, scene_id], **full)
        if count > 1:
            _button("Remove", "delete", scene_id, args=[state, scene_id], on_click=draft.drop_scene)


def _button(label: str, icon: str, scene_id: str, **options: Any) -> None:
    """Draw an icon button, whose label is for screen readers and the tooltip."""
    key = f"tool-{label.lower()}-{scene_id}"
    icon = f":material/{icon}:"
    st.button(label, key=key, icon=icon, help=label, type="tertiary", **options)


def _timeline(scenes: list[SceneDraft]) -> None:
    """Draw the film as a bar, in which the width of a scene is its duration."""
    if len(scenes) < 2:
        return
    parts = "".join(
        f'<i class="{scene.motion}" style="flex-grow:{scene.seconds:.2f}"></i>' for scene in scenes
    )
    st.html(f'<div class="rail" aria-hidden="true">{parts}</div>')
