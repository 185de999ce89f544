"""The vocabulary of the world: for each value of a scene the words that mean it.

Knows scenes and words; nothing about sentences. `training.vocabulary` makes a model's card of them.
"""

from training.subjects import SUBJECTS, plural_of


def _split(text: str) -> tuple[str, ...]:
    return tuple(word.strip() for word in text.split(",") if word.strip())


# Each value's phrases; the first is its name in a vocabulary. A preposition stands in front
# where it belongs to the phrase, else none.
TIMES_SAID = {
    "dawn": _split(
        "at dawn, dawn, at sunrise, sunrise, daybreak, in the morning, early morning, at first "
        "light, morning, as the sun rises"
    ),
    "noon": _split(
        "at noon, noon, midday, at midday, in daylight, by day, daytime, in the daytime, a "
        "sunny day, on a sunny day, bright daylight, in the afternoon, blue sky, sunny"
    ),
    "sunset": _split(
        "at sunset, sunset, golden hour, in the golden hour, sundown, at sundown, in the "
        "evening sun, evening light, orange sky, as the sun sets"
    ),
    "dusk": _split(
        "at dusk, dusk, twilight, at twilight, blue hour, nightfall, at nightfall, after "
        "sunset, in the late evening, purple sky, in the evening, evening"
    ),
    "night": _split(
        "at night, night, midnight, at midnight, in the dark, moonlit night, nighttime, night "
        "time, in the moonlight, under the moon, dark night, moonlight"
    ),
}
PLACES_SAID = {
    "sea": _split(
        "the sea, sea, ocean, the ocean, open sea, open water, a calm sea, seascape, waves"
    ),
    "mountains": _split(
        "mountains, the mountains, mountain, high peaks, a mountain range, alps, the alps, "
        "rocky mountains, mountain landscape, peaks"
    ),
    "lake": _split(
        "a lake, lake, the lake, mountain lake, still lake, pond, lakeside, a quiet lake"
    ),
    "forest": _split(
        "a forest, forest, the forest, the woods, woods, pine forest, woodland, among pine "
        "trees, jungle, deep forest"
    ),
    "desert": _split("a desert, desert, the desert, dunes, sand dunes, sahara, sandy desert"),
    "city": _split(
        "a city, city, the city, skyline, city skyline, skyscrapers, cityscape, downtown, tall "
        "buildings, metropolis, big city, new york, tokyo"
    ),
    "beach": _split(
        "a beach, beach, the beach, sandy beach, seashore, the shore, tropical beach, the "
        "coast, seaside, by the sea"
    ),
    "meadow": _split(
        "a meadow, meadow, a field, a field of flowers, flower field, grass, grassland, "
        "wildflowers, pasture, green field, prairie, garden, park"
    ),
    "hills": _split(
        "hills, the hills, rolling hills, green hills, countryside, hillside, farmland, hilly "
        "landscape, valley, savanna"
    ),
    "snowfield": _split(
        "a snowfield, snowfield, snowy field, snowy landscape, arctic, the arctic, antarctica, "
        "tundra, winter landscape, snow covered land, the north pole, ice"
    ),
    "village": _split(
        "a village street, village, a village, street, a street, town, small town, old town, a "
        "row of houses, cobbled street, road"
    ),
    "space": _split(
        "space, in space, outer space, deep space, the cosmos, galaxy, universe, among the "
        "stars, in orbit, planets"
    ),
    "under water": _split(
        "under water, underwater, under the sea, deep sea, the ocean floor, reef, coral reef, "
        "beneath the waves, seabed, aquarium"
    ),
}
# Said of the disc, and of a figure.
SIDES_SAID = {
    "left": _split("on the left, to the left, left, at the left, on the left side, left side"),
    "centre": _split(
        "in the centre, in the middle, centre, in the center, center, centred, centered, "
        "middle, at the centre"
    ),
    "right": _split(
        "on the right, to the right, right, at the right, on the right side, right side"
    ),
}
WEATHERS_SAID = {
    "clear": _split("clear sky, a clear sky, clear weather, cloudless, no clouds, clear skies"),
    "clouds": _split(
        "clouds, cloudy, cloudy sky, with clouds, drifting clouds, white clouds, scattered "
        "clouds, overcast, cloud"
    ),
    "stars": _split(
        "stars, starry sky, starry, a sky full of stars, under the stars, star, starry night, "
        "many stars, milky way"
    ),
    "aurora": _split(
        "aurora, northern lights, polar lights, aurora borealis, green aurora, under the "
        "northern lights"
    ),
    "snow": _split(
        "snow, falling snow, snowing, it is snowing, snowfall, snowflakes, snowy, blizzard, in "
        "the snow, winter, snowy day"
    ),
    "birds": _split("a flock of birds, flock of birds, flock, birds in the sky, seagulls, gulls"),
    "fog": _split("fog, foggy, mist, misty, in the fog, haze, hazy, in the mist, fog rolling in"),
    "rain": _split(
        "rain, raining, rainy, it is raining, in the rain, heavy rain, rainfall, drizzle, rain "
        "shower, rainy day"
    ),
    "storm": _split(
        "a storm, storm, stormy, thunderstorm, lightning, thunder, stormy weather, lightning "
        "strike, stormy sky"
    ),
    "rainbow": _split("a rainbow, rainbow, rainbow in the sky, rainbows, with a rainbow"),
}
PALETTES_SAID = {
    "natural": (),
    "pastel": _split(
        "pastel, pastel colors, pastel colours, soft pastels, pastel palette, in pastel"
    ),
    "noir": _split("noir, black and white, film noir, monochrome, greyscale, grayscale, b&w"),
    "teal and gold": _split("teal and gold, teal and orange, gold and teal, orange and teal"),
    "neon": _split("neon, synthwave, vaporwave, neon colors, neon colours, neon lights, cyberpunk"),
    "sepia": _split("sepia, vintage, sepia tone, old photo, sepia tones, retro"),
}
DISCS_SAID = {
    "sun": _split("the sun, sun, a low sun, a bright sun, the shining sun, sunshine"),
    "moon": _split("the moon, moon, a full moon, full moon, the pale moon"),
    "planet": _split("a planet, planet, a big planet, a ringed planet, saturn, the planet"),
}
NEAR_SAID = {
    True: _split("close up, close, near, in the foreground, big, large, close-up of"),
    False: _split("far away, in the distance, small, distant, tiny, seen from afar, little"),
}
# Heard as nothing.
FILLER = _split(
    "cinematic, 4k, 8k, beautiful, highly detailed, masterpiece, best quality, a picture of, a "
    "film of, a video of, an image of, a painting of, poster of, flat illustration, "
    "illustration, vector art, minimal, minimalist, stunning, gorgeous, amazing, epic, "
    "dramatic, serene, peaceful, calm, quiet, dreamy, magical, wallpaper, wide shot, film "
    "still, a view of, scene of, photo of, hd, ultra hd, realistic, artstation, trending, "
    "professional, award winning, soft light, cute, lovely, happy, majestic, lonely, a scene "
    "with, please, show me, make, style, art, slow motion, camera pan, panning, timelapse, "
    "animation, animated, cartoon, aesthetic, vibrant, colorful"
)
# What stands between the words that count.
SMALL_WORDS = _split(
    "a, an, the, in, on, at, of, with, and, or, over, by, under, one, two, 2, a pair of, "
    "next to, where, can be seen, featuring, some, there is, there are, is, are, it, its, s, from, "
    "to, into, through, above, below, behind, between, before, after, while, as, very, all, up, "
    "this, that, his, her, their, sky"
)
# What people write about pictures of any model. Captions never have it, and it means nothing here.
STYLES = _split(
    "concept art, digital art, digital painting, drawing, sketch, octane render, unreal engine, "
    "render, rendered, 3d, cgi, detailed, ultra detailed, intricate, sharp focus, sharp, high "
    "quality, high resolution, hdr, uhd, resolution, volumetric light, volumetric lighting, light, "
    "lighting, lights, bokeh, depth of field, wide angle, aerial view, drone shot, close shot, "
    "tracking shot, shot, camera, scene, view, picture, image, photo, photograph, film, movie, "
    "video, clip, background, landscape, atmosphere, atmospheric, mood, moody, colors, colours, "
    "colourful, perfect, composition, rule of thirds, by greg rutkowski, pixar, ghibli, studio "
    "ghibli, disney, poster, painting, picturesque, scenic, breathtaking, wonderful, nice, pretty"
)


def spoken() -> list[str]:
    """Return every phrase that captions are made of, and the plurals."""
    tables = (TIMES_SAID, PLACES_SAID, WEATHERS_SAID, PALETTES_SAID, SIDES_SAID)
    subjects = [word for name in SUBJECTS for word in subject_words(name)]
    return [
        *(phrase for said in tables for phrases in said.values() for phrase in phrases),
        *(*subjects, *map(plural_of, subjects)),
        *(phrase for said in (NEAR_SAID, DISCS_SAID) for some in said.values() for phrase in some),
    ]


def subject_words(name: str) -> tuple[str, ...]:
    """Return a subject's name and its synonyms, in the singular."""
    return (name, *SUBJECTS[name].synonyms)
