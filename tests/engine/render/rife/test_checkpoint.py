"""engine.render.rife.checkpoint: what loads, what is refused, and in which words."""

import pickle
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from engine.errors import ModelLoadError
from engine.render.rife import load_ifnet
from engine.render.rife.checkpoint import KNOWN_FILES, recognise
from engine.render.rife.ifnet import IFNet
from engine.render.rife.versions import VERSIONS, names_of

REPRESENTATIVES = sorted({names_of(architecture)[0] for architecture in VERSIONS.values()})


def state_of(version: str, device: str = "meta") -> dict[str, Tensor]:
    with torch.device(device):
        return IFNet(VERSIONS[version], version).state_dict()


@pytest.fixture(scope="module")
def small_state() -> dict[str, Tensor]:
    """Weights of the smallest official network."""
    torch.manual_seed(1)
    return state_of("4.15.lite", "cpu")


@pytest.mark.parametrize("version", REPRESENTATIVES)
def test_version_is_found_from_shapes(version: str) -> None:
    assert recognise(state_of(version)) == VERSIONS[version]


@pytest.mark.parametrize("form", ["{}", "module.{}", "flownet.{}", "module.flownet.{}", "blocks"])
def test_prefixes_of_repacks_are_understood(small_state: dict[str, Tensor], form: str) -> None:
    def rename(key: str) -> str:
        return key.replace("block", "blocks.", 1) if form == "blocks" else form.format(key)

    renamed = {
        rename(key) if key.startswith("block") or form != "blocks" else key: value
        for key, value in small_state.items()
    }
    net = load_ifnet(renamed)
    assert net.version == "4.15.lite"
    assert torch.equal(net.state_dict()["encode.cnn0.bias"], small_state["encode.cnn0.bias"])


def test_training_leftovers_are_dropped(small_state: dict[str, Tensor]) -> None:
    leftovers = {
        f"module.{name}.0.weight": torch.zeros(2) for name in ("teacher", "caltime", "unet")
    }
    official = {f"module.{key}": value for key, value in small_state.items()}
    assert load_ifnet(official | leftovers).version == "4.15.lite"


@pytest.mark.parametrize("kind", ["safetensors", "pkl", "legacy.pkl"])
def test_files_load_whatever_their_kind(
    small_state: dict[str, Tensor], tmp_path: Path, kind: str
) -> None:
    path = tmp_path / f"weights.{kind}"
    if kind == "safetensors":
        save_file(small_state, path)
    else:
        torch.save(small_state, path, _use_new_zipfile_serialization=kind == "pkl")
    assert load_ifnet(path).version == "4.15.lite"
    assert load_ifnet(str(path), "4.17.lite").version == "4.17.lite"


def test_half_precision_files_run_in_float32(small_state: dict[str, Tensor]) -> None:
    net = load_ifnet({key: value.half() for key, value in small_state.items()})
    assert {parameter.dtype for parameter in net.parameters()} == {torch.float32}


def test_v3_is_refused_by_name() -> None:
    state = {"module.block0.convblock0.0.0.weight": torch.zeros(90, 90, 3, 3)}
    with pytest.raises(ModelLoadError, match=r"RIFE 3 \(HDv3\)"):
        load_ifnet(state)


@pytest.mark.parametrize(
    "state",
    [{}, {"a": torch.zeros(1)}, {"block0.conv0.1.0.weight": torch.zeros(5, 5, 3, 3)}],
    ids=["empty", "other", "part"],
)
def test_other_networks_are_refused(state: dict[str, Tensor]) -> None:
    with pytest.raises(ModelLoadError, match=r"no RIFE 4\.x network"):
        load_ifnet(state)


def test_a_missing_tensor_is_refused(small_state: dict[str, Tensor]) -> None:
    state = {key: value for key, value in small_state.items() if key != "block1.conv0.0.0.bias"}
    with pytest.raises(ModelLoadError, match="do not fit"):
        load_ifnet(state)


def test_unofficial_widths_are_refused(small_state: dict[str, Tensor]) -> None:
    state = small_state | {"block3.conv0.1.0.weight": torch.zeros(50, 25, 3, 3)}
    with pytest.raises(ModelLoadError, match="128, 96, 64, 50 channels"):
        load_ifnet(state)


def test_the_wrong_version_is_refused(small_state: dict[str, Tensor]) -> None:
    with pytest.raises(ModelLoadError, match=r"this is RIFE 4\.15\.lite/.*, not 4\.25"):
        load_ifnet(small_state, "4.25")
    with pytest.raises(ModelLoadError, match=r"no RIFE version '9\.9'"):
        load_ifnet(small_state, "9.9")


@pytest.mark.parametrize("kind", ["safetensors", "pkl"])
@pytest.mark.parametrize("kept", [0, 7, 200, 100_000])
def test_truncated_files_are_refused(
    small_state: dict[str, Tensor], tmp_path: Path, kind: str, kept: int
) -> None:
    path = tmp_path / f"weights.{kind}"
    save_file(small_state, path) if kind == "safetensors" else torch.save(small_state, path)
    path.write_bytes(path.read_bytes()[:kept])
    with pytest.raises(ModelLoadError, match="truncated, damaged or not a checkpoint"):
        load_ifnet(path)


def test_a_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelLoadError, match="cannot be read"):
        load_ifnet(tmp_path / "missing.pkl")
    with pytest.raises(ModelLoadError, match="cannot be read"):
        load_ifnet(tmp_path)


@pytest.mark.parametrize("version", ["4.25", "4.15"])
def test_an_official_name_demands_the_official_hash(
    small_state: dict[str, Tensor], tmp_path: Path, version: str
) -> None:
    path = tmp_path / f"flownet_v{version}.pkl"
    torch.save(small_state, path)
    with pytest.raises(
        ModelLoadError, match=f"the official file's with {KNOWN_FILES[version][:8]}"
    ):
        load_ifnet(path)


class _Trap:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return Path.touch, (Path("trap-was-sprung"),)  # type: ignore[return-value]


def test_pickles_cannot_run_code(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "evil.pkl"
    path.write_bytes(pickle.dumps({"block0": _Trap()}))
    with pytest.raises(ModelLoadError):
        load_ifnet(path)
    torch.save({"block0": _Trap()}, path)
    with pytest.raises(ModelLoadError):
        load_ifnet(path)
    assert not (tmp_path / "trap-was-sprung").exists()
