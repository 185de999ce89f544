"""How a plan, and what it grows by, is told as events. Pure.

It knows neither workers nor the store.
"""

import msgspec

from engine.film import events
from engine.film.plan import Plan
from engine.film.progress import GROWING
from engine.film.steps import Size
from engine.workers import messages as tasks

SIZES = {
    "keyframes": "keyframes",
    "times": "keyframes",
    "segments": "segments",
    "segment_frames": "segments",
    "ends": "segments",
    "gaps": "gaps",
}
NOTHING = Size()


def planned(plan: Plan, loaded: tasks.Loaded) -> events.Planned:
    """Return what tells of a whole plan."""
    return events.Planned(
        **msgspec.structs.asdict(listed(plan)),
        frames=plan.recipe.frames,
        model=loaded.model,
        interpolator=loaded.interpolator,
        batch=plan.batch,
        notice=loaded.notice,
    )


def listed(plan: Plan, since: Size = NOTHING) -> events.Grown:
    """Return what a plan holds beyond a size, as events tell it."""
    segments = plan.segments[since.segments :]
    return events.Grown(
        keyframes=tuple(node.name for node in plan.keyframes[since.keyframes :]),
        times=tuple(plan.times[since.keyframes :]),
        segments=tuple(node.name for node in segments),
        segment_frames=tuple(node.length for node in segments),
        ends=tuple(plan.ends[since.segments :]),
        gaps=tuple(plan.gaps[since.gaps :]),
        more_keyframes=plan.more_keyframes,
        more_segments=plan.more_segments,
    )


def is_part(plan: events.Planned, of: events.Planned) -> bool:
    """Tell whether a plan may become another one as it grows."""
    lists = ((getattr(plan, name), getattr(of, name)) for name in GROWING)
    facts = ("frames", "model", "interpolator", "notice", "batch")
    same = all(getattr(plan, name) == getattr(of, name) for name in facts)
    return same and all(whole[: len(part)] == part for part, whole in lists)


def news(plan: Plan, told: Size, known: events.Planned) -> events.Planned | events.Grown | None:
    """Return what tells how a plan has grown since it had a size.

    Args:
        plan: as it is now.
        told: its size when it was told last.
        known: what the job's log says of it; more than was told, after an interruption.

    Returns:
        None if the log says so already, a whole plan if the log says otherwise.
    """
    more = listed(plan, told)
    starts = {name: getattr(told, SIZES[name]) for name in GROWING}
    added = {name: getattr(more, name) for name in GROWING}
    parts = {name: getattr(known, name)[start:] for name, start in starts.items()}
    if all(parts[name][: len(new)] == new for name, new in added.items()):
        return None
    if any(parts.values()):  # other pictures than before the interruption
        return msgspec.structs.replace(known, **msgspec.structs.asdict(listed(plan)))
    return more
