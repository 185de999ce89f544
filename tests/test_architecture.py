"""Imports point one way: a package imports only what stands to its left."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
ENGINE = (
    *("engine", "engine.errors", "engine.files", "engine._compat", "engine.film", "engine.models"),
    *("engine.storage", "engine.wire", "engine.workers", "engine.jobs", "engine.server"),
    *("engine.tunnels", "engine.daemon", "engine.local", "engine.render", "engine.cli"),
    "engine.__main__",
)
APP = (
    *("ui.shell", "ui.storage", "ui.engines", "ui.app_state", "ui.routes", "ui.films"),
    *("ui.estimate", "ui.home", "ui.create", "ui.connect", "pages", "streamlit_app"),
)
APP_KNOWS = {
    "engine",
    "engine.errors",
    "engine.files",
    "engine.film",
    "engine.models",
    "engine.wire",
    "engine.local",
}
RENDER_KNOWS = {
    *("engine.errors", "engine.files", "engine._compat", "engine.film", "engine.models"),
    "engine.render",
}
TORCH = {"torch", "diffusers", "transformers", "accelerate", "safetensors"}
HAVE_TORCH = ("engine.render", "training", "benchmarks")


def modules() -> list[str]:
    found = [p for folder in ("engine", "ui", "pages") for p in (ROOT / folder).rglob("*.py")]
    names = [
        path.relative_to(ROOT).with_suffix("").as_posix().replace("/", ".")
        for path in found
        if path.parent.name != "cells"
    ]
    return sorted(name.removesuffix(".__init__") for name in [*names, "streamlit_app"])


def package(module: str) -> str:
    parts = module.split(".")
    return parts[0] if parts[0] in ("pages", "streamlit_app") else ".".join(parts[:2])


def imports(module: str) -> set[str]:
    path = ROOT / module.replace(".", "/")
    path = path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            for alias in node.names:
                whole = f"{node.module}.{alias.name}"
                is_module = (ROOT / whole.replace(".", "/")).is_dir() or (
                    ROOT / (whole.replace(".", "/") + ".py")
                ).exists()
                found.add(whole if is_module else node.module)
    return found


@pytest.mark.parametrize("module", modules())
def test_a_module_imports_only_what_stands_to_its_left(module: str) -> None:
    mine = package(module)
    for imported in imports(module):
        theirs, top = package(imported), imported.partition(".")[0]
        if top in TORCH:
            assert module.startswith(HAVE_TORCH), f"{module} imports {imported}"
        if top not in ("engine", "ui", "pages") or theirs == mine:
            continue
        if mine == "engine.hosted":  # it works before packages are installed
            pytest.fail(f"{module} imports {imported}")
        if mine == "engine.render" and module != "engine.render.worker":
            assert theirs in RENDER_KNOWS, f"{module} imports {imported}"
        if mine in APP:
            assert theirs in APP_KNOWS or (theirs in APP and APP.index(theirs) < APP.index(mine)), (
                f"{module} imports {imported}"
            )
        elif mine in ENGINE:
            assert ENGINE.index(theirs) < ENGINE.index(mine), f"{module} imports {imported}"


def test_the_app_and_the_server_import_without_torch() -> None:
    code = (
        "import sys\n"
        "for name in ('torch', 'diffusers', 'cv2', 'moviepy'): sys.modules[name] = None\n"
        "import ui.engines.hub, ui.routes.films, engine.wire.client, engine.daemon\n"
        "import engine.__main__\n"
    )
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True)
