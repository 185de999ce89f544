"""The README names what is there."""

import re
from pathlib import Path

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()


def test_every_file_in_the_tree_exists() -> None:
    tree = README.partition("## How it works")[2].partition("```\n")[2].partition("```")[0]
    assert tree.count("\n") > 10
    for line in tree.splitlines():
        folder = ROOT / ("engine" if line.startswith("  ") else ".")
        for name in re.match(r"((?:[\w.]+(?:\.py|/) *)+)", line.strip())[1].split():  # type: ignore[index]
            assert (folder / name).exists(), f"{name} is not there"


def test_links_lead_somewhere() -> None:
    for document in (ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").glob("*.md")):
        for target in re.findall(r"\]\((?!http)([^)#]+)\)", document.read_text()):
            assert (document.parent / target).exists(), f"{document.name} links to {target}"


def test_the_two_commands_are_those_of_the_makefile() -> None:
    makefile = (ROOT / "Makefile").read_text()
    for command in ("run", "test"):
        assert f"make {command}" in README
        assert f"\n{command}:" in makefile
