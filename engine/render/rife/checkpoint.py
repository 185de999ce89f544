"""From a checkpoint file to an IFNet: reading, cleaning, recognising and refusing.

Official files and their repacks load as they are. Pickles are read by torch's weights-only
loader, so that a file can never run code. Knows nothing about where files come from.
"""

import re
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

from engine.errors import ModelLoadError
from engine.files import file_sha256
from engine.render.rife.ifnet import IFNet
from engine.render.rife.versions import VERSIONS, Architecture, Encoder, Layers, names_of
from engine.render.weights.rife import KNOWN_FILES
from engine.render.weights.state import read_state

OFFICIAL_NAME = re.compile(r"(?:flownet_v|rife)(?P<version>4\.\d+(?:\.lite|\.heavy)?)\.pkl")
TRAINING_ONLY = ("teacher.", "caltime.", "block_tea.", "contextnet.", "unet.")
REMEDY = "use an official RIFE 4.x file, for example rife 4.25 as pkl or safetensors"


def load_ifnet(source: str | Path | Mapping[str, Tensor], version: str | None = None) -> IFNet:
    """Build the IFNet that some weights belong to.

    Args:
        source: a safetensors or pickle file, or a state dict, with official key names, with
            or without ``module.`` and ``flownet.`` before them.
        version: for example "4.25"; None finds it from the shapes. Versions with the same
            graph (4.25 and 4.26, say) cannot be told apart and get the oldest one's name,
            unless the file's hash is known.

    Returns:
        A module on the CPU, float32, for inference; see ``IFNet.interpolate``.

    Raises:
        ModelLoadError: the file is missing, damaged, not what its name promises, not RIFE
            4.x, or not the version asked for.
    """
    state, label, found = _read(source)
    state = clean_state(state, label)
    architecture = recognise(state, label)
    name = _name(architecture, version or found, label)
    with torch.device("meta"):
        net = IFNet(architecture, name)
    try:
        net.load_state_dict(state, strict=True, assign=True)
    except RuntimeError as error:
        raise ModelLoadError(label, f"its tensors do not fit RIFE {name}", REMEDY) from error
    return net.requires_grad_(False).eval()


def _read(
    source: str | Path | Mapping[str, Tensor],
) -> tuple[Mapping[str, Tensor], str, str | None]:
    """The state dict, a name for messages, and the version if the file's hash is known."""
    if isinstance(source, Mapping):
        return source, "given as a state dict", None
    path = Path(source)
    try:
        digest = file_sha256(path)
    except OSError as error:
        problem = f"the file cannot be read ({error.strerror})"
        raise ModelLoadError(path.name, problem, "check the path") from error
    _check_name(path.name, digest)
    return read_state(path, REMEDY), path.name, _version_of(digest)


def _version_of(digest: str) -> str | None:
    return next((v for v, known in KNOWN_FILES.items() if digest == known), None)


def _check_name(name: str, digest: str) -> None:
    """Refuse a file that bears an official name but is not that file."""
    match = OFFICIAL_NAME.fullmatch(name)
    known = KNOWN_FILES.get(match["version"]) if match else None
    if known and digest != known:
        raise ModelLoadError(
            name,
            f"its SHA-256 begins with {digest[:12]}, the official file's with {known[:8]}",
            "download it again; or rename it if it is meant to be another file",
        )


def clean_state(state: Mapping[str, Tensor], label: str) -> dict[str, Tensor]:
    """Official names without prefixes, float32, without what only training needs."""
    cleaned: dict[str, Tensor] = {}
    for key, value in state.items():
        if not (isinstance(key, str) and isinstance(value, Tensor)):
            raise ModelLoadError(label, "the file holds more than named tensors", REMEDY)
        name = re.sub(r"^(module\.|flownet\.)+", "", key)
        name = re.sub(r"^blocks\.(\d+)\.", r"block\1.", name)
        if not name.startswith(TRAINING_ONLY):
            cleaned[name] = value.detach().to("cpu", torch.float32)
    return cleaned


def recognise(state: Mapping[str, Tensor], label: str = "given") -> Architecture:
    """Find the architecture from names and shapes; raise ModelLoadError for anything else."""
    if any(key.startswith("block0.convblock0.") for key in state):
        raise ModelLoadError(
            label, "this is RIFE 3 (HDv3), which knows only the middle between two frames", REMEDY
        )
    try:
        architecture = _describe(state)
    except (KeyError, IndexError, ZeroDivisionError) as error:
        raise ModelLoadError(label, "this is no RIFE 4.x network", REMEDY) from error
    if not names_of(architecture):
        width = ", ".join(str(channels) for channels in architecture.channels)
        problem = f"no official RIFE 4.x has blocks of {width} channels with these layers"
        raise ModelLoadError(label, problem, REMEDY)
    return architecture


def _describe(state: Mapping[str, Tensor]) -> Architecture:
    blocks = sum(f"block{index}.conv0.1.0.weight" in state for index in range(8))
    channels = tuple(state[f"block{i}.conv0.1.0.weight"].shape[0] for i in range(blocks))
    layers, groups = _layers(state)
    last = state.get("block0.lastconv.0.weight", state.get("block0.lastconv.weight"))
    if last is None or not channels:
        raise KeyError("lastconv")
    encoder, width, encoded = _encoder_shape(state)
    scales = (8, 4, 2, 1) if blocks == 4 else (16, 8, 4, 2, 1)
    if blocks == 5 and channels[4] == 24:
        scales = (32, 16, 8, 4, 1)
    return Architecture(
        channels,
        scales,
        layers,
        groups,
        last.shape[1],
        encoder,
        width,
        encoded,
        mask_adds=encoder is Encoder.NONE,
        multiple={8: 32, 16: 64, 32: 128}[scales[0]],
        doubles=layers is Layers.PRELU,
    )


def _layers(state: Mapping[str, Tensor]) -> tuple[Layers, int]:
    if "block0.conv0.0.1.weight" in state:
        return Layers.PRELU, 1
    if "block0.convblock.0.0.weight" in state:
        return Layers.PLAIN, 1
    weight = state["block0.convblock.0.conv.weight"]
    return Layers.RESIDUAL, weight.shape[0] // weight.shape[1]


def _encoder_shape(state: Mapping[str, Tensor]) -> tuple[Encoder, int, int]:
    """Kind, inner width and outer width; the last layer's weight is (inner, outer, 4, 4)."""
    for last, kind in (
        ("encode.cnn3.weight", Encoder.NAMED),
        ("encode.6.weight", Encoder.SEQUENCE),
        ("encode.1.weight", Encoder.PAIR),
    ):
        if last in state:
            width, encoded = state[last].shape[:2]
            return kind, width, encoded
    return Encoder.NONE, 0, 0


def _name(architecture: Architecture, wanted: str | None, label: str) -> str:
    names = names_of(architecture)
    if wanted is None:
        return "4.25" if "4.25" in names else names[0]
    if wanted not in VERSIONS:
        offered = f"known versions: {', '.join(VERSIONS)}"
        raise ModelLoadError(label, f"there is no RIFE version {wanted[:20]!r}", offered)
    if wanted not in names:
        problem = f"this is RIFE {'/'.join(names)}, not {wanted}"
        raise ModelLoadError(label, problem, "leave the version out to have it found")
    return wanted
