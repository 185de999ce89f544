"""Finds the mood of a prompt by its words. It knows English words and no music.

Words that are not listed change nothing; a prompt without any listed word is neutral.
"""

import re
from collections import Counter
from dataclasses import dataclass

NEUTRAL_ENERGY = 0.4
# group → valence, energy and wonder that one of its words adds
GROUPS: dict[str, tuple[float, float, float]] = {
    "dawn": (0.4, -0.05, 0.2),
    "day": (0.4, 0.1, 0.0),
    "dusk": (-0.1, -0.1, 0.2),
    "night": (-0.4, -0.15, 0.3),
    "joy": (0.8, 0.3, 0.0),
    "calm": (0.2, -0.25, 0.1),
    "sad": (-0.7, -0.2, 0.0),
    "wild": (-0.5, 0.5, 0.0),
    "wet": (-0.35, -0.1, 0.1),
    "cold": (-0.1, -0.1, 0.5),
    "wonder": (0.2, 0.0, 0.8),
    "city": (-0.05, 0.25, 0.0),
    "high": (0.2, 0.1, 0.2),
    "sea": (0.15, 0.0, 0.1),
    "forest": (0.1, -0.05, 0.1),
    "dry": (-0.1, 0.05, 0.0),
    "fast": (0.1, 0.5, 0.0),
    "dread": (-0.9, 0.0, 0.1),
}
WORDS = {
    "dawn": "dawn sunrise morning daybreak sunlit",
    "day": "day noon midday sunny sun bright summer blue afternoon clear light warm",
    "dusk": "dusk sunset evening twilight golden amber",
    "night": "night midnight moon moonlit moonlight star stars starry dark nocturnal",
    "joy": "happy joyful cheerful playful festival carnival spring flower flowers bloom blossom "
    "colourful colorful party fun funny smiling dancing birthday balloons",
    "calm": "calm quiet peaceful serene still gentle soft tranquil lake meadow pond slow sleepy "
    "cozy cosy garden field fields hills river",
    "sad": "sad lonely melancholy abandoned ruin ruins grey gray autumn lost empty farewell faded",
    "wild": "storm stormy thunder lightning battle fire volcano fierce wild rough hurricane "
    "tornado explosion lava war raging",
    "wet": "rain rainy drizzle fog foggy mist misty cloudy overcast haze",
    "cold": "snow snowy winter ice icy frozen glacier frost arctic cold",
    "wonder": "space galaxy planet dream dreamy magic magical fairy aurora nebula crystal "
    "underwater surreal alien cosmic ethereal enchanted",
    "city": "city street neon traffic train car skyline cyberpunk town tokyo downtown bridge robot",
    "high": "mountain mountains peak peaks cliff cliffs canyon sky clouds valley",
    "sea": "sea ocean wave waves beach coast island harbour harbor lighthouse sail ship",
    "forest": "forest woods tree trees jungle pine birch waterfall",
    "dry": "desert dune dunes sand savanna steppe",
    "fast": "fast racing race running run flying rushing epic heroic chase energetic dynamic",
    "dread": "horror scary ghost ghosts dead grave haunted gloomy sinister nightmare skull",
}
GROUP_OF = {word: group for group, words in WORDS.items() for word in words.split()}


@dataclass(frozen=True)
class Mood:
    """How a scene feels.

    Attributes:
        valence: -1 is sad, 1 is glad.
        energy: 0 is at rest, 1 is wild.
        wonder: 0 is earthly, 1 is dreamlike.
        groups: what its words are about: names of ``GROUPS``, most frequent first.
    """

    valence: float = 0.0
    energy: float = NEUTRAL_ENERGY
    wonder: float = 0.0
    groups: tuple[str, ...] = ()


def mood_of(prompt: str) -> Mood:
    """Return the mood of a prompt; words count once."""
    words = dict.fromkeys(re.findall(r"[a-z]+", prompt.lower()))
    counts = Counter(GROUP_OF[word] for word in words if word in GROUP_OF)
    sums = [
        sum(GROUPS[group][axis] * times**0.5 for group, times in counts.items())
        for axis in range(3)
    ]
    return Mood(
        valence=max(-1.0, min(1.0, sums[0])),
        energy=max(0.05, min(1.0, NEUTRAL_ENERGY + sums[1])),
        wonder=max(0.0, min(1.0, sums[2])),
        groups=tuple(group for group, _ in counts.most_common()),
    )
