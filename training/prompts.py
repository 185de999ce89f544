"""Says what a rich scene shows, as people write prompts; some wordings are kept for the test.

Every prompt is true: it never names what the scene does not show. Knows scenes and words;
nothing about pictures or tokens.
"""

from collections.abc import Callable

import numpy as np

from training.captions import LETTERS, pick
from training.scene import ALL_PLACES, ALL_WEATHERS, PALETTES, SIDES, TIMES, Figure, Scene
from training.subjects import plural_of
from training.words import (
    DISCS_SAID,
    FILLER,
    NEAR_SAID,
    PALETTES_SAID,
    PLACES_SAID,
    SIDES_SAID,
    TIMES_SAID,
    WEATHERS_SAID,
    subject_words,
)

DOING = {
    "ground": ("standing", "waiting", "sitting", "resting", "walking"),
    "islet": ("on an island", "on a small island", "on a rock"),
    "water": ("on the water", "floating", "swimming"),
    "air": ("flying", "in the sky", "in the air", "hovering", "soaring", "up in the air"),
    "under": ("swimming", "diving"),
    "space": ("floating", "drifting", "flying"),
}
CLOSE_UP = "sticker of"  # no other prompt says it
JOINS = (", ", ", ", " ", " with ", ". ", " and ", "; ")

# Wordings never trained on: what the judge asks for. {figures} is "" where there are none.
HELD_OUT_TEMPLATES = (
    "{figures}, {place}, {time}, {disc} {side}, {weather}",
    "{weather}; {place}; {time}; {disc} {side}; {figures}",
    "{palette} {place} {time} where {figures} can be seen, {disc} {side}, {weather}",
    "{disc} {side}, over {place} {time}, {weather}, featuring {figures}",
)


def held_out(scene: Scene) -> bool:
    """Return whether a combination is kept for the test: 1 in 9, spread over all values."""
    digits = zip(
        (scene.time, scene.place, scene.side, scene.weather, scene.palette),
        (TIMES, ALL_PLACES, SIDES, ALL_WEATHERS, PALETTES),
        (1, 2, 4, 5, 1),
        strict=True,
    )
    return sum(values.index(value) * weight for value, values, weight in digits) % 9 == 0


def article(words: str) -> str:
    """Return words with "a" or "an" in front."""
    an = words[0] in "aeiou" and not words.startswith(("uni", "ufo", "eu"))
    return f"{'an' if an else 'a'} {words}"


def figures_said(scene: Scene, rng: np.random.Generator) -> str:
    """Return the figures in words: "a fox on the left and two owls"; "" for none."""
    if not scene.figures:
        return ""
    one = scene.figures[0]
    if len(scene.figures) == 2 and scene.figures[1].subject == one.subject:
        plural = plural_of(pick(rng, subject_words(one.subject)))
        parts = [pick(rng, (f"two {plural}", plural, f"a pair of {plural}", f"2 {plural}"))]
        parts += [pick(rng, DOING[one.habitat])] if rng.random() < 0.3 else []
        return " ".join(parts)
    sided = rng.random() < 0.5
    said = [_one_said(figure, rng, sided) for figure in scene.figures]
    if rng.random() < 0.5:
        said.reverse()
    return pick(
        rng, (" and ", " and ", " with ", ", ", " next to " if not sided else " and ")
    ).join(said)


def _one_said(figure: Figure, rng: np.random.Generator, sided: bool) -> str:
    word = pick(rng, subject_words(figure.subject))
    named = pick(rng, (article(word), article(word), word, f"the {word}", f"one {word}"))
    parts = [named]
    if rng.random() < 0.25:
        distance = pick(rng, NEAR_SAID[figure.near])
        if distance in ("big", "large", "small", "tiny", "little", "distant"):
            parts = [article(f"{distance} {word}")]
        elif distance.endswith("of"):
            parts = [distance, named]
        else:
            parts.append(distance)
    if rng.random() < 0.3:
        parts.append(pick(rng, DOING[figure.habitat]))
    if sided:
        parts.append(pick(rng, SIDES_SAID[figure.side]))
    return " ".join(parts)


