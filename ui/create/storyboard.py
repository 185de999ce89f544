"""The strip of scenes on the Create page: write, time, order, double and remove them.

It knows the draft, not the engine nor the settings that hold for the whole film.
"""

from collections.abc import Callable
from typing import Any

import streamlit as st

from engine.film.fields import fields_of
from engine.film.recipe import MAX_PROMPT, MAX_SCENES, Scene
from ui.create.camera_panel import camerawork
from ui.create.widgets import choice_arguments, number_arguments
from ui.storage import draft
from ui.storage.draft import SceneDraft

WIDTH = 320  # pixels of a card among others


def storyboard(problem_of: Callable[[str], None]) -> None:
    """Draw the scenes; ``problem_of`` shows what is wrong with a field."""
    state: Any = st.session_state
    scenes = draft.current(state).scenes
    _rail(scenes)
    several = len(scenes) > 1
    with st.container(key="strip" if several else "lone", horizontal=several, gap="small"):
        for index, scene in enumerate(scenes):
            key = f"glass_scene_{scene.id}"
            with st.container(key=key, border=True, width=WIDTH if several else "stretch"):
                _scene(index, scene, count=len(scenes))
                problem_of(f"scenes[{index}]")
        if len(scenes) < MAX_SCENES:
            st.button(
                "Add a scene",
                key="add-scene",
                icon=":material/add:",
                on_click=draft.add_scene,
                args=[state],
            )


def _scene(index: int, scene: SceneDraft, *, count: int) -> None:
    st.text_area(
        f"Scene {index + 1}",
        **draft.of_scene(st.session_state, scene, "prompt"),
        placeholder="dawn over the sea, sun on the left" if index == 0 else "…and then?",
        max_chars=MAX_PROMPT,
        height=122,
    )
    with st.container(horizontal=True, vertical_alignment="bottom", gap="xsmall"):
        _seconds(scene)
        if index:
            _beginning(scene)
        if count == 1:
            _tools(index, scene.id, count)
    camerawork(scene)
    if count > 1:
        _tools(index, scene.id, count)


def _seconds(scene: SceneDraft) -> None:
    st.number_input(
        **number_arguments(fields_of(Scene)["seconds"]),
        format="%.1f",
        **draft.of_scene(st.session_state, scene, "seconds"),
        width=118,
    )


def _beginning(scene: SceneDraft) -> None:
    motion = draft.of_scene(st.session_state, scene, "motion")
    st.segmented_control(
        **choice_arguments(fields_of(Scene)["motion"]),
        key=motion["key"],
        default=motion["value"],
        required=True,
    )


def _tools(index: int, scene_id: str, count: int) -> None:
    """Draw a scene's buttons, which need no mouse; those that would do nothing are out of reach."""
    state: Any = st.session_state
    with st.container(key=f"tools_{scene_id}", horizontal=True, gap="xsmall"):
        if count > 1:
            earlier = {"disabled": index == 0, "on_click": draft.move_scene}
            later = {"disabled": index == count - 1, "on_click": draft.move_scene}
            _tool("Earlier", "arrow_back", scene_id, args=[state, scene_id, -1], **earlier)
            _tool("Later", "arrow_forward", scene_id, args=[state, scene_id, 1], **later)
        full = {"disabled": count >= MAX_SCENES, "on_click": draft.copy_scene}
        _tool("Duplicate", "content_copy", scene_id, args=[state, scene_id], **full)
        if count > 1:
            _tool("Remove", "delete", scene_id, args=[state, scene_id], on_click=draft.drop_scene)


def _tool(label: str, icon: str, scene_id: str, **options: Any) -> None:
    """Draw a button whose label only a screen reader and its tooltip tell."""
    key = f"tool-{label.lower()}-{scene_id}"
    icon = f":material/{icon}:"
    st.button(label, key=key, icon=icon, help=label, type="tertiary", **options)


def _rail(scenes: list[SceneDraft]) -> None:
    """Draw the film as a bar: each scene as long as it lasts, melting or cutting into the next."""
    if len(scenes) < 2:
        return
    parts = "".join(
        f'<i class="{scene.motion}" style="flex-grow:{scene.seconds:.2f}"></i>' for scene in scenes
    )
    st.html(f'<div class="rail" aria-hidden="true">{parts}</div>')
