"""The plan of a film: which nodes it has, what can be made now, and how it grows.

An even film's plan is known at once. Elsewhere keyframes are added where neighbours turn out to
differ most, so the plan asks for distances while it is carried out; the same answers give the same
plan, in whatever order they come. What it holds is only ever added to: an index, once given, stays.
Pure: no files, no pixels.
"""

import itertools
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

import msgspec

from engine.errors import BlankError
from engine.film import graph, keyframe_chain, timeline
from engine.film.camera import Move
from engine.film.graph import Bridge, EnlargedNode, FilmNode, KeyframeNode, SegmentNode
from engine.film.keyframe_chain import CameraChain, Pin
from engine.film.recipe import Recipe
from engine.film.stages import ENLARGED, KEYFRAME, SEGMENT, STAGES, Node, Stage
from engine.film.timeline import Stretch
from engine.film.vocabulary import Vocabulary, completed


class MakeStep(msgspec.Struct, frozen=True):
    """Piece ``index`` of a stage is needed.

    The answer is 1 if it is a keyframe that came out blank, else 0.
    """

    stage: Stage
    index: int
    node: Node


class MeasureStep(msgspec.Struct, frozen=True):
    """The distance of two keyframes is needed; it is the answer.

    ``ends``: the gap, by index; ``first`` and ``second``: what is seen there, by name.
    """

    ends: tuple[int, int]
    first: str
    second: str


Step = MakeStep | MeasureStep


class Size(NamedTuple):
    """How much of a plan is known."""

    keyframes: int = 0
    segments: int = 0
    gaps: int = 0


class GrowingStretch:
    """A stretch, the keyframes in it by index, in order of time, and what is known of them."""

    def __init__(self, stretch: Stretch, run: int, keyframes: list[int]) -> None:
        self.stretch, self.run, self.keyframes = stretch, run, keyframes
        self.grown = stretch.even
        self.connected = False
        self.distances: dict[tuple[int, int], float] = {}

    @property
    def ahead(self) -> int:
        """Number of keyframes that may still be added."""
        return 0 if self.grown else self.stretch.gaps + 1 - len(self.keyframes)

    @property
    def pairs(self) -> list[tuple[int, int]]:
        """Neighbours, by index."""
        return list(itertools.pairwise(self.keyframes))


class VisibleKeyframes:
    """Which keyframe is seen in one's place: itself, unless it came out blank.

    Then it is the last one before it that did not, else the first after it, and across a cut only
    if there is no other.
    """

    def __init__(self, parts: Sequence[GrowingStretch], usable: Mapping[int, bool]) -> None:
        """Look at a film's stretches, in order, and at its painted keyframes, as they grow."""
        self._parts, self._usable = parts, usable

    def of(self, index: int) -> int | None:
        """Return what is seen in the film; None while that is not known yet.

        Raises:
            BlankError: no keyframe of the film can be used.
        """
        return self._nearest(index, self._around(index))

    def while_growing(self, index: int, part: GrowingStretch) -> int:
        """Return what is seen as far as a stretch has grown; 0 where everything is blank."""
        earlier = self._parts[: self._parts.index(part) + 1]
        sight = [i for other in earlier if other.run == part.run for i in other.keyframes]
        return self._nearest(index, sight) or 0

    def _around(self, index: int) -> list[int]:
        """Return the keyframes around one that no cut lies between, or all if none is usable."""
        if self._usable.get(index):
            return [index]
        everything = [i for part in self._parts for i in part.keyframes]
        run = next(part.run for part in self._parts if index in part.keyframes)
        around = [i for part in self._parts if part.run == run for i in part.keyframes]
        unknown = len(self._usable) < len({*everything})
        if unknown or any(self._usable[i] for i in around):
            return around
        if not any(self._usable.values()):
            raise BlankError(len(self._usable))
        return everything

    def _nearest(self, index: int, sight: list[int]) -> int | None:
        """Return the nearest usable keyframe in sight, earlier ones first; None: not known yet."""
        place = sight.index(index)
        for other in (*sight[place::-1], *sight[place + 1 :]):
            if other not in self._usable:
                return None
            if self._usable[other]:
                return other
        return None


