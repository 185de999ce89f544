"""Beach, meadow, hills, snowfield and village street, painted over a finished sky.

Knows nothing about the weather's own shapes, nor about subjects.
"""

import numpy as np

from training.canvas import Canvas, fractal
from training.palettes import AMBIENT, mix
from training.places import lozenge, misty, paint_sea, pines, ridge
from training.weather import dots

ROOFS = ((196, 86, 66), (168, 74, 88), (92, 104, 136), (186, 112, 62))
WALLS = ((246, 230, 204), (236, 214, 196), (226, 226, 220), (240, 206, 164), (206, 222, 222))
FLOWERS = ((252, 218, 92), (250, 250, 246), (240, 120, 140), (176, 130, 226))


def coloured(canvas: Canvas, colour: tuple[int, int, int], amount: float = 1.0) -> np.ndarray:
    """Return what is left of a thing's own colour at the scene's time, in its weather's grey."""
    ambient = mix(np.float32(AMBIENT[canvas.scene.time]), np.float32(1), 0.34)
    seen = np.float32(colour) * ambient
    if canvas.scene.weather in ("fog", "rain", "storm", "snow"):
        dull = {"storm": 0.62, "rain": 0.85}.get(canvas.scene.weather, 1.0)
        seen = mix(seen, seen.mean(), 0.3) * np.float32(dull)
    return mix(canvas.palette.layer(0.3), seen, amount).astype(np.float32)


def paint_beach(canvas: Canvas) -> None:
    """Paint the sea, a line of foam and the sand before it, sometimes with palms."""
    rng = canvas.rng
    paint_sea(canvas)
    slope = float(rng.choice((-1, 1)) * rng.uniform(0.02, 0.07))
    along = canvas.along(1.0)
    share = canvas.columns / canvas.columns[-1] - 0.5
    lap = 0.008 * np.sin(1.2 * canvas.time)
    line = 0.795 + slope * share + 0.03 * (fractal(along, rng, 1.3, 2, True) - 0.5) + lap
    line = line.astype(np.float32)
    foam = line - 0.016 - 0.012 * fractal(along, rng, 6.0, 2, True)
    canvas.paint(canvas.below(foam.astype(np.float32)) * 0.9, canvas.palette.white)
    wet = coloured(canvas, (176, 138, 98))
    canvas.paint(canvas.below(line), wet)
    dry = canvas.below((line + 0.03).astype(np.float32))
    sand = coloured(canvas, (238, 204, 150))
    deep = np.clip((canvas.rows - 0.8) / 0.3, 0, 1)[..., None]
    shaded = np.broadcast_to(mix(sand, sand * np.float32(0.86), deep), canvas.picture.shape)
    canvas.paint(dry, canvas.glow(shaded, 0.25))
    if rng.random() < 0.4:
        left = bool(rng.random() < 0.5)
        reach = canvas.width / canvas.height
        palm(canvas, 0.06 if left else reach - 0.06, 0.98, 1 if left else -1)


def palm(canvas: Canvas, x: float, foot: float, lean: int) -> None:
    """Paint one palm that leans into the picture."""
    dark = canvas.palette.layer(1.0) * np.float32(0.55)
    share = np.linspace(0, 1, 12)
    middle = x - canvas.shift(1.0) + lean * 0.10 * share**2
    y = foot - 0.56 * share
    half = 0.017 - 0.008 * share
    trunk = np.concatenate(
        [np.stack([middle - half, y], -1), np.stack([middle + half, y], -1)[::-1]]
    )
    leaves = [trunk.astype(np.float32)]
    top = np.float32((middle[-1], y[-1]))
    sway = 0.05 * np.sin(0.9 * canvas.time)
    for angle in np.float32((-2.9, -2.3, -1.6, -0.9, -0.3, 0.25, 2.9)) + sway:
        long = np.linspace(0, 1, 9)
        droop = 0.10 * long**2
        spine = np.stack([0.21 * long * np.cos(angle), 0.13 * long * np.sin(angle) + droop], -1)
        wide = 0.026 * np.sin(np.pi * np.clip(long * 0.9 + 0.08, 0, 1))
        upper, lower = (
            spine - np.stack([0 * wide, wide], -1),
            spine + np.stack([0 * wide, wide], -1),
        )
        leaves.append((np.concatenate([upper, lower[::-1]]) + top).astype(np.float32))
    canvas.paint(canvas.shapes(leaves), dark)


