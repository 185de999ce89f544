"""Trains the whole next model on one large GPU within minutes: the decoder, then the painter.

All cores draw pictures and word their prompts while the GPU trains, so that most are seen a few
times only. Nothing but the repository and the art is needed; what comes out lies in files below
16 MB. Knows the parts of the slower training; nothing about judging.

    python -m training.on_gpu --minutes 8 --out FOLDER     # on the machine with the GPU
    python -m training.on_gpu --take FOLDER                # anywhere: train --rich --ship next
"""

import argparse
import json
import math
import queue
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from diffusers import AutoencoderTiny
from safetensors.torch import load_file, save_file
from torch import Tensor
from torch.utils.data import DataLoader, IterableDataset, get_worker_info

from training import components, decoder, diffusion, prompts, tokens
from training.autoencoder import decoder_losses
from training.optimiser import Optimiser
from training.pictures import RICH_SIZES, RUNS
from training.positions import weights_of
from training.scene import rich_scene
from training.train import EMPTY_SHARE, FIGURE_WEIGHT, RICH_SHAPES, Training, rate_at
from training.world import draw

CHUNK = 8  # pictures of one shape that a core draws at a time
WORDINGS = 8  # prompts for each picture
FITTED = 300  # pictures of each shape that the components are fitted to
CAPACITY = 60_000  # latents kept of each shape; the oldest go
PIXELS_KEPT = 3_000  # pictures kept of each shape for the decoder
DECODER_SHARE = 0.3  # of the time after the first pictures
PART_BYTES = 15_000_000  # of a file of weights


@dataclass(frozen=True)
class Scale:
    """How large the training is: what one card of 80 GB and more takes, unless told otherwise.

    Attributes:
        drawing: seconds in which only pictures are drawn, before the components are fitted.
        pictures: whole pictures in a step of the decoder.
        reading: minutes of a processor in which the text encoder is taught to read.
        batch: how many times more latents a step of the painter has than on two cores.
        rate: how many times higher its learning rate is.
    """

    drawing: float = 45.0
    pictures: int = 16
    reading: float = 0.4
    batch: float = 8
    rate: float = 1.5


