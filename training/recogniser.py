"""A small network that reads a scene back from a picture, and tells whole pictures from flawed.

Trained on the generator's pictures alone; the judge measures models with it. It never trains a
painter; the text encoder learns to read the same classes. Knows pictures and scenes; nothing
about prompts or models.
"""

import math
import time
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from training.pictures import RICH_SIZES, folder_of, load
from training.scene import ALL_PLACES, ALL_WEATHERS, PALETTES, SIDES, TIMES, Scene
from training.subjects import SUBJECTS

FLAWS = ("whole", "soft", "doubled", "broken")
LABELS = {"time": TIMES, "place": ALL_PLACES, "weather": ALL_WEATHERS, "palette": PALETTES}
LABELS |= {"flaw": FLAWS}
NAMES = tuple(SUBJECTS)
NOBODY = len(NAMES)  # the class of a third without a subject
NO_DISC = len(SIDES)
WIDTHS = (24, 48, 96, 128)
FEATURES = 2 * WIDTHS[-1]
BATCH = 24
PEAK_RATE = 2e-3
SKIP = -100  # a label that does not count


class Block(nn.Module):
    """A residual block of two convolutions, the first of them strided."""

    def __init__(self, inputs: int, outputs: int):
        super().__init__()
        self.first = nn.Conv2d(inputs, outputs, 3, stride=2, padding=1)
        self.second = nn.Conv2d(outputs, outputs, 3, padding=1)
        self.skip = nn.Conv2d(inputs, outputs, 1)
        self.norms = nn.ModuleList(nn.GroupNorm(8, outputs) for _ in range(2))

    def forward(self, inputs: Tensor) -> Tensor:
        """Return features at half the size."""
        hidden = functional.silu(self.norms[0](self.first(inputs)))
        hidden = self.norms[1](self.second(hidden))
        return functional.silu(hidden + self.skip(functional.avg_pool2d(inputs, 2, ceil_mode=True)))


