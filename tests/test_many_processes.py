"""Many videos in several processes: shares of machines, deaths of workers and of the call itself."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from test_many import write_sequence

from bpbreid_track.config import RunConfig
from bpbreid_track.errors import InputError, Notice, UsageError
from bpbreid_track.io.locks import FolderClaim
from bpbreid_track.many.api import track_videos
from bpbreid_track.many.manifest import MANIFEST, read_manifest
from bpbreid_track.many.on_ray import Share, absolute, share_out
from bpbreid_track.many.order import Order
from bpbreid_track.many.pieces import cut
from bpbreid_track.many.plan import Job
from bpbreid_track.many.sources import expand
from bpbreid_track.read_config import run_config

ROOT = Path(__file__).resolve().parent.parent
PROGRAM = [sys.executable, "-c", "from bpbreid_track.cli.track import main; main()"]
linux = pytest.mark.skipif(sys.platform != "linux", reason="looks for processes in /proc")


@pytest.mark.parametrize(
    ("nodes", "workers", "share"),
    [
        pytest.param([(2, 0)], 2, Share(2, 1, 0.0), id="two on two cores"),
        pytest.param([(2, 0)], 3, Share(3, 1, 0.0), id="more than cores"),
        pytest.param([(16, 0), (16, 0)], None, Share(8, 4, 0.0), id="cluster without GPUs"),
        pytest.param([(16, 2), (16, 2)], None, Share(4, 8, 1.0), id="one a GPU"),
        pytest.param([(16, 1)], 3, Share(3, 5, 0.3333), id="several on one GPU"),
        pytest.param([(4, 0), (60, 0)], 2, Share(2, 4, 0.0), id="no more than the smallest machine has"),
        pytest.param([(0, 0), (8, 0)], 2, Share(2, 4, 0.0), id="a head without cores"),
    ],
)
def test_shares_of_machines(nodes: list[tuple[float, float]], workers: int | None, share: Share) -> None:
    assert share_out(nodes, workers, use_gpus=True) == share


def test_networks_on_the_cpu_ask_for_no_gpu() -> None:
    assert share_out([(8, 1)], None, use_gpus=False) == Share(2, 4, 0.0)


def test_workers_are_given_absolute_paths(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (asked,) = expand(["gone.mp4"], tmp_path / "out")
    given = absolute(Job(asked, "gone", {}))
    assert (asked.source, given.asked.source) == ("gone.mp4", str(tmp_path / "gone.mp4"))
    assert given.asked.key == asked.key


def lines(folder: Path, state: str) -> list[str]:
    """Names in the manifest's lines of one state."""
    path = folder / MANIFEST
    entries = map(json.loads, path.read_text().splitlines()) if path.exists() else ()
    return [entry["name"] for entry in entries if entry["state"] == state]


def kill_first_worker(killed: list[int], stop: threading.Event, busy: bytes = b"ray::Worker.track") -> None:
    while not stop.wait(0.01):
        for folder in Path("/proc").glob("[0-9]*"):
            try:
                words = (folder / "cmdline").read_bytes()
                mine = f"BPBREID_TEST={os.getpid()}".encode() in (folder / "environ").read_bytes()
            except OSError:
                continue
            if words.startswith(busy) and mine:
                killed.append(int(folder.name))
                os.kill(killed[0], signal.SIGKILL)
                return


