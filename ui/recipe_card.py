"""Shows a recipe: the scenes in words, the settings in small print."""

from collections.abc import Sequence

import streamlit as st

from engine.recipe import Recipe
from ui.tables import Piece
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


def recipe_card(recipe: Recipe, pieces: Sequence[Piece] = ()) -> None:
    """Draw everything that made a film; its pieces tell where they were made."""
    for index, scene in enumerate(recipe.scenes, start=1):
        st.caption(f"Scene {index} · {scene.seconds:g} s")
        st.markdown(plain(scene.prompt))
    if recipe.negative_prompt:
        st.caption("Without")
        st.markdown(plain(recipe.negative_prompt))
    facts = [f"{name} {getattr(recipe, field)}" for field, name in NAMES.items()]
    st.caption(plain(" · ".join(facts)))
    if where := made_where(pieces):
        st.caption(plain(where))
