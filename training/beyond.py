"""Space and the world under water, painted over a finished gradient."""

import numpy as np

from training.canvas import Canvas, fractal
from training.palettes import mix
from training.weather import dots

PLANETS = (
    ((226, 138, 96), (250, 206, 150)),
    ((96, 140, 220), (176, 220, 250)),
    ((196, 112, 176), (248, 190, 206)),
    ((222, 186, 120), (252, 236, 190)),
)


def paint_space(canvas: Canvas) -> None:
    """Paint nebulae, many stars, one planet at the scene's side, and often a moon's ground."""
    rng, reach = canvas.rng, canvas.width / canvas.height
    for colour in (
        canvas.palette.horizon,
        mix(canvas.palette.horizon, np.float32((90, 190, 220)), 0.5),
    ):
        line = rng.uniform(0.2, 0.8) + rng.uniform(-0.4, 0.4) * (canvas.columns / reach - 0.5)
        line = line + 0.25 * (fractal(canvas.along(0.1), rng, 1.6, 3, True) - 0.5)
        thick = 0.05 + 0.16 * fractal(canvas.along(0.1), rng, 1.3, 2, True)
        cloud = np.exp(-np.square((canvas.rows - line) / thick)) * 0.62
        canvas.paint(cloud.astype(np.float32), np.float32(colour))
    spots = rng.random((int(130 * max(1.0, reach)), 3))
    centres = np.stack([spots[:, 0] * reach - canvas.shift(0.05), spots[:, 1]], -1)
    radii = np.choose((spots[:, 2] > 0.62) + 0 + (spots[:, 2] > 0.92), (0.0030, 0.0046, 0.0078))
    twinkle = 1 + 0.25 * np.sin(2 * canvas.time + 40 * spots[:, 2])
    canvas.paint(dots(canvas, centres, radii * twinkle) * 0.92, np.float32((250, 246, 236)))
    paint_planet(canvas)
    if rng.random() < 0.35:
        paint_moon(canvas)


def paint_planet(canvas: Canvas) -> None:
    """Paint a banded, half-lit planet where the disc is, some with a ring."""
    rng = canvas.rng
    dark, bright = (np.float32(colour) for colour in PLANETS[rng.integers(len(PLANETS))])
    radius = 2.0 * canvas.disc_radius
    ringed, lean = bool(rng.random() < 0.5), float(rng.uniform(-0.5, 0.5))
    across, down = canvas.columns - canvas.disc_x, canvas.rows - canvas.disc_y
    turned = (
        across * np.cos(lean) + down * np.sin(lean),
        down * np.cos(lean) - across * np.sin(lean),
    )
    distance = np.hypot(*turned)
    disc = np.clip(0.5 - (distance - radius) * canvas.height, 0, 1)
    bands = 0.5 + 0.5 * np.sin(turned[1] / radius * 7 + 1.2 * np.sin(turned[0] / radius * 2))
    colour = mix(dark, bright, (0.25 + 0.55 * np.clip(bands * 2 - 0.5, 0, 1))[..., None])
    away = np.hypot(across + 0.45 * radius, down + 0.35 * radius) / radius
    night = np.clip((away - 1.0) * 6, 0, 1)[..., None] * 0.62
    colour = mix(colour, canvas.palette.top, night).astype(np.float32)
    halo = 0.30 * np.exp(-np.maximum(distance - radius, 0) / 0.035)
    canvas.paint(halo.astype(np.float32), mix(dark, bright, 0.5))
    canvas.paint(disc.astype(np.float32), colour)
    if ringed:
        oval = np.hypot(turned[0], turned[1] * 3.8)
        ring = np.clip(
            0.5 - (np.abs(oval - 1.62 * radius) - 0.2 * radius) * canvas.height / 3, 0, 1
        )
        behind = (turned[1] < 0) * disc
        canvas.paint((ring * (1 - behind) * 0.85).astype(np.float32), mix(bright, dark, 0.25))


def paint_moon(canvas: Canvas) -> None:
    """Paint a grey curved ground with craters along the lower edge."""
    rng, reach = canvas.rng, canvas.width / canvas.height
    line = 0.86 + 0.10 * np.square((canvas.columns - reach / 2) / max(reach, 1.0))
    line = line.astype(np.float32)
    grey = mix(np.float32((150, 146, 166)), canvas.palette.horizon, 0.3)
    deep = np.clip((canvas.rows - line) / 0.14, 0, 1)[..., None]
    canvas.paint(canvas.below(line), mix(grey, grey * np.float32(0.6), deep).astype(np.float32))
    turn = np.linspace(0, 2 * np.pi, 25)[:-1]
    craters = []
    for x, near in rng.random((9, 2)):
        half = 0.015 + 0.05 * near
        at = (x * reach - canvas.shift(0.3), 0.90 + 0.09 * near)
        craters.append(
            np.stack([at[0] + half * np.cos(turn), at[1] + half * 0.26 * np.sin(turn)], -1)
        )
    canvas.paint(canvas.shapes(np.float32(craters)) * canvas.below(line + np.float32(0.02)) * 0.55,
                 grey * np.float32(0.62))  # fmt: skip


