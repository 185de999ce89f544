"""Says how smooth a film is, in plain words with the numbers. Pure."""

from collections.abc import Sequence

from engine.film.events import Finished, Logged
from engine.film.scores import Scores

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
