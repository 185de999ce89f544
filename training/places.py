"""The six places, painted over a finished sky. Knows nothing about the weather's own shapes."""

import numpy as np

from training.canvas import CELL, Canvas, fractal
from training.palettes import mix


def ridge(canvas: Canvas, base: float, rise: float, depth: float, **shape) -> np.ndarray:
    """Return a ridge line `(width,)`: its feet at `base`, its peaks at most `rise` above."""
    noise = fractal(canvas.along(depth), canvas.rng, **shape)
    return (
        base - rise * (noise if shape["octaves"] == 1 else np.clip((noise - 0.22) / 0.52, 0, 1.15))
    ).astype(np.float32)


def misty(canvas: Canvas, line: np.ndarray, colour: np.ndarray, depth: float) -> np.ndarray:
    """Return a layer's colour at each pixel: haze gathers at its foot, the disc lights it."""
    fall = np.clip((canvas.rows - line) / 0.34, 0, 1) * (1 - depth) * 0.6
    lit = canvas.glow(colour, 0.40 * (1.1 - depth))
    return mix(lit, canvas.palette.horizon, fall[..., None])


def facets(canvas: Canvas, line: np.ndarray, lean: float, rough: float = 0.0) -> np.ndarray:
    """Return which pixels of a ridge face the disc, -1..1: its slopes carried down slantwise."""
    soft = np.convolve(np.pad(line, 10, mode="edge"), np.ones(21, np.float32) / 21, "valid")
    slope = np.tanh(np.gradient(soft) * canvas.height * 3.0).astype(np.float32)
    down = (canvas.rows - line) * canvas.height
    zigzag = rough * (fractal(canvas.rows, canvas.rng, 9.0, 2, False) - 0.5) * canvas.height
    columns = np.arange(canvas.width) + down * lean + zigzag
    shade = slope[np.clip(columns.astype(np.int32), 0, canvas.width - 1)]
    fade = np.exp(-np.maximum(down, 0) / (0.16 * canvas.height))
    return shade * fade * (1 if canvas.scene.side == "right" else -1)


def paint_mountains(canvas: Canvas, floor: float = 1.0) -> None:
    """Paint ridges behind ridges, the high ones with lit faces and snow, down to `floor`."""
    rng, palette, whole = canvas.rng, canvas.palette, floor == 1.0
    top = 0.64 if whole else floor
    for index, depth in enumerate((0.12, 0.36, 0.62, 1.0)):
        base = top + (0.13 if whole else 0.005) * index
        rise = (0.23, 0.27, 0.20, 0.17)[index] * float(rng.uniform(0.8, 1.15))
        rise *= 1.0 if whole else (1.0, 0.9, 0.35, 0.15)[index]
        frequency = float(rng.uniform(2.2, 3.4))
        line = ridge(canvas, base, rise, depth, frequency=frequency, octaves=5, smooth=False)
        colour = misty(canvas, line, palette.layer(depth), depth)
        face = facets(canvas, line, 0.55, 0.10)[..., None] * (0.30 if index < 3 else 0.12)
        colour = mix(colour, np.where(face > 0, palette.light, palette.near), abs(face))
        canvas.paint(canvas.below(line), colour)
        if index == 1:
            paint_snowcaps(canvas, line, base - rise * 0.60, face / 0.30)


def paint_snowcaps(canvas: Canvas, line: np.ndarray, limit: float, face: np.ndarray) -> None:
    """Whiten what of a ridge rises above a ragged snow line; `face` as `facets` gives it."""
    ragged = fractal(canvas.along(0.36), canvas.rng, 11, 2, False)
    edge = limit + 0.11 * (ragged - 0.5)
    mask = canvas.below(line) * (1 - canvas.below(edge.astype(np.float32)))
    palette = canvas.palette
    white = mix(mix(palette.white, palette.light, 0.35), palette.layer(0.5), 0.30 - 0.30 * face)
    canvas.paint(mask * 0.92, canvas.glow(white, 0.3))


def pine(x: float, foot: float, size: float, rng: np.random.Generator) -> np.ndarray:
    """Return the outline of one pine `(points, 2)`: three tiers, narrowing upward."""
    half = size * rng.uniform(0.20, 0.26)
    right = []
    for tier in range(4):
        high = tier / 4
        right.append((half * (1 - high), foot - size * (0.10 + 0.9 * high)))
        right.append((half * (1 - high) * 0.52, foot - size * (0.10 + 0.9 * (high + 0.17))))
    sides = [(x + dx, y) for dx, y in right] + [(x, foot - size)]
    sides += [(x - dx, y) for dx, y in reversed(right)]
    trunk = [(x - half * 0.16, foot - size * 0.1), (x - half * 0.16, foot + 0.02)]
    trunk += [(x + half * 0.16, foot + 0.02), (x + half * 0.16, foot - size * 0.1)]
    return np.array(sides + trunk, np.float32)


