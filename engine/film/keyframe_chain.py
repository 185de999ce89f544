"""Keyframes that begin from a picture: a camera's, one made of the other, and those after a pin.

A pin is a picture at a time: what the user dropped onto a scene, or where a camera has come to. The
keyframes around it leave it smoothly, painted over it ever more strongly until nothing of it is
left. Pure: it turns nodes into nodes.
"""

from msgspec import UNSET, structs

from engine.film import camera, timeline
from engine.film.camera import Move, Pose
from engine.film.graph import REPAINTING, Blend, KeyframeNode
from engine.film.recipe import Camera, Recipe, Value

BORDER = 0.5  # least strength for what comes into view
CHANGE = 0.5  # least strength where the prompt changes from keyframe to keyframe
GAIN = 2.0  # strength for each picture width that the camera moves a picture's points by
MOST = 0.6  # strength that a move alone can ask for
SHARED = 0.25  # share of the picture that a keyframe has in common with its anchor, at least
LEAVING = 0.3  # strength just after a camera's end


class Pin(Value, frozen=True, kw_only=True):
    """A picture that keyframes around a time are painted over.

    Attributes:
        seconds: at which it stands.
        source: as in ``KeyframeNode``.
        strength: at that time.
        before: seconds before it from which on it is there.
        after: likewise, after it.
    """

    seconds: float
    source: str
    strength: float
    before: float
    after: float

    def strength_at(self, seconds: float) -> float:
        """Return how strongly the picture is painted over at a time; 1 leaves nothing of it."""
        apart = seconds - self.seconds
        reach = self.after if apart > 0 else self.before
        if apart and abs(apart) >= reach:
            return 1.0
        share = abs(apart) / reach if apart else 0.0
        return round(self.strength + (1 - self.strength) * share, 6)


def pins(recipe: Recipe) -> list[Pin]:
    """Return the pictures that the user dropped onto scenes."""
    found = []
    for index, scene in enumerate(recipe.scenes):
        if scene.start_image is not UNSET:
            melts = index > 0 and recipe.motions[index] == "morph"
            before = min(recipe.scenes[index - 1].seconds, scene.seconds) / 2 if melts else 0.0
            found.append(
                Pin(
                    seconds=round(timeline.opening(recipe, index) / recipe.fps, 6),
                    source=scene.start_image,
                    strength=scene.strength,
                    before=before,
                    after=scene.seconds,
                )
            )
    return found


def pinned(node: KeyframeNode, seconds: float, around: list[Pin]) -> KeyframeNode:
    """Return a keyframe painted over the pin that is strongest at its time, if there is one."""
    strength, pin = min(
        ((pin.strength_at(seconds), pin) for pin in around),
        key=lambda found: found[0],
        default=(1.0, None),
    )
    if pin is None or strength >= 1:
        return node
    return structs.replace(node, source=pin.source, strength=strength, border=strength, batch=UNSET)


class CameraChain:
    """The keyframes of one scene's camera so far."""

    def __init__(self, recipe: Recipe, scene: int, first: KeyframeNode, seconds: float) -> None:
        """Begin with a keyframe that there is.

        Args:
            recipe: of the film.
            scene: index of a scene that has a camera.
            first: the keyframe that its others follow from.
            seconds: of it.
        """
        path = recipe.scenes[scene].camera
        assert isinstance(path, Camera)
        self._recipe, self._scene, self._camera = recipe, scene, path
        self._aspect = recipe.height / recipe.width
        self._start = timeline.starts(recipe)[scene]
        self.nodes, self.poses = [first], [self.pose(seconds)]
        self._anchor = 0

    def add(self, node: KeyframeNode, seconds: float) -> KeyframeNode:
        """Return a keyframe of the walk, made of the one before it; the next continues from it."""
        before, pose = self.nodes[-1], self.pose(seconds)
        anchor = self._next_anchor(node.prompt, pose)
        move = Move(before=self.poses[-1], after=pose)
        strength = self._strength(move, changes=node.prompt != before.prompt)
        made = structs.replace(
            node,
            noise=self._noise(node, seconds),
            drift=0.0,
            source=before.name,
            warp=move,
            repainting=REPAINTING,
            strength=strength,
            border=max(strength, BORDER),
            anchor="" if anchor is None else self.nodes[anchor].name,
            since=None if anchor is None else Move(before=self.poses[anchor], after=pose),
            batch=UNSET,  # each waits for the one before it
        )
        self.nodes.append(made)
        self.poses.append(pose)
        return made

    def _next_anchor(self, prompt: Blend, pose: Pose) -> int | None:
        """Return the first keyframe that shows enough of the same and wants the same colours."""
        for index in range(self._anchor, len(self.nodes)):
            same = self.nodes[index].prompt == prompt
            if same and camera.overlap(pose, self.poses[index], self._aspect) >= SHARED:
                self._anchor = index
                return index
        self._anchor = len(self.nodes)
        return None

    def pose(self, seconds: float) -> Pose:
        """Return where the camera is at a time."""
        return camera.pose_at(self._camera, self._progress(seconds))

    def places(self, first: float, frames: int) -> tuple[float, ...]:
        """Return how far the camera has come at each frame of a segment, if it moves unevenly.

        Args:
            first: seconds at which the segment begins.
            frames: its length.
        """
        times = [first + frame / self._recipe.fps for frame in range(frames + 1)]
        gone = [camera.eased(self._camera, self._progress(time)) for time in times]
        way = gone[-1] - gone[0]
        if self._camera.easing == "linear" or abs(way) < 1e-6:
            return ()
        places = tuple(round((place - gone[0]) / way, 6) for place in gone[1:-1])
        return places if all(0 < place < 1 for place in places) else ()

    def _progress(self, seconds: float) -> float:
        """Return the share of the scene's time; a film that loops goes there and back."""
        progress = (seconds - self._start) / self._recipe.scenes[self._scene].seconds
        progress = min(1.0, max(0.0, progress))
        if self._recipe.comes_round and len(self._recipe.scenes) == 1:
            return 1 - abs(1 - 2 * progress)
        return progress

    def _strength(self, move: Move, *, changes: bool) -> float:
        distance = camera.distance(move, self._aspect)
        fits = max(self._camera.strength, min(MOST, GAIN * distance))
        return round(max(fits, CHANGE) if changes else fits, 6)

    def _noise(self, node: KeyframeNode, seconds: float) -> Blend:
        """Return noise of its own: the same again and again would burn itself in."""
        take = self._recipe.takes.get(round(seconds, 6))
        if take and take.seed is not UNSET:
            return node.noise
        seed = (self._recipe.seed + 1 + round(seconds * 1000)) % 2**32
        return Blend(seed, seed, 0.0)
