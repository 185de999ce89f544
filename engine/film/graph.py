"""A film is a build graph: recipe → keyframes (→ enlarged) → segments (+ soundtrack) → film.

Each node is named by a hash of everything that determines its content, so that rendering means
computing the nodes that the store lacks. Which nodes a film has is ``engine.film.plan``'s business.
Pure: no files, no clock, no torch.
"""

import hashlib
import itertools
from typing import Literal

import msgspec

from engine.film import timeline
from engine.film.camera import Move
from engine.film.prompt_weights import is_plain
from engine.film.recipe import Format, Recipe, Scheduler, Value

NOISE_SECONDS = 8.0  # time in which the noise walks a quarter of a great circle, seed to seed + 1
TRANSITION = 1.0  # share of the shorter neighbour that a morph between two scenes takes
Bridge = Literal["flow", "fade", "cut", "hold"]
BATCHES = (1, 2, 4, 8)  # keyframes at once; the last row of an odd number may round otherwise
ENCODING = 2  # raise when the way frames are encoded changes
COMPOSING = 1  # raise when the way music is composed or played changes
JUDGING = 1  # raise when the way a poster is chosen changes
WEIGHTING = 1  # raise when the way weights in prompts are read changes
REPAINTING = 2  # raise when the way a moved picture is painted over changes


class Blend(msgspec.Struct, frozen=True, array_like=True):
    """Two ingredients and a position between them: 0 is ``first``, 1 would be ``second``."""

    first: str | int
    second: str | int
    position: float


class LoopPhase(Value, frozen=True, kw_only=True):
    """Where the noise is on a way that ends where it began: a circle around a seed's noise.

    Attributes:
        radius: of the circle, of the sphere's 1; it is as long as a way that is not closed.
        share: of the way that lies behind it, in [0, 1].
        behind: the drift less that of the whole way, towards which the ground is led back.
    """

    radius: float
    share: float
    behind: float


class KeyframeNode(Value, frozen=True, kw_only=True, tag="keyframe", tag_field="node"):
    """A picture that Stable Diffusion paints.

    Attributes:
        model: identity of the weights, hash included.
        prompt: two prompts and the position between their embeddings.
        noise: two seeds and the position on the great circle between their noises.
        drift: how far the ground has moved past, in picture widths.
        turn: how the noise goes round, in a film that ends where it began.
        source: what it is painted over: a keyframe's name, or the SHA-256 of a picture that a
            client uploaded; "" begins from noise alone.
        warp: how the camera moved since ``source``.
        strength: share of the steps by which ``source`` is painted over; 1 leaves nothing of it.
        border: likewise, for what ``source`` does not show.
        anchor: name of the keyframe whose colours it keeps; "" keeps none.
        since: how the camera moved since ``anchor``.
        subject: name of the keyframe that it attends to while it is painted, so that a person in it
            stays recognisable; left out, it attends to none.
        repainting: the way it is painted over a moved picture; left out without one.
        batch: keyframes that are painted at once, others or repeats beside it, for that moves last
            bits; left out, it is painted alone.
        prompt_syntax: the way weights in its prompts are read; left out, they have none, or the
            model reads them as letters.
    """

    model: str
    prompt: Blend
    negative_prompt: str
    noise: Blend
    drift: float = 0.0
    turn: LoopPhase | None = None
    source: str = ""
    warp: Move | None = None
    strength: float = 1.0
    border: float = 1.0
    anchor: str = ""
    since: Move | None = None
    subject: str | msgspec.UnsetType = msgspec.UNSET  # no "": older names must stay as they are
    repainting: int | msgspec.UnsetType = msgspec.UNSET
    batch: int | msgspec.UnsetType = msgspec.UNSET  # no 1: older names must stay as they are
    prompt_syntax: int | msgspec.UnsetType = msgspec.UNSET
    width: int
    height: int
    num_inference_steps: int
    guidance_scale: float
    scheduler: Scheduler

    @property
    def name(self) -> str:
        """Content address of the picture."""
        return address(self)

    @property
    def inputs(self) -> tuple[str, ...]:
        """Names of the pictures that it is made of."""
        return tuple(name for name in (self.source, self.anchor, self.subject) if name)

    @property
    def rows(self) -> int:
        """Keyframes that are painted at once, this one and repeats included."""
        return self.batch or 1


