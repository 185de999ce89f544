"""The shipped offline model, through the ordinary pipeline."""

import json

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("diffusers")

from training import evaluate  # noqa: E402
from training.export import MODEL  # noqa: E402

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def pipeline():
    return evaluate.load_pipeline(MODEL)


def test_plain_loading_gives_float32_and_needs_no_special_case(pipeline):
    from diffusers import DiffusionPipeline, StableDiffusionPipeline

    plain = DiffusionPipeline.from_pretrained(MODEL)
    assert type(plain) is StableDiffusionPipeline
    for part in (plain.unet, plain.vae, plain.text_encoder):
        assert {value.dtype for value in part.parameters()} == {torch.float32}


def test_the_folder_fits_its_limit():
    assert sum(path.stat().st_size for path in MODEL.rglob("*") if path.is_file()) < 60e6


@pytest.mark.parametrize(
    "prompt",
    ["", "zyx qwertz 42 \u732b \U0001f600", "a city at night " * 60],
    ids=["", "odd", "long"],
)
def test_any_text_gives_a_picture(pipeline, prompt):
    (picture,) = evaluate.render(pipeline, [prompt], seed=1, num_inference_steps=6)
    assert picture.shape == (256, 256, 3)
    assert picture.std() > 15


def test_the_preview_is_roughly_the_decoded_picture(pipeline):
    """The latents hold colour only partly linearly: 0.10 off on average, more in a deep red."""
    preview = json.loads((MODEL / "preview.json").read_text())
    made = {"generator": torch.Generator().manual_seed(2), "num_inference_steps": 12}
    prompt = "a lake at sunset, the sun on the left"
    latents = pipeline(prompt, output_type="latent", **made).images
    with torch.inference_mode():
        decoded = pipeline.vae.decode(latents / pipeline.vae.config.scaling_factor).sample
    small = torch.nn.functional.avg_pool2d(decoded / 2 + 0.5, 8)[0].permute(1, 2, 0).numpy()
    quick = latents[0].permute(1, 2, 0).numpy() @ preview["factors"] + preview["bias"]
    assert np.abs(quick - small).mean() < 0.2


def test_halfway_between_two_prompts_is_still_a_picture(pipeline):
    first, _ = pipeline.encode_prompt("the sea at dawn", "cpu", 1, False)
    second, _ = pipeline.encode_prompt("a city at night", "cpu", 1, False)
    empty, _ = pipeline.encode_prompt("", "cpu", 1, False)
    (picture,) = pipeline(
        prompt_embeds=(first + second) / 2,
        negative_prompt_embeds=empty,
        generator=torch.Generator().manual_seed(3),
        num_inference_steps=12,
        output_type="np",
    ).images
    assert 15 < picture.std() * 255 < 110