@linux
@pytest.mark.timeout(900)  # Ray and three workers are a dozen processes, which a busy machine starts slowly
def test_workers_write_what_one_process_writes_also_when_one_of_them_is_killed(
    pets: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("ray", reason="the extra 'cluster' is not installed")
    monkeypatch.setenv("BPBREID_TEST", str(os.getpid()))
    names = ["one", "two", "three"]
    for number, name in enumerate(names):
        write_sequence(tmp_path / name, pets, 1 + 90 * number, 90)
    (tmp_path / "broken.mp4").write_text("no video")
    sources = [*(tmp_path / name for name in names), tmp_path / "broken.mp4"]
    given = {"detector": "det/det.txt", "write": ["txt", "crops"], "encoder": None}
    track_videos(sources[:3], tmp_path / "alone", **given)  # type: ignore[arg-type]

    killed, stop = list[int](), threading.Event()
    hunter = threading.Thread(target=kill_first_worker, args=(killed, stop))
    hunter.start()
    with pytest.warns(Notice, match="a worker died while it was tracking (one|two|three|broken)"):
        report = track_videos(sources, tmp_path / "together", workers=2, **given)  # type: ignore[arg-type]
    stop.set()
    hunter.join()
    assert killed
    assert sorted(report.tracked) == sorted(names)
    assert [Path(source).name for source, _ in report.failed] == ["broken.mp4"]
    assert report.failed[0][1].startswith("--detector det/det.txt names a file of boxes")
    assert len(lines(tmp_path / "together", "begun")) == 5
    for name in names:
        alone, together = (tmp_path / folder for folder in ("alone", "together"))
        assert (together / f"{name}.txt").read_bytes() == (alone / f"{name}.txt").read_bytes()
        crops = [sorted(p.name for p in (f / f"{name}.crops").rglob("*.jpg")) for f in (alone, together)]
        assert crops[0] == crops[1]
    assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL


@linux
@pytest.mark.timeout(900)
def test_a_video_searched_in_pieces_has_the_tracks_of_one_run_also_when_a_worker_is_killed(
    pets: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("ray", reason="the extra 'cluster' is not installed")
    monkeypatch.setenv("BPBREID_TEST", str(os.getpid()))
    write_sequence(tmp_path / "long", pets, 1, 60)
    write_sequence(tmp_path / "short", pets, 100, 12)
    sources = [tmp_path / "long", tmp_path / "short"]
    given = {"detector": "det/det.txt", "write": ["txt", "crops"]}
    track_videos(sources, tmp_path / "alone", **given)  # type: ignore[arg-type]

    killed, stop = list[int](), threading.Event()
    hunter = threading.Thread(target=kill_first_worker, args=(killed, stop, b"ray::Worker.search"))
    hunter.start()
    out = tmp_path / "together"
    with pytest.warns(Notice, match="a worker died while it was tracking long"):
        report = track_videos(sources, out, workers=2, piece_minutes=16 / 60 / 30, **given)  # type: ignore[arg-type]
    stop.set()
    hunter.join()
    assert killed
    assert sorted(report.tracked) == ["long", "short"]
    for name in report.tracked:
        assert (out / f"{name}.txt").read_bytes() == (tmp_path / f"alone/{name}.txt").read_bytes()
    assert sorted(p.name for p in out.iterdir()) == sorted(p.name for p in (tmp_path / "alone").iterdir())


def test_videos_are_cut_by_their_length_and_short_or_broken_ones_are_not(pets: Path, tmp_path: Path) -> None:
    write_sequence(tmp_path / "long", pets, 1, 60)
    (tmp_path / "broken.mp4").write_text("no video")
    jobs = [
        Job(asked, "x", {})
        for asked in expand([str(tmp_path / n) for n in ("long", "broken.mp4")], tmp_path / "o")
    ]
    for minutes, frames, starts in [
        (16 / 60 / 30, None, [(0, 16), (16, 32), (32, 48), (48, None)]),
        (16 / 60 / 30, 40, [(0, 16), (16, 32), (32, 40)]),
        (1e-9, 20, [(0, 8), (8, 16), (16, 20)]),
        (1, None, []),
        (None, None, []),
    ]:
        order = Order(tmp_path, {}, "", "none", RunConfig(), piece_minutes=minutes, max_frames=frames)
        assert [(piece.first, piece.last) for piece in cut(jobs[0], order)] == starts
        assert cut(jobs[1], order) == []
    order = Order(
        tmp_path, {}, "", "none", run_config({"detector": {"every": 3}}), piece_minutes=48 / 60 / 30
    )
    assert [piece.first for piece in cut(jobs[0], order)] == [0, 48]


def test_pieces_need_several_workers(tmp_path: Path) -> None:
    for minutes, message in ((1, "several workers"), (0, "above 0")):
        with pytest.raises(UsageError, match=message):
            track_videos([tmp_path], tmp_path / "o", piece_minutes=minutes)


def test_a_cluster_that_is_not_there_is_said(tmp_path: Path) -> None:
    pytest.importorskip("ray", reason="the extra 'cluster' is not installed")
    (tmp_path / "a.mp4").touch()
    with pytest.raises(InputError, match=r"no Ray cluster at 127\.0\.0\.1:1:"):
        track_videos(
            [tmp_path / "a.mp4"], tmp_path / "o", ray="127.0.0.1:1", detector="det.txt", encoder=None
        )
    with pytest.raises(UsageError, match="Ray deals out the GPUs"):
        track_videos(
            [tmp_path / "a.mp4"],
            tmp_path / "o",
            workers=2,
            device="cuda:1",
            detector="det.txt",
            encoder=None,
        )


@linux
def test_a_call_that_was_killed_goes_on_and_ends_with_the_same_tracks(pets: Path, tmp_path: Path) -> None:
    names = ["one", "two", "three"]
    for number, name in enumerate(names):
        write_sequence(tmp_path / name, pets, 1 + 90 * number, 40)
    sources = [str(tmp_path / name) for name in names]
    given = ["--detector", "det/det.txt", "--encoder", "none", "--write", "txt,mp4", "--quiet"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    out = tmp_path / "tracked"
    call = subprocess.Popen([*PROGRAM, *sources, "--out-dir", str(out), *given], env=environment)
    deadline = time.monotonic() + 60
    while lines(out, "begun") != ["one", "two"] and time.monotonic() < deadline:
        time.sleep(0.005)
    call.kill()
    call.wait()
    assert lines(out, "done") == ["one"]
    assert lines(out, "begun") == ["one", "two"]

    options = {"detector": "det/det.txt", "encoder": None, "write": ["txt", "mp4"]}
    report = track_videos(sources, out, resume=True, **options)  # type: ignore[arg-type]
    assert (report.whole, report.tracked) == (["one"], ["two", "three"])
    track_videos(sources, tmp_path / "alone", **options)  # type: ignore[arg-type]
    for name in names:
        assert (out / f"{name}.txt").read_bytes() == (tmp_path / f"alone/{name}.txt").read_bytes()
    assert sorted(p.name for p in out.iterdir()) == sorted(p.name for p in (tmp_path / "alone").iterdir())


def test_what_a_dying_worker_still_holds_is_waited_for(pets: Path, tmp_path: Path) -> None:
    write_sequence(tmp_path / "one", pets, 1, 3)
    (tmp_path / "tracked/one.crops.part").mkdir(parents=True)
    claim = FolderClaim(tmp_path / "tracked/one.crops.part")

    def let_go() -> None:
        while not lines(tmp_path / "tracked", "begun"):
            time.sleep(0.02)
        time.sleep(1.1)
        claim.release()

    holder = threading.Thread(target=let_go)
    holder.start()
    report = track_videos(
        [tmp_path / "one"],
        tmp_path / "tracked",
        write=["crops"],
        detector="det/det.txt",
        encoder=None,
    )
    holder.join()
    assert report.tracked == ["one"]
    assert [e.state for e in read_manifest(tmp_path / "tracked" / MANIFEST).values()] == ["done"]
    begun, done = map(json.loads, (tmp_path / "tracked" / MANIFEST).read_text().splitlines())
    assert begun["time"] < done["time"]
