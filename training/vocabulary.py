"""The vocabulary of the rich world in the form of a model's card, and that card.

Knows words and what goes together in a scene; nothing about sentences, pictures or weights.
"""

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

import msgspec

from engine.film.vocabulary import Attribute, Sense, Vocabulary
from engine.models import Card, Defaults
from training import words
from training.prompts import DOING
from training.scene import (
    ALL_PLACES,
    ALL_WEATHERS,
    DARK,
    HABITATS_OF,
    ON_LAND,
    PALETTES,
    SIDES,
    TIMES,
    weathers_of,
)
from training.subjects import HABITATS, SUBJECTS, plural_of

SKYLESS = ("space", "under water")  # where no weather can be seen
# How often a value is chosen where a prompt leaves it open; 1 for those not named. What would
# surprise, such as a storm that nobody asked for, is chosen only where nothing else fits.
OFTEN = {"clear": 3, "clouds": 3, "stars": 2}
OFTEN |= dict.fromkeys((*SKYLESS, "aurora", "snow", "fog", "rain", "storm", "rainbow"), 0)
# A phrase that says a second thing.
ALSO_HEARD = {"night": ("starry night", "night sky")}
# Where a subject is shown if a prompt does not say, by place; others are anywhere at home.
FAVOURITES = {
    "snowfield": ("penguin", "polar bear", "snowman", "mammoth"),
    "desert": ("camel", "cactus", "snake"),
    "forest": (
        *("fox", "wolf", "bear", "deer", "squirrel", "hedgehog", "owl", "raccoon", "mushroom"),
        *("tiger", "gorilla", "monkey", "wizard", "witch", "campfire", "tent"),
    ),
    "hills": ("lion", "zebra", "giraffe", "elephant", "rhino", "windmill", "tractor", "train"),
    "meadow": (
        *("horse", "cow", "sheep", "pig", "rabbit", "unicorn", "butterfly", "bee", "windmill"),
        *("flower", "sunflower", "ladybug"),
    ),
    "mountains": ("dragon", "eagle", "llama", "goat", "castle"),
    "sea": ("whale", "dolphin", "ship", "ferry", "sailboat"),
    "lake": ("duck", "swan", "canoe"),
    "beach": ("crab", "lobster", "palm tree", "lighthouse", "turtle"),
    "city": ("bus", "car", "taxi", "ambulance", "fire truck", "superhero", "motorcycle"),
    "village": ("bicycle", "scooter", "church", "house", "pumpkin"),
    "space": ("rocket", "ufo", "satellite", "comet", "astronaut", "alien"),
}
TITLE = "Poster world"
DESCRIPTION = (
    "A small offline model that knows one world: flat, poster-like pictures of {places} places at "
    "any time of day and in {weathers} kinds of weather, with {subjects} subjects from a fox to a "
    "rocket."
)
EXAMPLES = (
    "a fox in a forest at dusk, the moon on the left, fog",
    "a red car on a village street at night, heavy rain",
    "a hot air balloon over green hills at dawn, the sun on the right",
    "a whale in the sea at sunset, the sun in the centre, drifting clouds",
    "an astronaut in space, a ringed planet on the right",
    "a castle in the mountains at night, northern lights, the moon on the left",
    "two penguins on a snowfield at noon, falling snow",
    "a lighthouse on a beach at dusk, a storm",
)
DEFAULTS = Defaults(
    width=448, height=256, num_inference_steps=20, guidance_scale=4.0, drift=0.09375
)


def vocabulary() -> Vocabulary:
    """Return all that a model of the rich world understands, in the order of deciding."""
    return Vocabulary(
        attributes=(
            _attribute("place", words.PLACES_SAID, _place_needs(), completed=True, shows=True),
            _attribute("time", words.TIMES_SAID, {}, completed=True),
            _attribute("light", words.DISCS_SAID, _light_needs(), completed=True, shows=True),
            _attribute("side", words.SIDES_SAID, {}, completed=True, of="light"),
            _attribute(
                "weather", words.WEATHERS_SAID, _weather_needs(), completed=True, shows=True
            ),
            _subject(),
            _attribute("side of the subject", words.SIDES_SAID, {}, of="subject"),
            _attribute("distance", _named(words.NEAR_SAID), {}, of="subject"),
            _attribute("doing", _doing_said(), {}, of="subject"),
            _attribute("colours", words.PALETTES_SAID, {}),
        ),
        groups={habitat: tuple(_places_with(habitat)) for habitat in HABITATS},
        ignored=tuple(dict.fromkeys((*words.FILLER, *words.SMALL_WORDS, *words.STYLES))),
    )