def paint_under_water(canvas: Canvas) -> None:
    """Paint shafts of light from the scene's side, far rocks, sand, weed and bubbles."""
    rng, palette, reach = canvas.rng, canvas.palette, canvas.width / canvas.height
    for lean, wide, phase in rng.uniform((-0.5, 0.02, 0), (0.5, 0.06, 6.3), (6, 3)):
        start = canvas.disc_x + 0.5 * lean + 0.02 * np.sin(0.5 * canvas.time + phase)
        middle = start + (lean + 0.25 * np.sign(reach / 2 - canvas.disc_x)) * canvas.rows
        shaft = np.clip(1 - np.abs(canvas.columns - middle) / (wide * (1 + 2 * canvas.rows)), 0, 1)
        strength = np.clip(shaft * 3, 0, 1) * np.clip(1 - canvas.rows / 0.85, 0, 1) * 0.26
        canvas.paint(strength.astype(np.float32), palette.top)
    for base, rise, depth in ((0.82, 0.26, 0.30), (0.88, 0.18, 0.62)):
        noise = fractal(canvas.along(depth), rng, 2.0, 3, True)
        line = (base - rise * np.clip(noise - 0.3, 0, 1) * 1.4).astype(np.float32)
        rock = mix(palette.horizon, palette.near, depth)
        canvas.paint(canvas.below(line), mix(rock, palette.near * np.float32(0.7), 0.3 * depth))
        weeds(canvas, line, depth)
    floor = (0.90 + 0.03 * fractal(canvas.along(1.0), rng, 1.4, 2, True)).astype(np.float32)
    sand = mix(palette.middle, np.float32((232, 208, 160)), 0.42)
    deep = np.clip((canvas.rows - 0.9) / 0.1, 0, 1)[..., None]
    shaded = np.broadcast_to(mix(sand, palette.horizon, 0.25 + 0.35 * deep), canvas.picture.shape)
    canvas.paint(canvas.below(floor), shaded)
    weeds(canvas, floor, 1.0)
    spots = rng.random((16, 3))
    x = spots[:, 0] * reach + 0.008 * np.sin(2 * canvas.time + 9 * spots[:, 2])
    y = (spots[:, 1] - (0.05 + 0.06 * spots[:, 2]) * canvas.time) % 1.0
    radii = 0.005 + 0.010 * spots[:, 2]
    rings = dots(canvas, np.stack([x, y], -1), radii) - 0.65 * dots(
        canvas, np.stack([x, y], -1), radii * 0.62
    )
    canvas.paint(np.clip(rings, 0, 1) * 0.7, mix(palette.top, np.float32(255), 0.4))


def weeds(canvas: Canvas, line: np.ndarray, depth: float) -> None:
    """Paint swaying weed that grows from a line."""
    rng, reach = canvas.rng, canvas.width / canvas.height
    green = mix(canvas.palette.horizon, np.float32((28, 120, 96)), 0.25 + 0.35 * depth)
    green = green * np.float32(0.95 - 0.30 * depth)
    blades = []
    for x, high, phase in rng.random((9 if depth < 1 else 12, 3)):
        x = x * (reach + 0.2) - 0.1 - canvas.shift(depth)
        column = int(np.clip(x * canvas.height, 0, canvas.width - 1))
        share = np.linspace(0, 1, 12)
        tall = (0.08 + 0.14 * high) * (0.5 + 0.5 * depth)
        sway = 0.018 * share * np.sin(5 * share + 6.3 * phase + 1.1 * canvas.time)
        half = 0.011 * (0.5 + 0.5 * depth) * (1 - share) ** 0.6
        y = float(line[column]) + 0.01 - tall * share
        edge = np.stack([x + sway - half, y], -1), np.stack([x + sway + half, y], -1)[::-1]
        blades.append(np.concatenate(edge).astype(np.float32))
    canvas.paint(canvas.shapes(blades), green.astype(np.float32))


PAINTERS = {"space": paint_space, "under water": paint_under_water}
