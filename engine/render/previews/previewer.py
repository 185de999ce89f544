"""Previews: the latest latents as a small JPEG, made off the sampling thread.

It knows latents, pictures and credits; it does not know who watches, nor any connection.
"""

import logging
import threading
from collections.abc import Callable
from typing import Any

import cv2
import numpy as np
import torch
from torch import Tensor

from engine.film.preview_budget import SETTINGS, PreviewQuality
from engine.render.image import Picture
from engine.render.previews.latent_rgb import Projection
from engine.render.previews.tiny_decoder import TinyDecoder

logger = logging.getLogger(__name__)

BEST_QUALITY = SETTINGS[0]

Header = dict[str, Any]
Render = Callable[[PreviewQuality], Picture | None]
Beside = Callable[[Callable[[Tensor], Tensor]], Tensor]


def encode_jpeg(picture: Picture, setting: PreviewQuality = BEST_QUALITY) -> bytes:
    """Return a JPEG of ``picture``, made smaller if it is larger than ``setting`` allows."""
    height, width = picture.shape[:2]
    if max(height, width) > setting.side:
        picture = _resized(picture, setting.side, cv2.INTER_AREA)
    bgr = cv2.cvtColor(picture, cv2.COLOR_RGB2BGR)
    _, data = cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, setting.quality])
    return data.tobytes()


class Previewer:
    """Encodes the newest offered picture while there is credit for it.

    One slot, latest wins, and one more for the last finished keyframe, which no step pushes out;
    one thread of its own. It starts without credit: nothing is encoded while nobody watches.

    Attributes:
        projection: of the model whose latents are offered; may be replaced at any time.
        tiny: that model's small decoder, which shows more details if there is time for it.
    """

    def __init__(
        self, send: Callable[[Header, bytes], None], projection: Projection | None = None
    ) -> None:
        """Start the thread.

        Args:
            send: called in that thread with the header as offered and the JPEG.
            projection: of the model whose latents are offered; may be replaced at any time.
        """
        self.projection = projection
        self.tiny: TinyDecoder | None = None
        self._send = send
        self._changed = threading.Condition()
        self._waiting: dict[bool, tuple[Render, Header]] = {}  # by whether it is a keyframe
        self._setting = BEST_QUALITY  # of the newest credit
        self._credited = False
        self._closed = False
        self._thread = threading.Thread(target=self._run, name="previews")
        self._thread.start()

    def offer(self, latents: Tensor, header: Header) -> None:
        """Offer latents that no longer change; never waits for the device or the encoder."""
        projection, tiny, work = self.projection, self.tiny, _beside(latents)

        def render(setting: PreviewQuality) -> Picture | None:
            if tiny and tiny.has_time() and (picture := self._decoded(tiny, work)) is not None:
                return picture
            if projection is None:
                return None
            return _enlarged(projection.picture(work(lambda each: each)), setting.side)

        self._put(render, header)

    def offer_picture(self, picture: Picture, header: Header) -> None:
        """Offer a finished picture, uint8 RGB ``(height, width, 3)``, that no longer changes."""
        self._put(lambda _: picture, header)

    def credit(self, setting: PreviewQuality | None = BEST_QUALITY) -> None:
        """Allow one preview to be encoded with ``setting``; None allows none."""
        with self._changed:
            self._setting, self._credited = setting or self._setting, setting is not None
            self._changed.notify()

    def forget(self) -> None:
        """Drop waiting pictures: they are of another film than those to come."""
        with self._changed:
            self._waiting.clear()

    def close(self) -> None:
        """Stop the thread and wait for it: torch must not be in use when the process ends."""
        with self._changed:
            self._closed = True
            self._changed.notify()
        self._thread.join()

    def _decoded(self, tiny: TinyDecoder, work: Beside) -> Picture | None:
        """Return the small decoder's picture of latents; a decoder that fails is not used again."""
        try:
            return tiny.picture(work)
        except RuntimeError:  # most likely out of memory, which the film needs more
            logger.warning("The small decoder is given up.", exc_info=True)
            self.tiny = None
            return None

    def _put(self, render: Render, header: Header) -> None:
        kind = header.get("kind", "")
        with self._changed:
            if self._setting.shows(kind, header.get("step", 1)):
                self._waiting[kind == "keyframe"] = render, header
                self._changed.notify()

    def _take(self) -> tuple[Render, Header, PreviewQuality] | None:
        with self._changed:
            self._changed.wait_for(lambda: self._closed or (self._waiting and self._credited))
            if self._closed:
                return None
            self._credited = False
            return *self._waiting.pop(max(self._waiting)), self._setting

    def _run(self) -> None:
        while (taken := self._take()) is not None:
            if not self._deliver(*taken):
                self.credit(self._setting)

    def _deliver(self, render: Render, header: Header, setting: PreviewQuality) -> bool:
        """Encode and send; return whether that used up the credit."""
        try:
            picture = render(setting)
            if picture is not None:
                self._send(header, encode_jpeg(picture, setting))
            return picture is not None
        except (cv2.error, RuntimeError, OSError, MemoryError):  # it must not end a film
            logger.exception("A preview could not be made.")
            return False


def _beside(latents: Tensor) -> Beside:
    """Return a function that works on latents without delaying the sampling stream.

    On CUDA a plain copy would queue behind the next step; a stream of its own waits only for the
    work that made these latents.
    """
    if not latents.is_cuda:
        return lambda work: work(latents)
    cuda: Any = torch.cuda
    made = cuda.Event()
    made.record(cuda.current_stream(latents.device))

    def beside(work: Callable[[Tensor], Tensor]) -> Tensor:
        stream = cuda.Stream(latents.device)
        made.synchronize()
        with cuda.stream(stream):
            return work(latents).to("cpu")

    return beside


def _enlarged(picture: Picture, side: int) -> Picture:
    """Return one pixel per latent enlarged smoothly to at most ``side`` pixels."""
    height, width = picture.shape[:2]
    return _resized(picture, min(side, 8 * max(height, width)), cv2.INTER_CUBIC)


def _resized(picture: Picture, longer_side: int, interpolation: int) -> Picture:
    height, width = picture.shape[:2]
    scale = longer_side / max(height, width)
    size = max(1, round(width * scale)), max(1, round(height * scale))
    return cv2.resize(picture, size, interpolation=interpolation).astype(np.uint8, copy=False)
