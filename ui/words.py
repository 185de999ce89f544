"""A job's state in words and numbers for the stage. Pure: no clock, no sockets, no Streamlit."""

import time
from collections.abc import Callable, Iterable, Sequence
from itertools import groupby
from typing import Any

from engine.events import Logged, Started
from engine.progress import Phase, Progress
from engine.recipe import Motion, Recipe
from ui.board import View
from ui.tables import Piece

FINAL_WORDS = {
    "finished": "Your film is ready",
    "cancelled": "Cancelled",
    "failed": "This film could not be finished",
}

DIFFERENCES = "Different hardware may differ in tiny details of colour and texture."


def headline(view: View) -> str:
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
    pieces = sorted(progress.open_keyframes.items())
    several = "s" if len(pieces) > 1 else ""
    which = _listed([index + 1 for index, _ in pieces] or [progress.keyframe + 1])
    steps = [piece.done for _, piece in pieces]
    step = f" · step{several} {_listed(steps)} of {progress.steps}" if any(steps) else ""
    return f"Painting keyframe{several} {which} of {progress.whole[0]}{step}"


def _interpolating(progress: Progress) -> str:
    pieces = sorted(progress.open_segments.items())
    several = "s" if len(pieces) > 1 else ""
    which = _listed([index + 1 for index, _ in pieces] or [progress.segment + 1])
    done = sum(piece.done for _, piece in pieces)
    frames = sum(progress.segment_frames[index] for index, _ in pieces)
    frame = f" · frame {done} of {frames}" if done else ""
    return f"Filling gap{several} {which} of {progress.whole[1]}{frame}"


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


def timeline(view: View) -> list[dict[str, str]]:
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


def calm(view: View) -> str:
    """Return one reassuring line where something is out of the ordinary, else nothing."""
    if view.moving:
        return view.moving
    if view.settled:
        return ""
    if not view.reachable:
        return "The connection to the engine dropped. It goes on working; reconnecting…"
    if view.progress.thrifty and not view.progress.final:
        return "Not enough graphics memory; painting more thriftily"
    plan = view.progress.plan
    return (
        f"The offline network draws the in-betweens: {plan.notice}" if plan and plan.notice else ""
    )


def state(view: View, *, silent: float = 0.0) -> dict[str, Any]:
    """Return all that the stage shows, as JSON.

    Args:
        view: of the job.
        silent: seconds since the last word about it, by which the work has gone on.
    """
    progress = view.progress
    remaining = progress.remaining
    return {
        "status": progress.status,
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
    said = progress.words[index].split()
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


def kept(pieces: Sequence[Piece], budget: int) -> str:
    """Return what of an unfinished film is on this laptop, of at most ``budget`` bytes."""
    keyframes = sum(piece.is_keyframe for piece in pieces)
    parts = [_count(keyframes, "keyframe"), _count(len(pieces) - keyframes, "in-between")]
    whole = size(sum(piece.size for piece in pieces))
    named = " and ".join(part for part in parts if part)
    return f"Safe on this computer: {named} · {whole} of at most {size(budget)}" if named else ""


def made_where(pieces: Sequence[Piece]) -> str:
    """Return which devices made a film's parts, if several, and what want of memory changed."""
    known = [piece for piece in pieces if piece.origin]
    if len({piece.origin for piece in known}) < 2:
        return _odd(pieces)
    keyframes = _places("Keyframe", "painted", [piece for piece in known if piece.is_keyframe])
    segments = _places("In-between", "drawn", [piece for piece in known if not piece.is_keyframe])
    return f"{keyframes}{segments}{DIFFERENCES} {_odd(pieces)}".rstrip()


_ODD = {
    "tiled": "were put together from tiles, as memory was short; tiny details differ.",
    "rerolled": "came out blank and were painted from another seed.",
    "blank": "came out blank, whatever the seed; their neighbours are held in their place.",
}


def _odd(pieces: Sequence[Piece]) -> str:
    told = [(piece.detail or "").split() for piece in pieces if piece.is_keyframe]
    counts = ((sum(word in said for said in told), because) for word, because in _ODD.items())
    return " ".join(f"{count} of {len(told)} keyframes {said}" for count, said in counts if count)


def _places(what: str, done: str, pieces: Sequence[Piece]) -> str:
    """Return a sentence such as "Keyframes 1–4 were painted on A, 5–13 on B. "."""
    runs = [list(run) for _, run in groupby(pieces, key=lambda piece: piece.origin)]
    if not runs:
        return ""
    several = len(runs[0]) > 1
    verb = f"{'were' if several else 'was'} {done} "
    places = [
        f"{_span(run)} {'' if index else verb}on {run[0].origin}" for index, run in enumerate(runs)
    ]
    return f"{what}{'s' if several else ''} {', '.join(places)}. "


def _span(run: Sequence[Piece]) -> str:
    first, last = run[0].index + 1, run[-1].index + 1
    return f"{first}" if first == last else f"{first}–{last}"


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'s' if number > 1 else ''}" if number else ""


