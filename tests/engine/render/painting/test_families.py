"""Tiny random pipelines in the real ones' layouts: ours paints what plain diffusers paints."""

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from diffusers import (
    AutoencoderKL,
    DDIMScheduler,
    EulerDiscreteScheduler,
    LatentConsistencyModelPipeline,
    LCMScheduler,
    StableDiffusionPipeline,
    StableDiffusionXLPipeline,
)
from msgspec import structs
from safetensors.torch import load_file, save_file

from engine.errors import InvalidParameterError, ModelLoadError
from engine.film.graph import Blend, KeyframeNode
from engine.models import KNOWN, Lora, Model, WeightSource, catalogue
from engine.render import Cancelled
from engine.render.device import choose_device
from engine.render.painting.optimizations import Way
from engine.render.painting.painter import Painter
from tests.engine.render.painting.test_painter import IN_EVERY_WAY, assert_thrift_leaves_the_picture
from tests.stand_ins.pipelines import (
    save_tiny_checkpoint,
    save_tiny_lora,
    save_tiny_pipeline,
    save_tiny_xl,
)

CPU = choose_device("cpu")
SIZE, STEPS, SEED = 64, 4, 3


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("families")


@pytest.fixture(scope="module")
def base(root: Path) -> Path:
    return save_tiny_pipeline(root / "base")


@pytest.fixture(scope="module")
def xl(root: Path) -> Path:
    return save_tiny_xl(root / "xl")


@pytest.fixture(scope="module")
def distilled(root: Path) -> Path:
    return save_tiny_pipeline(root / "distilled", time_cond_proj_dim=16)


@pytest.fixture(scope="module")
def lora(root: Path, base: Path) -> Path:
    return save_tiny_lora(root / "style.safetensors", base)


@pytest.fixture(scope="module")
def checkpoint(root: Path, base: Path) -> Path:
    """One file, and beside it a folder with the configuration and no weights."""
    file = save_tiny_checkpoint(root / "merged.safetensors", base)
    only = shutil.ignore_patterns("*.safetensors")
    shutil.copytree(base, file.with_suffix(""), ignore=only)
    return file


@pytest.fixture(autouse=True)
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    """Everything here is on this machine; whoever asks a hub fails."""

    def refuse(*args: Any, **named: Any) -> None:
        raise AssertionError("a hub was asked")

    monkeypatch.setattr("engine.render.weights.hub.HfApi", refuse)
    monkeypatch.setattr("engine.render.weights.hub.snapshot_download", refuse)


def ignore(*anything: Any) -> None:
    pass


def offered(source: str | Path) -> Model:
    *_, model = catalogue([str(source)]).values()
    return model


def load(model: Model | Path | str) -> Painter:
    return Painter.load(model if isinstance(model, Model) else offered(model), CPU, ignore)


def node(**changes: Any) -> KeyframeNode:
    values: dict[str, Any] = {
        "model": "tiny@0",
        "prompt": Blend("a sea", "a sea", 0.0),
        "negative_prompt": "fog",
        "noise": Blend(SEED, SEED, 0.0),
        "width": SIZE,
        "height": SIZE,
        "num_inference_steps": STEPS,
        "guidance_scale": 4.0,
        "scheduler": "ddim",
    }
    return KeyframeNode(**{**values, **changes})


def paint(painter: Painter, wanted: KeyframeNode, on_step: Any = ignore) -> np.ndarray:
    return painter.paint(wanted, on_step=on_step, cancelled=lambda: False)


def plainly(pipe: Any, **changes: Any) -> np.ndarray:
    """Return what a diffusers pipeline paints when it is simply called."""
    settings = {
        "prompt": "a sea",
        "negative_prompt": "fog",
        "generator": torch.Generator("cpu").manual_seed(SEED),
        "width": SIZE,
        "height": SIZE,
        "num_inference_steps": STEPS,
        "guidance_scale": 4.0,
    }
    pipe.set_progress_bar_config(disable=True)
    picture = np.asarray(pipe(**{**settings, **changes}).images[0])
    assert picture.std() > 1  # a picture, so that equality says something
    return picture


def with_ddim(pipe: Any, **settings: Any) -> Any:
    pipe.scheduler = DDIMScheduler.from_config(pipe.scheduler.config, **settings)
    return pipe


# --- SDXL ---


@pytest.mark.parametrize("guidance_scale", [1.0, 4.0])
def test_an_xl_picture_is_that_of_plain_diffusers(xl: Path, guidance_scale: float) -> None:
    pipe = with_ddim(StableDiffusionXLPipeline.from_pretrained(xl))
    plain = plainly(pipe, guidance_scale=guidance_scale)
    assert np.array_equal(paint(load(xl), node(guidance_scale=guidance_scale)), plain)


