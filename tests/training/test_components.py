"""The linear encoder, and the decoder's training at a hundredth of its size."""

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("diffusers")

from training import components, decoder  # noqa: E402
from training.pictures import RICH_SIZES, fill, folder_of  # noqa: E402
from training.scene import Scene, random_scene  # noqa: E402
from training.world import draw  # noqa: E402


def pictures(count: int, width: int = 128, height: int = 64) -> np.ndarray:
    rng = np.random.default_rng(6)
    return np.stack([draw(random_scene(rng), rng, width, height) for _ in range(count)])


def psnr(first: np.ndarray, second: np.ndarray) -> float:
    return float(-10 * np.log10(np.square((first.astype(float) - second) / 255).mean()))


@pytest.fixture(scope="module")
def fitted():
    return components.fit([pictures(40), pictures(10, 64, 64)])


def test_the_autoencoders_encoder_is_the_linear_map(fitted):
    """The convolutions give the projection on the axes, to the last bits of float32."""
    some = pictures(3)
    vae = components.build(fitted)
    pixels = torch.from_numpy(some).permute(0, 3, 1, 2).float() / 127.5 - 1
    with torch.inference_mode():
        latents = vae.encode(pixels).latents.numpy()
    assert latents.shape == (3, components.CHANNELS, 8, 16)
    assert np.abs(latents - fitted.encode(some)).max() < 1e-3
    quick = components.encode(pixels, components.matrix_of(vae))
    assert np.abs(latents - quick.numpy()).max() < 1e-3


def test_components_keep_what_varies_most(fitted):
    held_out = np.stack([draw(Scene("noon", "hills", "left", "clear"), np.random.default_rng(90))])
    kept = psnr(fitted.decode(fitted.encode(held_out)), held_out)
    more = components.fit([pictures(40)], channels=48)
    assert 20 < kept < psnr(more.decode(more.encode(held_out)), held_out)
    spreads = fitted.encode(pictures(40)).std(axis=(0, 2, 3))
    assert spreads[:3] == pytest.approx(np.ones(3), abs=0.15)
    assert spreads[3:] == pytest.approx(np.full(components.CHANNELS - 3, 0.6), abs=0.15)


def test_the_preview_is_the_mean_colour_of_each_patch(fitted):
    some, preview = pictures(2), fitted.preview()
    quick = fitted.encode(some).transpose(0, 2, 3, 1) @ preview["factors"] + preview["bias"]
    small = some.reshape(2, 8, 8, 16, 8, 3).mean(axis=(2, 4)) / 255
    assert np.abs(quick - small).mean() < 0.01


def test_only_the_decoder_is_trained_and_resumes(tmp_path, monkeypatch):
    monkeypatch.setattr(decoder, "HELD_OUT", 2)
    for shape, (width, height) in RICH_SIZES.items():
        fill(folder_of(tmp_path, shape), (width // 4 // 8 * 8, height // 4), 8, 1, 1)
        folder_of(tmp_path, shape).rename(folder_of(tmp_path, shape, rich=True))
    decoder.train(tmp_path, 0.02, 1, components.CHANNELS, size=64)
    before = decoder.start(tmp_path, components.CHANNELS).state_dict()
    first = torch.load(tmp_path / "decoder.pt", weights_only=True)["progress"]
    decoder.train(tmp_path, 0.08, 1, components.CHANNELS, size=64)
    after = decoder.start(tmp_path, components.CHANNELS).state_dict()
    last = torch.load(tmp_path / "decoder.pt", weights_only=True)["progress"]
    assert last[0] > first[0] > 0
    for name, values in before.items():
        assert torch.equal(values, after[name]) == name.startswith("encoder"), name
