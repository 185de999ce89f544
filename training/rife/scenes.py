"""Synthetic scenes whose in-between frames and motion are known exactly.

A scene is a background and a few cut-out layers, each moving by a similarity transform
whose parameters are linear in time; any frame at any position in [0, 1] can be drawn,
with the exact flow from there back to 0 and on to 1. Knows nothing about networks.
"""

from dataclasses import dataclass

import cv2
import numpy as np

from training.rife.banks import Bank

SUPERSAMPLING = 2  # frames are drawn this much larger and averaged, so edges are exact


@dataclass(frozen=True)
class Motion:
    """A similarity transform from layer to frame coordinates, linear in time.

    Attributes:
        centre: where the layer's middle lies at time 0, in frame pixels (x, y).
        velocity: pixels per unit of time (x, y).
        angle, spin: radians at time 0, and per unit of time.
        zoom, growth: natural logarithm of the magnification at 0, and per unit of time.
    """

    centre: np.ndarray
    velocity: np.ndarray
    angle: float
    spin: float
    zoom: float
    growth: float

    def matrix(self, position: float, size: int) -> np.ndarray:
        """The 3x3 matrix from a layer picture ``size`` pixels wide to the frame."""
        scale = np.exp(self.zoom + self.growth * position)
        angle = self.angle + self.spin * position
        cosine, sine = scale * np.cos(angle), scale * np.sin(angle)
        middle = self.centre + self.velocity * position
        turn = np.array([[cosine, -sine], [sine, cosine]])
        shift = middle - turn @ np.full(2, (size - 1) / 2)
        return np.array([[*turn[0], shift[0]], [*turn[1], shift[1]], [0, 0, 1]])


@dataclass(frozen=True)
class Layer:
    """A filled outline; ``matte`` is None for a background that covers everything."""

    texture: np.ndarray
    matte: np.ndarray | None
    motion: Motion


@dataclass(frozen=True)
class Scene:
    """Layers from back to front, and a light that changes linearly with time.

    Attributes:
        size: width and height of a frame in pixels.
        gain: brightness factor at time 0 and at time 1.
    """

    layers: list[Layer]
    size: int
    gain: tuple[float, float] = (1.0, 1.0)


def draw_scene(rng: np.random.Generator, bank: Bank, size: int, speed: float) -> Scene:
    """Compose a random scene whose layers move up to about ``speed`` pixels."""
    texture = bank.textures[rng.integers(len(bank.textures))]
    layers = [Layer(texture, None, _background_motion(rng, size, speed, texture.shape[0]))]
    for _ in range(int(rng.integers(1, 6))):
        matte = bank.shapes[rng.integers(len(bank.shapes))]
        texture = bank.textures[rng.integers(len(bank.textures))]
        layers.append(_cut_out(rng, texture, matte, size, speed))
    changes = rng.random() < 0.2
    gain = (rng.uniform(0.6, 1), rng.uniform(0.6, 1)) if changes else (1.0, 1.0)
    return Scene(layers, size, gain)


def _direction(rng: np.random.Generator, length: float) -> np.ndarray:
    angle = rng.uniform(0, 2 * np.pi)
    return np.array([np.cos(angle), np.sin(angle)]) * length


def _background_motion(rng: np.random.Generator, size: int, speed: float, texture: int) -> Motion:
    """A camera that pans, turns and zooms less than the things in front of it move."""
    spare = texture * 0.5 / size  # log-zoom that still covers the frame when turned
    return Motion(
        np.full(2, size / 2) + rng.uniform(-0.1, 0.1, 2) * size,
        _direction(rng, rng.uniform(0, 0.5) * speed),
        rng.uniform(-0.2, 0.2),
        rng.normal() * 0.25 * speed / size,
        rng.uniform(-np.log(spare) * 0.4, 0.5),
        rng.normal() * 0.2 * speed / size,
    )


def _cut_out(
    rng: np.random.Generator, texture: np.ndarray, matte: np.ndarray, size: int, speed: float
) -> Layer:
    """A layer that is somewhere inside the frame half-way through its motion."""
    corner = rng.integers(0, texture.shape[0] - matte.shape[0] + 1, 2)
    rows, columns = (slice(start, start + matte.shape[0]) for start in corner)
    velocity = _direction(rng, rng.uniform(0.1, 1) * speed)
    motion = Motion(
        rng.uniform(0, size, 2) - velocity / 2,
        velocity,
        rng.uniform(0, 2 * np.pi),
        rng.normal() * 0.5 * speed / size,
        np.log(rng.uniform(0.1, 0.9) * size / matte.shape[0]),
        rng.normal() * 0.4 * speed / size,
    )
    return Layer(texture[rows, columns], matte, motion)


