"""Shows what made a film: the scenes in words; the settings and the places in small print."""

from collections.abc import Sequence

import streamlit as st

from engine.events import Logged
from engine.networks import title
from ui.provenance import goes, made_where
from ui.smoothness import smoothness
from ui.tables import Film, Piece
from ui.words import plain

NAMES = {
    "model": "Model",
    "seed": "Seed",
    "num_inference_steps": "Steps",
    "guidance_scale": "Guidance",
    "scheduler": "Scheduler",
    "motion": "Motion",
    "interpolation_factor": "Frames per keyframe",
}


def recipe_card(film: Film, pieces: Sequence[Piece] = (), log: Sequence[Logged] = ()) -> None:
    """Draw everything that made a film; its pieces and its log tell where it was made."""
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
    for line in (smoothness(log), goes(log), made_where(pieces)):
        if line:
            st.caption(plain(line))