class Recogniser(nn.Module):
    """Reads attributes from the whole picture, the disc and the subjects from its thirds."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, WIDTHS[0], 3, stride=2, padding=1)
        pairs = zip(WIDTHS, (*WIDTHS[1:], WIDTHS[-1]), strict=True)
        self.blocks = nn.Sequential(*(Block(*pair) for pair in pairs))
        self.heads = nn.ModuleDict(
            {name: nn.Linear(FEATURES, len(values)) for name, values in LABELS.items()}
        )
        self.disc, self.no_disc = nn.Linear(FEATURES, 1), nn.Linear(FEATURES, 1)
        self.subject = nn.Linear(FEATURES, NOBODY + 1)

    def forward(self, pictures: Tensor) -> dict[str, Tensor]:
        """Return logits for RGB pictures `(count, 3, h, w)` in -1..1, and "features".

        "side" is `(count, 4)`, the last for no disc; "subjects" `(count, 145, 3)`, one for each
        third; "features" `(count, 256)`.
        """
        maps = self.blocks(functional.silu(self.stem(pictures))).float()
        pooled = torch.cat([maps.mean((2, 3)), maps.amax((2, 3))], 1)
        mean = functional.adaptive_avg_pool2d(maps, (1, 3))
        most = functional.adaptive_max_pool2d(maps, (1, 3))
        thirds = torch.cat([mean, most], 1)[:, :, 0].transpose(1, 2)  # (count, 3, features)
        found = {name: head(pooled) for name, head in self.heads.items()}
        found["side"] = torch.cat([self.disc(thirds)[..., 0], self.no_disc(pooled)], 1)
        found["subjects"] = self.subject(thirds).transpose(1, 2)
        return {**found, "features": pooled}


def targets(scenes: list[Scene], flaws: list[int]) -> dict[str, Tensor]:
    """Return the true classes; what a flaw makes unreadable does not count."""
    found: dict[str, list[object]] = {name: [] for name in (*LABELS, "side", "subjects")}
    for scene, flaw in zip(scenes, flaws, strict=True):
        readable = FLAWS[flaw] in ("whole", "soft")
        for name in ("time", "place", "weather", "palette"):
            value = LABELS[name].index(getattr(scene, name))
            found[name].append(value if readable else SKIP)
        found["flaw"].append(flaw)
        side = SIDES.index(scene.side) if scene.disc else NO_DISC
        found["side"].append(side if readable else SKIP)
        thirds = [NOBODY if readable else SKIP] * 3
        for figure in scene.figures:
            if readable:
                thirds[SIDES.index(figure.side)] = NAMES.index(figure.subject)
        found["subjects"].append(thirds)
    return {name: torch.tensor(values) for name, values in found.items()}


def flawed(picture: np.ndarray, kind: str, rng: np.random.Generator) -> np.ndarray:
    """Return a picture with a flaw: softened, its disc or all of it doubled, or broken up."""
    height, width = picture.shape[:2]
    if kind == "soft":
        return cv2.GaussianBlur(
            picture, (0, 0), float(rng.uniform(1.3, 3.5)) * min(height, width) / 256
        )
    if kind == "doubled":
        return _doubled(picture, rng)
    return _broken(picture, rng)


def _doubled(picture: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Return a picture whose sky is there twice, or all of it, moved and without a seam."""
    height, width = picture.shape[:2]
    across = float(rng.choice((-1, 1)) * rng.uniform(0.15, 0.4) * width)
    move = np.float32(((1, 0, across), (0, 1, 0)))
    other = cv2.warpAffine(picture, move, (width, height), borderMode=cv2.BORDER_REFLECT)
    if rng.random() < 0.5:
        return cv2.addWeighted(picture, 0.55, other, 0.45, 0)
    sky = np.clip((0.62 - np.arange(height) / height) * 10, 0, 1)[:, None, None]
    brighter = np.maximum(picture, other).astype(np.float32)
    return (picture + sky * (brighter - picture)).astype(np.uint8)


