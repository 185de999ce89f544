"""A job's state in words and numbers for the stage. Pure: no clock, no sockets, no Streamlit."""

from collections.abc import Callable, Sequence
from typing import Any

from engine.film.events import remarks
from engine.film.progress import Phase, Progress
from ui.storage.job_views import JobView

FINAL_WORDS = {
    "finished": "Your film is ready",
    "cancelled": "Cancelled",
    "failed": "This film could not be finished",
}


def headline(view: JobView) -> str:
    """Return what is being done right now, in one line."""
    progress = view.progress
    if progress.final:
        if progress.status == "finished" and not view.saved:
            return f"Bringing the film to this computer{_percent(view.fetched)}"
        return FINAL_WORDS[progress.status]
    if view.cancelling:
        return "Cancelling…"
    if progress.status == "paused":
        return "Paused; everything finished is kept"
    if view.resting:
        return "Waiting; everything finished is kept"
    return _PHASES[progress.phase](progress)


def _waiting(progress: Progress) -> str:
    if progress.attempt:
        return "The engine had to start over; everything finished is kept"
    if progress.position == 0:
        return "Next in line"
    films = "film goes" if progress.position == 1 else "films go"
    return f"Waiting: {progress.position} {films} first"


def _loading(progress: Progress) -> str:
    percent = round(progress.loaded_percent)
    return "Loading the model" + (f" · {percent} %" if 0 < percent < 100 else "")


def _painting(progress: Progress) -> str:
    steps = [piece.done for _, piece in sorted(progress.open_keyframes.items())]
    several = "s" if len(steps) > 1 else ""
    which = _next(progress.keyframes, len(steps), progress.whole[0])
    step = f" · step{several} {_listed(steps)} of {progress.steps}" if any(steps) else ""
    return f"Painting keyframe{several} {which}{step}"


def _interpolating(progress: Progress) -> str:
    pieces = sorted(progress.open_segments.items())
    several = "s" if len(pieces) > 1 else ""
    which = _next(progress.segments, len(pieces), progress.whole[1])
    done = sum(piece.done for _, piece in pieces)
    frames = sum(progress.segment_frames[index] for index, _ in pieces)
    frame = f" · frame {done} of {frames}" if done else ""
    return f"Filling gap{several} {which}{frame}"


def _next(pieces: Sequence[str], count: int, whole: int) -> str:
    """Return how many-th of all the next ones are; their places in the film come in any order."""
    done = min(sum(map(bool, pieces)), whole - 1)
    return f"{_listed(range(done + 1, done + 1 + max(1, count)))} of {whole}"


def _listed(numbers: Sequence[int]) -> str:
    """Return numbers as people list them."""
    *most, last = map(str, numbers)
    return f"{', '.join(most)} and {last}" if most else last


def _assembling(_progress: Progress) -> str:
    return "Joining the film"


def _done_for_now(_progress: Progress) -> str:
    return "Finishing"


_PHASES: dict[Phase, Callable[[Progress], str]] = {
    "waiting": _waiting,
    "loading": _loading,
    "painting": _painting,
    "interpolating": _interpolating,
    "assembling": _assembling,
    "done": _done_for_now,
}


def timeline(view: JobView) -> list[dict[str, str]]:
    """Return the phases in order, each ``todo``, ``active`` or ``done``, with its count."""
    progress = view.progress
    lists = progress.keyframes, progress.segments
    painted, filled = (
        (sum(map(bool, names)), whole) for names, whole in zip(lists, progress.whole, strict=True)
    )
    planned = bool(progress.keyframes)
    painting = progress.phase == "painting" or bool(progress.open_keyframes)
    drawing = progress.phase == "interpolating" or bool(progress.open_segments)
    finished = progress.status == "finished"
    return [
        _step("Model", done=planned, active=progress.phase == "loading"),
        _step("Keyframes", *painted, active=painting),
        _step("In-betweens", *filled, active=drawing),
        _step(
            "Film",
            done=finished and view.saved,
            active=progress.phase == "assembling" or (finished and not view.saved),
        ),
    ]


def calm(view: JobView) -> str:
    """Return one reassuring line where something is out of the ordinary, else nothing."""
    if view.moving:
        return view.moving
    if view.settled:
        return ""
    if view.resting:
        return "The engine on this computer is stopped. The film goes on once it runs."
    if not view.reachable:
        return "The connection to the engine dropped. It goes on working; reconnecting…"
    if view.progress.thrifty and not view.progress.final:
        return "Not enough graphics memory; painting more thriftily"
    plan = view.progress.plan
    return (
        f"The offline network draws the in-betweens: {plan.notice}" if plan and plan.notice else ""
    )


def state(view: JobView, *, silent: float = 0.0) -> dict[str, Any]:
    """Return all that the stage shows, as JSON.

    Args:
        view: of the job.
        silent: seconds since the last word about it, by which the work has gone on.
    """
    progress = view.progress
    remaining = progress.remaining
    return {
        "status": progress.status,
        "resting": view.resting,
        "settled": view.settled,
        "headline": headline(view),
        "calm": calm(view),
        "fraction": round(progress.fraction, 4),
        "remaining": None if remaining is None else round(max(0.0, remaining - silent), 1),
        "timeline": timeline(view),
        "keyframes": [bool(name) for name in progress.keyframes],
        "strip": progress.strip,
        "ends": progress.ends,
        "remarks": {
            index: remark for index in progress.words if (remark := _remark(progress, index))
        },
        "more": progress.whole[0] - len(progress.keyframes),
        "painting": sorted(progress.open_keyframes),
        "drawing": sorted(progress.open_segments),
        "pictures": sorted(view.pictures),
        "segments": _shares(progress),
        "ready": ready(progress),
        "cancelling": view.cancelling,
        "error": _error(progress),
    }


def _remark(progress: Progress, index: int) -> str:
    """Return what is out of the ordinary with a keyframe."""
    said = remarks(progress.words[index])
    if "blank" in said:
        return "came out blank; its neighbour is held"
    return "came out blank at first; painted from another seed" if "rerolled" in said else ""


def ready(progress: Progress) -> int:
    """Return how many segments are finished without a gap from the film's beginning on."""
    return (*map(bool, progress.segments), False).index(False)


def _shares(progress: Progress) -> list[float]:
    """Return how much of each segment is drawn, in [0, 1]."""
    shares = [1.0 if name else 0.0 for name in progress.segments]
    for index, piece in progress.open_segments.items():
        shares[index] = piece.done / max(1, progress.segment_frames[index])
    return [round(share, 3) for share in shares]


def _error(progress: Progress) -> dict[str, str] | None:
    if progress.error is None:
        return None
    return {"message": progress.error.message, "remedy": progress.error.remedy}


def _step(
    name: str, have: int = 0, of: int = 0, *, done: bool = False, active: bool
) -> dict[str, str]:
    complete = done or (of > 0 and have == of)
    return {
        "name": name,
        "count": f"{have} / {of}" if of else "",
        "state": "done" if complete else "active" if active else "todo",
    }


def _percent(fetched: tuple[int, int]) -> str:
    have, whole = fetched
    return f" · {have * 100 // whole} %" if whole else ""
