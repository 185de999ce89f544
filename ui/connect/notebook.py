"""Builds the notebook on the Connection page, which runs an engine on a hosted machine.

It contains the engine's source, packed, and a key of its own. Its cells are the files of the
folder ``cells``; the work is done by ``engine.hosted``.
"""

import base64
import hashlib
import io
import json
import tarfile
from functools import lru_cache
from pathlib import Path
from typing import Any

import nbformat
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

from engine import __version__
from engine.models import KNOWN
from engine.wire.pairing import new_key

NOTEBOOK_NAME = "VisionFlux_Engine.ipynb"
ROOT = Path(__file__).parents[2]
CELLS = (
    *("welcome.md", "settings.py", "unpack.py", "machine.py"),
    *("start.py", "status.py", "films.md", "film.py"),
)
EXCLUDED_FOLDERS = ("__pycache__", "landscapes")  # 26 MB; Colab is said to allow notebooks of 20
DEFAULT_MODEL = "stable-diffusion-1.5-fast"  # of the form
PACK_LINE_LENGTH = 120  # characters


def notebook() -> bytes:
    """Return a notebook with a fresh key."""
    key, (pack, sha256) = new_key().hex(), packed()
    filled = {
        "%KEY%": key,
        "%SHA256%": sha256,
        "%PACK%": pack,
        "%VERSION%": __version__,
        "%MODEL%": DEFAULT_MODEL,
        "%MODELS%": json.dumps([*KNOWN]),
    }
    made = new_notebook(cells=[_cell(name, filled) for name in CELLS])
    made.metadata = {
        "accelerator": "GPU",
        "colab": {"gpuType": "T4", "name": NOTEBOOK_NAME, "provenance": []},
        "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
    }
    nbformat.validate(made)
    written: str = nbformat.writes(made)
    return written.encode()


@lru_cache(maxsize=1)
def packed() -> tuple[str, str]:
    """Return the engine's source in base64, and the SHA-256 of what that decodes to.

    The result is the same for the same source.
    """
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:xz", preset=6) as archive:
        for path in sorted((ROOT / "engine").rglob("*")):
            if path.is_file() and not set(path.parts) & set(EXCLUDED_FOLDERS):
                archive.add(path, path.relative_to(ROOT), filter=_anonymous)
    pack = buffer.getvalue()
    text = base64.b64encode(pack).decode()
    starts = range(0, len(text), PACK_LINE_LENGTH)
    lines = (text[start : start + PACK_LINE_LENGTH] for start in starts)
    return "\n".join(lines), hashlib.sha256(pack).hexdigest()


def _anonymous(entry: tarfile.TarInfo) -> tarfile.TarInfo:
    """Remove from an entry what identifies this machine."""
    entry.uid = entry.gid = entry.mtime = 0
    entry.uname = entry.gname = ""
    entry.mode = 0o644
    return entry


def _cell(name: str, filled: dict[str, str]) -> Any:
    text = (Path(__file__).with_name("cells") / name).read_text().strip()
    if name.endswith(".md"):
        return new_markdown_cell(text)
    for mark, value in filled.items():
        text = text.replace(mark, value)
    return new_code_cell(text, metadata={"cellView": "form"})
