"""The whole training for a large GPU, at a hundredth of its size on this machine's processor."""

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("diffusers")
pytest.importorskip("resvg_py")

from training import components, evaluate, on_gpu, train  # noqa: E402

SMALL = {"square": (64, 64), "wide": (112, 64), "tall": (64, 112)}


def test_it_draws_trains_and_hands_over(tmp_path, monkeypatch):
    """What comes out of it ships from another folder, and paints there what it painted here."""
    monkeypatch.setattr(on_gpu, "RICH_SIZES", SMALL)
    scale = on_gpu.Scale(drawing=2, pictures=8, reading=0.03, batch=0.2, rate=1)
    here, there, out = tmp_path / "here", tmp_path / "there", tmp_path / "out"
    on_gpu.run(here, out, 0.6, 1, "cpu", scale)
    files = list(out.iterdir())
    assert len(files) <= 8
    assert max(file.stat().st_size for file in files) < 16 * 2**20
    on_gpu.take(out, there)
    trained = train.Training(there, rich=True)
    trained.resume()
    assert trained.step > 0
    assert components.matrix_of(trained.autoencoder())[0].shape == (192, components.CHANNELS)
    trained.ship(tmp_path / "model")
    pipeline = evaluate.load_pipeline(tmp_path / "model")
    options = {"num_inference_steps": 2, "width": 64, "height": 64}
    (picture,) = evaluate.render(pipeline, ["a fox in the hills at noon"], 1, **options)
    assert picture.std() > 0
    assert np.isfinite(picture).all()
