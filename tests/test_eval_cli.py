"""bpbreid-eval: a table or one JSON object, and one clear line for every mistake."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

from bpbreid_track.cli import evaluate as cli
from bpbreid_track.evaluation import evaluate_folder, evaluate_tracks

ROW = "{frame},{id},{left},10,40,100,1,-1,-1,-1\n"
SHARES = (
    "HOTA",
    "DetA",
    "AssA",
    "DetRe",
    "DetPr",
    "AssRe",
    "AssPr",
    "LocA",
    "IDF1",
    "IDP",
    "IDR",
    "MOTA",
    "MOTP",
)
COUNTS = ("IDSW", "Frag", "MT", "ML", "FP", "FN")


@pytest.fixture
def folders(tmp_path):
    """Two short sequences; in the first the result changes the identity half-way."""
    for name, change in (("Street", 5), ("Square", 99)):
        (tmp_path / "gt" / name / "gt").mkdir(parents=True)
        gt = "".join(ROW.format(frame=f, id=1, left=10 * f) for f in range(1, 11))
        result = "".join(ROW.format(frame=f, id=1 + (f > change), left=10 * f + 2) for f in range(1, 11))
        (tmp_path / "gt" / name / "gt" / "gt.txt").write_text(gt)
        (tmp_path / "results").mkdir(exist_ok=True)
        (tmp_path / "results" / f"{name}.txt").write_text(result)
    return tmp_path / "gt", tmp_path / "results"


def test_json_of_two_files_has_the_metrics_as_keys(folders, capsys):
    gt, result = folders[0] / "Street" / "gt" / "gt.txt", folders[1] / "Street.txt"
    assert cli.run([str(gt), str(result), "--json"]) == 0
    printed = json.loads(capsys.readouterr().out)
    assert tuple(printed) == (*SHARES, *COUNTS)
    assert printed == evaluate_tracks(gt, result).as_dict()
    assert printed["IDSW"] == 1
    assert printed["MOTA"] == pytest.approx(90.0)


def test_json_of_two_folders_has_all_and_each(folders, capsys):
    assert cli.run([*map(str, folders), "--json"]) == 0
    printed = json.loads(capsys.readouterr().out)
    expected = evaluate_folder(*folders)
    sequences = printed.pop("sequences")
    assert printed == expected.combined.as_dict()
    assert sequences == {name: metrics.as_dict() for name, metrics in expected.sequences.items()}


def test_table_shows_every_sequence_and_all_together(folders, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "40")
    assert cli.run([*map(str, folders)]) == 0
    lines = [line.split() for line in capsys.readouterr().out.splitlines() if line.strip()]
    assert lines[0] == ["sequence", "HOTA", "DetA", "AssA", "IDF1", "MOTA", "IDSW", "Frag", "FP", "FN"]
    combined = evaluate_folder(*folders).combined
    assert [line[0] for line in lines if len(line) == 10][1:] == ["Square", "Street", "COMBINED"]
    assert [f"{combined.HOTA:.1f}", str(combined.IDSW)] == [lines[-1][1], lines[-1][6]]


def test_brackets_in_a_name_are_shown(folders, tmp_path, capsys):
    result = tmp_path / "Street [dQw4w9] [bold].txt"
    result.write_bytes((folders[1] / "Street.txt").read_bytes())
    assert cli.run([str(folders[0] / "Street"), str(result)]) == 0
    assert "Street [dQw4w9] [bold] " in capsys.readouterr().out


@pytest.mark.skipif(sys.platform != "linux", reason="names of files are letters elsewhere")
def test_a_name_that_is_no_text_does_not_end_the_table(folders, tmp_path):
    result = tmp_path / os.fsdecode(b"caf\xe9.txt")
    result.write_bytes((folders[1] / "Street.txt").read_bytes())
    program = "from bpbreid_track.cli.evaluate import main; main()"
    shown = subprocess.run(
        [sys.executable, "-c", program, str(folders[0] / "Street"), str(result)],
        env={**os.environ, "PYTHONIOENCODING": "utf-8"},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert (shown.returncode, shown.stderr) == (0, "")
    assert r"caf\udce9 " in shown.stdout


def test_chosen_sequences_only(folders, capsys):
    assert cli.run([*map(str, folders), "--sequences", "Square", "--json"]) == 0
    assert list(json.loads(capsys.readouterr().out)["sequences"]) == ["Square"]


def test_only_the_frames_that_are_asked_for_are_judged_in_both_files(folders, tmp_path, capsys):
    gt, result = folders[0] / "Street" / "gt" / "gt.txt", folders[1] / "Street.txt"
    for name, path in (("gt", gt), ("result", result)):
        rows = [row for row in path.read_text().splitlines() if 3 <= int(row.split(",")[0]) <= 7]
        (tmp_path / f"{name}_part.txt").write_text("\n".join(rows) + "\n")
    assert cli.run([str(gt), str(result), "--frames", "3:7", "--json"]) == 0
    printed = capsys.readouterr()
    assert (
        json.loads(printed.out)
        == evaluate_tracks(tmp_path / "gt_part.txt", tmp_path / "result_part.txt").as_dict()
    )
    assert printed.err == ""
    assert cli.run([*map(str, folders), "--frames", ":7", "--json"]) == 0
    printed = json.loads(capsys.readouterr().out)
    assert (printed["sequences"]["Street"]["IDSW"], printed["IDSW"]) == (1, 1)
    assert evaluate_folder(*folders, frames=(None, 5)).sequences["Street"].IDSW == 0


def test_a_result_of_a_part_is_judged_and_the_part_is_said_on_stderr(folders, tmp_path, capsys):
    gt = folders[0] / "Street" / "gt" / "gt.txt"
    rows = (folders[1] / "Street.txt").read_text().splitlines()[:4]
    (tmp_path / "part.txt").write_text("\n".join(rows) + "\n")
    assert cli.run([str(gt), str(tmp_path / "part.txt"), "--json"]) == 0
    printed = capsys.readouterr()
    assert json.loads(printed.out)["FN"] == 6
    assert printed.err == (
        f"bpbreid-eval: {tmp_path / 'part.txt'}: covers 4 of the truth's 10 frames, 1 to 4 of 1 to 10, and "
        "people of the others count as missed; --frames 1:4 judges those alone\n"
    )


def test_a_folder_of_one_sequence_is_compared_with_a_file(folders, capsys):
    assert cli.run([str(folders[0] / "Street"), str(folders[1] / "Street.txt"), "--json"]) == 0
    expected = evaluate_tracks(folders[0] / "Street" / "gt" / "gt.txt", folders[1] / "Street.txt")
    assert json.loads(capsys.readouterr().out) == expected.as_dict()


def test_truth_and_result_may_be_pipes(folders, capsys):
    gt, result = folders[0] / "Street" / "gt" / "gt.txt", folders[1] / "Street.txt"
    ends = []
    for path in (gt, result):
        reader, writer = os.pipe()
        os.write(writer, path.read_bytes())
        os.close(writer)
        ends.append(reader)
    try:
        assert cli.run([*(f"/dev/fd/{reader}" for reader in ends), "--json"]) == 0
    finally:
        for reader in ends:
            os.close(reader)
    printed = capsys.readouterr()
    assert json.loads(printed.out) == evaluate_tracks(gt, result).as_dict()
    assert printed.err == "", "a pipe can be read once"


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["{gt}/Street/gt/gt.txt", "gone.txt"], 1, "gone.txt: no such file or folder"),
        (["{gt}", "{results}/Street.txt"], 2, "give two files or two folders"),
        (
            ["{gt}/Street/gt/gt.txt", "{results}/Street.txt", "--sequences", "Street"],
            2,
            "--sequences is for folders",
        ),
        (["{gt}", "{results}", "--sequences", "Sqare"], 2, "did you mean 'Square'"),
        (["{gt}", "{results}", "--jsn"], 2, "did you mean '--json'"),
        (["{gt}", "{results}", "--benchmark", "MOT18"], 2, "'MOT18' is not one of"),
        (["{gt}", "{results}", "--benchmark", "MOT17"], 1, "gt.txt, line 1: MOT17 wants a class"),
        (["{gt}", "{results}", "--frames", "7"], 2, "expected A:B with frames from 1, such as 1:60"),
        (["{gt}", "{results}", "--frames", "0:7"], 2, "expected A:B"),
        (["{gt}", "{results}", "--frames", "7:3"], 2, "expected A:B"),
        (["{gt}", "{results}", "--frames", "11:"], 1, "no row that counts in frames 11:"),
        (["{gt}/Street", "{results}"], 2, "one sequence; give two files or two folders"),
        (["{gt}"], 2, "missing argument"),
        ([], 2, "missing argument"),
    ],
)
def test_mistakes_give_one_line_and_the_right_code(folders, capsys, arguments, code, message):
    gt, results = folders
    assert cli.run([word.format(gt=gt, results=results) for word in arguments]) == code
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("bpbreid-eval: error: ")
    assert message.lower() in err.lower()
    assert err.count("\n") == 1


def test_debug_adds_the_traceback(folders, capsys):
    assert cli.run([str(folders[0] / "Street" / "gt" / "gt.txt"), "gone.txt", "--debug"]) == 1
    assert "Traceback" in capsys.readouterr().err


def test_program_exits_with_its_code_and_prints_json_only(folders):
    program = "from bpbreid_track.cli.evaluate import main; main()"
    good = subprocess.run(
        [sys.executable, "-c", program, *map(str, folders), "--json"],
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert good.returncode == 0
    assert good.stderr == ""
    assert set(json.loads(good.stdout)) == {*SHARES, *COUNTS, "sequences"}
    bad = subprocess.run(
        [sys.executable, "-c", program, "a", "b"], capture_output=True, text=True, timeout=120
    )
    assert (bad.returncode, bad.stdout) == (1, "")
