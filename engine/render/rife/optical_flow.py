"""Optical flow between two pictures, and pictures fetched along it.

The flow comes from OpenCV's DIS, on the CPU in float32. Knows nothing about networks.

Source: DIS, Kroeger et al. 2016, arXiv:1603.03590.
"""

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

SMALLEST_SIDE = 16  # pixels; below this DIS has no room for its 8 x 8 patches at two scales


def warp(images: Tensor, flow: Tensor) -> Tensor:
    """Fetch from images (N, C, H, W) at each pixel plus flow (N, 2, H, W) in pixels.

    Outside the picture its border is repeated.
    """
    height, width = flow.shape[-2:]
    rows = torch.arange(height, dtype=flow.dtype, device=flow.device)
    columns = torch.arange(width, dtype=flow.dtype, device=flow.device)
    x = (flow[:, 0] + columns) * (2 / max(width - 1, 1)) - 1
    y = (flow[:, 1] + rows[:, None]) * (2 / max(height - 1, 1)) - 1
    grid = torch.stack((x, y), -1)  # (N, H, W, 2)
    return F.grid_sample(images, grid, padding_mode="border", align_corners=True)


def fetch(picture: np.ndarray, flow: np.ndarray) -> np.ndarray:
    """Take from a picture (H, W) or (H, W, C) at each pixel plus flow (H, W, 2) in pixels."""
    rows, columns = np.mgrid[: flow.shape[0], : flow.shape[1]].astype(np.float32)
    x, y = columns + flow[..., 0], rows + flow[..., 1]
    return cv2.remap(picture, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)


def dis_flow(first: np.ndarray, second: np.ndarray, *, to_the_pixel: bool = True) -> np.ndarray:
    """Flow between grey uint8 (H, W) pictures: float32 (H, W, 2), (x, y) in pixels.

    The medium preset. ``to_the_pixel`` carries it on to full resolution, which costs three times
    as much: thumbnails need it, and frames drawn of real videos gain nothing (0.0 dB).
    """
    estimator = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
    if to_the_pixel:
        estimator.setFinestScale(0)
    flow: np.ndarray = estimator.calc(first, second, None)  # type: ignore[call-overload]
    return flow
