"""Loading a tiny random pipeline, whole and damaged in many ways."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from engine import models
from engine.errors import DeviceMemoryError, ModelLoadError
from engine.models import Model
from engine.models.identity import Places
from engine.render.device import choose_device
from engine.render.weights.pipeline import Loaded, load_pipeline
from tests.stand_ins.pipelines import save_tiny_pipeline


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tiny_pipeline(tmp_path_factory.mktemp("models") / "tiny")


@pytest.fixture
def copy(folder: Path, tmp_path: Path) -> Path:
    """A copy of the model that a test may damage."""
    return Path(shutil.copytree(folder, tmp_path / "copy"))


def model(folder: Path) -> Model:
    return Model(name=folder.name, source=str(folder), card=models.Card(title="Tiny"))


def ignore(*anything: Any) -> None:
    pass


def load(folder: Path, on_bytes: Callable[[int, int], None] = ignore) -> Loaded:
    return load_pipeline(model(folder), choose_device("cpu"), on_bytes)


def test_the_identity_is_that_of_the_files(folder: Path) -> None:
    assert load(folder).identity == models.identity(model(folder), Places(folder))


def test_loading_reports_bytes_up_to_the_total(folder: Path) -> None:
    reports: list[tuple[int, int]] = []
    load(folder, lambda done, total: reports.append((done, total)))
    assert reports == sorted(reports)
    assert reports[-1][0] == reports[-1][1] > 100_000


def _truncate(file: Path) -> None:
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])


def _no_weights(folder: Path) -> None:
    (folder / "unet" / "diffusion_pytorch_model.safetensors").unlink()


def _truncated_weights(folder: Path) -> None:
    _truncate(folder / "unet" / "diffusion_pytorch_model.safetensors")


def _truncated_text_encoder(folder: Path) -> None:
    _truncate(folder / "text_encoder" / "model.safetensors")


def _empty_weights(folder: Path) -> None:
    (folder / "vae" / "diffusion_pytorch_model.safetensors").write_bytes(b"")


def _damaged_index(folder: Path) -> None:
    _truncate(folder / "model_index.json")


def _no_tokenizer(folder: Path) -> None:
    shutil.rmtree(folder / "tokenizer")


def _no_vocabulary(folder: Path) -> None:
    for file in ("vocab.json", "tokenizer.json"):
        (folder / "tokenizer" / file).unlink(missing_ok=True)


def _other_shapes(folder: Path) -> None:
    path = folder / "unet" / "config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "block_out_channels": [16, 48]}))


def _pickle_only(folder: Path) -> None:
    """A pickle is never opened, even where it is all there is."""
    weights = folder / "unet" / "diffusion_pytorch_model.safetensors"
    torch.save({}, weights.with_suffix(".bin"))
    weights.unlink()


def _unknown_pipeline(folder: Path) -> None:
    path = folder / "model_index.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "_class_name": "NoSuchPipeline"}))


@pytest.mark.parametrize(
    "damage",
    [
        _no_weights,
        _truncated_weights,
        _truncated_text_encoder,
        _empty_weights,
        _damaged_index,
        _no_tokenizer,
        _no_vocabulary,
        _other_shapes,
        _pickle_only,
        _unknown_pipeline,
    ],
)
def test_a_damaged_model_is_refused_with_a_remedy(
    copy: Path, damage: Callable[[Path], None]
) -> None:
    damage(copy)
    with pytest.raises(ModelLoadError) as caught:
        load(copy)
    assert caught.value.model == "copy"
    assert caught.value.remedy


def test_code_in_a_model_folder_is_never_run(copy: Path, tmp_path: Path) -> None:
    trace = tmp_path / "ran"
    (copy / "evil.py").write_text(f"open({str(trace)!r}, 'w')\nclass Evil: pass\n")
    index = json.loads((copy / "model_index.json").read_text())
    for change in ({"_class_name": ["evil", "Evil"]}, {"unet": ["evil", "Evil"]}):
        (copy / "model_index.json").write_text(json.dumps({**index, **change}))
        with pytest.raises(ModelLoadError):
            load(copy)
        assert not trace.exists()


def test_memory_that_does_not_suffice_for_the_weights_is_named(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def exhausted(*args: Any, **kwargs: Any) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")

    monkeypatch.setattr("engine.render.weights.pipeline._load", exhausted)
    with pytest.raises(DeviceMemoryError, match=r"loading tiny: at least 2\.1 GB"):
        load(folder)


def test_a_model_of_another_family_is_named(copy: Path) -> None:
    """The same parts, said to be a pipeline that guides in another way."""
    path = copy / "model_index.json"
    index = json.loads(path.read_text())
    path.write_text(json.dumps({**index, "_class_name": "StableDiffusionPAGPipeline"}))
    with pytest.raises(ModelLoadError, match="it is a StableDiffusionPAGPipeline") as caught:
        load(copy)
    assert "SDXL" in caught.value.remedy


def test_a_folder_with_float16_files_alone_loads_on_a_cpu(copy: Path, folder: Path) -> None:
    for file in [*copy.rglob("*.safetensors")]:
        file.rename(file.with_suffix(".fp16.safetensors"))
    assert not [*copy.glob("unet/diffusion_pytorch_model.safetensors")]
    halves, plain = load(copy).pipe, load(folder).pipe
    assert halves.unet.dtype == torch.float32
    for ours, theirs in ((halves.unet, plain.unet), (halves.vae, plain.vae)):
        found, expected = ours.state_dict(), theirs.state_dict()
        assert all(torch.equal(found[name], expected[name]) for name in expected)
