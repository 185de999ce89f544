"""What scripts of components read is what Python hands to them: nothing else checks the names."""

import ast
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from ui.shell import component

NODE = shutil.which("node")
UI = Path(__file__).parents[3] / "ui"
READ = re.compile(r"\b(?:data|state|film)\.([a-zA-Z_]+)\b(?! = )")


def test_every_field_that_a_script_reads_is_one_that_python_writes() -> None:
    read = {
        (path.name, name)
        for path in UI.rglob("*.js")
        for name in READ.findall(path.read_text("utf-8"))
    }
    assert {("stage.js", "partialFilm"), ("shelf.js", "favourite")} <= read
    written = _written()
    assert {each for each in read if each[1] not in written} == set()


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


CALLED_TWICE = """
import load from "./loader.mjs";
import { opened, closed, calls } from "./stage.js";
globalThis.window = { __streamlit: { BACKEND_BASE_URL: new URL(".", import.meta.url) } };
const parentElement = {};
const early = load({ parentElement, data: "early" });  // Streamlit has newer data, and ends this
const late = load({ parentElement, data: "late" });
await early.then((end) => end?.());
const end = await late;
console.log(calls.join(), opened(), closed());
const again = await load({ parentElement, data: "again" });
end?.(); // what Streamlit forgets in truth: only the last call's end is called
console.log(calls.join(), closed());
again();
console.log(closed());
"""
STAGE = """
let open = 0, shut = 0;
export const calls = [];
export const opened = () => open;
export const closed = () => shut;
export default ({ data }) => { calls.push(data); open ||= 1; return () => { shut += 1; }; };
"""


@pytest.mark.skipif(NODE is None, reason="Node.js is missing: apt-get install nodejs")
def test_a_call_that_comes_while_the_script_is_fetched_is_the_only_one(tmp_path: Path) -> None:
    loader = component._LOADER.replace("ADDRESS", "stage.js")
    (tmp_path / "package.json").write_text('{"type": "module"}')
    for name, text in (("loader.mjs", loader), ("stage.js", STAGE), ("run.mjs", CALLED_TWICE)):
        (tmp_path / name).write_text(text)
    command = [str(NODE), str(tmp_path / "run.mjs")]
    printed = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    assert printed.splitlines() == ["late 1 0", "late,again 0", "1"]
