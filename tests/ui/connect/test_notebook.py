"""The notebook: what it carries, and that it works top to bottom where nothing else is."""

import base64
import hashlib
import io
import json
import re
import shutil
import stat
import tarfile
from collections.abc import Iterator
from pathlib import Path

import nbformat
import psutil
import pytest

from engine import hosted
from engine.errors import EngineUnreachableError
from engine.models import KNOWN
from engine.render.video.ffmpeg import probe
from engine.wire.pairing import Pairing
from tests.conftest import a_recipe
from tests.stand_ins.colab import Colab, said
from tests.stand_ins.connection import until
from ui.connect.notebook import CELLS, notebook, packed
from ui.engines.hub import Hub
from ui.storage.library import Library
from ui.storage.migrations import sqlite_engine

ROOT = Path(__file__).parents[3]


def code(written: bytes) -> dict[str, str]:
    """Return the cells' texts by the names of their files."""
    read = nbformat.reads(written.decode(), as_version=4)
    return {name: cell.source for name, cell in zip(CELLS, read.cells, strict=True)}


def test_each_notebook_has_a_key_of_its_own_and_the_same_source() -> None:
    one, other = code(notebook()), code(notebook())
    assert {name for name in CELLS if one[name] != other[name]} == {"unpack.py"}
    keys = [re.findall(r'KEY = "([0-9a-f]{64})"', cells["unpack.py"]) for cells in (one, other)]
    assert len(keys[0]) == len(keys[1]) == 1
    assert keys[0] != keys[1]


def test_every_mark_is_filled_in_and_every_cell_is_python() -> None:
    for name, text in code(notebook()).items():
        assert not re.search(r"%[A-Z0-9]+%", text), name
        if name.endswith(".py"):
            compile(text, name, "exec")


def test_the_pack_is_the_engine_without_traces_of_this_machine() -> None:
    text, sha256 = packed()
    pack = base64.b64decode(text)
    assert hashlib.sha256(pack).hexdigest() == sha256
    with tarfile.open(fileobj=io.BytesIO(pack)) as archive:
        entries = archive.getmembers()
    names = {entry.name for entry in entries}
    assert {
        "engine/__main__.py",
        "engine/requirements.txt",
        "engine/render/weights/rife.py",
    } <= names
    assert not [name for name in names if "__pycache__" in name or "landscapes" in name]
    assert {(entry.uid, entry.uname, entry.mtime) for entry in entries} == {(0, "", 0)}
    assert str(ROOT) not in notebook().decode()


def test_a_damaged_notebook_unpacks_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    cell = code(notebook())["unpack.py"]
    middle = len(cell) // 2
    other = "B" if cell[middle] == "A" else "A"
    with pytest.raises(RuntimeError, match="Download it again"):
        exec(compile(cell[:middle] + other + cell[middle + 1 :], "unpack.py", "exec"), {})
    assert not list(tmp_path.iterdir())


def test_it_fits_into_colab_and_names_no_repository() -> None:
    written = notebook()
    assert len(written) < 5_000_000  # Colab is said to take 20 MB
    assert b"github.com" not in written


def test_the_form_offers_the_catalogue() -> None:
    line = next(line for line in code(notebook())["settings.py"].splitlines() if "model = " in line)
    chosen, offered = re.findall(r'model = "(.+?)"  # @param (\[.+?\])', line)[0]
    assert chosen in KNOWN
    assert json.loads(offered) == [*KNOWN]


def test_the_terms_are_shown_before_anything_runs() -> None:
    welcome = code(notebook())["welcome.md"]
    for word in ("bypassing the notebook UI", "compute", "key to your engine", "deepfakes"):
        assert word in welcome


@pytest.fixture
def colab(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Colab]:
    colab = Colab(tmp_path)
    for name, value in colab.environment.items():
        monkeypatch.setenv(name, value)
    shutil.copytree(ROOT / "engine" / "models" / "landscapes", colab.home / "landscapes")
    yield colab
    hosted.stop(colab.data)


@pytest.fixture
def app(tmp_path: Path) -> Iterator[Hub]:
    """The app of another machine: no engine is here."""

    def nothing(_folder: Path) -> Pairing:
        raise EngineUnreachableError("there is none")

    hub = Hub(
        Library(sqlite_engine(tmp_path / "db"), tmp_path / "films"),
        tmp_path / "app",
        start_local=nothing,
    )
    (tmp_path / "app").mkdir()
    hub.start()
    yield hub
    hub.close()


@pytest.mark.slow
def test_from_nothing_to_a_film(colab: Colab, app: Hub) -> None:
    """Run all, paste the link, make a film; restart the runtime, and run all again."""
    written = notebook()
    form = {"tunnel": "none", "model": str(colab.home / "landscapes"), "status_minutes": 0}
    films = {"make_a_film": True, "seconds": 0.1, "prompts": "dawn over the sea"}
    ran = dict(zip(CELLS, colab.run(written, **form, **films).cells, strict=True))

    assert "There is no GPU here" in said(ran["machine.py"])
    assert "is as it was" in said(ran["machine.py"])
    assert re.search("RIFE, which|DIS optical flow will draw", said(ran["machine.py"]))
    link = said(ran["start.py"]).strip().splitlines()[-1]
    assert re.match(r"● The engine (runs on|warms up)", said(ran["status.py"]))
    assert "reached on this machine only" in said(ran["status.py"])
    assert "Saved:" in said(ran["film.py"])
    assert probe(colab.home / "films" / "film.mp4").frames == 2

    engine = app.pair(link)
    assert engine.hello
    assert [model.name for model in engine.hello.models] == ["landscapes"]
    job = app.submit(a_recipe("a city at night", model="landscapes", width=64, height=64))
    until(lambda: (view := app.find(job)) and view.settled, seconds=200)
    film = app.library.get(job)
    assert film
    assert film.status == "finished", film
    assert probe(app.library.file(film)).frames == 12

    pid = json.loads((colab.data / "hosted.json").read_text())["pid"]
    again = dict(zip(CELLS, colab.run(written, **form).cells, strict=True))
    assert "runs already with these settings" in said(again["start.py"])
    assert said(again["start.py"]).strip().splitlines()[-1] == link
    assert Path(psutil.Process(pid).cwd()).is_relative_to(colab.home)  # from the notebook's pack
    for name in ("engine/engine.key", "engine/engine.link", "hosted.json"):
        assert stat.S_IMODE((colab.data / name).stat().st_mode) == 0o600
    assert link.partition("#vf1.")[2] not in hosted.process.log_file(colab.data).read_text()
