"""What a picture of the world can show: time, place, side, weather, palette and subjects.

Knows nothing about how any of it looks, nor about words. `random_scene` draws what the shipped
model was trained on, `rich_scene` all of the world.
"""

from dataclasses import dataclass

import numpy as np

from training.subjects import at_home

TIMES = ("dawn", "noon", "sunset", "dusk", "night")
PLACES = ("sea", "mountains", "lake", "forest", "desert", "city")  # the shipped model's
ALL_PLACES = (*PLACES, "beach", "meadow", "hills", "snowfield", "village", "space", "under water")
SIDES = ("left", "centre", "right")
WEATHERS = ("clear", "clouds", "stars", "aurora", "snow", "birds", "fog", "rain")  # likewise
ALL_WEATHERS = (*WEATHERS, "storm", "rainbow")
PALETTES = ("natural", "pastel", "noir", "teal and gold", "neon", "sepia")

# Weather that a time of day cannot have would make captions contradict themselves.
DARK = ("dusk", "night")
WEATHERS_BY_TIME = {
    time: tuple(
        weather
        for weather in WEATHERS
        if not (weather in ("stars", "aurora") and time not in DARK)
        and not (weather == "birds" and time == "night")
    )
    for time in TIMES
}
# How often rich scenes have a weather, where it is not 1.
OFTEN = {"clear": 2.0, "clouds": 1.6, "rain": 0.8, "storm": 0.6, "fog": 0.8}
# Where a place lets subjects be, with how often; "islet" is ground that is painted for them.
HABITATS_OF = {
    "sea": {"water": 0.6, "air": 0.25, "islet": 0.15},
    "lake": {"water": 0.5, "air": 0.2, "islet": 0.3},
    "beach": {"ground": 0.75, "air": 0.25},
    "space": {"space": 1.0},
    "under water": {"under": 1.0},
}
ON_LAND = {"ground": 0.82, "air": 0.18}


@dataclass(frozen=True)
class Figure:
    """One subject in a scene: its name, where it is, and whether it is near or far."""

    subject: str
    habitat: str
    side: str
    near: bool


@dataclass(frozen=True)
class Scene:
    """What is seen: one value of each of the tables above, and at most two figures."""

    time: str
    place: str
    side: str
    weather: str
    palette: str = "natural"
    figures: tuple[Figure, ...] = ()

    @property
    def disc(self) -> str:
        """What shines: "sun", "moon", "planet", or "" where nothing round is seen."""
        if self.place == "under water" or self.weather == "storm":
            return ""
        if self.place == "space":
            return "planet"
        return "moon" if self.time in DARK else "sun"


def random_scene(rng: np.random.Generator) -> Scene:
    """Return a scene drawn evenly over the shipped model's times, places and sides."""
    time = str(rng.choice(TIMES))
    return Scene(
        time,
        str(rng.choice(PLACES)),
        str(rng.choice(SIDES)),
        str(rng.choice(WEATHERS_BY_TIME[time])),
    )


def rich_scene(rng: np.random.Generator) -> Scene:
    """Return a scene drawn from all of the world; three in four have one or two figures."""
    place = str(rng.choice(ALL_PLACES))
    time = "night" if place == "space" else str(rng.choice(TIMES))
    palette = str(rng.choice(PALETTES[1:])) if rng.random() < 0.25 else "natural"
    weathers = weathers_of(time, place)
    often = np.array([OFTEN.get(weather, 1.0) for weather in weathers])
    weather = str(rng.choice(weathers, p=often / often.sum()))
    return Scene(time, place, str(rng.choice(SIDES)), weather, palette, figures_for(place, rng))


def weathers_of(time: str, place: str) -> tuple[str, ...]:
    """Return the weathers that can be seen at a time in a place."""
    if place in ("space", "under water"):
        return ("clear",)
    return (*WEATHERS_BY_TIME[time], "storm", *(() if time in DARK else ("rainbow",)))


def figures_for(place: str, rng: np.random.Generator) -> tuple[Figure, ...]:
    """Return no, one or two figures that a place can have; two are on two sides."""
    count = int(rng.choice(3, p=(0.25, 0.57, 0.18)))
    habitats = HABITATS_OF.get(place, ON_LAND)
    near, figures = bool(rng.random() < 0.7), []
    free = ("left", "right") if near and count == 2 else SIDES  # large ones would overlap
    sides = [str(side) for side in rng.permutation(free)]
    for side in sides[:count]:
        habitat = str(rng.choice(list(habitats), p=list(habitats.values())))
        if habitat == "islet" and figures:
            habitat = "air"  # one islet is enough
        subject = str(rng.choice(at_home({"islet": "ground"}.get(habitat, habitat))))
        if figures and habitat == figures[0].habitat and rng.random() < 0.4:
            subject = figures[0].subject
        figures.append(Figure(subject, habitat, side, near))
    return tuple(figures)
