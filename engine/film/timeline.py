"""Where keyframes stand: on the beat, or where the picture changes.

A film falls into stretches, one after the other. Each has a budget of gaps; a stretch that is not
even spends it on the gap whose ends differ most, and shares its frames out by how much happens
in each gap. Pure arithmetic on times and distances; it knows no pictures.
"""

import itertools
import math
from collections.abc import Sequence

import msgspec

from engine.film.recipe import Recipe

LONGEST = 8.0  # seconds of a stretch, so that a film can be watched while it is made
FADE_SECONDS = 1.0  # of a cross-fade between scenes; a short scene gives half of itself at most
ALIKE = 0.004  # distance of neighbours below which another keyframe between them would be wasted
FINEST = 8  # no gap is made shorter than this share of an even one
CLOCK = 0.2  # share of a stretch's frames that go by the clock, so that a still scene lasts
TOO_WIDE = 0.25  # distance above which two neighbours share too little to be moved into each other


class Stretch(msgspec.Struct, frozen=True):
    """A part of the film with a keyframe at either end.

    Attributes:
        first: frame at which its first keyframe stands.
        last: frame at which its last one stands; the film's number of frames if it comes round.
        gaps: between its keyframes, at most.
        even: whether its keyframes stand at even distances, ``step`` frames.
        after: frames from its last keyframe to the next stretch's first, which may be the film's;
            0: they share it.
        scene: index of the scene whose camera moves in it; -1: none does.
    """

    first: int
    last: int
    gaps: int
    even: bool
    step: int
    after: int = 0
    scene: int = -1

    def beats(self) -> list[int]:
        """Return the frames of its keyframes, if it is even."""
        return sorted({*range(self.first, self.last, self.step), self.last})

    def grid(self, fps: int) -> list[float]:
        """Return the times in seconds, ends included, from which an uneven stretch grows."""
        count = max(math.ceil(self.gaps / 2), min(self.gaps, 2))
        span = self.last - self.first
        if not count:
            return [self.first / fps]
        return [round((self.first + span * i / count) / fps, 6) for i in range(count + 1)]


def stretches(recipe: Recipe) -> list[Stretch]:
    """Return the stretches of a film, in order."""
    runs, found = _runs(recipe), []
    for number, (first, last) in enumerate(runs):
        end = recipe.frames if recipe.comes_round else last
        after = (runs[number + 1][0] if number + 1 < len(runs) else end) - last
        anchors = [first, *_anchors(recipe, first, last), last]
        pairs = list(itertools.pairwise(anchors)) if last > first else [(first, last)]
        for a, b in pairs:
            found.append(_stretch(recipe, a, b, origin=first, after=after if b == last else 0))
    return found


def starts(recipe: Recipe) -> list[float]:
    """Return when each scene begins, in seconds."""
    begun = -lead(recipe)
    lengths = (scene.seconds for scene in recipe.scenes[:-1])
    return [0.0, *(begun + end for end in itertools.accumulate(lengths))]


def lead(recipe: Recipe) -> float:
    """Return the seconds of the first scene that are a film's last.

    A film that flows back begins in the middle of its first scene, where that is all there is to
    see: so the way back from the last scene's middle takes as long as any other.
    """
    first = recipe.scenes[0]
    still = first.camera is msgspec.UNSET  # else its path begins with the film
    return first.seconds / 2 if still and flows_back(recipe) else 0.0


def opening(recipe: Recipe, scene: int) -> int:
    """Return the frame at which a scene's first keyframe stands; a fade may put it off."""
    border = round(starts(recipe)[scene] * recipe.fps)
    later = (stretch.first for stretch in stretches(recipe) if stretch.first >= border)
    return next(later, border)


def widest(
    times: Sequence[float], distances: Sequence[float], stretch: Stretch, fps: int
) -> list[int]:
    """Return the gaps that most need a keyframe in their middle, the widest first.

    Those that are at least half as wide as the widest come together, as they can be painted at
    the same time; so do the two widest, so that a second device never waits for one keyframe.

    Args:
        times: of the keyframes, rising, in seconds.
        distances: of neighbours; one fewer.
        stretch: whose keyframes these are.
        fps: frames per second.
    """
    least = (stretch.last - stretch.first) / fps / max(1, stretch.gaps) / FINEST
    gaps = [
        (distance, -gap)
        for gap, distance in enumerate(distances)
        if distance > ALIKE and (times[gap + 1] - times[gap]) / 2 >= least
    ]
    gaps.sort(reverse=True)
    wide = sum(distance >= gaps[0][0] / 2 for distance, _ in gaps)
    return [-gap for _, gap in gaps[: max(2, wide)]]


