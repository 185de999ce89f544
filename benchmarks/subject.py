"""What it costs that a keyframe looks at its subject: time in turns, and operations.

    python -m benchmarks.subject            # a GPU: real shapes; a CPU: shrunk ones

Random weights in the shapes of Stable Diffusion 1.5 and SDXL (``benchmarks.real_sizes``), each
keyframe painted plainly and looking at another picture, in turns; the ratio of times is the median
over rounds. On a CPU it is processor time, so that other work beside it counts less. Every round
must give the pictures of the first. Operations are those of the UNet at its real shape and size, as
torch counts them, over the steps of a usual keyframe; nothing is computed for that.
"""

import argparse
import statistics
import time
from typing import Any

import numpy as np
import torch
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.painting import node
from benchmarks.real_sizes import BETAS, SD15, SDXL, pipeline, unet
from engine.models.known import MODELS
from engine.render.device import Device, choose_device
from engine.render.painting.anchor_attention import (
    LAYOUT_NOISE_SHARE,
    AnchorAttnProcessor,
    fine_layers,
)
from engine.render.painting.painter import Painter
from engine.render.painting.schedulers import make_scheduler

SHRINK = 5  # on a CPU: widths of 64 to 256
SIDES = {SD15: 512, SDXL: 1024}


class Here:
    """Tells the processors that a subject is there."""

    there = True


def operations(family: str) -> float:
    """Return the UNet's operations for a keyframe with a subject, as a share of those without."""
    with torch.device("meta"):
        network = unet(family)
    plain = _counted(family, network, 2)
    for layer in fine_layers(network):
        layer.set_processor(AnchorAttnProcessor(layer.processor, Here()))
    steps = next(model for model in MODELS if model.name == family).card.defaults
    scheduler = make_scheduler(steps.scheduler, BETAS, lambda: torch.empty(0))
    scheduler.set_timesteps(steps.num_inference_steps)
    looking = sum(float(at) <= LAYOUT_NOISE_SHARE * 1000 for at in scheduler.timesteps)
    share = looking / steps.num_inference_steps
    return 1 - share + share * _counted(family, network, 4) / plain


def _counted(family: str, network: Any, rows: int) -> int:
    """Return the operations of one pass over so many rows."""
    cells, config = SIDES[family] // 8, network.config
    with torch.device("meta"), FlopCounterMode(display=False) as counter:
        given: dict[str, Any] = {
            "encoder_hidden_states": torch.empty(rows, 77, config.cross_attention_dim)
        }
        if family == SDXL:
            text = config.projection_class_embeddings_input_dim - 6 * 256
            about = {"text_embeds": torch.empty(rows, text), "time_ids": torch.empty(rows, 6)}
            given["added_cond_kwargs"] = about
        network(torch.empty(rows, 4, cells, cells), torch.tensor(1.0), **given)
    return counter.get_total_flops()


def times(family: str, device: Device, options: argparse.Namespace) -> list[float]:
    """Return, for each round, what looking took as a share of painting plainly."""
    gpu = device.kind == "cuda"
    pipe = pipeline(family, device.name, device.torch_dtype, 1 if gpu else SHRINK)
    painter = Painter(pipe, device, "random@0", lambda _: None)
    side = options.side or (SIDES[family] if gpu else 128)

    clock = time.perf_counter if gpu else time.process_time

    def paint(prompt: str, **subject: np.ndarray) -> tuple[float, np.ndarray]:
        wanted, begun = node(prompt, 1, side, options.steps), clock()
        quiet: Any = {"on_step": lambda *_: None, "cancelled": lambda: False}
        picture = painter.paint(wanted, **subject, **quiet)
        return clock() - begun, picture

    subject = paint("a sea at dawn")[1]
    first = paint("a city at night")[1], paint("a city at night", subject=subject)[1]
    ratios = []
    for _ in range(options.rounds):
        plain, looking = paint("a city at night"), paint("a city at night", subject=subject)
        assert np.array_equal(plain[1], first[0])
        assert np.array_equal(looking[1], first[1])
        ratios.append(looking[0] / plain[0])
    return ratios


def main() -> None:
    """Measure both families, unless one is named."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--device", default="auto")
    parser.add_argument("--family", choices=(SD15, SDXL))
    parser.add_argument("--side", type=int, help="pixels, both sides")
    parser.add_argument("--steps", type=int, default=8)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    for family in [options.family] if options.family else [SD15, SDXL]:
        found = times(family, choose_device(options.device), options)
        print(
            f"{family}: x{statistics.median(found):.2f} the time of a keyframe without a subject "
            f"({min(found):.2f} to {max(found):.2f}); operations at {SIDES[family]}x"
            f"{SIDES[family]}: x{operations(family):.2f}",
            flush=True,
        )


if __name__ == "__main__":
    main()