def test_no_negative_prompt_means_to_xl_what_it_means_to_diffusers(xl: Path) -> None:
    """Zeros, for which it was trained, and not the embedding of an empty text."""
    pipe = with_ddim(StableDiffusionXLPipeline.from_pretrained(xl))
    painter = load(xl)
    nothing = paint(painter, node(negative_prompt=""))
    assert np.array_equal(nothing, plainly(pipe, negative_prompt=None))
    assert not np.array_equal(nothing, plainly(pipe, negative_prompt=""))


def test_a_mix_of_xl_prompts_mixes_both_kinds_of_embeddings(xl: Path) -> None:
    painter = load(xl)
    sea, mixed, city = (
        painter._prompts.mixed(Blend("a sea", "a city", position)) for position in (0, 0.5, 1)
    )
    for part in range(2):  # tokens, pooled
        ends = [torch.linalg.vector_norm(end[part] - mixed[part]) for end in (sea, city)]
        assert ends[0] > 0
        assert torch.isclose(ends[0], ends[1], rtol=0.2)


def test_xl_reports_its_steps_and_can_be_cancelled(xl: Path) -> None:
    painter, seen = load(xl), []
    paint(painter, node(scheduler="euler"), lambda *step: seen.append(step))
    assert [step[:2] for step in seen] == [(index, STEPS) for index in range(1, STEPS + 1)]
    assert all(step[2].shape == (1, 4, SIZE // 8, SIZE // 8) for step in seen)
    with pytest.raises(Cancelled):
        painter.paint(node(), on_step=ignore, cancelled=iter([False, False, True]).__next__)


@IN_EVERY_WAY
def test_an_xl_model_saves_memory_in_every_way(xl: Path, way: Way) -> None:
    painter = load(xl)
    assert_thrift_leaves_the_picture(painter, way, lambda: paint(painter, node()))


def test_another_vae_takes_the_place_of_the_pipelines_own(xl: Path, tmp_path: Path) -> None:
    pipe = with_ddim(StableDiffusionXLPipeline.from_pretrained(xl))
    torch.manual_seed(1)
    other = AutoencoderKL.from_config(pipe.vae.config)
    other.save_pretrained(tmp_path / "vae")
    pipe.vae = AutoencoderKL.from_pretrained(tmp_path / "vae")
    model = structs.replace(offered(xl), vae=WeightSource(source=str(tmp_path / "vae")))
    painter = load(model)
    assert np.array_equal(paint(painter, node()), plainly(pipe))
    assert painter.identity != load(xl).identity


# --- Distilled models ---


def test_a_distilled_model_paints_what_plain_diffusers_paints(distilled: Path) -> None:
    pipe = StableDiffusionPipeline.from_pretrained(distilled)
    pipe.scheduler = LCMScheduler.from_config(pipe.scheduler.config)
    painter = load(distilled)
    lcm = node(scheduler="lcm")
    assert np.array_equal(paint(painter, lcm), plainly(pipe))
    assert np.array_equal(paint(painter, lcm), paint(painter, node(scheduler="lcm")))
    other = node(scheduler="lcm", guidance_scale=8.0)
    assert np.array_equal(paint(painter, other), plainly(pipe, guidance_scale=8.0))


def test_a_distilled_model_ignores_the_negative_prompt_and_states_it(distilled: Path) -> None:
    painter = load(distilled)
    fog, other = (node(scheduler="lcm", negative_prompt=text) for text in ("fog", "x"))
    assert np.array_equal(paint(painter, fog), paint(painter, other))
    assert offered(distilled).card.negative_prompt == "ignored"


def test_a_latent_consistency_pipeline_is_taken_for_what_it_is(
    distilled: Path, tmp_path: Path
) -> None:
    folder = Path(shutil.copytree(distilled, tmp_path / "lcm"))
    index = json.loads((folder / "model_index.json").read_bytes())
    index["_class_name"] = "LatentConsistencyModelPipeline"
    (folder / "model_index.json").write_text(json.dumps(index))
    pipe = LatentConsistencyModelPipeline.from_pretrained(folder)
    pipe.scheduler = LCMScheduler.from_config(pipe.scheduler.config)
    pipe.set_progress_bar_config(disable=True)
    generator = torch.Generator("cpu").manual_seed(SEED)
    plain = pipe(
        "a sea",
        generator=generator,
        width=SIZE,
        height=SIZE,
        num_inference_steps=STEPS,
        guidance_scale=4.0,
    ).images[0]
    assert np.array_equal(paint(load(folder), node(scheduler="lcm")), np.asarray(plain))


def test_injected_noise_walks_along_with_the_noise_of_the_beginning(base: Path) -> None:
    """Neighbours on the walk are alike; noise of its own at each step would tear them apart."""
    painter = load(base)
    here, near, elsewhere = (
        paint(painter, node(scheduler="lcm", noise=noise)).astype(int)
        for noise in (Blend(3, 4, 0.5), Blend(3, 4, 0.502), Blend(7, 8, 0.5))
    )
    assert abs(here - near).mean() < abs(here - elsewhere).mean() / 10


def test_more_steps_than_lcm_has_are_refused(base: Path) -> None:
    with pytest.raises(InvalidParameterError, match="at most 50 steps"):
        paint(load(base), node(scheduler="lcm", num_inference_steps=51))


# --- Painting over a picture ---


@pytest.mark.parametrize(
    ("layout", "scheduler"), [("xl", "euler"), ("distilled", "lcm"), ("base", "lcm")]
)
def test_every_family_paints_over_pictures(
    request: pytest.FixtureRequest, layout: str, scheduler: str
) -> None:
    painter = load(request.getfixturevalue(layout))
    source = paint(painter, node(noise=Blend(9, 9, 0.0)))

    def over(strength: float) -> np.ndarray:
        wanted = node(scheduler=scheduler, source="a" * 64, strength=strength)
        return painter.paint(wanted, source=source, on_step=ignore, cancelled=lambda: False)

    assert np.array_equal(over(0.5), over(0.5))
    moved = [abs(over(strength).astype(int) - source).mean() for strength in (0.25, 1.0)]
    assert 0 < moved[0] < moved[1]


# --- Checkpoints in one file ---


def test_a_checkpoint_in_one_file_paints_what_plain_diffusers_paints(checkpoint: Path) -> None:
    pipe = StableDiffusionPipeline.from_single_file(
        str(checkpoint), config=str(checkpoint.with_suffix("")), local_files_only=True
    )
    assert np.array_equal(paint(load(checkpoint), node()), plainly(with_ddim(pipe)))


def test_a_checkpoint_and_the_folder_it_was_made_of_paint_alike(
    checkpoint: Path, base: Path
) -> None:
    assert np.array_equal(paint(load(checkpoint), node()), paint(load(base), node()))


def test_a_checkpoint_without_a_folder_beside_it_takes_the_bases_configuration(
    checkpoint: Path, tmp_path: Path
) -> None:
    alone = Path(shutil.copy(checkpoint, tmp_path / "alone.safetensors"))
    configuration = offered(alone).configuration
    assert configuration
    assert configuration.source == KNOWN["stable-diffusion-1.5"].source
    assert configuration.revision


def test_a_truncated_checkpoint_is_refused(checkpoint: Path, tmp_path: Path) -> None:
    broken = tmp_path / "broken.safetensors"
    broken.write_bytes(checkpoint.read_bytes()[:-1000])
    shutil.copytree(checkpoint.with_suffix(""), tmp_path / "broken")
    with pytest.raises(ModelLoadError, match="damaged"):
        load(broken)


# --- LoRAs ---


@pytest.mark.parametrize("weight", [1.0, 0.5])
def test_a_lora_paints_what_it_paints_fused_into_plain_diffusers(
    base: Path, lora: Path, weight: float
) -> None:
    pipe = with_ddim(StableDiffusionPipeline.from_pretrained(base))
    pipe.load_lora_weights(str(lora.parent), weight_name=lora.name)
    pipe.fuse_lora(lora_scale=weight)
    model = offered(f"{base}+{lora}:{weight}")
    ours = paint(load(model), node())
    assert np.array_equal(ours, plainly(pipe))
    assert not np.array_equal(ours, paint(load(base), node()))


def test_identities_differ_by_loras_and_weights(base: Path, lora: Path) -> None:
    sources = [str(base), f"{base}+{lora}", f"{base}+{lora}:0.5", f"{base}+{lora}+{lora}"]
    hashes = {load(source).identity.rpartition("@")[2] for source in sources}
    assert len(hashes) == len(sources)


def test_two_loras_add_up(base: Path, lora: Path) -> None:
    twice = paint(load(f"{base}+{lora}:0.25+{lora}:0.25"), node()).astype(int)
    once = paint(load(f"{base}+{lora}:0.5"), node())
    assert abs(twice - once).mean() < 1  # a random network enlarges rounding; 38 from half of it


def test_a_lora_for_another_base_is_refused(xl: Path, lora: Path) -> None:
    with pytest.raises(ModelLoadError, match=r"style\.safetensors does not fit") as caught:
        load(f"{xl}+{lora}")
    assert "this base" in caught.value.remedy


def test_a_lora_that_is_missing_or_a_pickle_is_refused(base: Path, tmp_path: Path) -> None:
    pickle = tmp_path / "style.pt"
    torch.save({}, pickle)
    with pytest.raises(ModelLoadError, match="safetensors"):
        offered(f"{base}+{pickle}")
    gone = Lora(source=str(tmp_path / "gone.safetensors"))
    with pytest.raises(ModelLoadError):
        offered(f"{base}+{gone.source}")


@pytest.mark.parametrize(
    ("part", "kind"), [("hada_w1_a", "LoHa"), ("lokr_w1", "LoKr"), ("lora_mid.weight", "LoCon")]
)
def test_other_layouts_of_low_rank_changes_are_called_by_their_names(
    base: Path, tmp_path: Path, part: str, kind: str
) -> None:
    layer = "lora_unet_mid_block_attentions_0_proj_in"
    tensors = {f"{layer}.{part}": torch.ones(2, 2), f"{layer}.alpha": torch.tensor(1.0)}
    save_file(tensors, tmp_path / "style.safetensors")
    with pytest.raises(ModelLoadError, match=f"it is a {kind}.* of LyCORIS"):
        load(f"{base}+{tmp_path / 'style.safetensors'}")


# --- Textual inversions ---


def save_words(path: Path, **widths: int) -> Path:
    """Write a textual inversion of two embeddings, for each encoder by its file's key."""
    made = torch.Generator().manual_seed(5)
    save_file({key: torch.randn(2, width, generator=made) for key, width in widths.items()}, path)
    return path


@pytest.mark.parametrize("negative", [False, True])
def test_a_textual_inversion_is_a_word_that_plain_diffusers_would_know(
    base: Path, tmp_path: Path, negative: bool
) -> None:
    file = save_words(tmp_path / "glow.safetensors", emb_params=32)
    pipe = with_ddim(StableDiffusionPipeline.from_pretrained(base))
    pipe.load_textual_inversion(load_file(file), token="glow")
    texts = ("a sea", "glow, fog") if negative else ("a glow sea", "fog")
    wanted = node(prompt=Blend(texts[0], texts[0], 0.0), negative_prompt=texts[1])
    ours = paint(load(f"{base}+{file}"), wanted)
    assert np.array_equal(ours, plainly(pipe, prompt=texts[0], negative_prompt=texts[1]))
    assert not np.array_equal(ours, paint(load(base), wanted))
    heavier = node(prompt=Blend("a (glow:1.5) sea", "", 0.0), prompt_syntax=1)
    assert not np.array_equal(paint(load(f"{base}+{file}"), heavier), ours)


def test_sdxl_takes_embeddings_for_both_encoders(xl: Path, tmp_path: Path) -> None:
    file = save_words(tmp_path / "glow.safetensors", clip_l=32, clip_g=48)
    wanted = node(prompt=Blend("a glow sea", "", 0.0))
    assert not np.array_equal(paint(load(f"{xl}+{file}"), wanted), paint(load(xl), wanted))


def test_a_textual_inversion_for_another_family_or_with_a_weight_is_refused(
    base: Path, xl: Path, tmp_path: Path
) -> None:
    small = save_words(tmp_path / "glow.safetensors", emb_params=32)
    large = save_words(tmp_path / "shine.safetensors", clip_l=32, clip_g=48)
    wide = save_words(tmp_path / "beam.safetensors", emb_params=40)
    for source in (f"{xl}+{small}", f"{base}+{large}", f"{base}+{wide}"):
        with pytest.raises(ModelLoadError, match=r"textual inversion .* does not fit"):
            load(source)
    with pytest.raises(ModelLoadError, match="cannot have a weight") as caught:
        load(f"{base}+{small}:0.5")
    assert "(glow:0.5)" in caught.value.remedy


# --- What the catalogue says of samplers ---


def test_the_spacing_of_an_entry_is_that_of_diffusers(xl: Path) -> None:
    """As SDXL-Lightning wants it: Euler with trailing steps, unguided."""
    pipe = StableDiffusionXLPipeline.from_pretrained(xl)
    config = KNOWN["sdxl-lightning"].scheduler_config
    pipe.scheduler = EulerDiscreteScheduler.from_config(
        pipe.scheduler.config, timestep_spacing="trailing"
    )
    model = structs.replace(offered(xl), scheduler_config=config)
    painter = load(model)
    settings = node(scheduler="euler", guidance_scale=1.0)
    assert np.array_equal(paint(painter, settings), plainly(pipe, guidance_scale=0.0))
    assert not np.array_equal(paint(painter, settings), paint(load(xl), settings))
    assert painter.identity != load(xl).identity
