"""Previews: the latest latents as a small JPEG, made off the sampling thread.

It knows latents, pictures and credits; it does not know who watches or how they are reached.
"""

import json
import logging
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from engine.errors import ModelLoadError
from engine.purse import SETTINGS, Setting

logger = logging.getLogger(__name__)

BEST = SETTINGS[0]
FIT_LATENTS = 2  # smooth random latents that a projection is fitted on; more gave nothing
FIT_SIDE = 16  # their height and width

Header = dict[str, Any]
Picture = NDArray[np.uint8]  # RGB (height, width, 3)
Render = Callable[[Setting], Picture | None]


class Projection(NamedTuple):
    """A linear map from latents to colours.

    Attributes:
        factors: float32 ``(channels, 3)``.
        bias: float32 ``(3,)``.
    """

    factors: Tensor
    bias: Tensor

    def picture(self, latents: Tensor) -> Picture:
        """Return the colours of latents.

        Args:
            latents: ``(1, channels, h, w)`` or ``(channels, h, w)`` in the pipeline's scaled space.

        Returns:
            uint8 RGB ``(h, w, 3)``; numbers that are not finite become black.
        """
        plane = latents.reshape(latents.shape[-3:]).to("cpu", torch.float32)  # (c, h, w)
        colours = torch.einsum("chw,cr->hwr", plane, self.factors) + self.bias
        scaled = (colours.nan_to_num(0, 0, 0).clamp(0, 1) * 255).round()
        return scaled.to(torch.uint8).numpy()


def read_projection(folder: Path) -> Projection | None:
    """Return the projection in a model folder's ``preview.json``; None where there is none.

    Raises:
        ModelLoadError: the file is damaged.
    """
    path = folder / "preview.json"
    if not path.is_file():
        return None
    try:
        data = json.loads(path.read_bytes())
        factors = torch.tensor(data["factors"], dtype=torch.float32)
        bias = torch.tensor(data["bias"], dtype=torch.float32)
        factors.reshape(-1, 3), bias.reshape(3)
    except (ValueError, KeyError, TypeError, RuntimeError) as error:
        raise ModelLoadError(
            folder.name, f"its preview.json is damaged: {error}", "copy the model folder again"
        ) from error
    return Projection(factors.reshape(-1, 3), bias.reshape(3))


def fit_projection(decode: Callable[[Tensor], Tensor], channels: int) -> Projection:
    """Fit the linear map that comes closest to a decoder, by least squares.

    Args:
        decode: latents ``(n, channels, h, w)``, scaled → pictures ``(n, 3, h * f, w * f)`` in
            [0, 1]; called on smooth random latents of about unit spread.
        channels: latent channels.
    """
    generator = torch.Generator("cpu").manual_seed(0)
    coarse = torch.randn(FIT_LATENTS, channels, 4, 4, generator=generator)
    size = (FIT_SIDE, FIT_SIDE)
    latents = functional.interpolate(coarse, size=size, mode="bicubic", align_corners=False)
    pictures = functional.interpolate(decode(latents).to("cpu", torch.float32), size, mode="area")
    inputs = latents.movedim(1, -1).reshape(-1, channels)  # (n, channels)
    inputs = torch.cat([inputs, torch.ones(len(inputs), 1)], dim=1)
    solution = torch.linalg.lstsq(inputs, pictures.movedim(1, -1).reshape(-1, 3)).solution
    return Projection(solution[:-1].contiguous(), solution[-1].contiguous())


def encode_jpeg(picture: Picture, setting: Setting = BEST) -> bytes:
    """Return a JPEG of ``picture``, made smaller if it is larger than ``setting`` says."""
    height, width = picture.shape[:2]
    if max(height, width) > setting.side:
        picture = _resized(picture, setting.side, cv2.INTER_AREA)
    bgr = cv2.cvtColor(picture, cv2.COLOR_RGB2BGR)
    _, data = cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, setting.quality])
    return data.tobytes()


