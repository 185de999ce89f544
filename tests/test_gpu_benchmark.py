"""benchmarks.gpu, rehearsed: what it writes, and that one section cannot spoil the others."""

import json
import sys
from pathlib import Path

import pytest

from benchmarks import gpu

pytestmark = pytest.mark.slow


def main(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    monkeypatch.setattr(sys, "argv", ["gpu", *arguments])
    with pytest.raises(SystemExit) as ended:
        gpu.main()
    return int(ended.value.code or 0)


def test_the_cheapest_section_is_written_as_a_table_and_as_json(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    assert main(monkeypatch, "--rehearse", "--sections", "rife", "--out", str(tmp_path)) == 0
    report = json.loads((tmp_path / "gpu.json").read_text())
    (section,) = report["sections"]
    assert (section["error"], report["rehearsal"]) == ("", True)
    assert [row["case"].rpartition(": ")[2] for row in section["rows"]][:2] == [
        "plain, float32",
        "plain, autocast",
    ]
    assert all(row["values"]["ms/frame"] > 0 for row in section["rows"])
    table = (tmp_path / "gpu.md").read_text()
    assert table.count("| rife | RIFE 4.25 64x64: ") == len(section["rows"]) == 4


def test_without_a_gpu_it_says_so(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    assert main(monkeypatch) == 2
    assert capsys.readouterr().err == f"{gpu.NO_GPU}\n"


SECTION = """
import json, time
print("a library says something")
print(json.dumps({"case": "first", "values": {"s": 1.0}}), flush=True)
"""


@pytest.mark.parametrize(
    ("end", "reason"),
    [("raise ValueError('no room')", "ValueError: no room"), ("time.sleep(60)", "not done after")],
)
def test_a_section_that_fails_or_hangs_keeps_its_rows(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, end: str, reason: str
) -> None:
    (tmp_path / "benchmarks").mkdir()
    (tmp_path / "benchmarks" / "gpu_sections.py").write_text(SECTION + end)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(gpu, "GRACE_SECONDS", 1.0)
    found = gpu.run("rife", 1.0, rehearse=True)
    assert found["rows"] == [{"case": "first", "values": {"s": 1.0}}]
    assert reason in found["error"]
    first, failed = gpu.lines(found)
    assert first == "| rife | first | s 1 |"
    assert "**failed**" in failed
    assert reason in failed


def test_a_section_for_which_no_time_is_left_is_not_begun() -> None:
    assert gpu.run("film", 0.0, rehearse=True)["error"] == "no time was left"
