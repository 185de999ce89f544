"""Says in words what a scene shows, in many ways, some of them kept for the test.

Knows scenes and words; nothing about pictures or tokens.
"""

import numpy as np

from training.scene import DARK, PLACES, SIDES, TIMES, WEATHERS, Scene

# For each value: a phrase that stands alone, and words for "a ... lake" or "... sky".
TIME_PHRASES = {
    "dawn": ("dawn", "at dawn", "daybreak", "at sunrise", "sunrise", "in the early morning",
             "at first light", "a morning scene", "morning", "before the day begins"),
    "noon": ("noon", "at noon", "midday", "at midday", "in bright daylight", "in the daytime",
             "on a sunny day", "under a blue sky", "in the middle of the day", "a bright day"),
    "sunset": ("sunset", "at sunset", "golden hour", "in the golden hour", "at sundown",
               "in the evening sun", "a fiery sunset", "under an orange sky", "sundown"),
    "dusk": ("dusk", "at dusk", "twilight", "at twilight", "blue hour", "in the blue hour",
             "at nightfall", "in the purple twilight", "after sunset", "in the late evening"),
    "night": ("night", "at night", "midnight", "at midnight", "in the dark of night",
              "on a moonlit night", "deep in the night", "under a night sky", "a dark night"),
}  # fmt: skip
PLACE_PHRASES = {
    "sea": ("the sea", "a calm sea", "the ocean", "an ocean", "open water", "the open sea",
            "waves on the sea", "a quiet sea", "sea", "ocean", "a seascape"),
    "mountains": ("mountains", "the mountains", "high peaks", "a mountain range", "alps",
                  "rocky peaks", "snowy mountains", "a mountain landscape", "the alps",
                  "mountain ridges"),
    "lake": ("a lake", "the lake", "a still lake", "a mountain lake", "a lake with reflections",
             "an alpine lake", "a quiet lake", "lake", "lakeside", "a lake shore"),
    "forest": ("a forest", "the forest", "a pine forest", "the woods", "pine trees", "woods",
               "a misty forest", "a wood of pines", "forest", "fir trees", "pines"),
    "desert": ("a desert", "the desert", "sand dunes", "dunes", "a sandy desert", "desert",
               "the dunes of a desert", "a desert landscape", "sand", "a hot desert"),
    "city": ("a city", "the city", "a city skyline", "skyscrapers", "a skyline", "city",
             "the towers of a city", "a cityscape", "downtown", "tall buildings", "a town"),
}  # fmt: skip
SIDE_PHRASES = {
    "left": ("on the left", "at the left", "to the left", "left", "on the left side", "far left"),
    "centre": ("in the centre", "in the middle", "at the centre", "in the center", "centred",
               "centre", "center"),
    "right": ("on the right", "at the right", "to the right", "right", "on the right side",
              "far right"),
}  # fmt: skip
DISC_PHRASES = {
    False: ("sun", "the sun", "a low sun", "the bright sun", "a round sun"),
    True: ("moon", "the moon", "a full moon", "the pale moon", "a bright moon"),
}
WEATHER_PHRASES = {
    "clear": ("a clear sky", "clear sky", "no clouds", "clear weather"),
    "clouds": ("clouds", "drifting clouds", "a cloudy sky", "with clouds", "scattered clouds",
               "white clouds", "cloudy", "some clouds in the sky"),
    "stars": ("stars", "a starry sky", "under the stars", "with many stars", "starry",
              "bright stars", "beneath a starry sky"),
    "aurora": ("aurora", "northern lights", "an aurora", "with an aurora", "polar lights",
               "green aurora", "under the northern lights"),
    "snow": ("snow", "falling snow", "in the snow", "snowfall", "snowy weather", "in winter",
             "it is snowing", "snowflakes"),
    "birds": ("birds", "flying birds", "a flock of birds", "with birds", "birds in the sky",
              "seagulls"),
    "fog": ("fog", "in the fog", "foggy", "foggy weather", "mist", "veils of mist",
            "in thick fog", "banks of fog", "fog rolling in"),
    "rain": ("rain", "falling rain", "in the rain", "rainy weather", "a rain shower", "rainy",
             "it is raining", "heavy rain", "rainfall"),
}  # fmt: skip
STYLES = (
    "a poster of", "flat illustration", "a painting of", "a picture of", "beautiful", "minimal",
    "poster art", "a view of", "cinematic", "landscape", "serene", "highly detailed", "4k",
    "masterpiece", "vector art", "peaceful", "a film still of", "wallpaper", "dreamy", "calm",
    "best quality", "travel poster", "a scene with", "an image of", "wide shot", "soft light",
)  # fmt: skip
# Words the world does not have; captions carry some so that the model learns to pass over them.
STRANGERS = (
    "a red car", "with a dragon", "my cat", "robot", "two people walking", "in the style of",
    "photo", "octopus", "a horse", "train", "very happy", "neon", "castle", "a spaceship",
    "for my birthday", "portrait of a woman", "music", "hdr", "unreal engine", "a bicycle",
    "drinking coffee", "flowers", "epic", "please", "dog", "children playing", "trending",
    "a wizard", "volcano", "football", "cute", "old man", "house", "bridge", "dramatic",
    "steampunk", "guitar", "and then", "he said", "some", "kind", "of", "with", "super", "the",
)  # fmt: skip
LETTERS = np.array(list("abcdefghijklmnopqrstuvwxyz"))

