"""What a scene begins from and where its camera goes: shown on its card, set beneath it.

It knows the draft and the laptop's stills, not the engine.
"""

from typing import Any

import msgspec
import streamlit as st

from engine.camera import PRESETS
from engine.errors import ErrorReport, InvalidParameterError
from engine.recipe import Camera
from ui import draft, look, resources
from ui.moves import OWN, STILL, name_of, preview, rules
from ui.words import plain

EASINGS = {"smooth": "Starts and stops gently", "linear": "At one speed"}
DIALS = (  # field, label, least, most, step, help
    ("zoom", "Zoom", 0.25, 4.0, 0.05, "How much larger things are at the end; below 1 draws back."),
    ("pan_x", "To the right", -4.0, 4.0, 0.05, "Picture widths; below 0 to the left."),
    ("pan_y", "Upwards", -4.0, 4.0, 0.05, "Picture heights; below 0 downwards."),
    ("roll", "Roll", -180.0, 180.0, 1.0, "Degrees by which the picture turns clockwise."),
    ("orbit", "Orbit", -2.0, 2.0, 0.05, "Picture widths by which near ground passes the horizon."),
    ("strength", "Repaint", 0.0, 1.0, 0.05, "How much each keyframe is painted anew, at least."),
)


def camerawork(scene: dict[str, Any]) -> None:
    """Draw a scene's picture and move, and what changes them."""
    image, move = scene["own"].get("start_image", ""), scene["own"].get("camera")
    if image or move:
        _show(scene, image, move)
    with st.container(key=f"own_{scene['id']}", horizontal=True, gap="xsmall"):
        _camera(scene, move)
        _picture(scene, image)
    problem = st.session_state.get(f"refused-{scene['id']}")
    if problem:
        look.tell(problem)


def _show(scene: dict[str, Any], image: str, move: Camera | None) -> None:
    settings = st.session_state["draft"]["settings"]
    stills = resources.get_hub().stills
    jpeg = stills.thumbnail(image) if image else b""
    aspect = settings["height"] / settings["width"]
    if move:
        st.html(rules(scene["id"], move, aspect))
    st.html(preview(scene["id"], move, jpeg, aspect, float(scene["seconds"])))
    if image and not jpeg:
        st.caption("Its picture is not on this computer. Drop it in again, or take it out.")
    elif move and not image:
        st.caption("The move on a grid: the scene's picture is still to be painted.")


def _camera(scene: dict[str, Any], move: Camera | None) -> None:
    folded = st.popover(
        name_of(move) if move else "Camera",
        key=f"camera-{scene['id']}",
        icon=":material/videocam:",
        on_change="rerun",
    )
    if not folded.open:
        return
    with folded:
        names = [STILL, *PRESETS, *([OWN] if name_of(move) == OWN else [])]
        key = f"preset-{scene['id']}-{name_of(move)}"
        st.pills(
            "Move",
            names,
            default=name_of(move),
            key=key,
            on_change=_choose,
            args=[scene["id"], key],
        )
        if move:
            _dials(scene, move)


def _dials(scene: dict[str, Any], move: Camera) -> None:
    found: dict[str, Any] = {}
    columns = st.columns(2)
    for index, (field, label, least, most, step, text) in enumerate(DIALS):
        with columns[index % 2]:
            found[field] = st.number_input(
                label,
                least,
                most,
                float(getattr(move, field)),
                step,
                key=_key(scene, field, move),
                help=text,
            )
    found["easing"] = st.selectbox(
        "Pace",
        EASINGS,
        index=list(EASINGS).index(move.easing),
        format_func=lambda name: EASINGS[name],
        key=_key(scene, "easing", move),
    )
    if (after := Camera(**found)) != move:
        draft.dress(st.session_state, scene["id"], camera=after)
        st.rerun()


def _key(scene: dict[str, Any], field: str, move: Camera) -> str:
    """Return a dial's key, which changes with its value: what a program sets counts at once."""
    return f"{field}-{scene['id']}-{getattr(move, field)}"


def _choose(scene_id: str, key: str) -> None:
    name = st.session_state.get(key)
    if name != OWN:
        draft.dress(st.session_state, scene_id, camera=PRESETS.get(name or STILL))


def _picture(scene: dict[str, Any], image: str) -> None:
    folded = st.popover(
        "Picture",
        key=f"picture-{scene['id']}",
        icon=":material/check:" if image else ":material/image:",
        on_change="rerun",
    )
    if not folded.open:
        return
    with folded:
        key = f"still-{scene['id']}-{image[:8]}"
        st.file_uploader(
            "Begin from a picture",
            type=["jpg", "jpeg", "png", "webp"],
            key=key,
            on_change=_drop,
            args=[scene["id"], key],
            help="The scene begins with it and leaves it bit by bit. It is cropped to the film's "
            "shape; where it was taken and all else that its file tells stays here.",
        )
        if image:
            before = float(scene["own"].get("strength", 0.5))
            strength = st.slider(
                "How far the first picture may go from it",
                0.0,
                1.0,
                before,
                0.05,
                key=f"strength-{scene['id']}-{before}",
            )
            if strength != before:
                draft.dress(st.session_state, scene["id"], strength=strength)
                st.rerun()
            st.button(
                "Take the picture out",
                key=f"bare-{scene['id']}",
                on_click=draft.dress,
                args=[st.session_state, scene["id"]],
                kwargs={"start_image": None, "strength": None},
            )


def _drop(scene_id: str, key: str) -> None:
    """Take a picture that was dropped onto a scene."""
    dropped = st.session_state.get(key)
    if dropped is None:
        return
    st.session_state.pop(f"refused-{scene_id}", None)
    try:
        name = resources.get_hub().stills.keep(dropped.getvalue())
    except InvalidParameterError as error:
        report = error.report()
        message = report.message.removeprefix("start_image: ")
        st.session_state[f"refused-{scene_id}"] = msgspec.structs.replace(report, message=message)
    except OSError as error:
        words = plain(f"the picture cannot be kept on this computer: {error.strerror}")
        remedy = "free some space, then drop it in again"
        st.session_state[f"refused-{scene_id}"] = ErrorReport("E_STORAGE", words, remedy)
    else:
        draft.dress(st.session_state, scene_id, start_image=name)
