"""Shows the recipe of a film: its scenes, its settings, and the devices that made it."""

from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import groupby

import streamlit as st
from msgspec import UNSET

from engine.film.camera import name_of
from engine.film.events import Finished, Logged, Scores, Started, remarks
from engine.film.recipe import SETTINGS, Motion, Recipe
from engine.film.stages import KEYFRAME, STAGES, Stage
from engine.models.interpolators import display_name
from ui.shell.text import plain, size
from ui.storage.tables import Film, Piece

DIFFERENCES = "Different hardware may differ in tiny details of colour and texture."


def saved_pieces(pieces: Sequence[Piece], budget: int) -> str:
    """Return how much of an unfinished film is saved here, of at most ``budget`` bytes."""
    counts = Counter(piece.stage.piece for piece in pieces)
    parts = [_count(count, name) for name, count in counts.items()]
    whole = size(sum(piece.size for piece in pieces))
    named = " and ".join(part for part in parts if part)
    return f"Saved on this computer: {named} · {whole} of at most {size(budget)}" if named else ""


def made_where(pieces: Sequence[Piece]) -> str:
    """Return which devices made a film's pieces, if several, and what is special about them."""
    known = [piece for piece in pieces if piece.origin]
    if len({piece.origin for piece in known}) < 2:
        return _odd(pieces)
    places = "".join(
        _places(stage, [piece for piece in known if piece.stage is stage])
        for stage in STAGES.values()
    )
    return f"{places}{DIFFERENCES} {_odd(pieces)}".rstrip()


_ODD = {
    "singly": "were painted one by one, as memory was short; last bits of colours differ.",
    "tiled": "were put together from tiles, as memory was short; tiny details differ.",
    "rerolled": "came out blank and were painted from another seed.",
    "blank": "came out blank, whatever the seed; their neighbours are held in their place.",
}


def _odd(pieces: Sequence[Piece]) -> str:
    told = [remarks(piece.detail) for piece in pieces if piece.stage is KEYFRAME]
    counts = ((sum(word in said for said in told), because) for word, because in _ODD.items())
    return " ".join(f"{count} of {len(told)} keyframes {said}" for count, said in counts if count)


def _places(stage: Stage, pieces: Sequence[Piece]) -> str:
    """Return a sentence such as "Keyframes 1–4 were painted on A, 5–13 on B. "."""
    runs = [list(run) for _, run in groupby(pieces, key=lambda piece: piece.origin)]
    if not runs:
        return ""
    several = len(runs[0]) > 1
    verb = f"{'were' if several else 'was'} {stage.done} "
    places = [
        f"{_span(run)} {'' if index else verb}on {run[0].origin}" for index, run in enumerate(runs)
    ]
    return f"{stage.piece.capitalize()}{'s' if several else ''} {', '.join(places)}. "


def _span(run: Sequence[Piece]) -> str:
    first, last = run[0].index + 1, run[-1].index + 1
    return f"{first}" if first == last else f"{first}–{last}"


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'s' if number > 1 else ''}" if number else ""


_MOTION_SENTENCES = {
    frozenset({"morph"}): "Each scene melts into the next.",
    frozenset({"cut"}): "Hard cuts.",
    frozenset({"fade"}): "Scenes fade over each other.",
}
_MOTION_VERBS = {"morph": "melt into each other", "fade": "fade over each other", "cut": "cut"}


IN_SENTENCES = (  # settings that ``made_with`` describes or leaves out
    *("model", "num_inference_steps", "interpolation_factor", "fps", "width", "height", "upscale"),
    *("motion", "loop", "drift", "negative_prompt", "spacing", "format"),
)


def made_with(recipe: Recipe) -> str:
    """Return a recipe, apart from the scenes, in sentences."""
    factor = recipe.interpolation_factor
    between = f", one frame in {factor}; the others are drawn between them" if factor > 1 else ""
    words = [
        f"Painted by {recipe.model} in {recipe.num_inference_steps} steps{between}.",
        f"{recipe.fps} frames per second, {_size(recipe)}.",
        f"{', '.join(_facts(recipe, IN_SENTENCES))}.",
    ]
    if len(recipe.scenes) > 1:
        words.insert(0, _motion_sentence({*recipe.motions[1:]}))
    if recipe.loop:
        words.append("The film ends where it began.")
    if recipe.drift:
        words.append(f"The ground moves past at {recipe.drift:.2g} picture widths per second.")
    if recipe.negative_prompt:
        words.append(f"Negative prompt: {recipe.negative_prompt}")
    return " ".join(words)