class EnlargedNode(Value, frozen=True, kw_only=True, tag="enlarged", tag_field="node"):
    """A keyframe with more pixels.

    Attributes:
        keyframe: name of the one that is enlarged.
        upscaler: identity of the network that enlarges it.
        factor: how many times as long its sides become.
    """

    keyframe: str
    upscaler: str
    factor: int

    @property
    def name(self) -> str:
        """Content address of the picture."""
        return address(self)

    @property
    def inputs(self) -> tuple[str, ...]:
        """Name of the keyframe that it is made of."""
        return (self.keyframe,)


class SegmentNode(Value, frozen=True, kw_only=True, tag="segment", tag_field="node"):
    """The encoded frames from one keyframe up to, not including, the next.

    Attributes:
        first: name of the keyframe that is the first frame.
        second: name of the keyframe that follows.
        enlarged: names of both, enlarged: these are what the frames show, moved as the others are;
            left out, the frames are as large as painted.
        frames: frames from ``first`` to before ``second``; the in-betweens stand at ``k / frames``.
        closing: whether ``second`` itself is appended, as at the end of the film.
        bridge: ``flow`` moves the one into the other if they share enough, ``fade`` lays the one
            over the other, ``cut`` has nothing in between, ``hold`` repeats ``first``.
        move: how the camera moves from ``first`` to ``second``, where that is known.
        places: how far the camera has come at each in-between, in (0, 1), where it does not move
            evenly.
        interpolator: identity of the network that draws the in-betweens.
    """

    first: str
    second: str
    enlarged: tuple[str, str] | msgspec.UnsetType = msgspec.UNSET
    frames: int
    closing: bool
    bridge: Bridge = "flow"
    move: Move | None = None
    places: tuple[float, ...] = ()
    fps: int
    interpolator: str
    encoding: int = ENCODING

    @property
    def name(self) -> str:
        """Content address of the encoded segment."""
        return address(self)

    @property
    def inputs(self) -> tuple[str, ...]:
        """Names of the keyframes that it is made of."""
        return self.first, self.second, *(self.enlarged or ())

    @property
    def positions(self) -> tuple[float, ...]:
        """Positions of the in-betweens, strictly between 0 and 1, ascending."""
        return self.places or tuple(step / self.frames for step in range(1, self.frames))

    @property
    def length(self) -> int:
        """Number of frames in the encoded segment."""
        return self.frames + self.closing


class SoundtrackNode(Value, frozen=True, kw_only=True, tag="soundtrack", tag_field="node"):
    """The film's music, as a FLAC as long as the film.

    Attributes:
        scenes: prompt and seconds of each, as they are seen.
        loops: whether its end leads into its beginning.
        seed: picks one of many pieces.
        composing: the way it is composed and played.
    """

    scenes: tuple[tuple[str, float], ...]
    loops: bool
    seed: int
    composing: int = COMPOSING

    @property
    def name(self) -> str:
        """Content address of the soundtrack."""
        return address(self)

    @property
    def inputs(self) -> tuple[str, ...]:
        """Nothing: it is made of words and times."""
        return ()


class FilmNode(Value, frozen=True, kw_only=True, tag="film", tag_field="node"):
    """The finished file: all segments joined, with the recipe in its metadata.

    ``soundtrack``: name of what is heard; left out, nothing is.
    """

    segments: tuple[str, ...]
    soundtrack: str | msgspec.UnsetType = msgspec.UNSET
    recipe: Recipe
    encoding: int = ENCODING

    @property
    def name(self) -> str:
        """Content address of the film."""
        return address(self)

    @property
    def inputs(self) -> tuple[str, ...]:
        """Names of the segments and the soundtrack that it is made of."""
        return (*self.segments, self.soundtrack) if self.soundtrack else self.segments

    @property
    def format(self) -> Format:
        """File format of the film."""
        return self.recipe.format