def pines(
    canvas: Canvas, line: np.ndarray, depth: float, size: float, gap: float
) -> list[np.ndarray]:
    """Return pines that stand along a line, `gap` apart on average, `size` high at most."""
    rng, reach = canvas.rng, canvas.width / canvas.height
    trees = []
    for index in range(int((3.2 + 0.8) / gap)):
        jitter, high = rng.uniform(-0.4, 0.4), rng.uniform(0.55, 1.0)
        x = (index + jitter) * gap - 0.4 - canvas.shift(depth)
        tree = pine(x, 0.0, size * high, rng)
        if -0.2 < x < reach + 0.2:
            column = int(np.clip(x * canvas.height, 0, canvas.width - 1))
            trees.append(tree + np.float32((0, line[column] + 0.01)))
    return trees


def paint_forest(canvas: Canvas) -> None:
    """Paint rows of pines, each nearer one darker and taller, mist between them."""
    rng, palette = canvas.rng, canvas.palette
    hills = ridge(canvas, 0.56, 0.16, 0.05, frequency=1.6, octaves=3, smooth=True)
    canvas.paint(canvas.below(hills), misty(canvas, hills, palette.layer(0.10), 0.1))
    rows = ((0.62, 0.09, 0.25, 0.030), (0.70, 0.15, 0.48, 0.055), (0.80, 0.22, 0.74, 0.09))
    for base, size, depth, gap in rows:
        line = ridge(canvas, base, 0.08, depth, frequency=1.4, octaves=2, smooth=True)
        trees = canvas.shapes(pines(canvas, line, depth, size, gap))
        mask = np.maximum(canvas.below(line), trees)
        canvas.paint(mask, misty(canvas, line - size * 0.5, palette.layer(depth), depth))
    line = ridge(canvas, 0.96, 0.06, 1.0, frequency=1.2, octaves=2, smooth=True)
    trees = canvas.shapes(pines(canvas, line, 1.0, float(rng.uniform(0.26, 0.38)), 0.20))
    near = palette.layer(1.0) * np.float32(0.72)
    canvas.paint(np.maximum(canvas.below(line), trees), near)


def paint_desert(canvas: Canvas) -> None:
    """Paint dunes with a lit and a shaded side, far table mountains and a cactus."""
    rng, palette = canvas.rng, canvas.palette
    mesas = fractal(canvas.along(0.1), rng, 2.4, 2, False)
    line = (0.585 - 0.11 * np.clip((mesas - 0.5) * 7, 0, 1)).astype(np.float32)
    canvas.paint(canvas.below(line), misty(canvas, line, palette.layer(0.22), 0.1))
    dark = mix(palette.near, palette.top * np.float32(0.45), 0.45)
    for index, depth in enumerate((0.30, 0.52, 0.76, 1.0)):
        base = 0.60 + 0.13 * index
        shape = {"frequency": float(rng.uniform(0.9, 1.4)), "octaves": 1, "smooth": True}
        line = ridge(canvas, base, 0.13, depth, **shape)
        colour = misty(canvas, line, palette.layer(depth), depth)
        face = facets(canvas, line, float(rng.uniform(0.5, 0.9)) * np.sign(rng.normal()))
        shaded = np.clip(-face * 3, 0, 1)[..., None] * 0.5
        canvas.paint(canvas.below(line), mix(colour, dark, shaded * (0.35 + 0.65 * depth)))
    x, size, present = rng.uniform(0.1, 0.9), rng.uniform(0.14, 0.24), rng.random() < 0.45
    if present and not canvas.scene.figures:
        place = float(x) * canvas.width / canvas.height - canvas.shift(0.9)
        canvas.paint(canvas.shapes(cactus(place, 0.9, float(size))), dark * np.float32(0.6))


def cactus(x: float, foot: float, size: float) -> list[np.ndarray]:
    """Return the outlines of one saguaro."""
    stem = size * 0.075

    def bar(x0: float, y0: float, x1: float, y1: float) -> np.ndarray:
        return np.array([(x0, y0), (x1, y0), (x1, y1), (x0, y1)], np.float32)

    arm = size * 0.24
    return [
        bar(x - stem, foot - size, x + stem, foot),
        bar(x - arm - stem * 0.8, foot - size * 0.78, x - arm + stem * 0.8, foot - size * 0.45),
        bar(x - arm - stem * 0.8, foot - size * 0.52, x, foot - size * 0.40),
        bar(x + arm - stem * 0.8, foot - size * 0.68, x + arm + stem * 0.8, foot - size * 0.35),
        bar(x, foot - size * 0.42, x + arm + stem * 0.8, foot - size * 0.30),
    ]


