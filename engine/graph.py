"""A film is a build graph: recipe → keyframes → segments → film.

Each node is named by a hash of everything that determines its content, so that rendering means
computing the nodes that the store lacks. Pure: no files, no clock, no torch.
"""

import hashlib
import itertools
from typing import Literal

import msgspec

from engine.recipe import Format, Recipe, Retake, Scene, Scheduler, Value

NOISE_SECONDS = 8.0  # time in which the noise walks a quarter of a great circle, seed to seed + 1
TRANSITION = 1.0  # share of the shorter neighbour that a morph between two scenes takes
ENCODING = 1  # raise when the way frames are encoded changes


class Weighted(msgspec.Struct, frozen=True, array_like=True):
    """Two ingredients and a position between them: 0 is ``first``, 1 would be ``second``."""

    first: str | int
    second: str | int
    position: float


class KeyframeNode(Value, frozen=True, kw_only=True, tag="keyframe", tag_field="node"):
    """A picture that Stable Diffusion paints.

    Attributes:
        model: identity of the weights, hash included.
        prompt: two prompts and the position between their embeddings.
        noise: two seeds and the position on the great circle between their noises.
        drift: how far the ground has moved past, in picture widths.
    """

    model: str
    prompt: Weighted
    negative_prompt: str
    noise: Weighted
    drift: float = 0.0
    width: int
    height: int
    num_inference_steps: int
    guidance_scale: float
    scheduler: Scheduler

    @property
    def name(self) -> str:
        """Content address of the picture."""
        return address(self)


class SegmentNode(Value, frozen=True, kw_only=True, tag="segment", tag_field="node"):
    """The encoded frames from one keyframe up to, not including, the next.

    Attributes:
        first: name of the keyframe that is the first frame.
        second: name of the keyframe that follows.
        frames: frames from ``first`` to before ``second``; the in-betweens stand at ``k / frames``.
        closing: whether ``second`` itself is appended, as at the end of the film.
        interpolator: identity of the network that draws the in-betweens.
    """

    first: str
    second: str
    frames: int
    closing: bool
    fps: int
    interpolator: str
    encoding: int = ENCODING

    @property
    def name(self) -> str:
        """Content address of the encoded segment."""
        return address(self)

    @property
    def positions(self) -> tuple[float, ...]:
        """Positions of the in-betweens, strictly between 0 and 1, ascending."""
        return tuple(step / self.frames for step in range(1, self.frames))

    @property
    def length(self) -> int:
        """Number of frames in the encoded segment."""
        return self.frames + self.closing


class FilmNode(Value, frozen=True, kw_only=True, tag="film", tag_field="node"):
    """The finished file: all segments joined, with the recipe in its metadata."""

    segments: tuple[str, ...]
    recipe: Recipe
    encoding: int = ENCODING

    @property
    def name(self) -> str:
        """Content address of the film."""
        return address(self)

    @property
    def format(self) -> Format:
        """File format of the film."""
        return self.recipe.format


Node = KeyframeNode | SegmentNode | FilmNode


class Plan(msgspec.Struct, frozen=True):
    """All nodes of a film; segment ``i`` lies between keyframes ``i`` and ``i + 1``."""

    keyframes: tuple[KeyframeNode, ...]
    segments: tuple[SegmentNode, ...]
    film: FilmNode

    @property
    def order(self) -> tuple[tuple[Literal["keyframe", "segment", "film"], int, Node], ...]:
        """Nodes in the order of work: a segment as soon as both of its keyframes are there."""
        work: list[tuple[Literal["keyframe", "segment", "film"], int, Node]] = []
        for index, keyframe in enumerate(self.keyframes):
            work.append(("keyframe", index, keyframe))
            if 0 < index <= len(self.segments):
                work.append(("segment", index - 1, self.segments[index - 1]))
        if len(self.keyframes) == 1:
            work.append(("segment", 0, self.segments[0]))
        return (*work, ("film", 0, self.film))

    @property
    def names(self) -> tuple[str, ...]:
        """Content addresses of all nodes."""
        return tuple(node.name for _, _, node in self.order)


def address(node: Node) -> str:
    """Return the SHA-256 (64 hex digits) of the node's canonical JSON."""
    return hashlib.sha256(msgspec.json.encode(node, order="deterministic")).hexdigest()


def plan(recipe: Recipe, *, model: str, interpolator: str) -> Plan:
    """Lay out the graph of a film.

    Args:
        recipe: a checked recipe.
        model: identity of the diffusion model's weights.
        interpolator: identity of the interpolation network.
    """
    times = keyframe_frames(recipe)
    takes = recipe.takes
    keyframes = tuple(_keyframe(recipe, frame, model, takes) for frame in times)
    segments = _segments(recipe, times, keyframes, interpolator)
    film = FilmNode(segments=tuple(segment.name for segment in segments), recipe=recipe)
    return Plan(keyframes, segments, film)