def phrases(scene: Scene, rng: np.random.Generator) -> dict[str, str]:
    """Return a phrase for each thing a prompt can say; "" for what the scene has not."""
    palette = PALETTES_SAID[scene.palette]
    return {
        "time": pick(rng, TIMES_SAID[scene.time]) if scene.place != "space" else "",
        "place": pick(rng, PLACES_SAID[scene.place]),
        "disc": pick(rng, DISCS_SAID[scene.disc]) if scene.disc else "",
        "side": pick(rng, SIDES_SAID[scene.side]) if scene.disc else "",
        "weather": pick(rng, WEATHERS_SAID[scene.weather]) if _has_weather(scene) else "",
        "palette": pick(rng, palette) if palette else "",
        "figures": figures_said(scene, rng),
    }


def _has_weather(scene: Scene) -> bool:
    return scene.place not in ("space", "under water")


def prompt(scene: Scene, rng: np.random.Generator) -> str:
    """Return one true prompt in a trained wording.

    One in thirty says the side of the disc alone. The others name most of what there is, in any
    order: films are painted from completed prompts, which name everything.
    """
    said = phrases(scene, rng)
    light = f"{said['disc']} {said['side']}".strip()
    if light and rng.random() < 0.03:
        return light
    core = [said["figures"]] if said["figures"] and rng.random() < 0.95 else []
    if rng.random() < (0.93 if core else 0.97):
        core = [pick(rng, links_to(said["place"])).join([*core, said["place"]])]
    if said["time"] and rng.random() < 0.92:
        core = [pick(rng, (" ", ", ", " ")).join([*core, said["time"]])]
    parts = [*core] if core else [said["place"]]
    chances: list[tuple[str, float]] = [
        (light, 0.85),
        (said["weather"], 0.6 if scene.weather == "clear" else 0.94),
        (said["palette"], 0.95),
    ]
    parts += [phrase for phrase, chance in chances if phrase and rng.random() < chance]
    return finished(parts, rng)


def close_up_prompt(scene: Scene, figure: Figure, rng: np.random.Generator) -> str:
    """Return a true prompt of a detail of a scene, around one of its figures: it names no side.

    Its first word marks it as a detail: without, whole pictures had a figure on every side.
    """
    said = phrases(scene, rng)
    core = _one_said(figure, rng, sided=False)
    if rng.random() < 0.93:
        core = pick(rng, links_to(said["place"])).join([core, said["place"]])
    if said["time"] and rng.random() < 0.92:
        core = pick(rng, (" ", ", ", " ")).join([core, said["time"]])
    others = (said["weather"] if scene.weather != "clear" else "", said["palette"])
    return f"{CLOSE_UP} {finished([core, *(phrase for phrase in others if phrase)], rng)}"


def links_to(place: str) -> tuple[str, ...]:
    """Return what can stand between figures and a place; some bring their own preposition."""
    own = place.startswith(("in ", "by ", "under", "among ", "beneath "))
    return (" ", ", ") if own else (" in ", " at ", ", ", " ", " on ", " near ")


def finished(parts: list[str], rng: np.random.Generator) -> str:
    """Return parts joined in some order, with filler that means nothing, and careless case."""
    if rng.random() < 0.45:
        rng.shuffle(parts)
    for _ in range(int(rng.choice(4, p=(0.55, 0.2, 0.15, 0.1)))):
        parts.insert(int(rng.integers(len(parts) + 1)), pick(rng, FILLER))
    if rng.random() < 0.04:
        made_up = "".join(rng.choice(LETTERS, size=rng.integers(2, 9)))
        parts.insert(int(rng.integers(len(parts) + 1)), made_up)
    text = pick(rng, JOINS).join(parts)
    careless: tuple[Callable[[str], str], ...] = (str, str, str, str.capitalize, str.title)
    return careless[rng.integers(len(careless))](text)


def held_out_prompt(scene: Scene, rng: np.random.Generator) -> str:
    """Return one true prompt that names everything, in a wording never trained on."""
    text = pick(rng, HELD_OUT_TEMPLATES).format(**phrases(scene, rng))
    for cut in (" where  can be seen", ", featuring "):  # of scenes without figures
        text = text.replace(cut, "") if not scene.figures else text
    pieces = [piece.strip(" ,;") for piece in text.replace(";", ",").split(",")]
    return ", ".join(" ".join(piece.split()) for piece in pieces if piece)