def paint_sea(canvas: Canvas) -> None:
    """Paint far headlands, the water that mirrors the sky, and a boat."""
    rng, palette = canvas.rng, canvas.palette
    horizon = int(rng.integers(18, 21)) * CELL
    shape = {"frequency": float(rng.uniform(1.2, 2.2)), "octaves": 4, "smooth": False}
    line = ridge(canvas, horizon + 0.04, float(rng.uniform(0.05, 0.12)), 0.1, **shape)
    canvas.paint(canvas.below(line), misty(canvas, line, palette.layer(0.3), 0.3))
    deep = np.clip((canvas.rows - horizon) / (1 - horizon), 0, 1)[..., None]
    mirrored = mix(mix(palette.horizon, palette.near, 0.35), palette.near, deep**0.6)
    mirrored = mix(mirrored, palette.top, 0.25 * deep)
    flat = np.full(canvas.width, horizon, np.float32)
    canvas.paint(canvas.below(flat), np.broadcast_to(mirrored, canvas.picture.shape))
    paint_swell(canvas, horizon)
    if canvas.scene.disc:
        paint_glitter(canvas, horizon)
    x, size, present = rng.uniform(0.08, 0.92), rng.uniform(0.07, 0.13), rng.random() < 0.45
    if present and not canvas.scene.figures:
        place = float(x) * canvas.width / canvas.height - canvas.shift(0.5)
        sail = palette.white if canvas.scene.time in ("dawn", "noon") else palette.near * 0.45
        canvas.paint(canvas.shapes(boat(place, horizon + 0.10, float(size))), sail)


def boat(x: float, foot: float, size: float) -> list[np.ndarray]:
    """Return the outlines of a small sailing boat."""
    hull = [(x - 0.55, 0.0), (x + 0.55, 0.0), (x + 0.35, 0.18), (x - 0.4, 0.18)]
    main = [(x + 0.02, -1.0), (x + 0.02, -0.08), (x + 0.5, -0.08)]
    jib = [(x - 0.05, -0.85), (x - 0.05, -0.08), (x - 0.42, -0.08)]
    centre = np.float32((x, 0))
    return [
        (np.array(part, np.float32) - centre) * size + np.float32((x, foot))
        for part in (hull, main, jib)
    ]


def lozenge(x: float, y: float, half: float, thick: float) -> np.ndarray:
    """Return a flat streak of light `(points, 2)`, pointed at both ends."""
    points = [(x - half, y), (x, y - thick), (x + half, y), (x, y + thick)]
    return np.array(points, np.float32)


def paint_swell(canvas: Canvas, horizon: float) -> None:
    """Paint darker and lighter bands on the water, longer toward the viewer."""
    rng, reach = canvas.rng, canvas.width / canvas.height
    bands = []
    for near, x, phase in rng.random((34, 3)):
        y = horizon + 0.02 + (0.98 - horizon) * near**1.5
        sway = 0.01 * np.sin(2 * np.pi * (phase + 0.2 * canvas.time))
        start = x * (reach + 0.4) - 0.2 - canvas.shift(near) + sway
        bands.append(lozenge(start, y, 0.06 + 0.16 * near, 0.002 + 0.006 * near))
    canvas.paint(canvas.shapes(bands) * 0.4, mix(canvas.palette.near, canvas.palette.top, 0.3))


def paint_glitter(canvas: Canvas, horizon: float) -> None:
    """Paint the disc's path of light on the water."""
    streaks = []
    for near, across, phase, long in canvas.rng.random((36, 4)):
        y = (round((horizon + 0.97 * (1 - horizon) * near) / CELL * 2) + 0.5) * CELL / 2
        wide = 0.035 + 0.07 * near
        sway = 0.008 * np.sin(2 * np.pi * (phase + 0.35 * canvas.time))
        x = canvas.disc_x + (across + across - 1) * wide + sway
        streaks.append(lozenge(x, y, (0.02 + 0.05 * near) * (0.5 + long), 0.0025 + 0.005 * near))
    canvas.paint(canvas.shapes(streaks) * 0.85, mix(canvas.palette.light, canvas.palette.disc, 0.5))


