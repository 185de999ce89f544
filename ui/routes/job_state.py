"""Turns a job's view into the JSON that the stage shows.

The functions are pure: no clock, no sockets, no Streamlit.
"""

from typing import Any, NamedTuple

from engine.film.activity import activity
from engine.film.events import remarks
from engine.film.progress import Progress
from engine.film.stages import FILM, KEYFRAME, SEGMENT, STAGES, Stage
from ui.shell.text import length
from ui.storage.job_views import JobView

SHORT_SILENCE_SECONDS = 3.0  # that is not mentioned
FINAL_HEADLINES = {
    "finished": "Your film is ready",
    "cancelled": "Cancelled",
    "failed": "This film could not be finished",
}


def headline(view: JobView) -> str:
    """Return what is being done now, in one line."""
    progress = view.progress
    if progress.final:
        if progress.status == "finished" and not view.saved:
            return f"Downloading the film to this computer{_percent(view.downloaded)}"
        return FINAL_HEADLINES[progress.status]
    if view.cancelling:
        return "Cancelling…"
    if progress.status == "paused":
        return "Paused; everything finished is kept"
    if view.engine_stopped:
        return "Waiting; everything finished is kept"
    if progress.phase == "waiting":
        return _waiting(progress)
    if progress.phase == "loading":
        return _loading(progress)
    return activity(progress) or "Finishing"


def _waiting(progress: Progress) -> str:
    if progress.attempt:
        return "The engine had to start over; everything finished is kept"
    if progress.position == 0:
        return "Next in line"
    films = "film" if progress.position == 1 else "films"
    return f"Waiting for {progress.position} other {films}"


def _loading(progress: Progress) -> str:
    percent = round(progress.loaded_percent)
    return "Loading the model" + (f" · {percent} %" if 0 < percent < 100 else "")


def timeline(view: JobView) -> list[dict[str, str]]:
    """Return the stages in order, each ``todo``, ``active`` or ``done``, with its count."""
    progress = view.progress
    steps = [_step("Model", done=progress.plan is not None, active=progress.phase == "loading")]
    wanted = (name for name, stage in STAGES.items() if stage.wanted(view.recipe))
    stages = progress.pieces or wanted  # while there is no plan yet
    return steps + [_stage_step(view, STAGES[name]) for name in stages if STAGES[name].title]


def _stage_step(view: JobView, stage: Stage) -> dict[str, str]:
    progress = view.progress
    active = progress.phase == stage.name or bool(progress.of(stage).open)
    if stage is not FILM:
        have, whole = progress.of(stage).finished, progress.whole(stage)
        return _step(stage.title, have, whole, active=active)
    finished = progress.status == "finished"
    downloading = finished and not view.saved
    return _step(stage.title, done=finished and view.saved, active=active or downloading)


def calm(view: JobView) -> str:
    """Return a line that explains an unusual situation; empty if there is none."""
    if view.move_status:
        return view.move_status
    if view.settled:
        return ""
    if view.engine_stopped:
        return (
            "The engine on this computer is stopped. The film continues when it is started again."
        )
    if not view.reachable:
        return ""  # ``silence`` says it
    if view.progress.thrifty and not view.progress.final:
        return "Memory is short, so painting takes longer"
    plan = view.progress.plan
    return f"The in-betweens are simpler than usual: {plan.notice}" if plan and plan.notice else ""


class Rescue(NamedTuple):
    """What is left of a film whose engine does not answer.

    Attributes:
        engine: name of the engine that can continue it; "" if none can.
        saved: whether finished keyframes are on this computer.
    """

    engine: str = ""
    saved: bool = False


def silence(view: JobView, engine: str, silent: float, *, saved: bool) -> str:
    """Return a line that says for how long an engine has not answered; "" if it does.

    Args:
        view: of the job.
        engine: name of its engine for users; "" if it is not paired any more.
        silent: seconds since the last message about the job.
        saved: whether finished keyframes are on this computer.
    """
    if not is_lost(view) or view.engine_stopped or silent < SHORT_SILENCE_SECONDS:
        return ""
    local = engine == "This computer"
    name = "The engine on this computer" if local else engine or "Its engine"
    kept = "Your keyframes are safe here." if local or saved else "It may still be working."
    return f"{name} has not answered for {length(silent)}. {kept}"


NO_RESCUE = Rescue()


def is_lost(view: JobView) -> bool:
    """Return whether the engine of an unfinished job cannot be reached."""
    return not (view.reachable or view.settled or view.move_status)


def state(
    view: JobView, *, silent: float = 0.0, engine: str = "", rescue: Rescue = NO_RESCUE
) -> dict[str, Any]:
    """Return the state that the stage shows, as JSON.

    Args:
        view: of the job.
        silent: seconds since the last message about it; the remaining time is reduced by them.
        engine: name of its engine for users; "" if it is not paired any more.
        rescue: what is left of the film if that engine does not answer.
    """
    progress = view.progress
    remaining = progress.remaining
    silent_line = silence(view, engine, silent, saved=rescue.saved)
    return {
        "status": progress.status,
        "resting": view.engine_stopped,
        "settled": view.settled,
        "headline": headline(view),
        "silence": silent_line,
        "rescue": rescue.engine if silent_line or view.engine_stopped else "",
        "calm": calm(view),
        "fraction": round(progress.fraction, 4),
        "remaining": None if remaining is None else round(max(0.0, remaining - silent), 1),
        "timeline": timeline(view),
        "keyframes": [bool(name) for name in progress.keyframes],
        "strip": progress.strip,
        "ends": progress.ends,
        "remarks": {
            index: remark
            for index, detail in progress.of(KEYFRAME).details.items()
            if (remark := _remark(detail))
        },
        "more": progress.whole(KEYFRAME) - len(progress.keyframes),
        "painting": sorted(progress.of(KEYFRAME).open),
        "drawing": sorted(progress.of(SEGMENT).open),
        "pictures": sorted(view.thumbnails),
        "segments": _shares(progress),
        "ready": ready(progress),
        "cancelling": view.cancelling,
        "error": _error(progress),
    }


def _remark(detail: str) -> str:
    """Return a remark about a keyframe that came out blank; empty for others."""
    said = remarks(detail)
    if "blank" in said:
        return "came out blank; the keyframe before it is shown longer"
    return "came out blank at first; painted from another seed" if "rerolled" in said else ""


def ready(progress: Progress) -> int:
    """Return how many segments are finished before the first unfinished one."""
    return (*map(bool, progress.segments), False).index(False)


def _shares(progress: Progress) -> list[float]:
    """Return the progress of each segment, in [0, 1]."""
    shares = [1.0 if name else 0.0 for name in progress.segments]
    for index, piece in progress.of(SEGMENT).open.items():
        shares[index] = piece.done / progress.frames(SEGMENT, index)
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
