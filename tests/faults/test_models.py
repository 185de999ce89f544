"""The shipped weights with a flipped bit or cut short: refused before they paint anything."""

import hashlib
import shutil
from pathlib import Path

import pytest

from engine import models
from engine.errors import ModelLoadError
from engine.models import FOLDER, OFFLINE, Card, Model
from engine.models.identity import cached_sha256, expected_sha256
from engine.render.device import choose_device
from engine.render.weights.pipeline import load_pipeline
from tests.faults.processes import flip

WEIGHTS = sorted(FOLDER.rglob("*.safetensors"))


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1000])


def test_the_shipped_weights_have_their_hashes() -> None:
    """Whoever changes weights runs ``sha256sum`` in their folder anew; training/export.py does."""
    assert len(WEIGHTS) == 3
    for path in WEIGHTS:
        assert expected_sha256(path) == hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.mark.parametrize("damage", [flip, cut])
@pytest.mark.parametrize("part", ["unet", "vae", "text_encoder"])
def test_damaged_weights_of_the_shipped_model_are_refused(
    tmp_path: Path, part: str, damage: object
) -> None:
    folder = Path(shutil.copytree(FOLDER / OFFLINE, tmp_path / OFFLINE))
    assert callable(damage)
    damage(next((folder / part).glob("*.safetensors")))
    model = Model(name=OFFLINE, source=str(folder), card=Card(title=""))
    with pytest.raises(ModelLoadError, match=f"of {part} has changed") as caught:
        load_pipeline(model, choose_device("cpu"), lambda *_: None)
    assert "download the model again" in caught.value.remedy


def test_downloads_in_the_cache_are_compared_with_their_names(tmp_path: Path) -> None:
    """The hub's cache holds large files under their SHA-256 and links to them."""
    content = b"weights" * 99
    blob = tmp_path / hashlib.sha256(content).hexdigest()
    blob.write_bytes(content)
    link = tmp_path / "model.safetensors"
    link.symlink_to(blob)
    assert not models.is_damaged(link)
    flip(blob)
    cached_sha256.cache_clear()  # the flip may fall into the same tick of the file's time
    assert models.is_damaged(link)
    assert not models.is_damaged(FOLDER / OFFLINE / "README.md")  # nobody tells


@pytest.mark.parametrize("card", [b"", b"{", b"{}", b'{"title": 5}', b"\xff"])
def test_a_damaged_card_is_named(tmp_path: Path, card: bytes) -> None:
    (tmp_path / "model_index.json").write_text("{}")
    (tmp_path / "card.json").write_bytes(card)
    with pytest.raises(ModelLoadError, match=r"card\.json is damaged") as caught:
        models.catalogue([str(tmp_path)])
    assert "or remove it" in caught.value.remedy
