"""--report on the command line: of one run, of many, and where it cannot be written."""

from __future__ import annotations

from pathlib import Path

import pytest
from report_data import shown

from bpbreid_track.cli.track import run as run_track
from bpbreid_track.many.order import endings


@pytest.mark.parametrize("name", ["run.txt", "absent/run.html"])
def test_a_page_that_could_not_be_written_stops_the_run_at_once(
    pets: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    assert run_track([str(pets), "--report", str(tmp_path / name)]) in {1, 2}
    assert name.split("/")[0] in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_the_command_line_writes_a_page_and_no_video_beside_it(
    pets: Path, det: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    options = ["--detector", str(det), "--encoder", "none", "--max-frames", "3", "--quiet"]
    assert run_track([str(pets), "--report", "run.html", *options]) == 0
    assert [path.name for path in tmp_path.iterdir()] == ["run.html"]
    assert shown(tmp_path / "run.html")["command"] is None


def test_many_videos_have_a_page_each(pets: Path, tmp_path: Path) -> None:
    options = ["--detector", "det/det.txt", "--encoder", "none", "--max-frames", "3", "--quiet"]
    assert run_track([str(pets), "--out-dir", str(tmp_path), "--write", "txt,report", *options]) == 0
    name = pets.name
    assert {path.name for path in tmp_path.iterdir()} == {f"{name}.txt", f"{name}.report.html", "runs.jsonl"}
    assert shown(tmp_path / f"{name}.report.html")["command"].startswith("bpbreid-edit ")
    assert endings(["report"]) == {"report": ".report.html"}