class Previewer:
    """Encodes the newest picture offered, while somebody has credit for it.

    One slot, latest wins, and one more for the last finished keyframe, which no step pushes out;
    one thread of its own. It starts without credit: nothing is encoded while nobody watches.
    """

    def __init__(
        self, send: Callable[[Header, bytes], None], projection: Projection | None = None
    ) -> None:
        """Start the thread.

        Args:
            send: called in that thread with the header as offered and the JPEG.
            projection: of the model whose latents are offered; may be set anew at any time.
        """
        self.projection = projection
        self._send = send
        self._changed = threading.Condition()
        self._waiting: dict[bool, tuple[Render, Header]] = {}  # by whether it is a keyframe
        self._setting = BEST  # of the newest credit
        self._credited = False
        self._closed = False
        self._thread = threading.Thread(target=self._run, name="previews")
        self._thread.start()

    def offer(self, latents: Tensor, header: Header) -> None:
        """Offer latents that nobody changes any more; never waits for the device or the encoder."""
        projection = self.projection
        fetch = _fetcher(latents)
        self._put(
            lambda setting: (
                _enlarged(projection.picture(fetch()), setting.side) if projection else None
            ),
            header,
        )

    def offer_picture(self, picture: Picture, header: Header) -> None:
        """Offer a finished picture, uint8 RGB ``(height, width, 3)``, that nobody changes."""
        self._put(lambda _: picture, header)

    def credit(self, setting: Setting | None = BEST) -> None:
        """Allow one preview to be encoded, made as ``setting`` says; None allows none."""
        with self._changed:
            self._setting, self._credited = setting or self._setting, setting is not None
            self._changed.notify()

    def forget(self) -> None:
        """Drop what waits: it is of another film than what comes."""
        with self._changed:
            self._waiting.clear()

    def close(self) -> None:
        """End the thread and wait for it: torch must not be in use when the process ends."""
        with self._changed:
            self._closed = True
            self._changed.notify()
        self._thread.join()

    def _put(self, render: Render, header: Header) -> None:
        kind = header.get("kind", "")
        with self._changed:
            if self._setting.shows(kind, header.get("step", 1)):
                self._waiting[kind == "keyframe"] = render, header
                self._changed.notify()

    def _take(self) -> tuple[Render, Header, Setting] | None:
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

    def _deliver(self, render: Render, header: Header, setting: Setting) -> bool:
        """Encode and send; return whether that used up the credit."""
        try:
            picture = render(setting)
            if picture is not None:
                self._send(header, encode_jpeg(picture, setting))
            return picture is not None
        except (cv2.error, RuntimeError, OSError, MemoryError):  # it must not end a film
            logger.exception("A preview could not be made.")
            return False


def _fetcher(latents: Tensor) -> Callable[[], Tensor]:
    """Return a function that brings latents to the CPU without holding up the sampling stream.

    On CUDA a plain copy would queue behind the next step; a stream of its own waits only for the
    work that made these latents.
    """
    if not latents.is_cuda:
        return lambda: latents
    cuda: Any = torch.cuda
    made = cuda.Event()
    made.record(cuda.current_stream(latents.device))

    def fetch() -> Tensor:
        stream = cuda.Stream(latents.device)
        with cuda.stream(stream):
            stream.wait_event(made)
            return latents.to("cpu")

    return fetch


def _enlarged(picture: Picture, side: int) -> Picture:
    """Return one pixel per latent enlarged smoothly to at most ``side`` pixels."""
    height, width = picture.shape[:2]
    return _resized(picture, min(side, 8 * max(height, width)), cv2.INTER_CUBIC)


def _resized(picture: Picture, longer_side: int, interpolation: int) -> Picture:
    height, width = picture.shape[:2]
    scale = longer_side / max(height, width)
    size = max(1, round(width * scale)), max(1, round(height * scale))
    return cv2.resize(picture, size, interpolation=interpolation).astype(np.uint8, copy=False)
