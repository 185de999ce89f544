"""Imports point one way: one table says what each part may know."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
VALUES = {"engine.errors", "engine.recipe", "engine.graph", "engine.events", "engine.progress"}
VALUES |= {"engine", "engine.models", "engine.networks", "engine.purse", "engine.scores"}
VALUES |= {"engine.camera", "engine.chain", "engine.parts", "engine.plan"}
VALUES |= {"engine.spacing", "engine.spans", "engine.steps"}
WIRE = VALUES | {"engine.protocol", "engine.pairing"}
DATA = WIRE | {"engine.journal", "engine.rows", "engine.store"}
WORK = DATA | {"engine.tasks", "engine.foreman", "engine.crew"}
CLIENT = WIRE | {"engine.dial", "engine.questions", "engine.traffic", "engine.transfer"}
CLIENT |= {"engine.watched"}

# What each module may import of ours. A row for a folder holds for everything in it.
MAY_IMPORT: dict[str, set[str]] = {
    "engine/__init__": set(),
    "engine/errors": set(),
    "engine/recipe": {"engine.errors"},
    "engine/spacing": {"engine.recipe"},
    "engine/camera": {"engine.recipe"},
    "engine/graph": {"engine", "engine.camera", "engine.recipe", "engine.spacing"},
    "engine/chain": VALUES,
    "engine/steps": {"engine.graph"},
    "engine/parts": {"engine.errors", "engine.spacing"},
    "engine/plan": VALUES,
    "engine/scores": set(),
    "engine/events": {"engine.errors", "engine.scores"},
    "engine/spans": set(),
    "engine/progress": {"engine", "engine.errors", "engine.events", "engine.spans"},
    "engine/purse": {"engine.progress", "engine.recipe"},
    "engine/models": {"engine.errors", "engine.models", "engine.recipe"},
    "engine/networks": {"engine.errors"},
    "engine/stills": {"engine.errors"},
    "engine/pairing": {"engine.errors"},
    "engine/protocol": VALUES | {"engine.protocol"},
    "engine/protocol/binary": {"engine.errors"},
    "engine/protocol/terms": {"engine.purse", "engine.recipe"},
    "engine/protocol/requests": {"engine.protocol.terms"},
    "engine/protocol/answers": VALUES | {"engine.protocol.terms"},
    "engine/tasks": WIRE,
    "engine/pipe": WIRE | {"engine.tasks"},
    "engine/rows": {"engine.events", "engine.recipe"},
    "engine/journal": VALUES | {"engine.rows"},
    "engine/salvage": VALUES | {"engine.journal", "engine.rows"},
    "engine/store": VALUES | {"engine.journal", "engine.rows"},
    "engine/uploads": DATA,
    "engine/foreman": WIRE | {"engine.tasks"},
    "engine/crew": WIRE | {"engine.tasks", "engine.foreman"},
    "engine/roster": WIRE | {"engine.crew", "engine.foreman"},
    "engine/remote": WIRE | {"engine.tasks", "engine.foreman"},
    "engine/bridge": WIRE | {"engine.tasks", "engine.pipe", "engine.remote"},
    "engine/growth": WIRE | {"engine.tasks"},
    "engine/nodes": WORK,
    "engine/making": WORK | {"engine.growth", "engine.nodes"},
    "engine/job": DATA | {"engine.line"},
    "engine/holding": DATA | {"engine.job"},
    "engine/pruning": {"engine.journal", "engine.rows"},
    "engine/jobs": WORK
    | {"engine.holding", "engine.job", "engine.making", "engine.nodes", "engine.pruning"},
    "engine/session": DATA | {"engine.job", "engine.jobs", "engine.line"},
    "engine/hatch": DATA | {"engine.line", "engine.uploads"},
    "engine/server": DATA
    | {"engine.hatch", "engine.jobs", "engine.line", "engine.pulse", "engine.session"},
    "engine/daemon": WORK
    | {"engine.jobs", "engine.roster", "engine.salvage", "engine.server", "engine.tunnels"},
    "engine/tunnels": WIRE | {"engine.tunnels"},
    "engine/tunnels/outages": set(),
    "engine/line": set(),
    "engine/pulse": set(),
    "engine/traffic": set(),
    "engine/dial": WIRE | {"engine.pulse", "engine.traffic", "engine.tunnels.outages"},
    "engine/transfer": WIRE,
    "engine/questions": WIRE,
    "engine/watched": {"engine.protocol.requests"},
    "engine/client": CLIENT,
    "engine/local": WIRE,
    "engine/cli_render": WIRE | {"engine.client", "engine.daemon", "engine.local"},
    "engine/hosted": {"engine.hosted"},
    "engine/doctor": WIRE | {"engine.local", "engine.render"},
    "engine/interpolate": VALUES | {"engine.render"},
    "engine/worker": WIRE | {"engine.tasks", "engine.pipe", "engine.render"},
    "engine/render": VALUES | {"engine.render"},
    "ui": WIRE | {"engine.client", "engine.local", "engine.stills", "engine.traffic", "ui"},
    "pages": WIRE | {"ui"},
    "streamlit_app": WIRE | {"ui"},
    "notebook": {"engine.hosted"},
    "training": VALUES | {"training", "engine.render", "engine.models", "engine.graph"},
    # These put the parts together, or measure them.
    "engine/__main__": {"engine"},
    "benchmarks": {"engine", "training", "benchmarks"},
}
MAY_KNOW_EVERYTHING = {"engine/__main__", "benchmarks"}
TORCH = {"torch", "diffusers", "transformers", "accelerate", "safetensors"}
MAY_KNOW_TORCH = {"engine/render", "training", "benchmarks"}


def files() -> list[str]:
    """Return our modules as paths without suffix, tests aside."""
    tracked = subprocess.run(
        ["git", "ls-files", "*.py"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout.split()
    names = [name.removesuffix(".py") for name in tracked if (ROOT / name).exists()]
    return [name for name in names if not name.startswith("tests/")]


def row(name: str) -> str | None:
    """Return the row that holds for a file: its own, or that of a folder around it."""
    while name and name not in MAY_IMPORT:
        name = name.rpartition("/")[0]
    return name or None


def imports(name: str) -> set[str]:
    """Return every module that a file names in an import, wherever it stands."""
    found: set[str] = set()
    for node in ast.walk(ast.parse((ROOT / f"{name}.py").read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            for alias in node.names:
                whole = f"{node.module}.{alias.name}"
                found.add(whole if _is_module(whole) else node.module)
    return found


def _is_module(name: str) -> bool:
    path = ROOT / name.replace(".", "/")
    return path.with_suffix(".py").exists() or (path / "__init__.py").exists()


def allowed(imported: str, names: set[str]) -> bool:
    """Tell whether a module or a package around it (but not ``engine`` itself) is named."""
    return any(
        imported == name or (name != "engine" and imported.startswith(f"{name}.")) for name in names
    )


@pytest.mark.parametrize("name", files())
def test_a_module_imports_only_what_its_row_allows(name: str) -> None:
    held = row(name)
    assert held, f"{name} has no row in the table"
    for imported in imports(name):
        package = imported.partition(".")[0]
        if package in TORCH:
            assert held in MAY_KNOW_TORCH, f"{name} imports {imported}"
        if package in ("engine", "ui", "pages", "training") and held not in MAY_KNOW_EVERYTHING:
            assert allowed(imported, MAY_IMPORT[held]), f"{name} imports {imported}"


def test_the_app_and_the_server_import_without_torch() -> None:
    code = (
        "import sys\n"
        "for name in ('torch', 'diffusers', 'cv2', 'moviepy'): sys.modules[name] = None\n"
        "import ui.hub, ui.relay, ui.library, engine.client, engine.daemon, engine.__main__\n"
    )
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True)