def render(scene: Scene, position: float) -> np.ndarray:
    """The frame at a position in [0, 1]: uint8 RGB (size, size, 3), antialiased."""
    large = scene.size * SUPERSAMPLING
    # Pixel centres: x in the frame is (x + 0.5) * SUPERSAMPLING - 0.5 in the large frame.
    shift = (SUPERSAMPLING - 1) / 2
    enlarge = np.array([[SUPERSAMPLING, 0, shift], [0, SUPERSAMPLING, shift], [0, 0, 1]])
    frame = np.zeros((large, large, 3), np.float32)
    for layer in scene.layers:
        matrix = (enlarge @ layer.motion.matrix(position, layer.texture.shape[0]))[:2]
        if layer.matte is None:
            frame = _warp(layer.texture, matrix, large, cv2.BORDER_REFLECT_101).astype(np.float32)
        else:
            _paint(frame, layer, matrix)
    start, end = scene.gain
    frame = cv2.resize(frame, (scene.size, scene.size), interpolation=cv2.INTER_AREA)
    return np.clip(frame * (start + (end - start) * position) + 0.5, 0, 255).astype(np.uint8)


def _warp(picture: np.ndarray, matrix: np.ndarray, size: int, border: int) -> np.ndarray:
    return cv2.warpAffine(picture, matrix, (size, size), flags=cv2.INTER_LINEAR, borderMode=border)


def _paint(frame: np.ndarray, layer: Layer, matrix: np.ndarray) -> None:
    """Blend a layer into the large frame, touching only its bounding box."""
    size, large = layer.texture.shape[0], frame.shape[0]
    corners = np.array([[0, 0, 1], [size, 0, 1], [0, size, 1], [size, size, 1]]) @ matrix.T
    left, top = np.clip(np.floor(corners.min(0)).astype(int), 0, large)
    right, bottom = np.clip(np.ceil(corners.max(0)).astype(int) + 1, 0, large)
    if right <= left or bottom <= top:
        return
    local = matrix - [[0, 0, left], [0, 0, top]]
    box = (int(right - left), int(bottom - top))
    assert layer.matte is not None
    fill = cv2.warpAffine(layer.texture, local, box, borderMode=cv2.BORDER_REPLICATE)
    matte = cv2.warpAffine(layer.matte, local, box)[..., None].astype(np.float32) / 255
    target = frame[top:bottom, left:right]
    target += (fill - target) * matte


def exact_flows(scene: Scene, position: float) -> tuple[np.ndarray, np.ndarray]:
    """Flows from the frame at ``position`` to the first and the last frame.

    Returns:
        Two float32 (size, size, 2) arrays, (x, y) in pixels, of the topmost layer at
        each pixel. What they point to may be hidden there by another layer.
    """
    size, shown = scene.size, topmost(scene, position)
    columns, rows = np.arange(size), np.arange(size)[:, None]
    flows = [np.zeros((size, size, 2), np.float32) for _ in range(2)]
    for index, layer in enumerate(scene.layers):
        width, inside = layer.texture.shape[0], shown == index
        matrix = layer.motion.matrix(position, width)
        for flow, moment in zip(flows, (0.0, 1.0), strict=True):
            travel = layer.motion.matrix(moment, width) @ np.linalg.inv(matrix) - np.eye(3)
            moved = [row[0] * columns + row[1] * rows + row[2] for row in travel[:2]]
            flow[inside] = np.stack(moved, -1)[inside]
    return flows[0], flows[1]


def topmost(scene: Scene, position: float) -> np.ndarray:
    """The index of the layer that each pixel shows: uint8 (size, size)."""
    size = scene.size
    shown = np.zeros((size, size), np.uint8)
    for index, layer in enumerate(scene.layers):
        if layer.matte is not None:
            matrix = layer.motion.matrix(position, layer.matte.shape[0])[:2]
            shown[cv2.warpAffine(layer.matte, matrix, (size, size)) > 127] = index
    return shown


def visible(scene: Scene, position: float) -> tuple[np.ndarray, np.ndarray]:
    """Where the flows of ``exact_flows`` lead to what they start from: two bool (size, size).

    False where another layer hides it in the first or last frame, or it lies outside of it.
    """
    shown = topmost(scene, position)
    rows, columns = np.mgrid[: scene.size, : scene.size].astype(np.float32)
    maps = []
    for flow, moment in zip(exact_flows(scene, position), (0.0, 1.0), strict=True):
        x, y = columns + flow[..., 0], rows + flow[..., 1]
        there = cv2.remap(
            topmost(scene, moment), x, y, cv2.INTER_NEAREST, borderValue=float(len(scene.layers))
        )
        maps.append(there == shown)
    return maps[0], maps[1]