class PosterNode(Value, frozen=True, kw_only=True, tag="poster", tag_field="node"):
    """The film's best still, as a PNG.

    Attributes:
        keyframes: names of those that are seen in the film, in order of time.
        enlarged: names of the same, enlarged, one of which becomes the poster; left out, a keyframe
            does.
        judging: the way the best one is chosen.
    """

    keyframes: tuple[str, ...]
    enlarged: tuple[str, ...] | msgspec.UnsetType = msgspec.UNSET
    judging: int = JUDGING

    @property
    def name(self) -> str:
        """Content address of the picture."""
        return address(self)

    @property
    def inputs(self) -> tuple[str, ...]:
        """Names of the pictures that it is chosen from."""
        return *self.keyframes, *(self.enlarged or ())


def address(node: Value) -> str:
    """Return the SHA-256 (64 hex digits) of the node's canonical JSON."""
    return hashlib.sha256(msgspec.json.encode(node, order="deterministic")).hexdigest()


def keyframe(
    recipe: Recipe,
    seconds: float,
    model: str,
    batch: int = 1,
    first: KeyframeNode | None = None,
    *,
    weighted: bool = False,
) -> KeyframeNode:
    """Return the keyframe at a time of the walk.

    Args:
        recipe: a checked recipe.
        seconds: from the film's beginning.
        model: identity of the diffusion model's weights.
        batch: keyframes that are painted at once. Retakes are not, as somebody waits for one
            picture, nor those that look at another one.
        first: the film's first keyframe, which others may look at; None for that one itself.
        weighted: whether the model reads weights in prompts.
    """
    walked = seconds - _origin(recipe, seconds)
    prompt, noise = prompt_at(recipe, seconds), noise_at(recipe, walked)
    turn = turn_at(recipe, walked, seconds)
    if turn:
        noise = Blend(recipe.seed, recipe.seed, 0.0)
    if take := recipe.takes.get(round(seconds, 6)):
        if take.prompt is not msgspec.UNSET:
            prompt = Blend(take.prompt, take.prompt, 0.0)
        if take.seed is not msgspec.UNSET:
            noise, turn = Blend(take.seed, take.seed, 0.0), None
    texts = str(prompt.first), str(prompt.second), recipe.negative_prompt
    made = KeyframeNode(
        model=model,
        prompt=prompt,
        prompt_syntax=msgspec.UNSET if not weighted or all(map(is_plain, texts)) else WEIGHTING,
        negative_prompt=recipe.negative_prompt,
        noise=noise,
        batch=msgspec.UNSET if batch == 1 or take or recipe.anchor_attention else batch,
        drift=round(recipe.drift * walked, 6),
        turn=turn,
        width=recipe.width,
        height=recipe.height,
        num_inference_steps=recipe.num_inference_steps,
        guidance_scale=recipe.guidance_scale,
        scheduler=recipe.scheduler,
    )
    if first is None or first == made or not recipe.anchor_attention:
        return made
    return msgspec.structs.replace(made, subject=first.name)


def soundtrack(recipe: Recipe) -> SoundtrackNode:
    """Return the soundtrack of a film; a scene begins with its first frame.

    Of a film that flows back, half of the first scene comes last, and so does its music.
    """
    begins, moods = timeline.starts(recipe), [scene.prompt for scene in recipe.scenes]
    prompts = [recipe.music_prompt or mood for mood in moods]
    if len(prompts) > 1 and (lead := timeline.lead(recipe)):
        begins, prompts = [*begins, recipe.seconds - lead], [*prompts, prompts[0]]
    frames = [*(round(begin * recipe.fps) for begin in begins), recipe.frames]
    lengths = [last - first for first, last in itertools.pairwise(frames)]
    scenes = zip(prompts, lengths, strict=True)
    return SoundtrackNode(
        scenes=tuple((prompt, length / recipe.fps) for prompt, length in scenes if length > 0),
        loops=recipe.comes_round,
        seed=recipe.seed if recipe.music_seed is msgspec.UNSET else recipe.music_seed,
    )