def round_trees(
    canvas: Canvas, line: np.ndarray, depth: float, size: float, count: int
) -> np.ndarray:
    """Return the mask of round trees that stand along a line `(width,)`."""
    rng, reach = canvas.rng, canvas.width / canvas.height
    trunks, centres, radii = [], [], []
    for x, high, lean in rng.random((count, 3)):
        x = x * (reach + 0.3) - 0.15 - canvas.shift(depth)
        column = int(np.clip(x * canvas.height, 0, canvas.width - 1))
        tall, foot = size * (0.7 + 0.5 * high), float(line[column]) + 0.008
        half = tall * 0.05
        trunk = [(x - half, foot), (x - half, foot - tall), (x + half, foot - tall)]
        trunks.append(np.float32([*trunk, (x + half, foot)]))
        for dx, dy, radius in ((0, -0.95, 0.34), (-0.2, -0.70, 0.26), (0.2, -0.72, 0.28)):
            centres.append((x + (dx + 0.06 * (lean - 0.5)) * tall, foot + dy * tall))
            radii.append(radius * tall)
    crowns = dots(canvas, np.array(centres).reshape(-1, 2), np.array(radii))
    return np.maximum(canvas.shapes(trunks), crowns)


def rolling(canvas: Canvas, layers: tuple[tuple[float, float, float], ...]) -> np.ndarray:
    """Paint smooth ridges (base, rise, depth), trees on the far ones; return the last line."""
    line = np.full(canvas.width, 1.0, np.float32)
    for index, (base, rise, depth) in enumerate(layers):
        frequency = float(canvas.rng.uniform(0.8, 1.4))
        line = ridge(canvas, base, rise, depth, frequency=frequency, octaves=2, smooth=True)
        colour = misty(canvas, line, canvas.palette.layer(depth), depth)
        lit = np.clip(1 - (canvas.rows - line) / 0.05, 0, 1)[..., None] * 0.16
        canvas.paint(canvas.below(line), mix(colour, canvas.palette.light, lit * (1 - 0.5 * depth)))
        if 0 < index < len(layers) - 1:
            trees = round_trees(canvas, line, depth, 0.05 + 0.09 * depth, 3)
            dark = canvas.palette.layer(min(1.0, depth + 0.25)) * np.float32(0.82)
            canvas.paint(trees, dark)
    return line


def paint_meadow(canvas: Canvas) -> None:
    """Paint green rises and, before them, grass full of flowers."""
    rng, reach = canvas.rng, canvas.width / canvas.height
    line = rolling(canvas, ((0.62, 0.10, 0.18), (0.69, 0.08, 0.42), (0.80, 0.06, 0.82)))
    blades = []
    for x, near, lean in rng.random((60, 3)):
        y = 0.80 + 0.20 * near
        x = x * (reach + 0.2) - 0.1 - canvas.shift(0.8 + 0.2 * near)
        high, half = 0.018 + 0.03 * near, 0.003 + 0.003 * near
        bend = (lean - 0.5) * 0.03 + 0.006 * np.sin(1.5 * canvas.time + 9 * lean)
        blades.append(np.float32([(x - half, y), (x + bend, y - high), (x + half, y)]))
    over = canvas.below(line)
    canvas.paint(canvas.shapes(blades) * over * 0.75, canvas.palette.layer(1.0) * np.float32(0.78))
    for colour in FLOWERS:
        spots = rng.random((16, 2))
        near = spots[:, 1]
        x = spots[:, 0] * (reach + 0.2) - 0.1
        centres = np.stack([x - canvas.shift(0.9), 0.80 + 0.2 * near], -1)
        mask = dots(canvas, centres, 0.0045 + 0.0065 * near) * over
        canvas.paint(mask * 0.95, coloured(canvas, colour))


