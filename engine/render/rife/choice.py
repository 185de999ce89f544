"""From what an operator chose to a loaded network, and a word to say if it is another one.

Knows when to fall back to the offline network, not where weights come from.
"""

import logging
from pathlib import Path

from engine.errors import VisionFluxError
from engine.models import interpolators as networks
from engine.render.rife.interpolator import Interpolator, load_interpolator
from engine.render.rife.official_weights import fetch_official
from engine.render.weights.hub import OnBytes

log = logging.getLogger(__name__)


def open_interpolator(
    choice: str,
    device: str,
    on_bytes: OnBytes,
    *,
    insist: bool = False,
    scale: float | None = None,
) -> tuple[Interpolator, str]:
    """Load the network of a choice; if its weights cannot be had the offline one serves.

    Args:
        choice: as ``engine.models.interpolators.check_choice`` returned it.
        device: a torch device.
        on_bytes: called with bytes done and in total while weights are fetched.
        insist: raise instead of serving another network.
        scale: of the flow estimate; None reduces it for large frames only.

    Returns:
        The interpolator, and why it is not what was chosen; "" if it is.

    Raises:
        ModelLoadError: a file of the operator's own cannot be used, or ``insist``.
        StorageError: ``insist``, and the disk is full.
    """
    version = wanted(choice, device)
    if version == networks.OFFLINE:
        return load_interpolator(device, scale=scale), ""
    if version not in networks.FETCHABLE:
        return load_interpolator(device, Path(version), scale=scale), ""
    try:
        weights = fetch_official(version, on_bytes)
        return load_interpolator(device, weights, version, scale), ""
    except VisionFluxError as error:
        if insist:
            raise
        log.warning("The offline network serves: %s", error)
        return load_interpolator(device, scale=scale), str(error)


def wanted(choice: str, device: str) -> str:
    """Resolve ``auto``: the default version on CUDA; elsewhere nothing that must be fetched."""
    if choice != networks.AUTO:
        return choice
    return networks.DEFAULT if device.startswith("cuda") else networks.OFFLINE