def _size(recipe: Recipe) -> str:
    """Return the size of the frames, and how large they were painted if they are enlarged."""
    width, height = recipe.film_size
    painted = f", enlarged from {recipe.width} × {recipe.height}" if recipe.enlargement > 1 else ""
    return f"{width} × {height} pixels{painted}"


def _facts(recipe: Recipe, left_out: Sequence[str]) -> list[str]:
    """Return each setting but those that are left out, as its label and its value."""
    found = []
    for name, field in SETTINGS.items():
        value = getattr(recipe, name)
        if name not in left_out and value is not False and value is not UNSET:
            found.append(field.title if value is True else f"{field.title} {field.format(value)}")
    return found


def _motion_sentence(motions: set[Motion]) -> str:
    """Return how scenes follow each other."""
    ways = [way for motion, way in _MOTION_VERBS.items() if motion in motions]
    known = _MOTION_SENTENCES.get(frozenset(motions))
    return known or f"Scenes {', '.join(ways[:-1])} or {ways[-1]}."


def starts(log: Iterable[Logged]) -> str:
    """Return where and how often a film was started; "" if that was only once."""
    devices = [logged.event.device for logged in log if isinstance(logged.event, Started)]
    if len(devices) < 2:
        return ""
    runs = [(device, len(list(run))) for device, run in groupby(devices)]
    named = [f"{device or 'unknown'}{f' ({count} times)' * (count > 1)}" for device, count in runs]
    return f"Started {len(devices)} times: on {', then on '.join(named)}."


UNEVEN_PACE = 0.75  # a pace that varies more than this looks uneven
VISIBLE_FLICKER = 0.03  # of full white; more than this is visible
VISIBLE_SHARE = 0.02  # of full white or of the frames; less is not mentioned


def smoothness(log: Sequence[Logged]) -> str:
    """Return a film's smoothness from its log; "" if it was not measured."""
    ends = (one.event for one in reversed(log) if isinstance(one.event, Finished))
    scores = next((film.scores for film in ends), None)
    return scores_in_words(scores) if scores else ""


def scores_in_words(scores: Scores) -> str:
    """Return scores as one line."""
    pace = "even" if scores.unevenness <= UNEVEN_PACE else "uneven"
    shimmer = "some flicker" if scores.flicker > VISIBLE_FLICKER else "hardly any flicker"
    parts = [
        _jumps(scores.jumps),
        f"{pace} pace (varies by {scores.unevenness * 100:.0f} %)",
        f"{shimmer} ({scores.flicker * 100:.1f} %)",
    ]
    if abs(scores.brightness) >= VISIBLE_SHARE:
        change = "brighter" if scores.brightness > 0 else "darker"
        parts.append(f"ends {abs(scores.brightness) * 100:.0f} % {change}")
    if scores.colour >= VISIBLE_SHARE:
        parts.append(f"colours move by {scores.colour * 100:.0f} %")
    if scores.duplicates >= VISIBLE_SHARE:
        parts.append(f"{scores.duplicates * 100:.0f} % of the frames repeat the one before")
    return "Smoothness: " + ", ".join(parts)


def _jumps(count: int) -> str:
    if count == 0:
        return "no jumps"
    return "1 jump, cuts included" if count == 1 else f"{count} jumps, cuts included"


MOTION_WORDS = {"morph": "melts in", "fade": "fades in", "cut": "cut in"}


def recipe_card(film: Film, pieces: Sequence[Piece] = (), log: Sequence[Logged] = ()) -> None:
    """Draw the recipe of a film; its pieces and its log show where it was made."""
    recipe = film.recipe
    for index, scene in enumerate(recipe.scenes, start=1):
        st.caption(plain(" · ".join(scene_facts(recipe, index - 1))))
        st.markdown(plain(scene.prompt))
    if recipe.negative_prompt:
        st.caption("Negative prompt")
        st.markdown(plain(recipe.negative_prompt))
    facts = _facts(recipe, ("negative_prompt", "motion"))
    if drawn_by := display_name(film.interpolator):
        facts.append(f"In-betweens {drawn_by}")
    st.caption(plain(" · ".join(facts)))
    for line in (smoothness(log), starts(log), made_where(pieces)):
        if line:
            st.caption(plain(line))


def scene_facts(recipe: Recipe, index: int) -> list[str]:
    """Return a scene's duration, how it begins and where its camera goes, in words."""
    scene, camera = recipe.scenes[index], recipe.scenes[index].camera
    parts = [f"Scene {index + 1}", f"{scene.seconds:g} s"]
    parts += [MOTION_WORDS[recipe.motions[index]]] * (index > 0)
    parts += ["from a picture"] * (scene.start_image is not UNSET)
    return parts + ([] if camera is UNSET else [name_of(camera).lower()])
