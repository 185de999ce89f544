"""Scripts of components are served as they are, below an address of their version."""

import re
from pathlib import Path

import pytest
from starlette.applications import Starlette
from starlette.testclient import TestClient

from ui.shell import frontend, scripts
from ui.shell.theme import apply_style

ROOT = Path(__file__).parents[3]
UI = ROOT / "ui"
NAMES = sorted(path.relative_to(UI).as_posix() for path in UI.rglob("*.js"))
IMPORT = re.compile(r'^import {([^}]*)} from "([^"]+)";$', re.MULTILINE)


@pytest.fixture
def client() -> TestClient:
    return TestClient(Starlette(routes=scripts.routes()))


@pytest.mark.parametrize("name", NAMES)
def test_a_script_is_sent_as_a_module_that_the_browser_may_keep(
    name: str, client: TestClient
) -> None:
    answer = client.get(scripts.address(UI / name))
    assert answer.content == (UI / name).read_bytes()
    assert answer.headers["content-type"].startswith("text/javascript")
    assert "immutable" in answer.headers["cache-control"]


@pytest.mark.parametrize(
    "path",
    [
        "create/stage.py",
        "create/stage.css",
        "create/none.js",
        "",
        "../engine/errors.py",
        "create/%2e%2e/create/stage.js",
        "%2e%2e/streamlit_app.py",
        "%2fetc%2fpasswd",
        "/etc/passwd",
    ],
)
def test_no_other_file_has_an_address(path: str, client: TestClient) -> None:
    version = scripts.address(UI / "create" / "stage.js").split("/")[3]
    assert client.get(f"/api/scripts/{version}/{path}", follow_redirects=False).status_code == 404


def test_another_version_is_not_here(client: TestClient) -> None:
    assert client.get("/api/scripts/0123456789abcdef/create/stage.js").status_code == 404
    assert client.post(scripts.address(UI / "create" / "stage.js")).status_code == 405


def test_a_script_that_is_missing_is_noticed_at_the_start() -> None:
    with pytest.raises(FileNotFoundError):
        scripts.address(UI / "create" / "none.js")


@pytest.mark.parametrize("name", NAMES)
def test_what_a_script_imports_is_exported_there(name: str) -> None:
    text = (UI / name).read_text("utf-8")
    found = IMPORT.findall(text)
    assert len(found) == len(re.findall(r"^\s*import\b|\bimport\(", text, re.MULTILINE))
    for imported, target in found:
        source = (UI / name).parent.joinpath(target).resolve(strict=True).read_text("utf-8")
        for word in imported.split(","):
            pattern = rf"^export (?:async )?(?:function|class|const) {word.strip()}\b"
            assert re.search(pattern, source, re.MULTILINE), f"{target} exports no {word}"
        assert (UI / name).parent.joinpath(target).resolve() in [
            UI / other for other in scripts.imports(name)
        ]


@pytest.mark.parametrize("page", frontend.SCRIPTS)
def test_the_scripts_of_a_page_are_fetched_with_it(page: str) -> None:
    html = frontend.page(page, at_once=True)
    for name in frontend.SCRIPTS[page]:
        for address in scripts.with_imports([name]):
            assert f'<link rel="modulepreload" href=".{address}">' in html


def test_every_page_names_its_scripts() -> None:
    assert set(frontend.SCRIPTS) == set(frontend.ELEMENTS)


def test_a_style_that_is_missing_is_noticed() -> None:
    with pytest.raises(FileNotFoundError):
        apply_style("home/none.css")