def paint_lake(canvas: Canvas) -> None:
    """Paint mountains and a shore of pines, and mirror them in still water."""
    rng, palette = canvas.rng, canvas.palette
    shore = int(rng.integers(18, 21)) * CELL
    paint_mountains(canvas, floor=shore)
    bank = ridge(canvas, shore, 0.03, 0.6, frequency=2.0, octaves=2, smooth=True)
    trees = canvas.shapes(pines(canvas, bank, 0.6, float(rng.uniform(0.07, 0.12)), 0.05))
    canvas.paint(np.maximum(canvas.below(bank), trees), palette.layer(0.85) * np.float32(0.85))
    edge = round(shore * canvas.height)
    rows = np.arange(edge, canvas.height)
    near = (rows - edge) / canvas.height
    waves = np.sin(near * 230 / (1 + 3 * near) + 2.0 * canvas.time)
    source = edge - 1 - (rows - edge) * 1.25 + waves * near * 7
    mirror = canvas.picture[np.clip(source, 0, edge - 1).astype(int)]
    deep = (0.12 + 0.7 * near)[:, None, None]
    water = mix(palette.near, palette.top, 0.45)
    canvas.picture[edge:] = mix(mirror, water, np.clip(deep, 0, 0.32).astype(np.float32))
    line = canvas.below(np.full(canvas.width, shore, np.float32)) * np.exp(
        -np.maximum(canvas.rows - shore, 0) / 0.006
    )
    canvas.paint(line * 0.45, palette.horizon)


def paint_city(canvas: Canvas) -> None:
    """Paint three depths of towers; windows are lit when the sun is low or gone.

    At time 0 all edges lie on a grid of `CELL`, one cell of the model's latents: an
    autoencoder then draws them crisply.
    """
    rng, palette = canvas.rng, canvas.palette
    lit = canvas.scene.time in ("sunset", "dusk", "night")
    for depth, low, high in ((0.22, 18, 11), (0.52, 21, 13), (1.0, 26, 16)):
        left, towers, windows = -16, [], []
        skyline = fractal(np.arange(0, 4, 0.05, dtype=np.float32), rng, 0.9, 2, True)
        colour = palette.layer(depth) * np.float32(1 - 0.22 * depth)
        for step in range(28 if depth < 1 else 24):
            wide = int(rng.integers(2, 5) + (depth == 1.0))
            share = 0.6 * skyline[min(step * 2, 79)] + 0.4 * rng.random()
            top = round(float(mix(low, high, share)))
            towers += block(rng, left, wide, top)
            windows += lights(rng, left, wide, top)
            left += wide + int(depth == 1.0 and rng.random() < 0.35)
        offset = np.float32((canvas.shift(depth) / CELL, 0))
        far = np.full(canvas.width, low * CELL, np.float32)
        mask = canvas.shapes([(shape - offset) * CELL for shape in towers])
        canvas.paint(mask, misty(canvas, far, colour, depth))
        if depth > 0.3:
            warm = np.float32((255, 208, 122)) if lit else mix(colour, palette.horizon, 0.35)
            panes = canvas.shapes([(shape - offset) * CELL for shape in windows])
            canvas.paint(panes * (0.45 + 0.5 * depth), warm)


def block(rng: np.random.Generator, left: int, wide: int, top: int) -> list[np.ndarray]:
    """Return the outlines, in cells, of one building that stands from `top` to the ground."""
    kind, right, middle = rng.integers(5), left + wide, left + wide // 2
    corners = [[(left, top), (right, top), (right, 34), (left, 34)]]
    if kind == 0:  # A spire.
        corners.append([(middle + 0.35, top), (middle + 0.5, top - 3), (middle + 0.65, top)])
    elif kind == 1:  # A stepped top.
        ends = (left + 1, right - 1) if wide > 2 else (left, left + 1)
        corners.append([(ends[0], top - 1), (ends[1], top - 1), (ends[1], top), (ends[0], top)])
    elif kind == 2:  # A slanting roof.
        corners.append([(left, top), (left, top - wide / 2), (right, top)])
    return [np.array(shape, np.float32) for shape in corners]


def lights(rng: np.random.Generator, left: int, wide: int, top: int) -> list[np.ndarray]:
    """Return the lit windows of one building, in cells: one at most in each."""
    on = rng.random((16, 6)) < 0.36
    pane = np.float32([(0.28, 0.25), (0.72, 0.25), (0.72, 0.75), (0.28, 0.75)])
    return [
        pane + np.float32((left + column, top + floor))
        for floor, column in zip(*np.nonzero(on[:, :wide]), strict=True)
        if top + floor < 32
    ]


PAINTERS = {
    "sea": paint_sea,
    "mountains": paint_mountains,
    "lake": paint_lake,
    "forest": paint_forest,
    "desert": paint_desert,
    "city": paint_city,
}