def shared(times: Sequence[float], distances: Sequence[float], frames: int) -> list[int]:
    """Share frames out among gaps by how much happens in each; each gets one at least.

    Args:
        times: of the keyframes, rising, in seconds.
        distances: of neighbours, one fewer; more than ``TOO_WIDE`` counts as that.
        frames: of all gaps together, at least one for each.
    """
    lengths = [b - a for a, b in itertools.pairwise(times)]
    changes = [min(distance, TOO_WIDE) for distance in distances]
    clock = CLOCK if sum(changes) > 0 else 1.0
    weights = [
        clock * length / sum(lengths) + (1 - clock) * change / (sum(changes) or 1)
        for length, change in zip(lengths, changes, strict=True)
    ]
    ends = [frames * part for part in itertools.accumulate(weights)]
    marks = [0]
    for gap, end in enumerate(ends):
        to_come = len(ends) - gap - 1
        marks.append(min(frames - to_come, max(marks[-1] + 1, round(end))))
    marks[-1] = frames
    return [b - a for a, b in itertools.pairwise(marks)]


def _runs(recipe: Recipe) -> list[tuple[int, int]]:
    """Return the first and the last keyframe's frame of each part between cuts and fades."""
    begins, ends = [0], []
    for index, start in enumerate(starts(recipe)):
        border, motion = round(start * recipe.fps), recipe.motions[index]
        if index == 0 or motion == "morph" or not begins[-1] < border < recipe.frames:
            continue
        width = _fade(recipe, index - 1, index) if motion == "fade" else 1
        last = max(begins[-1], border - (width + 1) // 2)
        begins.append(min(recipe.frames - 1, max(border, last + width)))
        ends.append(last)
    if recipe.comes_round and not flows_back(recipe):
        ends.append(max(begins[-1], recipe.frames - _fade(recipe, -1, 0)))
    else:
        ends.append(recipe.frames if recipe.comes_round else recipe.frames - 1)
    return list(zip(begins, ends, strict=True))


def flows_back(recipe: Recipe) -> bool:
    """Tell whether a film's last scene melts into its first; where it cannot, it fades."""
    camera, image = recipe.scenes[-1].camera, recipe.scenes[0].start_image
    return recipe.comes_round and camera is msgspec.UNSET and image is msgspec.UNSET


def _fade(recipe: Recipe, before: int, after: int) -> int:
    """Return the frames of a fade between two scenes."""
    short = min(recipe.scenes[before].seconds, recipe.scenes[after].seconds)
    return max(1, round(min(FADE_SECONDS, short / 2) * recipe.fps))


def _anchors(recipe: Recipe, first: int, last: int) -> list[int]:
    """Return the frames inside a run that keep their place.

    They are the middles of its inner scenes, and where a camera or a picture begins or ends.
    """
    pins = {frame for frame in _pins(recipe) if first < frame < last}
    if _is_even(recipe):
        return sorted(pins)
    borders = *starts(recipe), recipe.seconds - lead(recipe)
    begins = [round(border * recipe.fps) for border in borders]
    scenes = [(a, b) for a, b in itertools.pairwise(begins) if a > first and b <= last]
    if scenes and not recipe.comes_round and scenes[-1][1] >= last:
        scenes.pop()
    middles = ((a + b) // 2 for a, b in scenes if not pins & {a, b})
    fixed = sorted({first, *middles, *pins, last})
    inner = []
    for a, b in itertools.pairwise(fixed):
        parts = max(1, math.ceil((b - a) / recipe.fps / LONGEST))
        inner += [a + (b - a) * part // parts for part in range(1, parts + 1)]
    moving = [_span(recipe, scene) for scene in _moving(recipe)]
    inner = [frame for frame in inner if not any(a < frame < b for a, b in moving)]
    return sorted({frame for frame in inner if first < frame < last})


def _pins(recipe: Recipe) -> set[int]:
    """Return the frames at which a camera begins or ends, or a user's picture stands."""
    ends = {frame for scene in _moving(recipe) for frame in _span(recipe, scene)}
    scenes = enumerate(recipe.scenes)
    images = [index for index, scene in scenes if scene.start_image is not msgspec.UNSET]
    return ends | {_span(recipe, scene)[0] for scene in images}


def _moving(recipe: Recipe) -> list[int]:
    """Return the indexes of the scenes whose camera moves."""
    return [i for i, scene in enumerate(recipe.scenes) if scene.camera is not msgspec.UNSET]


def _span(recipe: Recipe, scene: int) -> tuple[int, int]:
    """Return the frames at which a scene begins and at which the next one does."""
    start = starts(recipe)[scene]
    return round(start * recipe.fps), round((start + recipe.scenes[scene].seconds) * recipe.fps)


def _stretch(recipe: Recipe, first: int, last: int, *, origin: int, after: int) -> Stretch:
    """Return a stretch of a run that begins at ``origin``; budgets add up to even spacing's."""
    step, even = recipe.interpolation_factor, _is_even(recipe)
    if first == 0 and last == recipe.frames:  # it leaves its only keyframe and comes back to it
        step = min(step, (last + 1) // 2)
    gaps = math.ceil((last - origin) / step) - math.ceil((first - origin) / step)
    gaps = max(gaps, min(1, last - first))
    moving = (scene for scene in _moving(recipe) if _covers(_span(recipe, scene), first, last))
    scene = next(moving, -1)
    return Stretch(first, last, gaps, even or scene >= 0, step, after, scene)


def _covers(span: tuple[int, int], first: int, last: int) -> bool:
    return span[0] <= first < span[1] and last <= span[1]


def _is_even(recipe: Recipe) -> bool:
    return recipe.spacing == "even" or recipe.interpolation_factor == 1
