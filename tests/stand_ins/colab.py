"""A machine that stands for Colab's: a clean folder, and Python with torch and its friends.

The environment sees this one's packages, as Colab's notebooks see Colab's; the repository is not
on its path. Unrealistic: it has no GPU and no ``google.colab``.
"""

import json
import os
import sysconfig
import venv
from pathlib import Path
from typing import Any

import nbformat
from huggingface_hub import constants
from nbclient import NotebookClient

SECONDS = 300  # that one cell may take on a busy machine


class Colab:
    """One runtime; ``run`` starts a fresh kernel each time, as after a restart of the runtime."""

    def __init__(self, folder: Path) -> None:
        self.home = folder / "content"
        self.home.mkdir()
        self.python = _environment(folder / "python")
        spec = {
            "argv": [str(self.python), "-m", "ipykernel_launcher", "-f", "{connection_file}"],
            "display_name": "Colab",
            "language": "python",
        }
        kernels = folder / "jupyter" / "kernels" / "colab"
        kernels.mkdir(parents=True)
        (kernels / "kernel.json").write_text(json.dumps(spec))
        self.environment = {
            "JUPYTER_PATH": str(folder / "jupyter"),
            "JUPYTER_PLATFORM_DIRS": "1",
            "IPYTHONDIR": str(folder / "ipython"),
            "HOME": str(self.home),
            "HF_HOME": constants.HF_HOME,  # what set-up has downloaded is not downloaded again
            "OMP_NUM_THREADS": "1",
        }

    @property
    def data(self) -> Path:
        """The engine's data folder."""
        return self.home / "VisionFlux" / "data"

    def run(self, notebook: bytes, **form: object) -> Any:
        """Run a notebook top to bottom, with a form that somebody filled in; return it."""
        read = nbformat.reads(notebook.decode(), as_version=4)
        for cell in read.cells:
            cell.source = _filled_in(cell.source, form)
        about = {"metadata": {"path": str(self.home)}}
        client = NotebookClient(read, timeout=SECONDS, kernel_name="colab", resources=about)
        environment = {**os.environ, **self.environment}
        environment.pop("PYTHONPATH", None)
        return client.execute(env=environment)


def said(cell: Any) -> str:
    """Return what a cell printed and showed."""
    texts = [
        output.get("text") or output.get("data", {}).get("text/plain", "")
        for output in cell.outputs
    ]
    return "".join(texts)


def _filled_in(source: str, form: dict[str, object]) -> str:
    """Return a cell with values of its form replaced, as a click in Colab does."""
    lines = []
    for line in source.splitlines():
        name, _, rest = line.partition(" = ")
        if name in form and "# @param" in rest:
            line = f"{name} = {form[name]!r}  # @param{rest.partition('# @param')[2]}"
        lines.append(line)
    return "\n".join(lines)


def _environment(folder: Path) -> Path:
    """Make an environment that sees this one's packages; return its Python."""
    venv.create(folder, symlinks=True)
    ours = sysconfig.get_path("purelib")
    theirs = Path(sysconfig.get_path("purelib", vars={"base": str(folder)}))
    (theirs / "packages-of-the-runtime.pth").write_text(f"{ours}\n")
    return folder / "bin" / "python"
