"""Many videos, some of them with names or of kinds that nobody would choose."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest
from test_many import write_clip, write_sequence

from bpbreid_track.cli.track import run
from bpbreid_track.io.names import output_stem
from bpbreid_track.many.api import track_videos
from bpbreid_track.many.manifest import MANIFEST, read_manifest
from bpbreid_track.many.sources import expand


@pytest.fixture(autouse=True)
def in_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.mark.skipif(sys.platform == "win32", reason="pipes and links are another matter there")
def test_what_is_no_file_and_no_folder_is_a_failure_of_its_own_and_is_not_waited_for(tmp_path: Path) -> None:
    clips = tmp_path / "clips"
    clips.mkdir()
    (clips / "circle.mp4").symlink_to("circle.mp4")
    (clips / "lost.mp4").symlink_to("nowhere.mp4")
    (clips / "self").symlink_to(clips)
    os.mkfifo(clips / "pipe.mp4")
    sources = [clips, "x" * 300 + ".mp4", "pipe\0.mp4", clips / "lost.mp4/a.mp4"]
    with pytest.warns(match=r"passed over \(self\)"):
        report = track_videos(sources, "out", detector="det/det.txt", encoder=None)
    assert {Path(source).name[:10]: why for source, why in report.failed} == {
        "circle.mp4": os.strerror(40 if sys.platform == "linux" else 62),
        "lost.mp4": "a link that leads nowhere",
        "pipe.mp4": "neither a file nor a folder",
        "xxxxxxxxxx": "File name too long",
        "pipe\0.mp4": "no such file or folder",
        "a.mp4": "no such file or folder",
    }
    assert {entry.state for entry in read_manifest(tmp_path / "out" / MANIFEST).values()} == {"failed"}


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="nothing is locked for root")
def test_what_may_not_be_entered_is_said(tmp_path: Path) -> None:
    (tmp_path / "locked/inner").mkdir(parents=True)
    (tmp_path / "listed").mkdir()
    (tmp_path / "listed/b.mp4").touch()
    (tmp_path / "locked").chmod(0)
    (tmp_path / "listed").chmod(0o444)
    found = expand(["locked", "locked/inner/a.mp4", "listed"], tmp_path / "out")
    assert [(Path(one.key).name, one.why) for one in found] == [
        ("locked", "Permission denied"),
        ("a.mp4", "Permission denied"),
        ("b.mp4", "Permission denied"),
    ]
    (tmp_path / "locked").chmod(0o755)
    (tmp_path / "listed").chmod(0o755)


def test_a_link_is_called_after_itself(tmp_path: Path) -> None:
    (tmp_path / "0001.mp4").touch()
    (tmp_path / "monday.mp4").symlink_to("0001.mp4")
    assert output_stem("monday.mp4") == "monday"


@pytest.mark.skipif(sys.platform == "win32", reason="such names cannot be made there")
def test_long_and_odd_names_are_tracked_each_under_a_name_that_can_be_written(
    pets: Path, tmp_path: Path
) -> None:
    odd = [
        "x" * 255,
        "x" * 254 + "y",
        "ж" * 127,
        "12:30 gate",
        'it\'s "q"',
        "new\nline",
        "-out",
        "=1+1",
        "%d",
    ]
    write_sequence(tmp_path / odd[0], pets, 1, 2)
    for name in odd[1:]:
        (tmp_path / name).symlink_to(odd[0])
    given = {"write": ["txt", "explain", "crops"], "detector": "det/det.txt", "encoder": None}
    report = track_videos([f"./{name}" for name in odd], "out", **given)  # type: ignore[arg-type]
    assert not report.failed
    assert len({name.casefold() for name in report.tracked}) == len(odd)
    again = track_videos([f"./{name}" for name in odd], "out", resume=True, **given)  # type: ignore[arg-type]
    assert len(again.whole) == len(odd)


def test_a_name_that_is_too_long_for_an_output_is_one_line(
    pets: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    write_clip(tmp_path / "clip.mp4", pets, 1, 1)
    call = ["clip.mp4", "--detector", "det.txt", "--encoder", "none", "--tracks", "x" * 300 + ".txt"]
    (tmp_path / "det.txt").write_text("1,-1,10,10,50,90,0.9,-1,-1,-1\n")
    assert run(call) == 1
    (said,) = capfd.readouterr().err.splitlines()
    assert said.endswith(".txt: cannot be written: File name too long")


def test_a_list_names_a_path_a_line_whatever_letters_it_has(tmp_path: Path) -> None:
    odd = tmp_path / "half\u2028a\x85name\x0c.mp4"
    odd.touch()
    (tmp_path / "list.txt").write_bytes(f"\ufeff{odd.name}\r\n\r\n".encode())
    (found,) = expand(["list.txt"], tmp_path / "out")
    assert (Path(found.source).name, found.why) == (odd.name, "")