def paint_hills(canvas: Canvas) -> None:
    """Paint hills behind hills, fields on the near ones."""
    layers = ((0.60, 0.20, 0.10), (0.67, 0.18, 0.28), (0.75, 0.15, 0.50), (0.84, 0.10, 0.80))
    line = rolling(canvas, layers)
    rows = np.sin((canvas.rows - line) * 150 / (1 + 6 * np.maximum(canvas.rows - line, 0)))
    furrows = np.clip(rows * 3, 0, 1) * canvas.below((line + 0.012).astype(np.float32))
    canvas.paint(furrows.astype(np.float32) * 0.16, canvas.palette.layer(1.0) * np.float32(0.7))


def paint_snowfield(canvas: Canvas) -> None:
    """Paint white rises with blue shadows, and firs with snow on them."""
    rng, palette = canvas.rng, canvas.palette
    blue = mix(palette.middle, palette.layer(1.0), 0.45)
    for index, (base, rise, depth) in enumerate(
        ((0.60, 0.16, 0.30), (0.68, 0.10, 0.55), (0.80, 0.07, 0.92))
    ):
        frequency = float(rng.uniform(0.8, 1.3))
        line = ridge(canvas, base, rise, depth, frequency=frequency, octaves=2, smooth=True)
        if index:
            trees = pines(canvas, line, depth, 0.09 + 0.10 * depth, 0.24 if index == 1 else 0.5)
            canvas.paint(canvas.shapes(trees), mix(blue, palette.layer(0.2), 0.2) * np.float32(0.6))
            tips = [tree - np.float32((0.0, 0.006)) for tree in trees]
            snowy = canvas.shapes(tips) * (
                1 - canvas.shapes([t + np.float32((0, 0.014)) for t in tips])
            )
            canvas.paint(snowy * 0.9, palette.white)
        fall = np.clip((canvas.rows - line) / 0.16, 0, 1)[..., None]
        colour = mix(mix(palette.white, palette.light, 0.22), blue, 0.10 + 0.34 * fall)
        colour = mix(palette.layer(0.1), colour, 0.45 + 0.55 * depth)
        canvas.paint(canvas.below(line), canvas.glow(colour.astype(np.float32), 0.22))


def paint_village(canvas: Canvas) -> None:
    """Paint a street with a row of gabled houses behind it, and lamps."""
    rng, palette, reach = canvas.rng, canvas.palette, canvas.width / canvas.height
    hills = ridge(canvas, 0.56, 0.14, 0.1, frequency=1.3, octaves=2, smooth=True)
    canvas.paint(canvas.below(hills), misty(canvas, hills, palette.layer(0.22), 0.2))
    ground = np.full(canvas.width, 0.755, np.float32)
    trees = round_trees(canvas, ground, 0.4, 0.20, 6)
    canvas.paint(trees, palette.layer(0.6) * np.float32(0.85))
    left = -0.3
    while left < reach + 0.5:
        wide = float(rng.uniform(0.17, 0.27))
        house(canvas, left - canvas.shift(0.6), wide, float(rng.uniform(0.14, 0.25)))
        left += wide + float(rng.choice((0.0, 0.02, 0.09)))
    street = mix(palette.layer(0.9), palette.layer(0.25), 0.25)
    deep = np.clip((canvas.rows - 0.76) / 0.24, 0, 1)[..., None]
    shaded = np.broadcast_to(mix(street, street * np.float32(0.78), deep), canvas.picture.shape)
    canvas.paint(canvas.below(ground), canvas.glow(shaded, 0.22))
    kerb = canvas.below(ground) - canvas.below(ground + np.float32(0.016))
    canvas.paint(kerb, mix(street, palette.white, 0.4))
    stones = []
    for x, near in rng.random((30, 2)):
        y, half = 0.79 + 0.2 * near, 0.02 + 0.03 * near
        stones.append(lozenge(x * (reach + 0.2) - 0.1 - canvas.shift(0.9), y, half, 0.004))
    canvas.paint(canvas.shapes(stones) * 0.35, street * np.float32(0.62))
    lamps(canvas)


