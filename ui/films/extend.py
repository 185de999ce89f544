"""Extends a film by a scene that begins from the film's last frame, which is its last keyframe.

The frame is read from the film's file, so no engine is needed. It knows the draft and the start
images on this computer, not how scenes are shown.
"""

import tempfile
from pathlib import Path

import streamlit as st

from engine.errors import AssemblyError
from ui import app_state
from ui.films.remix import remix
from ui.routes import ffmpeg
from ui.storage import draft
from ui.storage.tables import Film


def extend(film: Film) -> None:
    """Put a film on the storyboard, with another scene that begins from its last frame.

    Raises:
        VisionFluxError: the frame cannot be read.
    """
    hub = app_state.get_hub()
    image = hub.start_images.keep(last_frame(hub.library.file(film)))
    remix(film.recipe, film.title)
    draft.extend(st.session_state, image)


def last_frame(film: Path) -> bytes:
    """Return the last frame of a film as PNG.

    Raises:
        AssemblyError: the file cannot be read.
    """
    failure = AssemblyError("the film's last frame cannot be read", remedy="remix it instead")
    with tempfile.TemporaryDirectory() as folder:
        picture = Path(folder, "last.png")
        late = ["-sseof", "-1"] if film.suffix == ".mp4" else []
        written = ["-an", "-update", "1", "-c:v", "png", *ffmpeg.output(picture, "image2")]
        ffmpeg.run([*late, *ffmpeg.film_input(film), *written], failure)
        return picture.read_bytes()
