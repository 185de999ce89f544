"""The start picture and the camera of a scene: a preview on its card, and popovers to change them.

It knows the draft and the start images on this computer, not the engine.
"""

from typing import Any

import msgspec
import streamlit as st

from engine.errors import ErrorReport, InvalidParameterError
from engine.film.camera import OWN, PRESETS, STILL, name_of
from engine.film.fields import fields_of
from engine.film.recipe import Camera, Scene
from ui import app_state
from ui.create.camera_preview import animation_style, preview
from ui.create.widgets import choice_arguments, number_arguments
from ui.shell import theme
from ui.shell.text import plain
from ui.storage import draft
from ui.storage.draft import SceneDraft

MOVES: dict[str, Camera | None] = {STILL: None, **PRESETS, OWN: Camera()}
FIELDS = fields_of(Camera)
STRENGTH = fields_of(Scene)["strength"]  # of a scene that begins from a picture


def scene_options(scene: SceneDraft) -> None:
    """Draw the popovers for a scene's camera and picture."""
    _camera(scene, scene.start_image, scene.camera)
    _picture(scene, scene.start_image, scene.camera)


def scene_preview(scene: SceneDraft) -> None:
    """Draw a scene's picture as its camera moves over it; nothing if it has neither.

    It stands after the popovers, which close if their place changes.
    """
    image, move = scene.start_image, scene.camera
    if not (image or move):
        return
    settings = draft.current(st.session_state).settings
    stills = app_state.get_hub().start_images
    jpeg = stills.thumbnail(image) if image else b""
    aspect = settings.height / settings.width
    if move:
        st.html(animation_style(scene.id, move, aspect))
    st.html(preview(scene.id, move, jpeg, aspect, scene.seconds))
    if image and not jpeg:
        st.caption("Its picture is not on this computer. Add it again, or remove it.")
    elif move:
        grid = "" if image else ", shown on a grid until the scene is painted"
        st.caption(f"{name_of(move)}{grid}.")


def _camera(scene: SceneDraft, image: str, move: Camera | None) -> None:
    folded = _popover("Camera", "videocam", scene.id)
    if not folded.open:
        return
    with folded:
        _presets(scene.id, move)
        if move:
            left, right = st.columns([2, 3])
            with left:
                scene_preview(scene)
            with right:
                _numbers(scene, move)


def _popover(label: str, icon: str, scene_id: str) -> Any:
    """Draw a popover whose key stays the same; with another key it would close."""
    key = f"{label.lower()}-{scene_id}"
    return st.popover(label, key=key, icon=f":material/{icon}:", on_change="rerun")


def _presets(scene_id: str, move: Camera | None) -> None:
    name = st.pills(
        "Move",
        MOVES,
        default=name_of(move),
        key=f"preset-{scene_id}-{st.session_state.get(f'dialled-{scene_id}', 0)}",
        required=True,
        wrap=True,
    )
    if name != name_of(move):
        _change_camera(scene_id, MOVES[name], counter=f"chosen-{scene_id}")


def _numbers(scene: SceneDraft, move: Camera) -> None:
    found: dict[str, Any] = {}
    turn = st.session_state.get(f"chosen-{scene.id}", 0)
    columns = st.columns(2)
    numbers = [field for field in FIELDS.values() if field.kind is float]
    for index, field in enumerate(numbers):
        with columns[index % 2]:
            found[field.name] = st.number_input(
                **number_arguments(field),
                value=float(getattr(move, field.name)),
                key=f"{field.name}-{scene.id}-{turn}",
            )
    for field in FIELDS.values():
        if field.names:
            found[field.name] = st.selectbox(
                **choice_arguments(field),
                index=list(field.names).index(getattr(move, field.name)),
                key=f"{field.name}-{scene.id}-{turn}",
            )
    if (after := Camera(**found)) != move:
        renamed = name_of(after) != name_of(move)
        _change_camera(scene.id, after, counter=f"dialled-{scene.id}" if renamed else "")


def _change_camera(scene_id: str, move: Camera | None, *, counter: str) -> None:
    """Change a scene's camera.

    ``counter`` names a number in the session that is part of the keys of the widgets which must
    now show another value. With their old keys, the browser would send their old values back.
    """
    state: Any = st.session_state
    draft.set_camera(state, scene_id, move)
    if counter:
        state[counter] = state.get(counter, 0) + 1
    st.rerun()


def _picture(scene: SceneDraft, image: str, move: Camera | None) -> None:
    folded = _popover("Picture", "image", scene.id)
    if not folded.open:
        return
    with folded:
        key = f"still-{scene.id}-{image[:8]}"
        st.file_uploader(
            "Begin from a picture",
            type=["jpg", "jpeg", "png", "webp"],
            key=key,
            on_change=_upload,
            args=[scene.id, key],
            help="The scene begins with this picture and gradually changes it. It is cropped to "
            "the shape of the film. Metadata, such as the place where it was taken, is removed.",
        )
        if problem := st.session_state.get(f"refused-{scene.id}"):
            theme.show_error(problem)
        if image:
            scene_preview(scene)
            _strength(scene)
            st.button(
                "Remove the picture",
                key=f"remove-picture-{scene.id}",
                on_click=draft.set_start_image,
                args=[st.session_state, scene.id, ""],
            )


def _strength(scene: SceneDraft) -> None:
    before = scene.strength
    strength = st.slider(
        **number_arguments(STRENGTH),
        value=before,
        key=f"strength-{scene.id}-{before}",
    )
    if strength != before:
        draft.set_strength(st.session_state, scene.id, strength)
        st.rerun()


def _upload(scene_id: str, key: str) -> None:
    """Make an uploaded picture the start image of a scene."""
    dropped = st.session_state.get(key)
    if dropped is None:
        return
    st.session_state.pop(f"refused-{scene_id}", None)
    try:
        name = app_state.get_hub().start_images.keep(dropped.getvalue())
    except InvalidParameterError as error:
        report = error.report()
        message = report.message.removeprefix("start_image: ")
        st.session_state[f"refused-{scene_id}"] = msgspec.structs.replace(report, message=message)
    except OSError as error:
        words = plain(f"the picture cannot be kept on this computer: {error.strerror}")
        remedy = "free some space, then add it again"
        st.session_state[f"refused-{scene_id}"] = ErrorReport("E_STORAGE", words, remedy)
    else:
        draft.set_start_image(st.session_state, scene_id, name)