def house(canvas: Canvas, left: float, wide: float, high: float) -> None:
    """Paint one house: wall, roof, windows, door and chimney, its foot on the street."""
    rng, foot = canvas.rng, 0.76
    wall = coloured(canvas, WALLS[rng.integers(len(WALLS))])
    roof = coloured(canvas, ROOFS[rng.integers(len(ROOFS))])
    gable, chimney = bool(rng.random() < 0.5), float(rng.uniform(0.2, 0.75))
    lit_panes = rng.random((2, 3)) < 0.7
    right, top = left + wide, foot - high
    peak = top - (0.11 if gable else 0.085)

    def bar(x0: float, y0: float, x1: float, y1: float) -> np.ndarray:
        return np.float32([(x0, y0), (x1, y0), (x1, y1), (x0, y1)])

    at = left + wide * chimney
    canvas.paint(canvas.shapes([bar(at, peak - 0.015, at + 0.025, top)]), roof * np.float32(0.7))
    canvas.paint(canvas.shapes([bar(left, top, right, foot)]), canvas.glow(wall, 0.3))
    if gable:
        slope = [(left - 0.012, top), ((left + right) / 2, peak), (right + 0.012, top)]
    else:
        slope = [
            (left - 0.012, top),
            (left + 0.03, peak),
            (right - 0.03, peak),
            (right + 0.012, top),
        ]
    canvas.paint(canvas.shapes([np.float32(slope)]), canvas.glow(roof, 0.3))
    dark = canvas.scene.time in ("sunset", "dusk", "night") or canvas.scene.weather == "storm"
    warm = np.float32((255, 208, 122)) if dark else coloured(canvas, (96, 130, 160))
    columns = 2 if wide < 0.21 else 3
    panes, dull = [], []
    for row in range(2 if high > 0.19 else 1):
        for column in range(columns):
            x, y = left + wide * (column + 0.5) / columns, top + 0.03 + 0.085 * row
            pane = bar(x - 0.017, y, x + 0.017, y + 0.045)
            (panes if lit_panes[row, column] or not dark else dull).append(pane)
    canvas.paint(canvas.shapes(panes) * 0.95, warm)
    canvas.paint(canvas.shapes(dull), wall * np.float32(0.55))
    middle = left + wide * (0.5 if columns == 2 else 0.34)
    door = bar(middle - 0.02, foot - 0.075, middle + 0.02, foot)
    canvas.paint(canvas.shapes([door]), roof * np.float32(0.6))


def lamps(canvas: Canvas) -> None:
    """Paint street lamps, which shine when it is dark."""
    dark = canvas.scene.time in ("dusk", "night")
    metal = canvas.palette.layer(1.0) * np.float32(0.42)
    for x in np.arange(0.12, canvas.width / canvas.height + 0.3, 0.62):
        x = float(x) - canvas.shift(0.8)
        pole = np.float32(
            [(x - 0.006, 0.50), (x + 0.006, 0.50), (x + 0.009, 0.80), (x - 0.009, 0.80)]
        )
        head = np.float32(
            [(x - 0.014, 0.465), (x + 0.014, 0.465), (x + 0.02, 0.50), (x - 0.02, 0.50)]
        )
        if dark:
            away = np.hypot(canvas.columns - x, canvas.rows - 0.485)
            canvas.paint(
                (0.55 * np.exp(-away / 0.05)).astype(np.float32), np.float32((255, 214, 140))
            )
        canvas.paint(canvas.shapes([pole]), metal)
        canvas.paint(canvas.shapes([head]), np.float32((255, 232, 176)) if dark else metal)


PAINTERS = {
    "beach": paint_beach,
    "meadow": paint_meadow,
    "hills": paint_hills,
    "snowfield": paint_snowfield,
    "village": paint_village,
}