def _broken(picture: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Return a picture that is melted, or has pieces in wrong places."""
    height, width = picture.shape[:2]
    if rng.random() < 0.5:
        coarse = rng.normal(0, 0.05 * height, (2, 6, 6)).astype(np.float32)
        shifts = [cv2.resize(one, (width, height), interpolation=cv2.INTER_CUBIC) for one in coarse]
        rows, columns = np.mgrid[:height, :width].astype(np.float32)
        return cv2.remap(picture, columns + shifts[0], rows + shifts[1], cv2.INTER_LINEAR,
                         borderMode=cv2.BORDER_REFLECT)  # fmt: skip
    pieces = picture.copy()
    for size in rng.integers(height // 10, height // 4, 7):
        (top, left), (row, column) = (
            (int(rng.integers(height - size)), int(rng.integers(width - size))) for _ in range(2)
        )
        piece = picture[row : row + size, column : column + size]
        pieces[top : top + size, left : left + size] = np.rot90(piece, int(rng.integers(4)))
    return pieces


def as_tensor(pictures: np.ndarray) -> Tensor:
    """Return uint8 RGB `(count, h, w, 3)` as the network takes it."""
    pixels = torch.from_numpy(np.ascontiguousarray(pictures)).permute(0, 3, 1, 2).float()
    return (pixels / 127.5 - 1).contiguous(memory_format=torch.channels_last)


def batches(
    runs: Path, rng: np.random.Generator, batch: int = BATCH
) -> Iterator[tuple[Tensor, dict[str, Tensor]]]:
    """Yield pictures of one shape, some flawed and all a little soft or not, with their classes."""
    data = {shape: load(folder_of(runs, shape, rich=True)) for shape in RICH_SIZES}
    while True:
        pixels, scenes = data[str(rng.choice(list(data)))]
        chosen = rng.integers(len(scenes), size=batch)
        flaws = rng.choice(len(FLAWS), batch, p=(0.55, 0.15, 0.15, 0.15))
        pictures = [
            flawed(pixels[index], FLAWS[flaw], rng) if flaw else pixels[index]
            for index, flaw in zip(chosen, flaws, strict=True)
        ]
        yield (
            as_tensor(np.stack(pictures)),
            targets([scenes[index] for index in chosen], flaws.tolist()),
        )


def loss_of(found: dict[str, Tensor], truth: dict[str, Tensor]) -> Tensor:
    """Return the sum of the cross-entropies over all that counts."""
    losses = [
        functional.cross_entropy(found[name], truth[name], ignore_index=SKIP)
        for name in truth
        if (truth[name] != SKIP).any()
    ]
    return torch.stack(losses).sum()


def train(runs: Path, minutes: float, batch: int = BATCH) -> Recogniser:
    """Train until `minutes` of a processor, earlier runs counted in, are over; return it.

    The state lies in `runs/recogniser.pt`; a later call with more minutes resumes.
    """
    torch.manual_seed(0)
    model = Recogniser().to(memory_format=torch.channels_last)
    optimiser = torch.optim.AdamW(model.parameters(), PEAK_RATE, weight_decay=0.01)
    step, seconds, average = resume(runs, model, optimiser)
    rng = np.random.default_rng(step)
    began = time.process_time() - seconds
    for pictures, truth in batches(runs, rng, batch):
        seconds = time.process_time() - began
        share = seconds / (60 * minutes)
        if share >= 1:
            break
        for group in optimiser.param_groups:
            group["lr"] = PEAK_RATE * min(1, step / 100) * (0.5 + 0.5 * math.cos(math.pi * share))
        with torch.autocast("cpu", torch.bfloat16):
            found = model(pictures)
        loss = loss_of({name: logits.float() for name, logits in found.items()}, truth)
        optimiser.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimiser.step()
        step, average = step + 1, 0.98 * average + 0.02 * loss.item()
        if step % 50 == 0:
            print(f"step {step} {share:.0%} loss {average:.3f}", flush=True)
        if step % 200 == 0:
            save(runs, model, optimiser, (step, seconds, average))
    save(runs, model, optimiser, (step, seconds, average))
    return model.eval()


def save(
    runs: Path,
    model: Recogniser,
    optimiser: torch.optim.Optimizer,
    progress: tuple[int, float, float],
) -> None:
    """Write what training needs to resume."""
    state = {"model": model.state_dict(), "optimiser": optimiser.state_dict(), "progress": progress}
    torch.save(state, runs / "recogniser.partial")
    (runs / "recogniser.partial").replace(runs / "recogniser.pt")


def resume(
    runs: Path, model: Recogniser, optimiser: torch.optim.Optimizer | None = None
) -> tuple[int, float, float]:
    """Load the saved state, if there is one; return steps, seconds and the average loss."""
    if not (runs / "recogniser.pt").exists():
        return 0, 0.0, 12.0
    state = torch.load(runs / "recogniser.pt", weights_only=True)
    model.load_state_dict(state["model"])
    if optimiser is not None:
        optimiser.load_state_dict(state["optimiser"])
    step, seconds, average = state["progress"]
    return step, seconds, average


@torch.inference_mode()
def read(model: Recogniser, pictures: np.ndarray, batch: int = BATCH) -> dict[str, np.ndarray]:
    """Return the likeliest classes of uint8 RGB `(count, h, w, 3)`, and the features."""
    parts: list[dict[str, Tensor]] = []
    for at in range(0, len(pictures), batch):
        found = model(as_tensor(pictures[at : at + batch]))
        classes = {name: logits.argmax(1) for name, logits in found.items() if name != "features"}
        parts.append({**classes, "features": found["features"]})
    return {name: torch.cat([part[name] for part in parts]).numpy() for name in parts[0]}
