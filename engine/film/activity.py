"""What a film's engine does right now, in one line for people."""

from collections.abc import Iterable

from engine.film.progress import Progress
from engine.film.stages import STAGES, Stage


def activity(progress: Progress) -> str:
    """Return what is being made, such as "Painting keyframes: 3 of 13 finished · step 4 of 20".

    Returns:
        "" while no piece is being made.
    """
    stage = STAGES.get(progress.phase)
    return _of_stage(progress, stage) if stage else ""


def _of_stage(progress: Progress, stage: Stage) -> str:
    if stage.of == "film":
        return stage.doing
    count = f"{progress.of(stage).finished} of {progress.whole(stage)} finished"
    return f"{stage.doing}: {count}{_steps(progress, stage)}"


def _steps(progress: Progress, stage: Stage) -> str:
    """Return how far the pieces in the making are; "" before the first step."""
    open_ = sorted(progress.of(stage).open.items())
    done = [piece.done for _, piece in open_]
    if not any(done):
        return ""
    if stage.per_frame:  # pieces differ in length
        total = sum(progress.frames(stage, index) for index, _ in open_)
        return f" · {stage.unit} {sum(done)} of {total}"
    several = "s" if len(done) > 1 else ""
    return f" · {stage.unit}{several} {listed(done)} of {max(piece.total for _, piece in open_)}"


def listed(numbers: Iterable[int]) -> str:
    """Return numbers as people list them: "3", "3 and 4", "3, 4 and 5"."""
    *most, last = map(str, numbers)
    return f"{', '.join(most)} and {last}" if most else last
