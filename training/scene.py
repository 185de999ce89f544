"""What a picture of the world can show: a time of day, a place, a side and a weather.

Knows nothing about how any of it looks, nor about words.
"""

from dataclasses import dataclass

import numpy as np

TIMES = ("dawn", "noon", "sunset", "dusk", "night")
PLACES = ("sea", "mountains", "lake", "forest", "desert", "city")
SIDES = ("left", "centre", "right")
WEATHERS = ("clear", "clouds", "stars", "aurora", "snow", "birds", "fog", "rain")

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


@dataclass(frozen=True)
class Scene:
    """What is seen: one value of each of `TIMES`, `PLACES`, `SIDES` and `WEATHERS`."""

    time: str
    place: str
    side: str
    weather: str


def random_scene(rng: np.random.Generator) -> Scene:
    """Return a scene drawn evenly over times, places and sides."""
    time = str(rng.choice(TIMES))
    return Scene(
        time,
        str(rng.choice(PLACES)),
        str(rng.choice(SIDES)),
        str(rng.choice(WEATHERS_BY_TIME[time])),
    )