class Plan:
    """All nodes of a film that are known so far, and which of them are there.

    Attributes:
        keyframes: in order of their creation.
        times: seconds at which each stands on the walk from prompt to prompt; later ones are
            later in the film, though not at that very second where frames are shared out.
        segments: in order of time.
        ends: the two keyframes of each segment, by index.
        gaps: distances that were measured: two keyframes by index, and how much they differ.
        batch: keyframes that are painted at once where they do not depend on one another.
        prompts: what is painted in each scene, where the model has a vocabulary; else none.
    """

    def __init__(
        self,
        recipe: Recipe,
        *,
        model: str,
        interpolator: str,
        upscaler: str = "",
        batch: int = 1,
        vocabulary: Vocabulary | None = None,
        weighted: bool = False,
    ) -> None:
        """Take a recipe and the identities of what makes its pieces.

        ``vocabulary``: of the model, if it has one; ``weighted``: whether it reads weights in
        prompts; ``batch``: how many keyframes it paints at once.
        """
        self.recipe, self._model, self._interpolator = recipe, model, interpolator
        self._upscaler, self.batch, self._weighted = upscaler, batch, weighted
        self._painted = completed(recipe, vocabulary)
        self.prompts = tuple(scene.prompt for scene in self._painted.scenes if vocabulary)
        self.keyframes: list[KeyframeNode] = []
        self.times: list[float] = []
        self.segments: list[SegmentNode] = []
        self.ends: list[tuple[int, int]] = []
        self.gaps: list[tuple[int, int, float]] = []
        self._usable: dict[int, bool] = {}  # painted keyframes
        self._undrawn: list[int] = []
        self._made: set[tuple[str, int]] = set()  # other pieces: their stage's name and index
        self._index: dict[str, int] = {}  # of keyframes, by name
        self._chains: dict[int, CameraChain] = {}  # by the scene whose camera moves
        self._pins = keyframe_chain.pins(recipe)
        self._parts: list[GrowingStretch] = []
        self._sight = VisibleKeyframes(self._parts, self._usable)
        self._lay_out()
        self._advance()

    @property
    def size(self) -> Size:
        """How much of the plan is known."""
        return Size(len(self.keyframes), len(self.segments), len(self.gaps))

    @property
    def film(self) -> FilmNode:
        """The film, once nothing is left to be done."""
        music = graph.soundtrack(self.recipe).name if self.recipe.has_music else msgspec.UNSET
        segments = tuple(node.name for node in self.segments)
        return FilmNode(segments=segments, soundtrack=music, recipe=self.recipe)

    def enlarged(self, keyframe: KeyframeNode) -> EnlargedNode:
        """Return a keyframe as the film shows it, where it is enlarged."""
        return EnlargedNode(
            keyframe=keyframe.name, upscaler=self._upscaler, factor=self.recipe.enlargement
        )

    @property
    def names(self) -> tuple[str, ...]:
        """Names of all nodes that are known, and of the pictures that the user uploaded."""
        nodes = (node.name for stage in self.stages for node in self.nodes(stage))
        return (*nodes, *self.recipe.start_images)

    def nodes(self, stage: Stage) -> Sequence[Node]:
        """Return the nodes of a stage that are known, by index."""
        laid_out: dict[str, Sequence[Node]]
        laid_out = {KEYFRAME.name: self.keyframes, SEGMENT.name: self.segments}
        return laid_out.get(stage.name) or [step.node for step in self._hanging(stage)]

    def more(self, stage: Stage) -> int:
        """Return the number of pieces of a stage that may still be added."""
        return {"keyframe": self.more_keyframes, "segment": self.more_segments}.get(stage.of, 0)

    @property
    def stages(self) -> tuple[Stage, ...]:
        """The stages that the film has, in order."""
        return tuple(stage for stage in STAGES.values() if stage.wanted(self.recipe))

    @property
    def more_keyframes(self) -> int:
        """Number of keyframes that may still be added."""
        return sum(part.ahead for part in self._parts)

    @property
    def more_segments(self) -> int:
        """Number of segments that may still be added."""
        waiting = [part for part in self._parts if not part.connected]
        lone = len(self.keyframes) == 1 and bool(waiting)
        bridges = sum(part.stretch.after > 0 for part in waiting)
        return sum(part.ahead + len(part.pairs) for part in waiting) + bridges + lone

    def ready(self) -> Iterator[Step]:
        """Yield what can be done now, what matters most first; nothing is left at the end.

        Raises:
            BlankError: no keyframe of the film can be used.
        """
        yield from self._ready_segments()
        growing = next((part for part in self._parts if not part.grown), None)
        if growing and all(index in self._usable for index in growing.keyframes):
            for pair in growing.pairs:
                if pair not in growing.distances:
                    yield MeasureStep(pair, *(self._names(pair, growing)))
        hanging = [*self._missing()]
        yield from (step for step in hanging if self._has(step.stage, step.index))
        for part in self._parts:
            for index in part.keyframes:
                if index not in self._usable and self._has_sources(self.keyframes[index]):
                    yield MakeStep(KEYFRAME, index, self.keyframes[index])
        if self._is_complete and not hanging:
            yield from self._ready_film()

    def _ready_segments(self) -> Iterator[MakeStep]:
        """Yield the segments whose pictures are there."""
        shown = self._shown
        for index in self._undrawn:
            there = all(end in self._usable for end in self.ends[index])
            seen = self._both(self.ends[index]) if there else None
            if seen and shown.issuperset(seen):
                yield MakeStep(SEGMENT, index, self._between(self.segments[index], *seen))

    @property
    def _shown(self) -> set[int]:
        """The keyframes, by index, that are as large as the film shows them."""
        if not ENLARGED.wanted(self.recipe):
            return {*self._usable}
        return {index for stage, index in self._made if stage == ENLARGED.name}

    def _between(self, segment: SegmentNode, *ends: int) -> SegmentNode:
        """Return a segment as it is between two keyframes, by index."""
        first, second = (self.keyframes[index] for index in ends)
        segment = msgspec.structs.replace(segment, first=first.name, second=second.name)
        if not ENLARGED.wanted(self.recipe):
            return segment
        enlarged = self.enlarged(first).name, self.enlarged(second).name
        return msgspec.structs.replace(segment, enlarged=enlarged)

    def _has_sources(self, node: KeyframeNode) -> bool:
        """Tell whether the keyframes that one is made of are painted."""
        indexes = (self._index.get(name) for name in node.inputs)
        return all(index is None or index in self._usable for index in indexes)

    def _missing(self) -> Iterator[MakeStep]:
        """Yield the pieces of keyframes and segments that are still to be made."""
        for stage in self.stages:
            for step in self._hanging(stage) if stage.of != "film" else ():
                if (stage.name, step.index) not in self._made:
                    yield step

    def _ready_film(self) -> Iterator[MakeStep]:
        """Yield the next piece of the film, whose stages come one after the other.

        Their nodes name every segment, so they are made only at the end: this is asked after each
        step.
        """
        missing = (stage for stage in self.stages if (stage.name, 0) not in self._made)
        film = next((stage for stage in missing if stage.of == "film"), None)
        if film:
            yield from self._hanging(film)

    def _hanging(self, stage: Stage) -> Iterator[MakeStep]:
        """Yield all pieces of a stage that this plan does not lay out itself."""
        if stage.node is None:
            return
        parents: dict[str, Sequence[Plan | Node]]
        parents = {"keyframe": self.keyframes, "segment": self.segments, "film": [self]}
        for index, parent in enumerate(parents[stage.of]):
            yield MakeStep(stage, index, stage.node(self, parent))

    def _has(self, stage: Stage, index: int) -> bool:
        """Tell whether the keyframe or segment is finished that a piece hangs on."""
        return index in self._usable if stage.of == "keyframe" else index not in self._undrawn

    @property
    def _is_complete(self) -> bool:
        """Whether every keyframe and every segment is there, and no more will be planned."""
        connected = all(part.connected for part in self._parts)
        return connected and not self._undrawn and len(self._usable) == len(self.keyframes)

    def take(self, step: Step, answer: float = 0.0) -> None:
        """Note that a step is done, and grow if that was what growing waited for."""
        match step:
            case MakeStep(stage=stage, index=index) if stage == KEYFRAME:
                self._usable[index] = not answer
            case MeasureStep(ends=ends):
                part = next(part for part in self._parts if ends in part.pairs)
                part.distances[ends] = round(answer, 4)
            case MakeStep(stage=stage, index=index, node=SegmentNode() as node) if stage == SEGMENT:
                self.segments[index] = node
                self._undrawn.remove(index)
            case MakeStep(stage=stage, index=index):
                self._made.add((stage.name, index))
        self._advance()

    def _lay_out(self) -> None:
        """Create the keyframes that stand whatever the pictures look like."""
        run, shared = 0, -1
        for stretch in timeline.stretches(self.recipe):
            times = self._times(stretch)
            first = shared if shared >= 0 else self._add(times[0])
            if stretch.scene >= 0:
                self._begin_chain(stretch.scene, first)
            indexes = [first, *(self._add(time, stretch.scene) for time in times[1:-1])]
            if len(times) > 1:
                comes_round = stretch.last == self.recipe.frames
                indexes.append(0 if comes_round else self._add(times[-1], stretch.scene))
            if stretch.scene >= 0:
                self._pin(stretch.scene, indexes[-1])
            self._parts.append(GrowingStretch(stretch, run, indexes))
            shared = -1 if stretch.after else indexes[-1]
            run += stretch.after > 0

    def _times(self, stretch: Stretch) -> list[float]:
        """Return the times of a stretch's first keyframes, ends included."""
        fps = self.recipe.fps
        if stretch.even:
            return [frame / fps for frame in stretch.beats()]
        grid = stretch.grid(fps)
        if self.recipe.keyframes is msgspec.UNSET:
            return grid
        given = sorted(time for time in self.recipe.keyframes if grid[0] < time < grid[-1])
        return [grid[0], *given[: stretch.gaps - 1], grid[-1]]

    def _add(self, seconds: float, scene: int = -1) -> int:
        node = graph.keyframe(
            self._painted,
            seconds,
            self._model,
            self.batch,
            *self.keyframes[:1],
            weighted=self._weighted,
        )
        if scene >= 0:
            node = self._chains[scene].add(node, seconds)
        else:
            node = keyframe_chain.pinned(node, round(seconds, 6), self._pins)
        self._index.setdefault(node.name, len(self.keyframes))
        self.keyframes.append(node)
        self.times.append(round(seconds, 6))
        return len(self.keyframes) - 1

    def _begin_chain(self, scene: int, first: int) -> None:
        node, seconds = self.keyframes[first], self.times[first]
        self._chains[scene] = CameraChain(self.recipe, scene, node, seconds)

    def _pin(self, scene: int, last: int) -> None:
        """Have the scene after a camera's leave the picture that the camera has come to."""
        following = self.recipe.scenes[scene + 1 : scene + 2]
        if last and following and self.recipe.motions[scene + 1] == "morph":
            pin = Pin(
                seconds=self.times[last],
                source=self.keyframes[last].name,
                strength=keyframe_chain.LEAVING,
                before=0.0,
                after=following[0].seconds,
            )
            self._pins.append(pin)

    def _advance(self) -> None:
        """Grow the first stretch that is not grown as far as what is known goes."""
        for part in self._parts:
            while not part.grown and not self._unknown(part):
                self._halve(part)
            if not part.grown:
                return
            if not part.connected:
                self._connect(part)

    def _unknown(self, part: GrowingStretch) -> bool:
        """Tell whether growing needs more answers; equal pictures are measured at once."""
        if not all(index in self._usable for index in part.keyframes):
            return True
        for pair in part.pairs:
            if pair not in part.distances:
                first, second = self._names(pair, part)
                if first == second:
                    part.distances[pair] = 0.0
        return any(pair not in part.distances for pair in part.pairs)

    def _halve(self, part: GrowingStretch) -> None:
        """Add keyframes in the middle of the widest gaps, if there is a budget for them."""
        known = {gap[:2] for gap in self.gaps}
        new = (pair for pair in part.pairs if pair not in known)
        self.gaps += ((*pair, part.distances[pair]) for pair in new)
        distances = [part.distances[pair] for pair in part.pairs]
        fixed = self.recipe.keyframes is not msgspec.UNSET
        room = 0 if fixed else part.ahead
        times = self._clock(part)
        gaps = timeline.widest(times, distances, part.stretch, self.recipe.fps)[:room]
        part.grown = not gaps
        for gap in sorted(gaps, reverse=True):  # from the end, so that places stay
            middle = self._add(round((times[gap] + times[gap + 1]) / 2, 6))
            part.keyframes.insert(gap + 1, middle)

    def _clock(self, part: GrowingStretch) -> list[float]:
        """Return the times of a stretch's keyframes; the last of all may be the first again."""
        times = [self.times[index] for index in part.keyframes]
        return [*times[:-1], max(times[-1], part.stretch.last / self.recipe.fps)]

    def _connect(self, part: GrowingStretch) -> None:
        """Create the segments of a stretch, and the one that leads to the next."""
        stretch = part.stretch
        bridges: list[Bridge] = ["flow"] * len(part.pairs)
        if stretch.even:
            lengths = [b - a for a, b in itertools.pairwise(stretch.beats())]
        else:
            distances = [part.distances[pair] for pair in part.pairs]
            lengths = timeline.shared(self._clock(part), distances, stretch.last - stretch.first)
            bridges = ["fade" if gap > timeline.TOO_WIDE else "flow" for gap in distances]
        for pair, frames, bridge in zip(part.pairs, lengths, bridges, strict=True):
            self._add_segment(pair, frames, bridge, stretch.scene)
        part.connected = True
        following = self._parts.index(part) + 1
        if stretch.after:
            pair = part.keyframes[-1], self._parts[following % len(self._parts)].keyframes[0]
            self._add_segment(pair, stretch.after, "fade" if stretch.after > 1 else "cut")
        elif following == len(self._parts) and not self.segments:  # a film of one frame
            self._add_segment((0, 0), 1, "flow")

    def _add_segment(
        self, pair: tuple[int, int], frames: int, bridge: Bridge, scene: int = -1
    ) -> None:
        at_end = pair[1] == self._parts[-1].keyframes[-1] and not self.recipe.comes_round
        move, places = self._moves(pair, frames, scene) if scene >= 0 else (None, ())
        node = SegmentNode(
            first="",
            second="",
            frames=frames,
            closing=at_end and pair[0] != pair[1],
            bridge="hold" if self.recipe.animatic else bridge,
            move=move,
            places=places,
            fps=self.recipe.fps,
            interpolator=self._interpolator,
        )
        self._undrawn.append(len(self.segments))
        self.segments.append(self._between(node, *pair))
        self.ends.append(pair)

    def _moves(
        self, pair: tuple[int, int], frames: int, scene: int
    ) -> tuple[Move | None, tuple[float, ...]]:
        """Return how a scene's camera moves between two keyframes, and how far by each frame."""
        camera, first = self._chains[scene], self.times[pair[0]]
        before, after = (camera.pose(time) for time in (first, first + frames / self.recipe.fps))
        return Move(before=before, after=after), camera.places(first, frames)

    def _both(self, pair: tuple[int, int]) -> tuple[int, int] | None:
        """Return the keyframes that are seen at both ends of a segment; None: not known yet."""
        first, second = (self._sight.of(index) for index in pair)
        return None if first is None or second is None else (first, second)

    def _names(self, pair: tuple[int, int], part: GrowingStretch) -> list[str]:
        """Return the names of what is seen at both ends of a gap of a stretch that grows."""
        return [self.keyframes[self._sight.while_growing(index, part)].name for index in pair]


def grown(plan: Plan, distances: Mapping[tuple[str, str], float]) -> Plan:
    """Carry a plan out as far as known distances, by the names of keyframes, make it grow."""
    while step := next(plan.ready(), None):
        if isinstance(step, MeasureStep):
            if (step.first, step.second) not in distances:
                break
            plan.take(step, distances[step.first, step.second])
        else:
            plan.take(step)
    return plan


def most_keyframes(recipe: Recipe) -> int:
    """Return how many keyframes a film has at most."""
    plan = Plan(recipe, model="", interpolator="")
    return len(plan.keyframes) + plan.more_keyframes
