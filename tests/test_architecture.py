"""Imports point one way: a package imports only what stands to its left, and nothing in a circle.

Inside ``engine.render``, its packages and ``training`` the modules stand in an order as well.
"""

import ast
import functools
import graphlib
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
ENGINE = (
    *("engine", "engine.errors", "engine.files", "engine._compat", "engine.film", "engine.models"),
    *(
        "engine.music",
        "engine.storage",
        "engine.wire",
        "engine.workers",
        "engine.jobs",
        "engine.server",
    ),
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
    "engine.music",
    "engine.wire",
    "engine.local",
}
RENDER_KNOWS = {
    *("engine.errors", "engine.files", "engine._compat", "engine.film", "engine.models"),
    *("engine.music", "engine.render"),
}
# The modules and packages inside a package, in the order in which they may import each other;
# "" is the package's own __init__.
INSIDE = {
    "engine.music": (
        *("score", "mood", "form", "harmony", "melody", "composer"),
        *("instruments", "loudness", "player", ""),
    ),
    "engine.render": (
        *("", "_compat", "image", "device", "weights", "video", "previews", "painting"),
        *("rife", "upscale", "bridge", "stages", "worker"),
    ),
    "engine.render.stages": (
        *("context", "", "keyframe", "enlarged", "segment", "soundtrack", "film", "poster"),
    ),
    "engine.render.weights": (
        "state",
        "",
        "files",
        "hub",
        "wheel",
        "rife",
        "number_format",
        "textual_inversion",
        "pipeline",
    ),
    "engine.render.video": (
        "",
        "ffmpeg",
        "sound",
        "signal",
        "riders",
        "footage",
        "parts",
        "gif",
        "encode",
        "smoothness",
    ),
    "engine.render.previews": ("", "latent_rgb", "tiny_decoder", "previewer"),
    "engine.render.painting": (
        *("", "noise", "warp", "blank", "image_to_image", "vae", "anchor_attention"),
        *("weighted_prompts", "prompts", "schedulers", "optimizations", "painter"),
    ),
    "engine.render.rife": (
        *("versions", "ifnet_layers", "fused_layers", "motion", "fast_ifnet", "optical_flow"),
        *("network", "ifnet", "dis", "checkpoint", "similarity", "allocator", "moving"),
        *("interpolator", "video", ""),
    ),
    "engine.render.upscale": ("ncnn", "network", "sources", "upscaler", "moving", "video", ""),
    "training": (
        *("", "palettes", "grading", "subjects", "scene", "positions", "drawings", "art"),
        *("canvas", "figures"),
        *("places", "weather", "country", "beyond", "world", "sheets", "captions", "words"),
        *("prompts", "vocabulary", "tokens"),
        *(
            "attributes",
            "pictures",
            "components",
            "latents",
            "processes",
            "diffusion",
            "fused",
            "optimiser",
            "recogniser",
            "reading",
            "autoencoder",
            "export",
        ),
        *("train", "evaluate", "judge", "decoder", "on_gpu", "showcase"),
    ),
}
TORCH = {"torch", "diffusers", "transformers", "accelerate", "safetensors", "spandrel"}
HAVE_TORCH = ("engine.render", "training", "benchmarks")
Imports = Mapping[str, set[str]]  # from each module to those that it imports


def modules(*folders: str) -> list[str]:
    found = [path for folder in folders for path in (ROOT / folder).rglob("*.py")]
    names = [
        path.relative_to(ROOT).with_suffix("").as_posix().replace("/", ".")
        for path in found
        if path.parent.name != "cells"
    ]
    return sorted(name.removesuffix(".__init__") for name in names)


def package(module: str) -> str:
    parts = module.split(".")
    return parts[0] if parts[0] in ("pages", "streamlit_app") else ".".join(parts[:2])


@functools.cache
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


def circle(graph: Imports) -> list[str]:
    """Return modules that import each other in a circle; none if there is none."""
    try:
        graphlib.TopologicalSorter(graph).prepare()
    except graphlib.CycleError as error:
        return list(error.args[1])
    return []


def climbs(parent: str, order: Sequence[str], graph: Imports) -> list[str]:
    """Return the imports inside a package that point to the right in its order."""

    def place(module: str) -> int:
        name = module.removeprefix(parent).removeprefix(".").partition(".")[0]
        assert name in order, f"{module} has no place in the order of {parent}"
        return order.index(name)

    mine = {module for module in graph if module == parent or module.startswith(f"{parent}.")}
    return [
        f"{module} imports {imported}"
        for module in sorted(mine)
        for imported in sorted(graph[module] & mine)
        if place(imported) > place(module)
    ]


@pytest.mark.parametrize("module", [*modules("engine", "ui", "pages"), "streamlit_app"])
def test_a_module_imports_only_packages_to_its_left(module: str) -> None:
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


@pytest.mark.parametrize("parent", INSIDE)
def test_inside_a_package_imports_point_one_way(parent: str) -> None:
    graph = {module: imports(module) for module in modules(parent.replace(".", "/"))}
    assert not climbs(parent, INSIDE[parent], graph)
    names = {module.removeprefix(parent).removeprefix(".").partition(".")[0] for module in graph}
    assert names == set(INSIDE[parent])


def test_no_modules_import_each_other_in_a_circle() -> None:
    found = modules("engine", "ui", "pages", "training", "benchmarks", "tests")
    assert not circle({module: imports(module) & set(found) - {module} for module in found})


def test_a_circle_would_be_found() -> None:
    graph = {"a": {"b"}, "b": {"c"}, "c": {"a"}, "d": {"a"}}
    assert set(circle(graph)) == {"a", "b", "c"}
    assert not circle({**graph, "c": set()})


def test_an_import_to_the_right_would_be_found() -> None:
    graph = {"p": {"p.right"}, "p.left": {"q"}, "p.right": {"p.left.inner"}, "p.left.inner": set()}
    assert not climbs("p", ("left", "right", ""), graph)
    assert climbs("p", ("", "right", "left"), graph) == [
        "p imports p.right",
        "p.right imports p.left.inner",
    ]
    with pytest.raises(AssertionError, match=r"p\.right has no place"):
        climbs("p", ("left", ""), graph)


def test_the_app_and_the_server_import_without_torch() -> None:
    code = (
        "import sys\n"
        "for name in ('torch', 'diffusers', 'cv2', 'moviepy'): sys.modules[name] = None\n"
        "import ui.engines.hub, ui.routes.films, engine.wire.client, engine.daemon\n"
        "import engine.__main__\n"
    )
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True)