_FOLLOWING = {
    frozenset({"morph"}): "Each scene melts into the next.",
    frozenset({"cut"}): "Hard cuts.",
    frozenset({"fade"}): "Scenes fade over each other.",
}
_WAYS = {"morph": "melt into each other", "fade": "fade over each other", "cut": "cut"}


def made_with(recipe: Recipe) -> str:
    """Return in plain words what made a film, apart from its scenes."""
    factor = recipe.interpolation_factor
    between = f", one frame in {factor}; the others are drawn between them" if factor > 1 else ""
    words = [
        f"Painted by {recipe.model} in {recipe.num_inference_steps} steps{between}.",
        f"{recipe.fps} frames a second, {recipe.width} × {recipe.height} pixels.",
        f"Seed {recipe.seed}, guidance {recipe.guidance_scale:g}, scheduler {recipe.scheduler}.",
    ]
    if len(recipe.scenes) > 1:
        words.insert(0, _following({*recipe.motions[1:]}))
    if recipe.loop:
        words.append("The film ends where it began.")
    if recipe.drift:
        words.append(f"The ground drifts past, {recipe.drift:.2g} picture widths a second.")
    if recipe.negative_prompt:
        words.append(f"Kept away from: {recipe.negative_prompt}")
    return " ".join(words)


def _following(motions: set[Motion]) -> str:
    """Return how scenes follow each other."""
    ways = [way for motion, way in _WAYS.items() if motion in motions]
    known = _FOLLOWING.get(frozenset(motions))
    return known or f"Scenes {', '.join(ways[:-1])} or {ways[-1]}."


def goes(log: Iterable[Logged]) -> str:
    """Return where and how often a film was taken up; empty unless that was more than once."""
    devices = [logged.event.device for logged in log if isinstance(logged.event, Started)]
    if len(devices) < 2:
        return ""
    runs = [(device, len(list(run))) for device, run in groupby(devices)]
    named = [f"{device or 'unknown'}{f' ({count} times)' * (count > 1)}" for device, count in runs]
    return f"Made in {len(devices)} goes: {', then '.join(named)}."


def size(count: float) -> str:
    """Return a number of bytes for people."""
    for unit in ("B", "KB", "MB"):
        if count < 1000:
            return f"{round(count, int(unit == 'MB' and count < 100)):g} {unit}"
        count /= 1000
    return f"{round(count, 1):g} GB"


def short(text: str, length: int = 90) -> str:
    """Return ``text`` in one line of at most ``length`` characters."""
    line = " ".join(text.split())
    return line if len(line) <= length else line[: length - 1].rstrip() + "…"


def plain(text: str) -> str:
    """Return ``text`` so that Streamlit's Markdown shows it as it is."""
    special = set("\\`*_{}[]()<>#+-.!|~$:&")
    return "".join(f"\\{sign}" if sign in special else sign for sign in text)


def sentence(text: str) -> str:
    """Return ``text`` with a capital letter and a full stop."""
    return f"{text[:1].upper()}{text[1:]}".rstrip(".") + "." if text else ""


def ago(moment: float, now: float) -> str:
    """Return how long ago a moment was, for people; both are Unix seconds."""
    past = now - moment
    for unit, seconds, most in (("day", 86400, 7), ("hour", 3600, 24), ("minute", 60, 60)):
        count = int(past // seconds)
        if 0 < count < most:
            return f"{count} {unit}{'s' if count > 1 else ''} ago"
    if past < 60:
        return "just now"
    date = time.localtime(moment)
    return f"{date.tm_mday} {time.strftime('%b %Y', date)}"


def length(seconds: float) -> str:
    """Return a duration for people."""
    if seconds < 60:
        return f"{seconds:.3g} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 10:
        return f"{minutes} min {rest} s" if rest else f"{minutes} min"
    return f"{minutes} min" if minutes < 60 else f"{minutes / 60:.1f} h"
