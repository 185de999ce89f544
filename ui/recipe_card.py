"""Shows a recipe: the scenes in words, the settings in small print."""

from collections.abc import Sequence

import streamlit as st

from engine.networks import title
from ui.tables import Film, Piece
from ui.words import made_where, plain

NAMES = {
    "model": "Model",
    "seed": "Seed",
    "num_inference_steps": "Steps",
    "guidance_scale": "Guidance",
    "scheduler": "Scheduler",
    "motion": "Motion",
    "interpolation_factor": "Frames per keyframe",
}


def recipe_card(film: Film, pieces: Sequence[Piece] = ()) -> None:
    """Draw everything that made a film; its pieces tell where they were made."""
    recipe = film.recipe
    for index, scene in enumerate(recipe.scenes, start=1):
        st.caption(f"Scene {index} · {scene.seconds:g} s")
        st.markdown(plain(scene.prompt))
    if recipe.negative_prompt:
        st.caption("Without")
        st.markdown(plain(recipe.negative_prompt))
    facts = [f"{name} {getattr(recipe, field)}" for field, name in NAMES.items()]
    if drawn_by := title(film.interpolator):
        facts.append(f"In-betweens {drawn_by}")
    st.caption(plain(" · ".join(facts)))
    if where := made_where(pieces):
        st.caption(plain(where))
