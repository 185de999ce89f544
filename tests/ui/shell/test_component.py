"""What scripts of components read is what Python hands to them: nothing else checks the names."""

import ast
import re
from pathlib import Path

UI = Path(__file__).parents[3] / "ui"
READ = re.compile(r"\b(?:data|state|film)\.([a-zA-Z_]+)\b(?! = )")


def test_every_field_that_a_script_reads_is_one_that_python_writes() -> None:
    read = {
        (path.name, name)
        for path in UI.rglob("*.js")
        for name in READ.findall(path.read_text("utf-8"))
    }
    assert {("stage.js", "partialFilm"), ("shelf.js", "favourite")} <= read
    assert {each for each in read if each[1] not in _written()} == set()


def _written() -> set[str]:
    """Return every string that is a key of a dictionary, and every field of a class, in the app."""
    written = set[str]()
    for path in UI.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            match node:
                case ast.Dict():
                    written |= {key.value for key in node.keys if isinstance(key, ast.Constant)}
                case ast.AnnAssign(target=ast.Name(id=name)):
                    written.add(name)
                case ast.Call(keywords=keywords):
                    written |= {each.arg for each in keywords if each.arg}
    return written
