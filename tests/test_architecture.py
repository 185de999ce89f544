"""Imports point one way: one table says what each part may know."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
VALUES = {"engine", "engine.errors", "engine.recipe", "engine.graph", "engine.events"}
VALUES |= {"engine.progress", "engine.models"}
WIRE = VALUES | {"engine.protocol", "engine.pairing"}
CORE = WIRE | {"engine.tasks", "engine.journal", "engine.store", "engine.foreman"}

# What each module may import of ours; a package stands for everything in it.
MAY_IMPORT: dict[str, set[str]] = {
    "engine": set(),
    "engine.errors": set(),
    "engine.recipe": {"engine.errors"},
    "engine.graph": {"engine.recipe"},
    "engine.events": {"engine.errors"},
    "engine.progress": {"engine", "engine.errors", "engine.events"},
    "engine.models": {"engine.errors", "engine.recipe"},
    "engine.pairing": {"engine.errors"},
    "engine.protocol": VALUES,
    "engine.tasks": WIRE,
    "engine.pipe": {"engine", "engine.protocol", "engine.tasks"},
    "engine.journal": VALUES,
    "engine.store": VALUES | {"engine.journal"},
    "engine.foreman": WIRE | {"engine.tasks"},
    "engine.making": CORE,
    "engine.jobs": CORE | {"engine.making"},
    "engine.server": CORE | {"engine.jobs"},
    "engine.daemon": CORE | {"engine.jobs", "engine.server"},
    "engine.client": WIRE,
    "engine.local": WIRE,
    "engine.cli_render": WIRE | {"engine.client", "engine.daemon", "engine.local"},
    "engine.doctor": WIRE | {"engine.local", "engine.render"},
    "engine.interpolate": VALUES | {"engine.render"},
    "engine.__main__": {"engine"},
    "engine.worker": WIRE | {"engine.tasks", "engine.pipe", "engine.render"},
    "engine.render": VALUES | {"engine.render"},
    "ui": WIRE | {"engine.client", "engine.local", "ui"},
    "pages": WIRE | {"ui"},
    "streamlit_app": WIRE | {"ui"},
    "training": {"training", "engine.render", "engine.models", "engine.graph"},
    "benchmarks": {"engine", "training", "benchmarks", "tests"},
}
TORCH = {"torch", "diffusers", "transformers", "accelerate", "safetensors"}
MAY_KNOW_TORCH = ("engine.render", "training", "benchmarks", "tests")


def modules() -> list[tuple[str, Path]]:
    tracked = subprocess.run(
        ["git", "ls-files", "*.py"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout.split()
    named = [(name.removesuffix(".py").replace("/", "."), ROOT / name) for name in tracked]
    ours = [(name.removesuffix(".__init__"), path) for name, path in named if path.exists()]
    return [(name, path) for name, path in ours if not name.startswith("tests")]


def imports(path: Path) -> set[str]:
    """Return every module that a file names in an import, wherever it stands."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            submodules = {f"{node.module}.{alias.name}" for alias in node.names}
            known = {name for name, _ in modules()}
            found |= (submodules & known) or {node.module}
    return found


def part(name: str, parts: set[str]) -> str | None:
    """Return the longest part that ``name`` is or belongs to."""
    while name and name not in parts:
        name = name.rpartition(".")[0]
    return name or None


@pytest.mark.parametrize(("name", "path"), modules(), ids=[name for name, _ in modules()])
def test_a_module_imports_only_what_its_row_allows(name: str, path: Path) -> None:
    row = part(name, set(MAY_IMPORT))
    assert row, f"{name} has no row in the table"
    if row == "engine" and name != "engine":
        pytest.fail(f"{name} has no row in the table")
    allowed = MAY_IMPORT[row]
    for imported in imports(path):
        if part(imported, set(MAY_IMPORT)) and not imported.startswith("engine.__"):
            ok = imported in allowed or any(
                imported.startswith(f"{a}.") for a in allowed if a != "engine"
            )
            if row in ("engine.__main__", "benchmarks"):
                ok = True
            assert ok, f"{name} imports {imported}"
        if imported.partition(".")[0] in TORCH:
            assert name.startswith(MAY_KNOW_TORCH), f"{name} imports {imported}"


def test_the_app_imports_without_torch() -> None:
    code = (
        "import sys\n"
        "for name in ('torch', 'diffusers', 'cv2', 'moviepy'): sys.modules[name] = None\n"
        "import ui.hub, ui.relay, ui.library, engine.client, engine.server, engine.daemon\n"
    )
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True)


def test_every_engine_module_has_a_row() -> None:
    rows = set(MAY_IMPORT)
    missing = [n for n, _ in modules() if part(n, rows) in (None, "engine") and n != "engine"]
    assert missing == []
