"""A file or folder has one writer: the second is refused and harms nothing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import supervision as sv
from run_files import frame, posix

from bpbreid_track import track_video
from bpbreid_track.cli.track import run
from bpbreid_track.errors import InputError, UsageError
from bpbreid_track.io.locks import FolderClaim
from bpbreid_track.io.part_file import PartFile, write_whole
from bpbreid_track.io.sinks.crops import CropSink
from bpbreid_track.io.sinks.video import VideoSink
from bpbreid_track.io.sources.base import Frame


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
    with VideoSink(tmp_path / "whole.mp4", 800, 800, 25) as sink:
        sink.write(frame(side=800).image)
    (tmp_path / "whole.mp4").rename(tmp_path / left)
    with pytest.raises(UsageError, match="is read by this run and would be overwritten"):
        track_video(tmp_path / left, tmp_path / "o.mp4", detector=det, encoder="none")
    track_video(tmp_path / left, tmp_path / "other.mp4", detector=det, encoder="none")
    assert (tmp_path / left).exists()
