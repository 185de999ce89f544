"""engine.render.upscale.network: the files that it reads, and those that it refuses."""

import pickle
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from engine.errors import InvalidParameterError, ModelLoadError
from engine.models import upscalers
from engine.render.upscale.network import COMPACT_SIDE, MARGIN, SIDE, load_network, recognise
from tests.engine.render.upscale.networks import compact_file, compact_state, rrdb_state


def test_a_pickle_and_its_repack_are_one_network(tmp_path: Path) -> None:
    torch.save({"params": compact_state()}, tmp_path / "official.pth")
    pickled, repacked = (
        load_network(tmp_path / "official.pth"),
        load_network(compact_file(tmp_path)),
    )
    assert pickled.digest == repacked.digest
    assert (pickled.factor, pickled.side, pickled.margin) == (4, COMPACT_SIDE, 3)


def test_other_kinds_are_tiled_with_a_wide_margin() -> None:
    found = recognise(rrdb_state())
    assert (found.factor, found.side, found.margin) == (4, SIDE, MARGIN)


class Bomb:
    """Would make a file if it were unpickled freely."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Callable[..., object], tuple[Path]]:
        return Path.touch, (self.path,)


def test_a_pickle_never_runs_code(tmp_path: Path) -> None:
    trace = tmp_path / "trace"
    torch.save({"params": Bomb(trace)}, tmp_path / "evil.pth")
    (tmp_path / "plain.pth").write_bytes(pickle.dumps(Bomb(trace)))
    for name in ("evil.pth", "plain.pth"):
        with pytest.raises(ModelLoadError):
            load_network(tmp_path / name)
    assert not trace.exists()


@pytest.mark.parametrize("keep", [0, 5, 100, 1500])
@pytest.mark.parametrize("kind", ["safetensors", "pth"])
def test_truncated_files_are_refused(tmp_path: Path, kind: str, keep: int) -> None:
    path = compact_file(tmp_path)
    if kind == "pth":
        path = tmp_path / "tiny.pth"
        torch.save(compact_state(), path)
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(ModelLoadError, match="truncated"):
        load_network(path)


def test_networks_of_another_kind_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "other.safetensors"
    save_file({"conv.weight": torch.zeros(8, 3, 3, 3)}, path)
    with pytest.raises(ModelLoadError, match="spandrel knows no such network"):
        load_network(path)
    save_file({**compact_state(factor=1)}, path)
    with pytest.raises(ModelLoadError, match="does not enlarge"):
        load_network(path)
    state = compact_state()
    state["body.2.weight"] = state["body.2.weight"][:, :4].contiguous()
    save_file(state, path)
    with pytest.raises(ModelLoadError, match="do not fit together"):
        load_network(path)
    torch.save([1, 2], tmp_path / "list.pth")
    with pytest.raises(ModelLoadError, match="no state dict"):
        load_network(tmp_path / "list.pth")


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelLoadError, match="missing"):
        load_network(tmp_path / "none.pth")


def test_a_choice_is_a_known_name_or_a_file(tmp_path: Path) -> None:
    assert upscalers.check_choice(upscalers.DEFAULT) == upscalers.DEFAULT
    path = compact_file(tmp_path)
    assert upscalers.check_choice(str(path)) == str(path.resolve())
    with pytest.raises(InvalidParameterError, match="neither a known network nor a file"):
        upscalers.check_choice("animevideo")
    assert upscalers.display_name("x4plus@0123x4+1") == "Real-ESRGAN x4plus"
    assert upscalers.enlarged_size(540, 960, 4) == (2160, 3840)
