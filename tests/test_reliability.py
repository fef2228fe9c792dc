"""Nothing is lost on the way out: kills, terminals that close, runs that fail."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from importlib import import_module
from pathlib import Path

import pytest
import supervision as sv
from run_files import PROGRAM, ROOT, decoded_frames, frame, person, posix, start, wait_for_lines

from bpbreid_track import track_video
from bpbreid_track.cli.track import run
from bpbreid_track.detection.detectors import PrecomputedDetector
from bpbreid_track.errors import InputError, Notice
from bpbreid_track.io.part_file import part_name
from bpbreid_track.io.sinks.tracks import MotSink, open_track_sink
from bpbreid_track.io.sinks.video import VideoSink
from bpbreid_track.io.sources.base import Frame


@posix
def test_kill_leaves_a_video_that_plays_and_whole_rows(film: tuple[str, str], tmp_path: Path) -> None:
    source, boxes = film
    files = ["--out", "o.mp4", "--tracks", "t.jsonl", "--quiet"]
    process = start([source, "--detector", boxes, "--encoder", "none", *files], tmp_path)
    wait_for_lines(tmp_path / "t.jsonl", 80, process)
    process.kill()
    process.wait(timeout=60)
    text = (tmp_path / "t.jsonl").read_text()
    rows = [json.loads(line) for line in text.splitlines()]
    assert text.endswith("\n")
    assert [row["frame"] for row in rows] == list(range(1, len(rows) + 1))
    assert len(rows) - decoded_frames(tmp_path / "o.part.mp4") <= 2 * 25
    assert not (tmp_path / "o.mp4").exists()


@posix
def test_what_a_killed_run_left_is_announced_and_goes_with_the_next_one(tmp_path: Path) -> None:
    dead = VideoSink(tmp_path / "whole.mp4", 64, 64, 25)
    for index in range(100):
        dead.write(frame(index).image)
    shutil.copy(part_name(tmp_path / "whole.mp4"), tmp_path / "o.part.mp4")
    dead.close()
    (tmp_path / "o.part2.mp4").write_bytes(b"of a kill while the index went to the front")
    with pytest.warns(
        Notice, match=r"o\.part\.mp4 was left by a run that was killed; it is .*o\.killed\.mp4"
    ):
        sink = VideoSink(tmp_path / "o.mp4", 64, 64, 25)
    assert decoded_frames(tmp_path / "o.killed.mp4") >= 50
    sink.write(frame().image)
    sink.close()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["o.mp4", "whole.mp4"]
    assert decoded_frames(tmp_path / "o.mp4") == 1


@pytest.mark.parametrize("suffix", [".mp4", ".mov", ".mkv"])
@pytest.mark.parametrize(
    ("rate", "live"), [(1, False), (5, False), (10, False), (12, False), (60, False), (30, True)]
)
def test_no_more_than_two_seconds_are_held_back(tmp_path: Path, rate: int, live: bool, suffix: str) -> None:
    path = tmp_path / f"o{suffix}"
    sink = VideoSink(path, 64, 64, rate, live=live)
    for index in range(4 * rate):
        sink.write(frame(index).image)
    held_back = 4 * rate - decoded_frames(part_name(path))
    sink.close()
    # A live source may give a third of its frames only: then 2 s are as many frames fewer.
    assert held_back <= 2 * rate / (3 if live else 1)
    assert decoded_frames(path) == 4 * rate


@posix
def test_linked_run_has_tracks_before_its_end(pets: Path, det: Path, tmp_path: Path) -> None:
    tracks = tmp_path / "t.csv"

    class Watching(PrecomputedDetector):
        seen = ""

        def __call__(self, frames: Sequence[Frame]) -> list[sv.Detections]:
            deadline = time.monotonic() + 10
            while frames[0].index == 30 and not tracks.exists() and time.monotonic() < deadline:
                time.sleep(0.01)
            if frames[0].index == 30:
                self.seen = tracks.read_text()
            return super().__call__(frames)

    detector = Watching(det)
    track_video(pets, tracks=tracks, detector=detector, encoder="none", max_frames=40, link=True)
    assert detector.seen.startswith("frame,timestamp,id")
    assert len(detector.seen.splitlines()) > 2
    assert sorted(path.name for path in tmp_path.iterdir()) == ["t.csv"]


def test_an_earlier_file_stays_until_the_new_one_is_complete(tmp_path: Path) -> None:
    path = tmp_path / "t.txt"
    path.write_text("of an earlier run\n")
    path.chmod(0o640)
    sink = MotSink(path)
    assert path.read_text() == "of an earlier run\n"
    sink.write(frame(), person())
    assert path.read_text() == "of an earlier run\n"
    assert part_name(path).read_text().startswith("1,1,5.00")
    sink.close()
    assert path.read_text().startswith("1,1,5.00")
    assert sys.platform == "win32" or path.stat().st_mode & 0o777 == 0o640
    assert [path.name for path in tmp_path.iterdir()] == ["t.txt"]
    MotSink(path).close()  # a run that ends before its first frame
    assert path.read_text().startswith("1,1,5.00")


def test_a_run_that_fails_at_its_start_harms_no_earlier_file(pets: Path, det: Path, tmp_path: Path) -> None:
    for name in ("t.csv", "why.jsonl"):
        (tmp_path / name).write_text("of an earlier run\n")
    (tmp_path / "crops/00001").mkdir(parents=True)
    for link in (False, True):
        with pytest.raises(InputError, match="is not empty"):
            track_video(
                pets,
                tracks=tmp_path / "t.csv",
                explain=tmp_path / "why.jsonl",
                crops=tmp_path / "crops",
                detector=det,
                encoder="none",
                link=link,
            )
        assert (
            (tmp_path / "t.csv").read_text() == (tmp_path / "why.jsonl").read_text() == "of an earlier run\n"
        )
    assert sorted(path.name for path in tmp_path.iterdir()) == ["crops", "t.csv", "why.jsonl"]


def test_a_link_stays_a_link(tmp_path: Path) -> None:
    (tmp_path / "far").mkdir()
    (tmp_path / "t.txt").symlink_to(tmp_path / "far/real.txt")
    sink = MotSink(tmp_path / "t.txt")
    sink.write(frame(), person())
    sink.close()
    assert (tmp_path / "t.txt").is_symlink()
    assert (tmp_path / "far/real.txt").read_text().startswith("1,1,5.00")


@posix
def test_a_pipe_is_written_as_it_is(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "t.csv")
    reader = subprocess.Popen(["cat", str(tmp_path / "t.csv")], stdout=subprocess.PIPE, text=True)
    sink = open_track_sink(tmp_path / "t.csv")
    sink.write(frame(), person())
    sink.close()
    assert reader.communicate(timeout=30)[0].splitlines()[1].startswith("1,0.000000,1,5.0")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full")
@pytest.mark.parametrize(
    "command",
    ["track --help", "evaluate GT GT", "evaluate GT GT --json", "explain --help", "tune --help", "train"],
)
def test_standard_output_that_cannot_be_written_is_one_line(
    pets: Path, command: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    name, *arguments = command.replace("GT", str(pets / "gt/gt.txt")).split()
    module = import_module("bpbreid_trainer.cli" if name == "train" else f"bpbreid_track.cli.{name}")
    with open("/dev/full", "w") as full:
        monkeypatch.setattr(sys, "stdout", full)
        assert module.run(arguments or ["--help"]) == 1
    error = capsys.readouterr().err
    assert (
        error == f"{module.program.name}: error: standard output cannot be written: No space left on device\n"
    )


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full")
def test_the_interpreter_has_nothing_to_add_to_it() -> None:
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            [*PROGRAM, "--version"],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            check=False,
            timeout=60,
        )
    assert (done.returncode, done.stderr.count("\n")) == (1, 1)


@posix
def test_a_terminal_that_closes_ends_the_run_in_good_order(
    film: tuple[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source, boxes = film
    ours, theirs = os.openpty()
    rows = tmp_path / "t.jsonl"

    def hang_up() -> None:  # as the kernel does when the connection of ssh breaks
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline and not (rows.is_file() and rows.read_bytes().count(b"\n") > 20):
            time.sleep(0.01)
        os.close(ours)
        os.kill(os.getpid(), signal.SIGHUP)

    files = ["--out", str(tmp_path / "o.mp4"), "--tracks", str(rows)]
    before = signal.signal(signal.SIGHUP, signal.SIG_DFL)
    hanging_up = threading.Thread(target=hang_up)
    try:
        with open(theirs, "w") as terminal:
            monkeypatch.setattr(sys, "stderr", terminal)
            hanging_up.start()
            code = run([source, "--detector", boxes, "--encoder", "none", *files])
            hanging_up.join()
            with suppress(OSError):
                terminal.flush()
            os.dup2(os.open(os.devnull, os.O_WRONLY), theirs)
    finally:
        monkeypatch.undo()
        signal.signal(signal.SIGHUP, before)
    assert code == 130
    lines = rows.read_text().splitlines()
    assert 20 < decoded_frames(tmp_path / "o.mp4") == len(lines) < 295
