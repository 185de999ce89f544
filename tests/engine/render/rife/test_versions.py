"""engine.render.rife.versions: the table of official networks."""

import pytest
import torch

from engine.models import interpolators
from engine.render.rife.ifnet import IFNet
from engine.render.rife.versions import VERSIONS, names_of

# In millions, as counted in the published networks (inference parameters only).
PARAMETERS = {
    "4.0": 5.161,
    "4.1": 5.161,
    "4.2": 5.156,
    "4.3": 5.156,
    "4.4": 5.156,
    "4.5": 5.276,
    "4.6": 5.306,
    **dict.fromkeys(("4.7", "4.8", "4.9"), 5.325),
    **dict.fromkeys(("4.10", "4.11", "4.12"), 5.364),
    **dict.fromkeys(("4.13", "4.14", "4.15", "4.16", "4.17", "4.18", "4.19", "4.24"), 5.364),
    **dict.fromkeys(("4.12.lite", "4.13.lite"), 2.632),
    "4.14.lite": 2.968,
    **dict.fromkeys(("4.15.lite", "4.16.lite", "4.17.lite"), 2.616),
    "4.20": 15.38,
    **dict.fromkeys(("4.21", "4.22", "4.23"), 9.322),
    "4.22.lite": 4.866,
    **dict.fromkeys(("4.25", "4.26"), 5.665),
    "4.25.lite": 5.623,
    "4.25.heavy": 21.66,
    "4.26.heavy": 5.723,
}
# Channels into the first block and into the others, as published.
INPUTS = {
    "4.6": (7, 12),
    "4.7": (15, 20),
    "4.17": (23, 28),
    "4.15.lite": (15, 20),
    "4.22": (23, 36),
    "4.25": (15, 28),
    "4.26.heavy": (39, 52),
}


def test_table_is_complete() -> None:
    assert set(PARAMETERS) == set(VERSIONS)


@pytest.mark.parametrize("version", VERSIONS)
def test_parameter_count_is_the_published_one(version: str) -> None:
    with torch.device("meta"):
        net = IFNet(VERSIONS[version], version)
    millions = sum(parameter.numel() for parameter in net.parameters()) / 1e6
    digits = len(str(PARAMETERS[version]).split(".")[1])
    assert millions == pytest.approx(PARAMETERS[version], abs=1.001 * 10**-digits)


@pytest.mark.parametrize("version", INPUTS)
def test_input_channels_are_the_published_ones(version: str) -> None:
    architecture = VERSIONS[version]
    assert (architecture.inputs(0), architecture.inputs(1)) == INPUTS[version]


def test_versions_with_one_graph_share_an_architecture() -> None:
    assert names_of(VERSIONS["4.26"]) == ["4.25", "4.26"]
    assert names_of(VERSIONS["4.1"]) == ["4.0", "4.1"]
    assert interpolators.DEFAULT in VERSIONS
