"""bpbreid-track as its user meets it: exit codes, one line for an error, files that are complete."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import av
import pytest

from bpbreid_track import __version__
from bpbreid_track.cli.track import default_output, run
from bpbreid_track.config import RunConfig
from bpbreid_track.pipeline.api import track_video

ROOT = Path(__file__).resolve().parent.parent
PROGRAM = [sys.executable, "-c", "from bpbreid_track.cli.track import main; main()"]


@pytest.fixture
def pets(shared: Path) -> str:
    return str(shared / "data/mot/PETS09-S2L1-300")


@pytest.fixture
def det(pets: str) -> str:
    return f"{pets}/det/det.txt"


@pytest.fixture(autouse=True)
def in_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}


def decoded_frames(path: Path) -> int:
    with av.open(str(path)) as container:
        return sum(1 for _ in container.decode(video=0))


def test_default_is_a_video_in_the_current_folder(
    pets: str, det: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run([pets, "--detector", det, "--max-frames", "5"]) == 0
    shown = capsys.readouterr()
    assert shown.out == ""
    assert "writing PETS09-S2L1-300_tracked.mp4" in shown.err
    assert "tracked" in shown.err
    assert "5 frames" in shown.err
    assert [path.name for path in tmp_path.iterdir()] == ["PETS09-S2L1-300_tracked.mp4"]
    assert decoded_frames(tmp_path / "PETS09-S2L1-300_tracked.mp4") == 5


def test_all_outputs_at_once_and_nothing_else(pets: str, det: str, tmp_path: Path) -> None:
    outputs = ["--out", "o.mkv", "--tracks", "t.csv", "--crops", "c"]
    assert run([pets, "--detector", det, "--max-frames", "6", *outputs]) == 0
    assert {path.name for path in tmp_path.iterdir()} == {"o.mkv", "t.csv", "c"}
    assert (
        len((tmp_path / "t.csv").read_text().splitlines())
        == 1 + len(list((tmp_path / "c").rglob("*.jpg")))
        > 3
    )


def test_quiet_says_nothing(pets: str, det: str, capfd: pytest.CaptureFixture[str]) -> None:
    assert run([pets, "--detector", det, "--max-frames", "3", "--tracks", "t.txt", "--quiet"]) == 0
    assert capfd.readouterr() == ("", "")


def test_default_preset_is_the_defaults() -> None:
    from bpbreid_track.read_config import run_config

    assert run_config("default").changed().keys() == {"description"}
    assert run_config("default").tracker == RunConfig().tracker


@pytest.mark.parametrize(
    ("source", "name"),
    [
        ("clips/street.walk.avi", "street.walk_tracked.mp4"),
        ("0", "webcam0_tracked.mp4"),
        ("rtsp://user:secret@10.0.0.7:554/live/cam1?token=x", "cam1_tracked.mp4"),
        ("frames/*.jpg", "video_tracked.mp4"),
        ("demo", "demo_tracked.mp4"),
    ],
)
def test_name_of_the_default_output(source: str, name: str) -> None:
    assert default_output(source) == Path(name)


def test_demo_compares_parts_with_motion_alone_and_leaves_the_truth_beside_the_tracks(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("trackeval", reason="the extra 'eval' is not installed")
    assert run(["demo", "--device", "cpu", "--max-frames", "12", "--tracks", "t.txt"]) == 0
    shown = " ".join(capsys.readouterr().err.split())
    frames = {int(row.split(",")[0]) for row in (tmp_path / "t_truth.txt").read_text().splitlines()}
    assert frames == set(range(1, 13))
    row = r" (\d+) identities, (\d+) switches among (\d+) people; IDF1 ([\d.]+), HOTA ([\d.]+)"
    for way in ("with parts", "motion alone"):
        found = re.search(way + row, shown)
        assert found, shown
        assert int(found[1]) >= 1
        assert int(found[3]) == 5
        assert 10 < float(found[4]) <= 100


def test_demo_by_motion_alone_has_nothing_to_compare(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("trackeval", reason="the extra 'eval' is not installed")
    assert run(["demo", "--encoder", "none", "--max-frames", "12", "--tracks", "t.txt"]) == 0
    shown = capsys.readouterr().err
    assert shown.count("IDF1") == 1
    assert "with parts" not in shown


BAD_INPUT = [
    pytest.param(["missing.mp4"], 1, "missing.mp4: no such file", id="missing file"),
    pytest.param(["empty.mp4"], 1, "empty.mp4: the file is empty", id="empty file"),
    pytest.param(["text.mp4"], 1, "text.mp4: not a video", id="text named .mp4"),
    pytest.param(["headless.mp4"], 1, "headless.mp4:", id="truncated MP4 without index"),
    pytest.param(["folder"], 1, "folder: no images", id="folder without images"),
    pytest.param(["x*.png"], 1, "x*.png: matches no file", id="glob without match"),
    pytest.param(["clip.mp4", "--detector", "nan.txt"], 1, "nan.txt, line 2", id="NaN in det.txt"),
    pytest.param(["clip.mp4", "--detector", "short.txt"], 1, "short.txt, line 1", id="malformed det.txt"),
    pytest.param(["clip.mp4", "--detector", "missing.txt"], 1, "missing.txt", id="missing det.txt"),
    pytest.param(["clip.mp4", "--out", "nowhere/o.mp4"], 1, "no folder nowhere", id="output folder missing"),
    pytest.param(["clip.mp4", "--tracks", "folder/.."], 2, "tracks are written as", id="tracks to a folder"),
    pytest.param(["clip.mp4", "--out", "clip.mp4"], 2, "would be overwritten", id="output is the source"),
    pytest.param(["clip.mp4", "--encoder", "no.pth"], 1, "no.pth", id="missing encoder"),
    pytest.param(["clip.mp4", "--detektor", "x"], 2, "did you mean '--detector'?", id="unknown option"),
    pytest.param(["clip.mp4", "--max-frames", "many"], 2, "'--max-frames'", id="not a number"),
    pytest.param(["clip.mp4", "another.mp4"], 2, "another.mp4", id="two sources"),
    pytest.param([], 2, "SOURCE", id="no source"),
    pytest.param(["clip.mp4", "--config", "defalt"], 2, "did you mean 'default'?", id="unknown preset"),
    pytest.param(["clip.mp4", "--config", "bad.yaml"], 2, "did you mean 'frame_rate'?", id="unknown setting"),
    pytest.param(["clip.mp4", "--config", "broken.yaml"], 2, "broken.yaml: not valid YAML", id="broken YAML"),
    pytest.param(["clip.mp4", "--overlay", "boxs"], 2, "did you mean 'boxes'?", id="unknown overlay"),
    pytest.param(["clip.mp4", "--device", "cuda:99"], 2, "cuda:99", id="device that is not there"),
]


@pytest.mark.parametrize(("arguments", "code", "message"), BAD_INPUT)
def test_bad_input_is_one_clear_line(
    arguments: list[str],
    code: int,
    message: str,
    shared: Path,
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
) -> None:
    clip = shared / "data/video/soccer-tactical.mp4"
    shutil.copy(clip, tmp_path / "clip.mp4")
    (tmp_path / "empty.mp4").touch()
    (tmp_path / "text.mp4").write_text("This is not a video.\n")
    one_by_one = shared / "data/video/one-by-one-person-detection.mp4"
    (tmp_path / "headless.mp4").write_bytes(one_by_one.read_bytes()[:2000])
    (tmp_path / "folder").mkdir()
    (tmp_path / "nan.txt").write_text("1,-1,10,10,50,100,0.9,-1,-1,-1\n2,-1,nan,10,50,100,0.9,-1,-1,-1\n")
    (tmp_path / "short.txt").write_text("1,-1,10,10\n")
    (tmp_path / "bad.yaml").write_text("tracker:\n  frame_rat: 7\n")
    (tmp_path / "broken.yaml").write_text("tracker: [\n")
    before = {path.name: path.stat().st_size for path in tmp_path.iterdir()}
    detector = "weights/yolo11n.pt" if "--device" in arguments else "data/mot/PETS09-S2L1-300/det/det.txt"

    # The last of two equal options counts.
    assert run(["--detector", str(shared / detector), "--out", "o.mp4", *arguments]) == code

    shown = capfd.readouterr()
    assert shown.out == ""
    assert len(shown.err.splitlines()) == 1
    assert shown.err.startswith("bpbreid-track: error: ")
    assert message in shown.err
    assert {path.name: path.stat().st_size for path in tmp_path.iterdir()} == before


def test_folder_that_may_not_be_written_is_said(
    pets: str, det: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    # Root may write anywhere but into /proc.
    folder = tmp_path / "locked"
    folder.mkdir(mode=0o500)
    target = Path("/proc") if os.access(folder, os.W_OK) else folder
    assert run([pets, "--detector", det, "--out", f"{target}/o.mp4"]) == 1
    shown = capfd.readouterr().err
    assert len(shown.splitlines()) == 1
    assert f"{target}/o.mp4" in shown


def test_damaged_video_is_tracked_as_far_as_it_goes_with_a_warning(
    shared: Path, det: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    whole = (shared / "data/video/soccer-tactical.mp4").read_bytes()
    (tmp_path / "cut.mp4").write_bytes(whole[: len(whole) // 3])
    assert run(["cut.mp4", "--detector", det, "--out", "o.mp4", "--quiet"]) == 0
    shown = capfd.readouterr().err
    assert shown.startswith("bpbreid-track: warning: cut.mp4: only ")
    assert f"only {decoded_frames(tmp_path / 'o.mp4')} of about 169" in shown


def test_unexpected_error_is_one_line_and_a_traceback_only_with_debug(
    pets: str, det: str, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    def broken(*_: object, **__: object) -> None:
        raise ZeroDivisionError("a bug")

    monkeypatch.setattr(f"{track_video.__module__}.track_video", broken)
    assert run([pets, "--tracks", "t.txt"]) == 1
    plain = capfd.readouterr().err
    assert (
        plain == "bpbreid-track: error: ZeroDivisionError: a bug; run again with --debug for the traceback\n"
    )
    assert run([pets, "--tracks", "t.txt", "--debug"]) == 1
    assert "Traceback" in capfd.readouterr().err


@pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=["Ctrl-C", "SIGTERM"])
def test_interrupted_run_leaves_complete_files(shared: Path, tmp_path: Path, number: signal.Signals) -> None:
    sequence = shared / "data/mot/ADL-Rundle-6"
    outputs = ["--out", "o.mp4", "--tracks", "t.jsonl"]
    process = subprocess.Popen(
        [*PROGRAM, str(sequence), "--detector", str(sequence / "det/det.txt"), *outputs],
        stderr=subprocess.PIPE,
        text=True,
        env=environment(),
        # A suite started in the background hands down a SIGINT that is ignored.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    tracks = tmp_path / "t.jsonl"
    deadline = time.monotonic() + 60
    while not (tracks.is_file() and tracks.stat().st_size) and time.monotonic() < deadline:
        time.sleep(0.02)
    # Twice, as timeout(1) does: to the process and to its group.
    process.send_signal(number)
    time.sleep(0.05)
    process.send_signal(number)
    _, error = process.communicate(timeout=60)
    assert process.returncode == 130
    lines = [json.loads(line) for line in tracks.read_text().splitlines()]
    assert 0 < len(lines) < 525
    assert decoded_frames(tmp_path / "o.mp4") == len(lines)
    assert f"interrupted after  {len(lines)} frames" in error
    assert "Traceback" not in error
    assert sorted(path.name for path in tmp_path.iterdir()) == ["o.mp4", "t.jsonl"]


def test_help_and_version_do_not_wait_for_torch() -> None:
    code = (
        "import sys; from bpbreid_track.cli.track import run; "
        "codes = [run(['--help']), run(['--version'])]; "
        "assert codes == [0, 0]; assert not {'torch', 'cv2', 'supervision', 'ultralytics'} & set(sys.modules)"
    )
    shown = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        env=environment(),
        check=True,
        timeout=60,
    )
    assert "--detector" in shown.stdout
    assert "<bool>" not in shown.stdout  # flags take no value
    assert shown.stdout.endswith(f"bpbreid-track {__version__}\n")
    assert shown.stderr == ""


def test_a_setting_of_an_earlier_release_is_hinted_at_in_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = tmp_path / "old.yaml"
    settings.write_text("tracker:\n  min_hits: 1\n")
    out = tmp_path / "tracks.txt"
    given = ["--config", str(settings), "--tracks", str(out), "--detector", str(tmp_path / "none.txt")]
    assert run(["demo", *given, "--encoder", "none", "--max-frames", "2", "--quiet"]) != 0
    hints = [line for line in capsys.readouterr().err.splitlines() if "min_hits" in line]
    assert hints == [
        "bpbreid-track: warning: setting 'min_hits' is now called 'confirm_seconds' and 0.0 there; the old "
        "name ends with the next release"
    ]


def test_settings_are_changed_on_the_command_line(pets: str, det: str, tmp_path: Path) -> None:
    given = [pets, "--detector", det, "--encoder", "none", "--max-frames", "12", "--quiet"]
    assert run([*given, "--tracks", "plain.txt"]) == 0
    changed = ["--set", "tracker.birth_score=0.9", "--set", "tracker.birth_score=0.99"]
    assert run([*given, "--tracks", "none.txt", *changed]) == 0
    assert Path("plain.txt").stat().st_size > Path("none.txt").stat().st_size


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        pytest.param(["--set", "fps"], "'fps': expected key=value", id="no value"),
        pytest.param(["--set", "tracker.lost_second=4"], "did you mean 'lost_seconds'", id="misspelt"),
        pytest.param(["--set", "detector.confidence=9"], "--set detector.confidence=9", id="out of range"),
        pytest.param(["--conf", "0.3"], "here it is --set detector.confidence=0.3", id="of another program"),
    ],
)
def test_wrong_changes_of_settings_are_one_line(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["x.mp4", *arguments]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1


@pytest.mark.parametrize(("first", "frozen"), [("", "True"), ("import torch", "False")])
def test_what_is_left_at_the_end_is_not_collected_but_where_triton_would_complain(
    first: str, frozen: str
) -> None:
    code = f"""
import atexit, gc, sys
{first}
from bpbreid_track.cli.explain import main
atexit.register(lambda: print(gc.get_freeze_count() > 0))
sys.argv = ["bpbreid-explain", "--version"]
main()
"""
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert out.splitlines() == [f"bpbreid-explain {__version__}", frozen]
