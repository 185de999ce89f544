"""Shows what made a film: the scenes in words; the settings and the places in small print."""

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


def kept(pieces: Sequence[Piece], budget: int) -> str:
    """Return what of an unfinished film is on this laptop, of at most ``budget`` bytes."""
    counts = Counter(piece.stage.piece for piece in pieces)
    parts = [_count(count, name) for name, count in counts.items()]
    whole = size(sum(piece.size for piece in pieces))
    named = " and ".join(part for part in parts if part)
    return f"Safe on this computer: {named} · {whole} of at most {size(budget)}" if named else ""


def made_where(pieces: Sequence[Piece]) -> str:
    """Return which devices made a film's parts, if several, and what want of memory changed."""
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


_FOLLOWING = {
    frozenset({"morph"}): "Each scene melts into the next.",
    frozenset({"cut"}): "Hard cuts.",
    frozenset({"fade"}): "Scenes fade over each other.",
}
_WAYS = {"morph": "melt into each other", "fade": "fade over each other", "cut": "cut"}


IN_SENTENCES = (  # settings that ``made_with`` says in sentences, or leaves out
    *("model", "num_inference_steps", "interpolation_factor", "fps", "width", "height"),
    *("motion", "loop", "drift", "negative_prompt", "spacing", "format"),
)


def made_with(recipe: Recipe) -> str:
    """Return in plain words what made a film, apart from its scenes."""
    factor = recipe.interpolation_factor
    between = f", one frame in {factor}; the others are drawn between them" if factor > 1 else ""
    words = [
        f"Painted by {recipe.model} in {recipe.num_inference_steps} steps{between}.",
        f"{recipe.fps} frames a second, {recipe.width} × {recipe.height} pixels.",
        f"{', '.join(_facts(recipe, IN_SENTENCES))}.",
    ]
    if len(recipe.scenes) > 1:
        words.insert(0, _following({*recipe.motions[1:]}))
    if recipe.loop:
        words.append("The film ends where it began.")
    if recipe.drift:
        words.append(f"The ground drifts past, {recipe.drift:.2g} picture widths a second.")
    if recipe.negative_prompt:
        words.append(f"Kept away from: {recipe.negative_prompt}")
    return " ".join(words)


def _facts(recipe: Recipe, left_out: Sequence[str]) -> list[str]:
    """Return each setting but those that are left out, as its label and its value."""
    found = []
    for name, field in SETTINGS.items():
        value = getattr(recipe, name)
        if name not in left_out and value is not False:
            found.append(field.title if value is True else f"{field.title} {field.format(value)}")
    return found


def _following(motions: set[Motion]) -> str:
    """Return how scenes follow each other."""
    ways = [way for motion, way in _WAYS.items() if motion in motions]
    known = _FOLLOWING.get(frozenset(motions))
    return known or f"Scenes {', '.join(ways[:-1])} or {ways[-1]}."


def goes(log: Iterable[Logged]) -> str:
    """Return where and how often a film was taken up; empty unless that was more than once."""
    devices = [logged.event.device for logged in log if isinstance(logged.event, Started)]
    if len(devices) < 2:
        return ""
    runs = [(device, len(list(run))) for device, run in groupby(devices)]
    named = [f"{device or 'unknown'}{f' ({count} times)' * (count > 1)}" for device, count in runs]
    return f"Made in {len(devices)} goes: {', then '.join(named)}."


UNEVEN = 0.75  # speed that varies more than this is felt as hurrying and waiting
FLICKERS = 0.03  # of full white: what is seen to shimmer
SEEN = 0.02  # of full white: a drift or a share worth a word


def smoothness(log: Sequence[Logged]) -> str:
    """Return what the film's last log says of its smoothness; empty if it was not measured."""
    ends = (one.event for one in reversed(log) if isinstance(one.event, Finished))
    scores = next((film.scores for film in ends), None)
    return in_words(scores) if scores else ""


def in_words(scores: Scores) -> str:
    """Return scores as one line."""
    pace = "even" if scores.unevenness <= UNEVEN else "uneven"
    shimmer = "some flicker" if scores.flicker > FLICKERS else "hardly any flicker"
    parts = [
        _jumps(scores.jumps),
        f"{pace} pace (varies by {scores.unevenness * 100:.0f} %)",
        f"{shimmer} ({scores.flicker * 100:.1f} %)",
    ]
    if abs(scores.brightness) >= SEEN:
        change = "brighter" if scores.brightness > 0 else "darker"
        parts.append(f"ends {abs(scores.brightness) * 100:.0f} % {change}")
    if scores.colour >= SEEN:
        parts.append(f"colours move by {scores.colour * 100:.0f} %")
    if scores.duplicates >= SEEN:
        parts.append(f"{scores.duplicates * 100:.0f} % of the frames repeat the one before")
    return "Smoothness: " + ", ".join(parts)


def _jumps(count: int) -> str:
    if count == 0:
        return "no jumps"
    return "1 jump, cuts included" if count == 1 else f"{count} jumps, cuts included"


BEGINS = {"morph": "melts in", "fade": "fades in", "cut": "cut in"}


def recipe_card(film: Film, pieces: Sequence[Piece] = (), log: Sequence[Logged] = ()) -> None:
    """Draw everything that made a film; its pieces and its log tell where it was made."""
    recipe = film.recipe
    for index, scene in enumerate(recipe.scenes, start=1):
        st.caption(plain(" · ".join(staging(recipe, index - 1))))
        st.markdown(plain(scene.prompt))
    if recipe.negative_prompt:
        st.caption("Without")
        st.markdown(plain(recipe.negative_prompt))
    facts = _facts(recipe, ("negative_prompt", "motion"))
    if drawn_by := display_name(film.interpolator):
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