def prompt_at(recipe: Recipe, seconds: float) -> Blend:
    """Return the mix of prompts at a time; within a scene's own part it is that scene's alone.

    The end of a film that flows back is its beginning.
    """
    first, last = recipe.scenes[0].prompt, recipe.scenes[-1].prompt
    back = _back(recipe, seconds) if first != last else 0.0
    if back > 0:
        return Blend(last, first, back) if back < 1 else Blend(first, first, 0.0)
    starts = timeline.starts(recipe)
    index = max(i for i, start in enumerate(starts) if start <= seconds + 1e-9)
    for boundary in (index, index + 1):
        position = _crossing(recipe, starts, boundary, seconds)
        if 0 < position < 1:
            before, after = recipe.scenes[boundary - 1], recipe.scenes[boundary]
            if before.prompt != after.prompt:
                return Blend(before.prompt, after.prompt, position)
    prompt = recipe.scenes[index].prompt
    return Blend(prompt, prompt, 0.0)


def noise_at(recipe: Recipe, seconds: float) -> Blend:
    """Return the seeds and the position between them after so many seconds of walking.

    It is one endless walk from seed to seed.
    """
    legs, position = divmod(round(seconds / NOISE_SECONDS, 6), 1)
    seed = recipe.seed + int(legs)
    if position == 0:
        return Blend(seed % 2**32, seed % 2**32, 0.0)
    return Blend(seed % 2**32, (seed + 1) % 2**32, round(position, 6))


def turn_at(recipe: Recipe, walked: float, seconds: float) -> LoopPhase | None:
    """Return where a film that flows back is on its way round; None if it does not.

    Args:
        recipe: of the film.
        walked: seconds since the walk began.
        seconds: since the film began.
    """
    if not timeline.flows_back(recipe):
        return None
    whole = recipe.frames / recipe.fps
    span = whole - (seconds - walked)
    return LoopPhase(
        radius=round(min(1.0, whole / (4 * NOISE_SECONDS)), 6),
        share=round(walked / span, 6),
        behind=round(recipe.drift * (walked - span), 6),
    )


def _origin(recipe: Recipe, seconds: float) -> float:
    """Return the time at which the walk that is under way began."""
    if not recipe.shared_noise:
        return 0.0
    found = 0.0
    for start, motion in zip(timeline.starts(recipe), recipe.motions, strict=True):
        first = round(start * recipe.fps) / recipe.fps  # scenes begin with the nearest frame
        if motion != "morph" and first <= seconds + 1e-6:
            found = first
    return found


def _back(recipe: Recipe, seconds: float) -> float:
    """Return how far the morph from the last scene to the first has come, in [0, 1]."""
    if not timeline.flows_back(recipe):
        return 0.0
    half = TRANSITION * min(recipe.scenes[-1].seconds, recipe.scenes[0].seconds) / 2
    lead = timeline.lead(recipe)
    linear = (seconds - (recipe.seconds - lead) + half) / (half + min(half, lead))
    return round(min(1.0, max(0.0, linear)), 6)


def _crossing(recipe: Recipe, starts: list[float], boundary: int, seconds: float) -> float:
    """Return how far the morph at ``boundary`` has come, in [0, 1]; pictures ease themselves."""
    scenes = recipe.scenes
    if not 0 < boundary < len(scenes) or recipe.motions[boundary] != "morph":
        return 0.0
    half = TRANSITION * min(scenes[boundary - 1].seconds, scenes[boundary].seconds) / 2
    linear = min(1.0, max(0.0, (seconds - starts[boundary] + half) / (2 * half)))
    return round(linear, 6)
