"""Tasks and files of a worker on another machine; tests.films.test_workers has the way itself."""

from pathlib import Path

import pytest

from engine.film.graph import keyframe
from engine.film.recipe_json import parse_recipe
from engine.models import catalogue
from engine.workers import messages
from engine.workers.ray_actor import PART_BYTES, Content, inputs, parts, settle

NODE = keyframe(parse_recipe({"scenes": [{"prompt": "dawn"}]}), 0.0, "m@1")
MEASURE = messages.Measure(job="job-0001", first="/there/a.png", second="/there/b.png")


def test_a_task_gets_the_paths_of_its_machine(tmp_path: Path) -> None:
    assert inputs(MEASURE) == ["/there/a.png", "/there/b.png"]
    work = settle(MEASURE, [Content.of(b"a"), Content.of(b"b")], tmp_path)
    assert isinstance(work, messages.Measure)
    assert [Path(path).read_bytes() for path in inputs(work)] == [b"a", b"b"]


def test_everything_that_a_keyframe_is_made_of_travels_with_it(tmp_path: Path) -> None:
    keyframe = messages.Piece(index=1, node=NODE, target="/there/made.png")
    pictures = {"source": "/there/a.png", "anchor": "/there/b.png", "subject": "/there/c.png"}
    work = messages.Make(job="job-0001", stage="keyframe", pieces=(keyframe,), inputs=pictures)
    settled = settle(work, [Content.of(name.encode()) for name in pictures], tmp_path)
    assert isinstance(settled, messages.Make)
    read = {name: Path(file).read_text() for name, file in settled.inputs.items()}
    assert read == {name: name for name in pictures}


def test_keyframes_that_are_painted_at_once_come_back_file_by_file(tmp_path: Path) -> None:
    there = [
        messages.Piece(index=index, node=NODE, target=f"/there/{index}/new.png") for index in (4, 7)
    ]
    work = settle(
        messages.Make(job="job-0001", stage="keyframe", pieces=tuple(there)), [], tmp_path
    )
    files = [Path(target) for target in messages.targets(work)]
    for file, content in zip(files, (b"a" * PART_BYTES + b"b", b"c"), strict=True):
        assert file.parent == tmp_path
        file.write_bytes(content)
    told = [(part.file, part.data[-1:], len(part.data)) for part in parts(messages.targets(work))]
    assert told == [(0, b"a", PART_BYTES), (0, b"b", 1), (1, b"c", 1)]


def test_a_file_that_was_damaged_on_its_way_is_refused(tmp_path: Path) -> None:
    bad = Content(b"c", Content.of(b"b").sha256)
    with pytest.raises(OSError, match="damaged"):
        settle(MEASURE, [Content.of(b"a"), bad], tmp_path)


def test_a_model_that_comes_with_us_is_the_one_of_the_machine(tmp_path: Path) -> None:
    own = catalogue()["landscapes"]
    elsewhere = type(own)(name=own.name, source="/there/landscapes", card=own.card)
    work = settle(messages.Load(job="job-0001", model=elsewhere), [], tmp_path)
    assert isinstance(work, messages.Load)
    assert work.model == own


@pytest.mark.parametrize(
    ("machines", "expected"),
    [
        ([{"CPU": 4.0}, {"CPU": 8.0}, {}], ["0:4"] * 3),
        ([{"CPU": 8.0, "GPU": 2.0}, {"CPU": 4.0, "GPU": 1.0}, {"CPU": 64.0}], ["1:4"] * 3),
        ([{}], []),
    ],
)
def test_a_cluster_is_shared_out_by_gpus_or_else_by_machines(
    machines: list[dict[str, float]], expected: list[str]
) -> None:
    from engine.workers.ray_bridge import shares  # imports Ray, which takes a second

    nodes = [{"Alive": True, "Resources": machine} for machine in machines]
    assert shares([*nodes, {"Alive": False, "Resources": {"CPU": 1.0, "GPU": 1.0}}]) == expected
