"""A worker without torch, for tests in which the pixels do not matter.

It speaks the real pipe protocol and is unrealistic in one way: what it makes are texts, determined
by the node alone. ``STEP_SECONDS`` in the environment slows it down, ``TEXT_LINES`` makes its texts
longer, ``WEIGHTS`` is what its model is known by, and where ``ROLL`` names a file keyframes are not
painted before two workers have put themselves down there. A prompt that contains ``crash once``,
``always crash``, ``fail``, ``hang`` or ``run short`` (of memory) does so; one with ``fresh worker``
runs short, too, and has room only where a worker was thrifty from the beginning.
"""

import hashlib
import itertools
import os
import sys
import threading
import time
from pathlib import Path

from engine.errors import DeviceMemoryError, StorageError
from engine.film.events import Shape, encode_shape
from engine.film.graph import FilmNode, KeyframeNode, PosterNode, SegmentNode
from engine.film.preview_budget import PreviewQuality
from engine.film.stages import Node
from engine.wire.messages import responses
from engine.workers import messages
from engine.workers.messages import Channel

STEP = float(os.environ.get("STEP_SECONDS", "0"))
LINES = int(os.environ.get("TEXT_LINES", "40"))
WEIGHTS = os.environ.get("WEIGHTS", "0")
ROLL = Path(name) if (name := os.environ.get("ROLL")) else None
MEMORY = 123_000_000  # bytes that it says it has needed
INFO = responses.DeviceInfo(name="stand-in", kind="cpu", dtype="float32")

stopped: set[str] = set()
credits: list[PreviewQuality | None] = [None]
encoded = itertools.count(1)
work: list[messages.Work] = []
arrived = threading.Semaphore(0)
thrifty = [0]  # ways to save memory that were taken from the beginning


def listen(channel: Channel) -> None:
    while (task := channel.receive()) is not None:
        match task:
            case messages.Stop(job=job):
                stopped.add(job)
            case messages.Credit(setting=setting):
                credits[0] = setting
            case _:
                if isinstance(task, messages.Load):
                    stopped.discard(task.job)
                work.append(task)
                arrived.release()
    os._exit(0)


def do(channel: Channel, task: messages.Work) -> messages.Reply:
    if isinstance(task, messages.Load):
        thrifty[0] = task.ways
        if task.model is None:
            return messages.Loaded(
                model="", interpolator="none@0", upscaler=upscaler(task), device=INFO
            )
        channel.send(messages.Loading(model=task.model.name, done=50, total=100))
        return messages.Loaded(
            model=f"{task.model.name}@{WEIGHTS}",
            interpolator="none@0",
            upscaler=upscaler(task),
            device=INFO,
        )
    if isinstance(task, messages.Measure):
        return messages.Measured(distance=distance(task.first, task.second))
    keyframes = [one.node for one in task.pieces if isinstance(one.node, KeyframeNode)]
    prompt = " ".join(str(node.prompt.first) for node in keyframes)
    misbehave(prompt, Path(messages.targets(task)[0]))
    if "run short" in prompt or "fresh worker" in prompt:
        channel.send(messages.Economized(way="slices", exact=True))
    if "fail" in prompt or ("fresh worker" in prompt and not thrifty[0]):
        return messages.Broke(error=DeviceMemoryError("the device has 0 bytes free").report())
    if not steps(channel, task):
        return messages.Stopped()
    kind = {"keyframe": "Paint", "segment": "Draw", "film": "Join"}.get(task.stage, task.stage)
    try:
        files = tuple(write(Path(one.target), kind, one.node) for one in task.pieces)
    except OSError as error:
        return messages.Broke(error=StorageError(f"it cannot be written: {error}").report())
    return messages.Made(files=files, memory=MEMORY)


def upscaler(task: messages.Load) -> str:
    return f"none@0x{task.upscale}" if task.upscale > 1 else ""


def write(target: Path, kind: str, node: Node) -> messages.File:
    lines = 40 if isinstance(node, PosterNode) else LINES  # real posters are small, too
    content = f"{kind} {node.name}\n".encode() * lines
    target.write_bytes(content)
    shape = Shape(frames=1, seconds=1.0, width=8, height=8)
    detail = encode_shape(shape) if isinstance(node, FilmNode) else ""
    if isinstance(node, KeyframeNode) and "paint nothing" in str(node.prompt.first):
        detail = "blank"
    sha256 = hashlib.sha256(content).hexdigest()
    return messages.File(sha256=sha256, size=len(content), detail=detail)


def distance(first: str, second: str) -> float:
    """Return a distance that two files determine, of those that real keyframes have."""
    both = hashlib.sha256(Path(first).read_bytes() + Path(second).read_bytes()).digest()
    return 0.01 + both[0] / 1_000


def misbehave(prompt: str, target: Path) -> None:
    flag = target.parent.parent.parent / "crashed"
    if "always crash" in prompt or ("crash once" in prompt and not flag.exists()):
        flag.touch()
        os._exit(7)
    if "hang" in prompt:
        time.sleep(1_000)
    while prompt and ROLL and len(ROLL.read_text().split()) < 2:
        time.sleep(0.01)


def steps(channel: Channel, task: messages.Make) -> bool:
    match task.pieces[0].node:
        case KeyframeNode(num_inference_steps=total):
            pass
        case SegmentNode(length=total):
            pass
        case _:
            total = 0
    indexes = [one.index for one in task.pieces]
    for step in range(1, total + 1):
        pace()
        if task.job in stopped:
            return False
        for index in indexes:
            channel.send(messages.Advanced(index=index, done=step, total=total))
        if (setting := credits[0]) and setting.shows("step", step):
            credits[0] = None
            about = {"job": task.job, "kind": "step", "index": indexes[0]}
            jpeg = picture(setting)
            channel.send_preview(responses.Preview(**about, step=step, steps=total, jpeg=jpeg))
    return True


def pace() -> None:
    """Take the time of a step."""
    time.sleep(STEP)


def picture(setting: PreviewQuality) -> bytes:
    """Return a preview: a number, so that whoever misses some can tell, and noise."""
    noise = os.urandom(setting.side**2 * setting.quality // 1_000)
    return b"\xff\xd8" + next(encoded).to_bytes(4, "big") + noise


def main() -> None:
    channel = Channel(sys.stdin.buffer, sys.stdout.buffer)
    channel.send(messages.Ready(device=INFO))
    if ROLL:
        with ROLL.open("a") as roll:
            print(os.getpid(), file=roll)
    threading.Thread(target=listen, args=(channel,), daemon=True).start()
    while arrived.acquire():
        channel.send(do(channel, work.pop(0)))


if __name__ == "__main__":
    main()
