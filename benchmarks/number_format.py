"""The offline model's network in bfloat16 against float32, on this machine's processor.

    python -m benchmarks.number_format [--width 448 --height 256]

Both painters take turns at the same keyframes; ratios are medians over rounds. A keyframe of one
must look like that of the other: a mean difference below 1 dE (CIE 1976, the length of the
difference in Lab, of which 2.3 can just be seen) is asserted.
"""

import argparse
import statistics
import time

import cv2
import numpy as np
from msgspec import structs

from benchmarks.painting import node
from engine.models import OFFLINE, catalogue
from engine.render.device import bfloat16_is_faster, choose_device
from engine.render.painting.painter import Painter

SCENES = ("dawn over the sea, sun on the left", "a city at night", "fog over a pine forest at dawn")
MOST_DIFFERENCE = 1.0  # dE, on average over a keyframe


def compare(options: argparse.Namespace) -> None:
    """Paint keyframes in both formats and print the ratio of times and the largest difference."""
    model, device = catalogue()[OFFLINE], choose_device("cpu")
    painters = {}
    for bfloat16 in (False, True):
        card = structs.replace(model.card, bfloat16=bfloat16)
        painter = Painter.load(structs.replace(model, card=card), device, lambda *_: None)
        painters[bfloat16] = painter
    ratios, differences = list[float](), list[float]()
    for round_ in range(options.rounds + 1):
        for seed, scene in enumerate(SCENES):
            wanted = node(scene, seed, options.height, options.steps)
            wanted = structs.replace(wanted, width=options.width)
            seconds, pictures = {}, {}
            for bfloat16, painter in painters.items():
                began = time.perf_counter()
                pictures[bfloat16] = painter.paint(
                    wanted, on_step=lambda *_: None, cancelled=lambda: False
                )
                seconds[bfloat16] = time.perf_counter() - began
            differences.append(difference(pictures[False], pictures[True]))
            if round_:
                ratios.append(seconds[False] / seconds[True])
    assert max(differences) < MOST_DIFFERENCE, f"a keyframe differs by {max(differences):.2f} dE"
    print(
        f"{options.width}x{options.height}, {options.steps} steps, {device.threads} threads: "
        f"bfloat16 x{statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f}), "
        f"{statistics.mean(differences):.2f} dE on average, {max(differences):.2f} at most"
    )


def difference(first: np.ndarray, second: np.ndarray) -> float:
    """Return the mean dE of two pictures, uint8 RGB ``(height, width, 3)``."""
    labs = [
        cv2.cvtColor(one.astype(np.float32) / 255, cv2.COLOR_RGB2LAB) for one in (first, second)
    ]
    return float(np.linalg.norm(labs[0] - labs[1], axis=-1).mean())


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--width", type=int, default=256)
    parser.add_argument("--height", type=int, default=256)
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--rounds", type=int, default=3)
    if bfloat16_is_faster():
        compare(parser.parse_args())
    else:
        print("This processor is not faster in bfloat16; it paints in float32.")