# Wordings never trained on: what the evaluation asks for.
HELD_OUT_TEMPLATES = (
    "{time} over {place}, {disc} {side}, {weather}",
    "{weather}, {place} {time}, {disc} {side}",
    "{disc} {side} above {place}, {time}, {weather}",
    "{style} {place} with {disc} {side} {time} and {weather}",
    "imagine {place}: {time}; {weather}; {disc} {side}",
)


def held_out(scene: Scene) -> bool:
    """Return whether a combination is kept for the test: 1 in 9, spread over all values."""
    digits = zip(
        (scene.time, scene.place, scene.side, scene.weather),
        (TIMES, PLACES, SIDES, WEATHERS),
        (1, 2, 4, 5),
        strict=True,
    )
    return sum(values.index(value) * weight for value, values, weight in digits) % 9 == 0


def pick(rng: np.random.Generator, options: tuple[str, ...]) -> str:
    """Return one of some phrases."""
    return options[rng.integers(len(options))]


def phrases(scene: Scene, rng: np.random.Generator) -> dict[str, str]:
    """Return a phrase for each thing a caption can say about a scene."""
    return {
        "time": pick(rng, TIME_PHRASES[scene.time]),
        "place": pick(rng, PLACE_PHRASES[scene.place]),
        "disc": pick(rng, DISC_PHRASES[scene.time in DARK]),
        "side": pick(rng, SIDE_PHRASES[scene.side]),
        "weather": pick(rng, WEATHER_PHRASES[scene.weather]),
        "style": pick(rng, STYLES),
    }


def noise_word(rng: np.random.Generator) -> str:
    """Return a stranger: a phrase from another world, or a made-up word."""
    if rng.random() < 0.6:
        return pick(rng, STRANGERS)
    return "".join(rng.choice(LETTERS, size=rng.integers(2, 9)))


def caption(scene: Scene, rng: np.random.Generator) -> str:
    """Return one true caption in a trained wording.

    One in four says the side alone. The others nearly always name time and place, often the
    side and the weather, in any order, so that free wording is obeyed.
    """
    said = phrases(scene, rng)
    if rng.random() < 0.25:  # The hardest thing to learn, alone.
        return f"{said['disc']} {said['side']}"
    parts = []
    if rng.random() < 0.93:
        link = pick(rng, (" ", " ", ", ", " and "))
        core = [said["place"], said["time"]] if rng.random() < 0.97 else [said["place"]]
        if rng.random() < 0.35:
            core.reverse()
            link = pick(rng, (" over ", " at ", " in ", ", ", " on ", " above "))
        parts.append(link.join(core))
    else:
        parts.append(said["time"])
    if rng.random() < 0.85:
        parts.append(f"{said['disc']} {said['side']}")
    if rng.random() < (0.35 if scene.weather == "clear" else 0.85):
        parts.append(said["weather"])
    if rng.random() < 0.30:
        parts.insert(0, said["style"])
    for _ in range(int(rng.random() < 0.15) * int(rng.integers(1, 5))):
        parts.insert(rng.integers(len(parts) + 1), noise_word(rng))
    if rng.random() < 0.5:
        rng.shuffle(parts)
    return pick(rng, (", ", ", ", " ", " with ", ". ", " and ")).join(parts)


def held_out_caption(scene: Scene, rng: np.random.Generator) -> str:
    """Return one true caption that names everything, in a wording never trained on."""
    return pick(rng, HELD_OUT_TEMPLATES).format(**phrases(scene, rng))