def keyframe_frames(recipe: Recipe) -> list[int]:
    """Return the frame numbers at which keyframes stand, first and last frame included."""
    starts = zip(_starts(recipe.scenes), recipe.motions, strict=True)
    firsts = {0} | {round(start * recipe.fps) for start, motion in starts if motion == "cut"}
    cuts = sorted(first for first in firsts if first < recipe.frames)
    ends = [*cuts[1:], recipe.frames]
    pieces = (_every(a, b, recipe.interpolation_factor) for a, b in zip(cuts, ends, strict=True))
    return [frame for piece in pieces for frame in piece]


def prompt_at(recipe: Recipe, seconds: float) -> Weighted:
    """Return the mix of prompts at a time; within a scene's own part it is that scene's alone."""
    starts = _starts(recipe.scenes)
    index = max(i for i, start in enumerate(starts) if start <= seconds + 1e-9)
    for boundary in (index, index + 1):
        position = _crossing(recipe, starts, boundary, seconds)
        if 0 < position < 1:
            before, after = recipe.scenes[boundary - 1], recipe.scenes[boundary]
            if before.prompt != after.prompt:
                return Weighted(before.prompt, after.prompt, position)
    prompt = recipe.scenes[index].prompt
    return Weighted(prompt, prompt, 0.0)


def noise_at(recipe: Recipe, seconds: float) -> Weighted:
    """Return the seeds and the position between them: one endless walk from seed to seed."""
    legs, position = divmod(round(seconds / NOISE_SECONDS, 6), 1)
    seed = recipe.seed + int(legs)
    if position == 0:
        return Weighted(seed % 2**32, seed % 2**32, 0.0)
    return Weighted(seed % 2**32, (seed + 1) % 2**32, round(position, 6))


def _keyframe(recipe: Recipe, frame: int, model: str, takes: dict[float, Retake]) -> KeyframeNode:
    seconds = frame / recipe.fps
    prompt, noise = prompt_at(recipe, seconds), noise_at(recipe, seconds)
    if take := takes.get(round(seconds, 6)):
        if take.prompt is not msgspec.UNSET:
            prompt = Weighted(take.prompt, take.prompt, 0.0)
        if take.seed is not msgspec.UNSET:
            noise = Weighted(take.seed, take.seed, 0.0)
    return KeyframeNode(
        model=model,
        prompt=prompt,
        negative_prompt=recipe.negative_prompt,
        noise=noise,
        drift=round(recipe.drift * seconds, 6),
        width=recipe.width,
        height=recipe.height,
        num_inference_steps=recipe.num_inference_steps,
        guidance_scale=recipe.guidance_scale,
        scheduler=recipe.scheduler,
    )


def _segments(
    recipe: Recipe, times: list[int], keyframes: tuple[KeyframeNode, ...], interpolator: str
) -> tuple[SegmentNode, ...]:
    """Return the segments; a film of one frame is one segment that holds only its keyframe."""
    gaps = [(b - a, i, i + 1) for i, (a, b) in enumerate(itertools.pairwise(times))]
    return tuple(
        SegmentNode(
            first=keyframes[first].name,
            second=keyframes[second].name,
            frames=frames,
            closing=len(times) > 1 and second == len(times) - 1,
            fps=recipe.fps,
            interpolator=interpolator,
        )
        for frames, first, second in gaps or [(1, 0, 0)]
    )


def _every(start: int, end: int, step: int) -> list[int]:
    """Return ``start``, every ``step``-th frame after it, and the last one before ``end``."""
    return sorted({*range(start, end, step), end - 1})


def _starts(scenes: tuple[Scene, ...]) -> list[float]:
    total, starts = 0.0, []
    for scene in scenes:
        starts.append(total)
        total += scene.seconds
    return starts


def _crossing(recipe: Recipe, starts: list[float], boundary: int, seconds: float) -> float:
    """Return how far the morph at ``boundary`` has come, in [0, 1]; pictures ease themselves."""
    scenes = recipe.scenes
    if not 0 < boundary < len(scenes) or recipe.motions[boundary] == "cut":
        return 0.0
    half = TRANSITION * min(scenes[boundary - 1].seconds, scenes[boundary].seconds) / 2
    linear = min(1.0, max(0.0, (seconds - starts[boundary] + half) / (2 * half)))
    return round(linear, 6)