def card() -> Card:
    """Return the card of a model of the rich world."""
    counts = {"places": ALL_PLACES, "weathers": ALL_WEATHERS, "subjects": SUBJECTS}
    return Card(
        title=TITLE,
        description=DESCRIPTION.format(**{name: len(values) for name, values in counts.items()}),
        knows={
            "time of day": [*TIMES],
            "place": [*ALL_PLACES],
            "sun or moon": [words.SIDES_SAID[side][0] for side in SIDES],
            "weather": [words.WEATHERS_SAID[weather][0] for weather in ALL_WEATHERS],
            "colours": [*PALETTES],
            "subjects": sorted(SUBJECTS),
        },
        examples=[*EXAMPLES],
        defaults=DEFAULTS,
        vocabulary=vocabulary(),
    )


def write_card(folder: Path) -> None:
    """Write the card into a model's folder, each list on one line."""
    known = ("title", "description", "bfloat16", "knows", "examples", "defaults", "vocabulary")
    content = {name: msgspec.to_builtins(getattr(card(), name)) for name in known}
    text = json.dumps(content, indent=1, ensure_ascii=False)
    flat = re.sub(r"\[[^\[\]{}]*\]", lambda found: re.sub(r"\n\s*", " ", found[0]), text)
    (folder / "card.json").write_text(flat.replace("[ ", "[").replace(" ]", "]") + "\n")


def _attribute(
    name: str,
    said: Mapping[str, Sequence[str]],
    needs: Mapping[str, dict[str, tuple[str, ...]]],
    *,
    completed: bool = False,
    of: str = "",
    shows: bool = False,
) -> Attribute:
    values = {
        value: Sense(
            heard=(*phrases, *ALSO_HEARD.get(value, ())),
            often=OFTEN.get(value, 1),
            needs=needs.get(value, {}),
        )
        for value, phrases in said.items()
        if phrases  # the natural palette has no words
    }
    return Attribute(name=name, values=values, completed=completed, of=of, shows=shows)


def _place_needs() -> dict[str, dict[str, tuple[str, ...]]]:
    return {
        "space": {"time": (), "light": ("planet",), "weather": ()},
        "under water": {"light": (), "weather": ()},
    }


def _light_needs() -> dict[str, dict[str, tuple[str, ...]]]:
    return {
        "sun": {"time": tuple(time for time in TIMES if time not in DARK)},
        "moon": {"time": DARK},
        "planet": {"place": ("space",)},
    }


def _weather_needs() -> dict[str, dict[str, tuple[str, ...]]]:
    """Return when each weather can be, where not at any time; a storm hides sun and moon."""
    times = {
        weather: tuple(time for time in TIMES if weather in weathers_of(time, "meadow"))
        for weather in ALL_WEATHERS
    }
    needs = {weather: {"time": those} for weather, those in times.items() if those != TIMES}
    return needs | {"storm": {"light": ()}}


def _subject() -> Attribute:
    values = {}
    for name, subject in SUBJECTS.items():
        one = words.subject_words(name)
        irregular = (plural_of(word) for word in one if plural_of(word) != f"{word}s")
        favourites = tuple(place for place, names in FAVOURITES.items() if name in names)
        values[name] = Sense(
            heard=tuple(dict.fromkeys((*one, *irregular))),
            needs={"place": subject.habitats},
            prefers={"place": favourites} if favourites else {},
        )
    return Attribute(name="subject", values=values, shows=True)


def _doing_said() -> dict[str, tuple[str, ...]]:
    phrases = dict.fromkeys(phrase for some in DOING.values() for phrase in some)
    return {phrase: (phrase,) for phrase in phrases}


def _named(said: Mapping[bool, tuple[str, ...]]) -> dict[str, tuple[str, ...]]:
    return {"near": said[True], "far": said[False]}


def _places_with(habitat: str) -> list[str]:
    return [place for place in ALL_PLACES if habitat in HABITATS_OF.get(place, ON_LAND)]
