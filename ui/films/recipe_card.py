"""Shows the recipe of a film: its scenes, its settings, and the devices that made it."""

from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import groupby

import streamlit as st
from msgspec import UNSET

from engine.film.camera import name_of
from engine.film.events import Finished, Logged, Planned, Scores, Started, remarks
from engine.film.recipe import SETTINGS, Motion, Recipe
from engine.film.stages import KEYFRAME, STAGES, Stage
from engine.models import interpolators, upscalers
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
    "singly": "painted one by one, because memory was short; colours may differ slightly.",
    "tiled": "put together from tiles, because memory was short; details may differ slightly.",
    "rerolled": "painted again from another seed, because they came out blank.",
    "blank": "blank with every seed; the keyframes beside them are shown longer.",
}


def _odd(pieces: Sequence[Piece]) -> str:
    told = [remarks(piece.detail) for piece in pieces if piece.stage is KEYFRAME]
    counts = ((sum(word in said for said in told), because) for word, because in _ODD.items())
    return " ".join(f"{count} of {len(told)} keyframes: {said}" for count, said in counts if count)


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


_TRANSITIONS: dict[Motion, str] = {
    "morph": "melt into each other",
    "fade": "fade into each other",
    "cut": "follow each other by cuts",
}


NO_DETAILS = (  # settings that ``in_sentences`` describes, or that the player shows
    *("width", "height", "upscale", "fps", "motion", "loop", "negative_prompt", "format"),
)


def in_sentences(recipe: Recipe) -> str:
    """Return what people see of a recipe, apart from the scenes, in sentences."""
    words = [f"{_size(recipe)}, {recipe.fps} frames per second."]
    if len(recipe.scenes) > 1:
        words.insert(0, _transitions({*recipe.motions[1:]}))
    if recipe.loop:
        words.append("The film ends where it began.")
    if recipe.negative_prompt:
        words.append(f"Without: {recipe.negative_prompt}")
    return " ".join(words)


def details(recipe: Recipe) -> list[str]:
    """Return the settings that ``in_sentences`` leaves out, each as its label and its value."""
    found = []
    for name, field in SETTINGS.items():
        value = getattr(recipe, name)
        if name not in NO_DETAILS and value is not False and value is not UNSET:
            found.append(field.title if value is True else f"{field.title} {field.format(value)}")
    return found


def _size(recipe: Recipe) -> str:
    """Return the size of the frames, and how large they were painted if they are enlarged."""
    width, height = recipe.film_size
    painted = f", enlarged from {recipe.width} × {recipe.height}" if recipe.enlargement > 1 else ""
    return f"{width} × {height} pixels{painted}"


def _transitions(motions: set[Motion]) -> str:
    """Return how scenes follow each other."""
    return (
        f"Scenes {' or '.join(way for motion, way in _TRANSITIONS.items() if motion in motions)}."
    )


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


def scores_of(log: Sequence[Logged]) -> Scores | None:
    """Return a film's scores from its log; None if they were not measured."""
    ends = (one.event for one in reversed(log) if isinstance(one.event, Finished))
    return next((film.scores for film in ends), None)


def motion_in_words(scores: Scores) -> str:
    """Return how a film moves, in one sentence without figures."""
    pace = "Steady" if scores.unevenness <= UNEVEN_PACE else "Uneven pace"
    parts = [pace, "some flicker" if scores.flicker > VISIBLE_FLICKER else "no visible flicker"]
    if scores.jumps:
        parts.append("1 jump or cut" if scores.jumps == 1 else f"{scores.jumps} jumps or cuts")
    if scores.duplicates >= VISIBLE_SHARE:
        parts.append("stands still at times")
    if abs(scores.brightness) >= VISIBLE_SHARE:
        parts.append("becomes brighter" if scores.brightness > 0 else "becomes darker")
    if scores.colour >= VISIBLE_SHARE:
        parts.append("changes colour")
    return f"{', '.join(parts)}."


def scores_in_figures(scores: Scores) -> str:
    """Return all scores with their figures, in one line."""
    return (
        f"Pace varies by {scores.unevenness:.0%} · Flicker {scores.flicker:.1%} · "
        f"Jumps {scores.jumps} · Still frames {scores.duplicates:.0%} · "
        f"Brightness {scores.brightness:+.0%} · Colour {scores.colour:.0%}"
    ).replace("%", " %")


MOTION_WORDS = {"morph": "melts in", "fade": "fades in", "cut": "cuts in"}


def recipe_card(film: Film, pieces: Sequence[Piece] = (), log: Sequence[Logged] = ()) -> None:
    """Draw the recipe of a film; its pieces and its log show how and where it was made."""
    recipe, scores = film.recipe, scores_of(log)
    painted = painted_prompts(recipe, log)
    for index, scene in enumerate(recipe.scenes):
        st.caption(plain(" · ".join(scene_facts(recipe, index))))
        st.markdown(plain(scene.prompt))
        if painted[index]:
            st.caption(plain(f"Painted as: {painted[index]}"))
    st.caption(plain(in_sentences(recipe)))
    if scores:
        st.caption(plain(motion_in_words(scores)))
    with st.expander("Details"):
        lines = [" · ".join([*details(recipe), *_networks(film, log)])]
        lines += [scores_in_figures(scores)] if scores else []
        for line in (*lines, starts(log), made_where(pieces)):
            if line:
                st.caption(plain(line))


def _networks(film: Film, log: Sequence[Logged]) -> list[str]:
    """Return which networks drew the in-betweens and enlarged the keyframes, if that is known."""
    plans = (one.event for one in reversed(log) if isinstance(one.event, Planned))
    upscaler = next((plan.upscaler for plan in plans), "")
    found = {
        "In-betweens": interpolators.display_name(film.interpolator),
        "Enlarged by": upscalers.display_name(upscaler),
    }
    return [f"{label} {name}" for label, name in found.items() if name]


def painted_prompts(recipe: Recipe, log: Sequence[Logged]) -> list[str]:
    """Return what was painted in each scene, from the film's log; "" where it is the prompt."""
    plans = (one.event for one in reversed(log) if isinstance(one.event, Planned))
    prompts = next((plan.prompts for plan in plans if plan.prompts), ())
    written = [scene.prompt for scene in recipe.scenes]
    if len(prompts) != len(written):
        return [""] * len(written)
    return [said if said != prompt else "" for said, prompt in zip(prompts, written, strict=True)]


def scene_facts(recipe: Recipe, index: int) -> list[str]:
    """Return a scene's duration, how it begins and where its camera goes, in words."""
    scene, camera = recipe.scenes[index], recipe.scenes[index].camera
    parts = [f"Scene {index + 1}", f"{scene.seconds:g} s"]
    parts += [MOTION_WORDS[recipe.motions[index]]] * (index > 0)
    parts += ["from a picture"] * (scene.start_image is not UNSET)
    return parts + ([] if camera is UNSET else [name_of(camera).lower()])