class Drawings(IterableDataset):
    """Endless chunks of eight pictures.

    Each has its shape, uint8 RGB `(8, h, w, 3)`, tokens `(8, 8, 48)`, how much its latents count
    `(8, h / 8, w / 8)`, and whether it is held out.
    """

    def __init__(self, runs: Path) -> None:
        super().__init__()
        self.tokenizer = tokens.load(runs / "rich-tokenizer", rich=True)

    def __iter__(self) -> Iterator[tuple[str, Tensor, Tensor, Tensor, Tensor]]:
        worker = get_worker_info()
        rng = np.random.default_rng([7, worker.id if worker else 0])
        torch.set_num_threads(1)
        shares = [share for share, _ in RICH_SHAPES.values()]
        while True:
            yield self.chunk(str(rng.choice(list(RICH_SHAPES), p=shares)), rng)

    def chunk(
        self, shape: str, rng: np.random.Generator
    ) -> tuple[str, Tensor, Tensor, Tensor, Tensor]:
        """Return one chunk of a shape."""
        pixels, said, counts, held_out = [], [], [], []
        width, height = RICH_SIZES[shape]
        for _ in range(CHUNK):
            scene = rich_scene(rng)
            pixels.append(draw(scene, rng, width, height))
            counts.append(weights_of(scene, height // 8, width // 8, FIGURE_WEIGHT))
            said += [prompts.prompt(scene, rng) for _ in range(WORDINGS)]
            held_out.append(prompts.held_out(scene))
        ids = diffusion.token_ids(self.tokenizer, said).reshape(CHUNK, WORDINGS, -1)
        pictures, count = torch.from_numpy(np.stack(pixels)), torch.from_numpy(np.stack(counts))
        return shape, pictures, ids.short(), count.half(), torch.tensor(held_out)


@dataclass
class Store:
    """What was drawn of one shape: pixels for the decoder, latents and tokens for the painter."""

    device: torch.device
    pixels: list[Tensor] = field(default_factory=list)  # uint8 (8, 3, h, w), the first ones
    latents: list[Tensor] = field(default_factory=list)  # float16 (n, k, h / 8, w / 8)
    ids: list[Tensor] = field(default_factory=list)  # int16 (n, 8, 48)
    counts: list[Tensor] = field(default_factory=list)  # float16 (n, h / 8, w / 8)
    drawn: int = 0

    def add(
        self,
        pixels: Tensor,
        ids: Tensor,
        counts: Tensor,
        held_out: Tensor,
        matrix: tuple[Tensor, Tensor],
    ) -> None:
        """Keep a chunk; combinations that are kept for the test reach the decoder alone."""
        pictures = pixels.to(self.device).permute(0, 3, 1, 2)
        if len(self.pixels) * CHUNK < PIXELS_KEPT:
            self.pixels.append(pictures)
        latents = components.encode(pictures.float() / 127.5 - 1, matrix)
        self.latents.append(latents[~held_out].half())
        self.ids.append(ids[~held_out].to(self.device))
        self.counts.append(counts[~held_out].to(self.device))
        self.drawn += len(pixels)
        if len(self.latents) * CHUNK > CAPACITY:
            del self.latents[0], self.ids[0], self.counts[0]

    def batch(self, count: int) -> tuple[Tensor, Tensor, Tensor]:
        """Return random latents `(count, k, h, w)`, a wording's tokens and how latents count."""
        chosen = torch.randint(len(self.latents), (count,)).tolist()
        rows = [int(torch.randint(max(1, len(self.latents[at])), (1,))) for at in chosen]
        pairs = [(at, row) for at, row in zip(chosen, rows, strict=True) if len(self.latents[at])]
        words = torch.randint(WORDINGS, (len(pairs),)).tolist()
        latents = torch.stack([self.latents[at][row] for at, row in pairs])
        ids = torch.stack(
            [self.ids[at][row, word] for (at, row), word in zip(pairs, words, strict=True)]
        )
        counts = torch.stack([self.counts[at][row] for at, row in pairs])
        return latents.float(), ids.long(), counts.float()


class Supply:
    """Takes chunks from the cores, in a thread, and puts them into stores."""

    def __init__(self, runs: Path, cores: int, device: torch.device) -> None:
        self.stores = {shape: Store(device) for shape in RICH_SIZES}
        self._queue: queue.Queue[tuple] = queue.Queue()
        loader = DataLoader(Drawings(runs), batch_size=None, num_workers=cores, prefetch_factor=4)
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._pump, args=(iter(loader),), daemon=True)
        self._thread.start()

    def _pump(self, chunks: Iterator[tuple]) -> None:
        while not self._ended.is_set():
            self._queue.put(next(chunks))

    def first(self, seconds: float) -> list[tuple]:
        """Return what was drawn in some seconds, and at least enough to fit the components."""
        until, chunks = time.monotonic() + seconds, []
        counts = dict.fromkeys(RICH_SIZES, 0)
        while time.monotonic() < until or min(counts.values()) < min(FITTED, CHUNK * 2):
            chunks.append(self._queue.get(timeout=300))
            counts[chunks[-1][0]] += CHUNK
        return chunks

    def keep(self, chunks: list[tuple], matrix: tuple[Tensor, Tensor]) -> None:
        """Put chunks, and whatever was drawn since, into the stores."""
        while not self._queue.empty():
            chunks.append(self._queue.get())
        for shape, *chunk in chunks:
            self.stores[shape].add(*chunk, matrix)

    def close(self) -> None:
        """Stop the cores."""
        self._ended.set()
        self._thread.join(60)


def run(runs: Path, out: Path, minutes: float, cores: int, device: str, scale: Scale) -> None:
    """Train for some minutes of the clock; write the weights, and what they reached, to `out`."""
    began = time.monotonic()
    torch.backends.cudnn.benchmark = True  # few shapes, many steps
    supply = Supply(runs, cores, torch.device(device))
    try:
        chunks = supply.first(scale.drawing)
        vae = fitted(runs, chunks)
        matrix = components.matrix_of(vae)
        vae, matrix = vae.to(device), (matrix[0].to(device), matrix[1].to(device))
        supply.keep(chunks, matrix)
        started = time.monotonic()
        left = 60 * minutes - (started - began)

        def share_of(first: float, last: float) -> Callable[[], float]:
            span = left * (last - first)
            return lambda: (time.monotonic() - started - left * first) / span

        error = train_decoder(vae, supply, share_of(0, DECODER_SHARE), matrix, scale)
        vae.cpu().save_pretrained(runs / "rich-autoencoder")
        training = Training(runs, rich=True)
        train_painter(training, supply, share_of(DECODER_SHARE, 0.97), matrix, device, scale)
    finally:
        supply.close()
    drawn = {shape: store.drawn for shape, store in supply.stores.items()}
    report = {"steps": training.step, "loss": training.loss, "decoder_db": error, "drawn": drawn}
    pack(training, vae, out, report)


def fitted(runs: Path, chunks: list[tuple]) -> AutoencoderTiny:
    """Fit the components to what was drawn first; return their autoencoder, its decoder fresh."""
    groups = [
        np.concatenate([pixels.numpy() for shape, pixels, *_ in chunks if shape == wanted])
        for wanted in RICH_SIZES
    ]
    found = components.fit([group[:FITTED] for group in groups])
    runs.mkdir(parents=True, exist_ok=True)
    (runs / "rich-preview.json").write_text(json.dumps(found.preview()))
    return components.build(found)


def train_decoder(
    vae: AutoencoderTiny,
    supply: Supply,
    share: Callable[[], float],
    matrix: tuple[Tensor, Tensor],
    scale: Scale,
) -> float:
    """Train the decoder on whole pictures until `share` is 1; return its error in dB."""
    trained = list(vae.decoder.parameters())
    optimiser = torch.optim.AdamW(trained, lr=decoder.PEAK_RATE, weight_decay=1e-4)
    stores, step, average = list(supply.stores.values()), 0, 0.02
    while (done := share()) < 1:
        for group in optimiser.param_groups:
            fall = 0.5 + 0.5 * math.cos(math.pi * done)
            group["lr"] = decoder.PEAK_RATE * min(1.0, step / 50) * fall
        store = stores[step % len(stores)]
        some = torch.randint(len(store.pixels), (max(1, scale.pictures // CHUNK),)).tolist()
        pictures = torch.cat([store.pixels[at] for at in some])[: scale.pictures].float()
        pictures = (pictures / 127.5 - 1).contiguous(memory_format=torch.channels_last)
        loss, squared = decoder_losses(vae, components.encode(pictures, matrix), pictures)
        optimiser.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(trained, 1.0)
        optimiser.step()
        step += 1
        if step % 20 == 0:
            average = 0.8 * average + 0.2 * squared.item()
            supply.keep([], matrix)
        if step % 200 == 0:
            print(f"decoder {step} {done:.0%} {-10 * math.log10(average):.2f} dB", flush=True)
    return -10 * math.log10(average)


def train_painter(
    training: Training,
    supply: Supply,
    share: Callable[[], float],
    matrix: tuple[Tensor, Tensor],
    device: str,
    scale: Scale,
) -> None:
    """Train the painter until `share` is 1, at a rate that falls over the last 60 %."""
    training.models.to(device)
    training.teach_reading(scale.reading)
    training.optimiser = Optimiser(training.models)  # on the weights where they are now
    training.average.to(device)
    empty = diffusion.token_ids(training.tokenizer, [""]).to(device)
    shapes = list(RICH_SHAPES)
    rng = np.random.default_rng(1)
    while (done := share()) < 1:
        shape = shapes[int(rng.choice(len(shapes), p=[part for part, _ in RICH_SHAPES.values()]))]
        count = max(1, int(RICH_SHAPES[shape][1] * scale.batch))
        latents, ids, counts = supply.stores[shape].batch(count)
        unsaid = torch.rand(len(ids), 1, device=ids.device) < EMPTY_SHARE
        inputs = latents, torch.where(unsaid, empty, ids), counts
        training.learn(inputs, scale.rate * rate_at(training.step, done))
        if training.step % 20 == 0:
            supply.keep([], matrix)
        if training.step % 100 == 0:
            print(f"painter {training.step} {done:.0%} loss {training.loss:.4f}", flush=True)


def pack(training: Training, vae: AutoencoderTiny, out: Path, report: dict[str, object]) -> None:
    """Write averaged weights in float16, in files of less than 15 MB, and the report."""
    out.mkdir(parents=True, exist_ok=True)
    training.average.copy_to(training.models.parameters())
    tensors = {f"models.{name}": value for name, value in training.models.state_dict().items()}
    tensors |= {f"vae.{name}": value for name, value in vae.state_dict().items()}
    parts: list[dict[str, Tensor]] = [{}]
    size = 0
    for name, value in tensors.items():
        half = value.detach().cpu().half().contiguous()
        size += half.nbytes
        if size > PART_BYTES and parts[-1]:
            parts.append({})
            size = half.nbytes
        parts[-1][name] = half
    for at, part in enumerate(parts):
        save_file(part, out / f"weights-{at}.safetensors")
    preview = json.loads((training.runs / "rich-preview.json").read_text())
    (out / "report.json").write_text(json.dumps({**report, "preview": preview}))
    print(json.dumps(report), flush=True)


def take(folder: Path, runs: Path) -> None:
    """Put what `run` wrote into a runs folder, as if it had been trained there."""
    tensors: dict[str, Tensor] = {}
    for part in sorted(folder.glob("weights-*.safetensors")):
        tensors |= load_file(part)
    report = json.loads((folder / "report.json").read_text())
    runs.mkdir(parents=True, exist_ok=True)
    (runs / "rich-preview.json").write_text(json.dumps(report["preview"]))
    matrices = {name[4:]: value.float() for name, value in tensors.items() if name[:4] == "vae."}
    vae = components.empty()
    vae.load_state_dict(matrices)
    vae.save_pretrained(runs / "rich-autoencoder")
    training = Training(runs, rich=True)
    found = {name[7:]: value.float() for name, value in tensors.items() if name[:7] == "models."}
    training.models.load_state_dict(found)
    training.restart_average()
    training.step, training.loss = report["steps"], report["loss"]
    training.save()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=8.0)
    parser.add_argument("--cores", type=int, default=15, help="that draw")
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--runs", type=Path, default=RUNS)
    parser.add_argument("--out", type=Path)
    parser.add_argument("--take", type=Path)
    arguments = parser.parse_args()
    if arguments.take:
        take(arguments.take, arguments.runs)
    else:
        options = arguments.minutes, arguments.cores, arguments.device
        run(arguments.runs, arguments.out, *options, Scale())
