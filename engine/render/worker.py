"""The worker process: reads tasks from its standard input, runs them with torch, and replies.

It knows one device and no clients. It ends when its input ends, so it never outlives its server.
"""

import argparse
import contextlib
import logging
import os
import queue
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from engine.errors import InternalError, VisionFluxError
from engine.files import file_sha256
from engine.models import Model, interpolators, upscalers
from engine.render import Cancelled, stages
from engine.render.device import available, choose_device, describe, forget_peak, peak_memory
from engine.render.image import read_png
from engine.render.painting.optimizations import Way
from engine.render.painting.painter import Painter
from engine.render.previews.previewer import Previewer
from engine.render.rife.interpolator import open_interpolator
from engine.render.rife.similarity import distance
from engine.render.upscale import Upscaler, open_upscaler
from engine.wire.messages import responses
from engine.workers import messages
from engine.workers.messages import Channel, ServerGoneError, claim_stdout

log = logging.getLogger(__name__)

WEIGHTS_RETRY_DELAY = 600.0  # seconds until a failed download of weights is tried again


def main() -> None:
    """Serve tasks until the input ends; or list the devices that should have a worker each."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--device", default="auto")
    parser.add_argument("--list", action="store_true")
    parser.add_argument("--rife", default=interpolators.AUTO)
    parser.add_argument("--upscaler", default=upscalers.DEFAULT)
    options = parser.parse_args()
    if options.list:
        print(",".join([name for name in available() if name != "cpu"] or ["cpu"]))
        return
    channel = Channel(sys.stdin.buffer, claim_stdout())
    logging.basicConfig(
        level=os.environ.get("VISIONFLUX_LOG_LEVEL", "INFO"),
        format="%(asctime)s worker %(levelname)s %(message)s",
    )
    bench = Worker(options.device, options.rife, options.upscaler, channel)
    threading.Thread(target=bench.listen, daemon=True).start()
    try:
        channel.send(messages.Ready(device=bench.device_info()))
        while (work := bench.inbox.get()) is not None:
            channel.send(bench.answer(work))
    except ServerGoneError:
        log.info("The server is gone; so is this worker.")
    finally:
        bench.close()


class Worker:
    """The state of the worker: a device, the loaded networks, and the pending tasks."""

    def __init__(self, device: str, rife: str, upscaler: str, channel: Channel) -> None:
        self.inbox: queue.SimpleQueue[messages.Work | None] = queue.SimpleQueue()
        self._stopped: set[str] = set()  # jobs that were cancelled
        self._channel = channel
        self._device = choose_device(device)
        self._previewer = Previewer(self._send_preview)
        self._model: Model | None = None
        self._job = ""  # the one that was loaded for last
        self._painter: Painter | None = None
        self._rife = rife
        self._interpolator: Any = None
        self._notice = ""  # why the interpolator is not the chosen one
        self._retry_at = 0.0
        self._upscaler_choice = upscaler
        self._upscaler: Upscaler | None = None

    def listen(self) -> None:
        """Read the server's messages, in a thread of its own, until the server is gone."""
        while (task := self._channel.receive()) is not None:
            match task:
                case messages.Stop(job=job):
                    self._stopped.add(job)
                case messages.Credit(setting=setting):
                    self._previewer.credit(setting)
                case messages.Load(job=job) as work:  # a paused job may come again
                    self._stopped.discard(job)
                    self.inbox.put(work)
                case work:
                    self.inbox.put(work)
        self.inbox.put(None)

    def answer(self, work: messages.Work) -> messages.Reply:
        """Run one task; an error becomes a reply, and its traceback is logged."""
        try:
            return self._do(work)
        except Cancelled:
            return messages.Stopped()
        except ServerGoneError:
            raise
        except VisionFluxError as error:
            log.warning("A task failed.", exc_info=True)
            return messages.Broke(error=error.report())
        except Exception as error:
            log.exception("A task broke.")
            problem = f"{type(error).__name__} while the engine did a {type(work).__name__} task"
            return messages.Broke(error=InternalError(problem).report())

    def close(self) -> None:
        """Join the preview thread; leaving torch running at exit would abort the process."""
        self._previewer.close()

    def device_info(self) -> responses.DeviceInfo:
        """Return the device with its current memory."""
        device = describe(self._device)
        return responses.DeviceInfo(
            name=device["label"],
            kind=device["name"],
            dtype=device["dtype"],
            total_memory=device["total_bytes"],
            free_memory=device["free_bytes"],
        )

    def _do(self, work: messages.Work) -> messages.Reply:
        match work:
            case messages.Load():
                return self._load(work)
            case messages.Make():
                return self._make(work)
            case messages.Measure(first=first, second=second):
                return messages.Measured(distance=distance(read_png(first), read_png(second)))

    def _load(self, work: messages.Load) -> messages.Loaded:
        self._previewer.forget()
        if self._job != work.job:
            forget_peak(self._device.name)
        if work.model:
            self._load_painter(work, work.model)
        self._job = work.job
        self._load_interpolator(work.job)
        self._load_upscaler(work.job, work.upscale)
        return messages.Loaded(
            model=self._painter.identity if self._painter else "",
            interpolator=self._interpolator.identity,
            upscaler=self._upscaler.identity if self._upscaler else "",
            notice=self._notice,
            device=self.device_info(),
        )

    def _load_painter(self, work: messages.Load, model: Model) -> None:
        if self._model != model:
            self._painter = self._model = None  # free the old weights before the new ones come
            on_bytes = self._loading(work.job, model.name)
            saving = (self._economize, work.ways, work.batch)
            self._painter = Painter.load(model, self._device, on_bytes, *saving)
            self._model = model
            self._previewer.projection = self._painter.projection
            self._previewer.tiny = self._painter.tiny
        elif self._painter and self._job != work.job:
            self._painter.memory.relax()
        assert self._painter
        self._painter.speed.expect(work.keyframes)

    def _load_interpolator(self, job: str) -> None:
        """Load the chosen network; if another one was loaded instead, try again after a while."""
        if self._interpolator and not (self._notice and time.monotonic() > self._retry_at):
            return
        on_bytes = self._loading(job, interpolators.label(self._rife))
        self._interpolator, self._notice = open_interpolator(
            self._rife, self._device.name, on_bytes
        )
        self._retry_at = time.monotonic() + WEIGHTS_RETRY_DELAY

    def _load_upscaler(self, job: str, factor: int) -> None:
        """Load the chosen network for a factor; 1 needs none."""
        if self._upscaler and self._upscaler.factor == factor:
            return
        self._upscaler = None
        if factor > 1:
            on_bytes = self._loading(job, Path(self._upscaler_choice).stem)
            choice, device = self._upscaler_choice, self._device.name
            self._upscaler = open_upscaler(choice, factor, device, on_bytes)

    def _make(self, work: messages.Make) -> messages.Made:
        context = stages.Context(
            job=work.job,
            inputs=work.inputs,
            painter=self._painter,
            interpolator=self._interpolator,
            upscaler=self._upscaler,
            previewer=self._previewer,
            advance=self._advance,
            stopped=lambda: work.job in self._stopped,
        )
        details = stages.load(work.stage)(work.pieces, context)
        made = zip(messages.targets(work), details, strict=True)
        files = tuple(_file(Path(target), detail) for target, detail in made)
        return messages.Made(files=files, memory=peak_memory(self._device.name))

    def _loading(self, job: str, model: str) -> Callable[[int, int], None]:
        def on_bytes(done: int, total: int) -> None:
            if job in self._stopped:
                raise Cancelled
            self._channel.send(messages.Loading(model=model, done=done, total=total))

        return on_bytes

    def _economize(self, way: Way) -> None:
        log.warning("Memory ran short; painting goes on with %s.", way.name)
        self._channel.send(messages.Economized(way=way.name, exact=way.exact))

    def _advance(self, index: int, done: int, total: int) -> None:
        self._channel.send(messages.Advanced(index=index, done=done, total=total))

    def _send_preview(self, header: dict[str, Any], jpeg: bytes) -> None:
        with contextlib.suppress(ServerGoneError):  # the next reply will fail, too
            self._channel.send_preview(responses.Preview(**header, jpeg=jpeg))


def _file(target: Path, detail: str) -> messages.File:
    return messages.File(sha256=file_sha256(target), size=target.stat().st_size, detail=detail)


if __name__ == "__main__":
    main()
