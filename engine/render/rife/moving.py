"""Moves enlarged keyframes by the motion that was found between the painted ones.

Both are warped and blended in bands of rows, so that memory stays flat: beside the two pictures and
the frame no map has their size. It knows neither networks nor how motion is found.
"""

from collections.abc import Iterator

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from engine.render.image import Picture

BAND_PIXELS = 1 << 20  # of a band, enlarged; smaller ones take more time, and save little memory
DEVICE_BAND_PIXELS = 1 << 23  # likewise on an NVIDIA GPU, which wants much to do at once
Band = tuple[slice, Tensor]  # rows of the frame, and their track


class MovingPair:
    """Two enlarged keyframes and the frames between them.

    A track is what moves them: float32 (5, h, w) at the painted size, the flows to the first and to
    the second keyframe, x and y in painted pixels, and the share of the first in [0, 1].
    """

    def __init__(self, first: Picture, second: Picture, device: torch.device) -> None:
        """Take the keyframes onto an NVIDIA GPU; any other device leaves the work to the CPU.

        Args:
            first: uint8 RGB (factor * h, factor * w, 3).
            second: likewise, of the same size.
            device: where tracks are.
        """
        self._pictures, self._device = (first, second), device
        there = device.type == "cuda"
        self._tensors = tuple(self._planes(each) for each in self._pictures) if there else ()

    def frame(self, track: Tensor) -> Picture:
        """Return the frame at one position, uint8 RGB, as large as the keyframes."""
        if self._tensors:
            return torch.cat([self._sample(*band) for band in self._bands(track)]).cpu().numpy()
        frame = np.empty_like(self._pictures[0])
        for rows, band in self._bands(track.cpu()):
            frame[rows] = self._remap(rows, band.numpy())
        return frame

    def _bands(self, track: Tensor) -> Iterator[Band]:
        """Yield bands from top to bottom, with their tracks (5, rows, W), flows in large pixels."""
        height, width = self._pictures[0].shape[:2]
        small, factor = track.shape[1], height // track.shape[1]
        pixels = DEVICE_BAND_PIXELS if self._tensors else BAND_PIXELS
        tall = max(1, pixels // (width * factor))
        track = torch.cat((track[:4] * factor, track[4:]))
        rimmed = F.pad(track[None], (0, 0, 1, 1), mode="replicate")
        for top in range(0, small, tall):
            part = rimmed[:, :, top : top + tall + 2]  # and a row on either side, for the seams
            large = F.interpolate(part, scale_factor=factor, mode="bilinear")[0, :, factor:-factor]
            yield slice(top * factor, top * factor + large.shape[1]), large

    def _remap(self, rows: slice, band: np.ndarray) -> Picture:
        """Warp and blend some rows by OpenCV, twice as fast on a CPU as torch."""
        columns = np.arange(band.shape[2], dtype=np.float32)
        lines = np.arange(rows.start, rows.stop, dtype=np.float32)[:, None]
        first, second = (
            cv2.remap(
                picture,
                columns + band[2 * side],
                lines + band[2 * side + 1],
                cv2.INTER_LINEAR,
                borderMode=cv2.BORDER_REPLICATE,
            )
            for side, picture in enumerate(self._pictures)
        )
        return cv2.blendLinear(first, second, band[4], 1 - band[4])  # type: ignore[return-value]

    def _sample(self, rows: slice, band: Tensor) -> Tensor:
        """Warp and blend some rows by torch: uint8 (rows, W, 3)."""
        height, width = self._pictures[0].shape[:2]
        columns = torch.arange(width, device=band.device)
        lines = torch.arange(rows.start, rows.stop, device=band.device)[:, None]
        sides = []
        for side, picture in enumerate(self._tensors):
            x, y = columns + band[2 * side], lines + band[2 * side + 1]
            grid = torch.stack((x * (2 / (width - 1)) - 1, y * (2 / (height - 1)) - 1), -1)
            sides.append(
                F.grid_sample(picture, grid[None], padding_mode="border", align_corners=True)
            )
        mixed = torch.lerp(sides[1], sides[0], band[4])[0]
        return mixed.round().clamp(0, 255).to(torch.uint8).permute(1, 2, 0)

    def _planes(self, picture: Picture) -> Tensor:
        """Return a picture as float32 (1, 3, H, W) in [0, 255], on the device."""
        return torch.from_numpy(picture).to(self._device).permute(2, 0, 1)[None].float()
