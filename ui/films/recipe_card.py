"""Shows what made a film: the scenes in words; the settings and the places in small print."""

from collections.abc import Sequence

import streamlit as st
from msgspec import UNSET

from engine.film.camera import name_of
from engine.film.events import Logged
from engine.film.recipe import Recipe
from engine.models.interpolators import title
from ui.films.provenance import goes, made_where
from ui.films.smoothness import smoothness
from ui.shell.text import plain
from ui.storage.tables import Film, Piece

BEGINS = {"morph": "melts in", "fade": "fades in", "cut": "cut in"}
NAMES = {
    "model": "Model",
    "seed": "Seed",
    "num_inference_steps": "Steps",
    "guidance_scale": "Guidance",
    "scheduler": "Scheduler",
    "interpolation_factor": "Frames per keyframe",
}


def recipe_card(film: Film, pieces: Sequence[Piece] = (), log: Sequence[Logged] = ()) -> None:
    """Draw everything that made a film; its pieces and its log tell where it was made."""
    recipe = film.recipe
    for index, scene in enumerate(recipe.scenes, start=1):
        st.caption(plain(" · ".join(staging(recipe, index - 1))))
        st.markdown(plain(scene.prompt))
    if recipe.negative_prompt:
        st.caption("Without")
        st.markdown(plain(recipe.negative_prompt))
    facts = [f"{name} {getattr(recipe, field)}" for field, name in NAMES.items()]
    facts += ["Loop"] * recipe.loop + ["Identity lock"] * recipe.shared_noise
    facts += ["Subject kept"] * recipe.anchor_attention
    if drawn_by := title(film.interpolator):
        facts.append(f"In-betweens {drawn_by}")
    st.caption(plain(" · ".join(facts)))
    for line in (smoothness(log), goes(log), made_where(pieces)):
        if line:
            st.caption(plain(line))


def staging(recipe: Recipe, index: int) -> list[str]:
    """Return a scene's length, how it begins and where its camera goes, in a few words each."""
    scene, camera = recipe.scenes[index], recipe.scenes[index].camera
    parts = [f"Scene {index + 1}", f"{scene.seconds:g} s"]
    parts += [BEGINS[recipe.motions[index]]] * (index > 0)
    parts += ["from a picture"] * (scene.start_image is not UNSET)
    return parts + ([] if camera is UNSET else [name_of(camera).lower()])
