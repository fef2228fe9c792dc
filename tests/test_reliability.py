"""Nothing is lost on the way out: kills, full disks, folders that go, two writers of one file."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from importlib import import_module
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
import supervision as sv
import torch

from bpbreid_track import PartEmbeddings, track_video
from bpbreid_track.cli.track import run
from bpbreid_track.detection.detectors import PrecomputedDetector
from bpbreid_track.errors import InputError, Notice, UsageError
from bpbreid_track.io.locks import FolderClaim
from bpbreid_track.io.part_file import PartFile, part_name, put, write_whole
from bpbreid_track.io.sinks.crops import CropSink
from bpbreid_track.io.sinks.tracks import MotSink, open_track_sink
from bpbreid_track.io.sinks.video import VideoSink
from bpbreid_track.io.sources.base import Frame
from bpbreid_track.pipeline.cache import StoredFrames
from bpbreid_trainer.logs import Table

ROOT = Path(__file__).resolve().parent.parent
PROGRAM = [sys.executable, "-c", "from bpbreid_track.cli.track import main; main()"]
posix = pytest.mark.skipif(sys.platform == "win32", reason="signals and locks of POSIX")


@pytest.fixture
def film(shared: Path, tmp_path: Path) -> tuple[str, str]:
    """A video of 25 frames a second and boxes for it."""
    boxes = tmp_path / "det.txt"
    boxes.write_text("".join(f"{n + 1},-1,{20 + n % 300},60,60,160,0.9\n" for n in range(400)))
    return str(shared / "data/video/basketball-broadcast.mp4"), str(boxes)


def start(arguments: Sequence[str], folder: Path, **options: Any) -> subprocess.Popen[Any]:
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "TERM": "xterm"}
    return subprocess.Popen([*PROGRAM, *arguments], cwd=folder, env=environment, **options)


def wait_for_lines(path: Path, count: int, process: subprocess.Popen[Any]) -> None:
    deadline = time.monotonic() + 60
    while process.poll() is None and time.monotonic() < deadline:
        if path.is_file() and path.read_bytes().count(b"\n") >= count:
            return
        time.sleep(0.01)
    pytest.fail(f"{path.name} never had {count} lines")


@contextmanager
def small_disk(size: int) -> Iterator[None]:
    """Files of more than ``size`` bytes are refused, as by a full disk."""
    resource = pytest.importorskip("resource", reason="limits of POSIX")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def decoded_frames(path: Path) -> int:
    with av.open(str(path)) as container:
        return sum(1 for _ in container.decode(video=0))


def frame(index: int = 0, side: int = 64) -> Frame:
    return Frame(index, index / 25, np.full((side, side, 3), index % 256, np.uint8))


def person(identity: int = 1) -> sv.Detections:
    return sv.Detections(np.array([[5, 5, 40, 60]], np.float32), tracker_id=np.array([identity]))


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


@posix
def test_full_disk_is_one_line_and_keeps_what_was_done(
    film: tuple[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    source, boxes = film
    monkeypatch.chdir(tmp_path)
    files = ["--out", "o.mp4", "--tracks", "t.jsonl", "--quiet"]
    with small_disk(200_000):
        assert run([source, "--detector", boxes, "--encoder", "none", *files]) == 1
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert error.startswith("bpbreid-track: error: o.mp4: cannot be written: File too large; ")
    rows = [json.loads(line) for line in (tmp_path / "t.jsonl").read_text().splitlines()]
    assert 0 < decoded_frames(tmp_path / "o.mp4") <= len(rows) + 1
    assert sorted(path.name for path in tmp_path.iterdir()) == ["det.txt", "o.mp4", "t.jsonl"]


@posix
@pytest.mark.parametrize("linked", [False, True])
def test_full_disk_leaves_no_half_row(
    pets: Path,
    det: Path,
    tmp_path: Path,
    linked: bool,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    arguments = [str(pets), "--detector", str(det), "--encoder", "none", "--max-frames", "60", "--quiet"]
    with small_disk(5000):
        assert run([*arguments, "--tracks", "t.txt", *(["--link"] if linked else [])]) == 1
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert "t.txt: cannot be written: File too large" in error
    rows = (tmp_path / "t.txt").read_text()
    assert rows.endswith("-1,-1,-1\n")
    assert 4000 < len(rows) <= 5000
    assert [path.name for path in tmp_path.iterdir()] == ["t.txt"]


@posix
def test_full_disk_keeps_the_frames_of_a_cache(pets: Path, det: Path, tmp_path: Path) -> None:
    options: dict[str, Any] = {"detector": det, "encoder": "none", "max_frames": 60, "cache": tmp_path / "c"}
    with small_disk(4000), pytest.raises(InputError, match="c: cannot be written: File too large"):
        track_video(pets, **options)
    assert [path.name for path in tmp_path.iterdir()] == ["c"]
    stored = len(StoredFrames(tmp_path / "c"))
    assert 5 < stored < 60
    report = track_video(pets, **options)
    assert (report.cached_frames, len(StoredFrames(tmp_path / "c"))) == (stored, 60)


@posix
def test_small_files_are_whole_or_as_they_were(tmp_path: Path) -> None:
    def people(count: int) -> PartEmbeddings:
        return PartEmbeddings(torch.zeros(count, 1, 8), torch.ones(count, 1), ["foreground"])

    people(1).save(tmp_path / "anna.npz")
    put(tmp_path / "1.jpg", b"a picture")
    before = (tmp_path / "anna.npz").read_bytes()
    with small_disk(2000):
        with pytest.raises(OSError, match="File too large"):
            people(100).save(tmp_path / "anna.npz")
        with pytest.raises(OSError, match="File too large"):
            put(tmp_path / "1.jpg", bytes(3000))
    assert (tmp_path / "anna.npz").read_bytes() == before
    assert (tmp_path / "1.jpg").read_bytes() == b"a picture"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["1.jpg", "anna.npz"]


@posix
def test_full_disk_while_training_is_said_of_the_log(tmp_path: Path) -> None:
    log = Table(tmp_path / "log.csv", 0)
    log.add({"step": 1, "loss": 0.5})
    with small_disk(20), pytest.raises(InputError, match=r"log\.csv: cannot be written: File too large"):
        log.add({"step": 2, "loss": 0.5})


@posix
@pytest.mark.parametrize("how", ["removed", "moved"])
def test_a_folder_that_goes_in_mid_run_is_an_error_and_costs_nothing(
    pets: Path, det: Path, tmp_path: Path, how: str
) -> None:
    folder = tmp_path / "out"
    folder.mkdir()

    def on_frame(now: Frame, _: sv.Detections) -> None:
        if now.index == 10:
            gone = folder.rename(tmp_path / "elsewhere")  # at once, whatever is being written
            if how == "removed":
                shutil.rmtree(gone)

    with pytest.raises(InputError, match=r"out/.*: its folder was removed or moved during the run"):
        track_video(
            pets,
            folder / "o.mp4",
            tracks=folder / "t.jsonl",
            detector=det,
            encoder="none",
            max_frames=30,
            on_frame=on_frame,
            cache=folder / "c",
        )
    assert len(StoredFrames(folder / "c")) > 10
    assert len((folder / "t.jsonl").read_text().splitlines()) > 10
    assert decoded_frames(folder / "o.mp4") > 10


@posix
def test_crops_end_with_their_folder(pets: Path, det: Path, tmp_path: Path) -> None:
    def on_frame(now: Frame, _: sv.Detections) -> None:
        if now.index == 5:
            (tmp_path / "crops").rename(tmp_path / "gone")  # at once, whatever is being written

    with pytest.raises(InputError, match=r"crops/\d+/\d+\.jpg: cannot be written"):
        track_video(
            pets, crops=tmp_path / "crops", detector=det, encoder="none", max_frames=60, on_frame=on_frame
        )


@posix
@pytest.mark.parametrize(
    "option", ["--out o.mp4", "--tracks t.txt", "--explain w.jsonl", "--crops c", "--cache k"]
)
def test_the_second_of_two_writers_is_refused_and_harms_nothing(
    pets: Path, det: Path, tmp_path: Path, option: str, capfd: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    name, file = option.split()
    arguments = [str(pets), "--detector", str(det), "--encoder", "none", "--quiet", name, file]
    arguments += ["--tracks", "other.txt"] if name == "--cache" else []
    codes: list[int] = []

    def on_frame(now: Frame, _: sv.Detections) -> None:
        if now.index in (0, 20):
            codes.append(run(arguments))

    options: dict[str, Any] = {name[2:]: file}
    options |= {"tracks": "first.txt"} if name == "--cache" else {}
    track_video(pets, detector=det, encoder="none", max_frames=30, on_frame=on_frame, **options)
    assert codes == [1, 1]
    errors = capfd.readouterr().err.splitlines()
    assert (
        errors
        == [f"bpbreid-track: error: {file}: another run is writing it; wait for its end or give another path"]
        * 2
    )
    alone = tmp_path / "alone"
    alone.mkdir()
    monkeypatch.chdir(alone)
    track_video(pets, detector=det, encoder="none", max_frames=30, **options)
    if name == "--crops":
        files = [sorted(str(p.relative_to(f)) for p in (f / file).rglob("*")) for f in (tmp_path, alone)]
        assert files[0] == files[1]
    else:
        assert (tmp_path / file).read_bytes() == (alone / file).read_bytes()


@posix
def test_a_file_is_free_again_after_its_run(tmp_path: Path) -> None:
    for _ in range(2):
        write_whole(tmp_path / "t.txt", b"rows\n")
        sink = CropSink(tmp_path / "crops")
        sink.close()
    first = PartFile(tmp_path / "t.txt")
    with pytest.raises(InputError, match="another run is writing it"):
        PartFile(tmp_path / "t.txt")
    first.discard()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["t.txt"]


@posix
def test_a_folder_has_one_writer(tmp_path: Path) -> None:
    first = FolderClaim(tmp_path / "people")
    with pytest.raises(InputError, match="people: another run is writing it"):
        FolderClaim(tmp_path / "people")
    first.release()
    assert not (tmp_path / "people").exists()  # made for nothing
    FolderClaim(tmp_path / "people").release()


@pytest.mark.parametrize("left", ["o.part.mp4", "o.killed.mp4"])
def test_what_a_killed_run_left_is_not_tracked_into_its_own_name(
    det: Path, tmp_path: Path, left: str
) -> None:
    with VideoSink(tmp_path / "whole.mp4", 64, 64, 25) as sink:
        sink.write(frame().image)
    (tmp_path / "whole.mp4").rename(tmp_path / left)
    with pytest.raises(UsageError, match="is read by this run and would be overwritten"):
        track_video(tmp_path / left, tmp_path / "o.mp4", detector=det, encoder="none")
    track_video(tmp_path / left, tmp_path / "other.mp4", detector=det, encoder="none")
    assert (tmp_path / left).exists()


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
    why = "standard output cannot be written: No space left on device"
    assert error == f"{module.program.name}: error: {why}\n"


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
