"""A full disk or a folder that goes is one line, and what was done is kept."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import supervision as sv
import torch
from run_files import decoded_frames, posix, small_disk

from bpbreid_track import PartEmbeddings, track_video
from bpbreid_track.cli.track import run
from bpbreid_track.errors import InputError
from bpbreid_track.io.part_file import put
from bpbreid_track.io.sources.base import Frame
from bpbreid_track.pipeline.stored_frames import StoredFrames
from bpbreid_trainer.logs import Table


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
    with small_disk(4500), pytest.raises(InputError, match="c: cannot be written: File too large"):
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
        if now.index == 15:
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
