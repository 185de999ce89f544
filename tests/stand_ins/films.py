"""Films of a library that no engine made: real files, drawn by ffmpeg, for tests of the app."""

import subprocess
from pathlib import Path

import imageio_ffmpeg

from engine.film.events import Finished
from engine.film.recipe import Recipe, Scene
from ui.storage.library import Library


def draw(path: Path, *, seconds: float = 1.0, hue: int = 0, size: str = "256x160") -> None:
    """Draw a small film, or a picture if ``path`` ends in ``.jpg``."""
    source = f"testsrc2=size={size}:rate=12:duration={seconds},hue=h={hue}"
    how = ["-frames:v", "1"] if path.suffix == ".jpg" else []
    if path.suffix == ".mp4":
        how = ["-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p"]
        how += ["-movflags", "+faststart"]
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", "-y", "-f", "lavfi", "-i", source]
    subprocess.run([*command, *how, str(path)], check=True)


def add_film(
    library: Library,
    job: str,
    prompt: str = "dawn over the sea",
    *,
    seconds: float = 1.0,
    hue: int = 0,
    **settings: object,
) -> None:
    """Put a finished film into a library, with its file and its first keyframe's picture."""
    recipe = Recipe(scenes=(Scene(prompt=prompt, seconds=seconds),), fps=12, **settings)  # type: ignore[arg-type]
    library.add(job, recipe, "engine1")
    film = library.get(job)
    assert film
    draw(library.file(film), seconds=seconds, hue=hue)
    draw(library.thumbnail(job, 0), hue=hue)
    finished = Finished(
        object="a" * 64,
        sha256="b" * 64,
        size=library.file(film).stat().st_size,
        media_type="video/mp4",
        frames=round(12 * seconds),
        seconds=seconds,
        width=256,
        height=160,
    )
    library.finish(job, finished)
