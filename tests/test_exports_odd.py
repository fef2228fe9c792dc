"""Exports of tracks and videos that nobody would choose."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from bpbreid_track import export_tracks
from bpbreid_track.errors import InputError
from bpbreid_track.io.read_tracks import read_truth
from bpbreid_track.io.seqinfo import read_seqinfo


def test_boxes_without_identity_are_said_and_detections_are_no_tracks(pets: Path, tmp_path: Path) -> None:
    (tmp_path / "t.txt").write_text("1,4,0,0,9,9,1\n1,-1,20,0,9,9,1\n")
    report = export_tracks(tmp_path / "t.txt", "mot", tmp_path / "t.zip")
    assert (report.boxes, report.notes) == (1, ("1 boxes without identity are left out",))
    with pytest.raises(InputError, match=r"yolo11n.txt: none of its \d+ boxes has an identity; are"):
        export_tracks(pets / "det/yolo11n.txt", "mot", tmp_path / "det.zip")
    assert not (tmp_path / "det.zip").exists()


@pytest.mark.skipif(sys.platform != "linux", reason="names of files are letters elsewhere")
@pytest.mark.parametrize(
    ("to", "out"),
    [("cvat", "a.xml"), ("coco", "c.json"), ("soccernet", "s"), ("labelstudio", "l.json")],
    ids=lambda value: value,
)
def test_a_video_of_any_name_is_exported(to: str, out: str, tmp_path: Path) -> None:
    video = Path(os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9\n[x]\x01 & <y>"))
    video.mkdir()
    (video / "1.png").write_bytes(cv2.imencode(".png", np.zeros((48, 64, 3), np.uint8))[1].tobytes())
    (tmp_path / "t.txt").write_text("1,7,1,2,3,4,0.9\n")
    export_tracks(tmp_path / "t.txt", to, tmp_path / out, video=video)
    shown = r"caf\udce9 [x]\x01 & <y>"
    if to == "coco":
        assert json.loads((tmp_path / out).read_text())["videos"][0]["name"] == shown
    elif to == "labelstudio":
        assert json.loads((tmp_path / out).read_text())[0]["data"]["video"] == shown
    else:
        assert read_truth(tmp_path / out).id.tolist() == [7]
    if to == "soccernet":
        assert read_seqinfo(tmp_path / out / "seqinfo.ini").name == shown


def test_boxes_that_no_format_could_hold_are_named(tmp_path: Path) -> None:
    (tmp_path / "t.txt").write_text("1,4,0.2,0.3,0.1,0.2,1\n2,4,0.2,0.3,0.004,0.2,1\n")
    with pytest.raises(InputError, match=r"t\.txt, line 2: a box of no size in pixels; are these fractions"):
        export_tracks(tmp_path / "t.txt", "mot", tmp_path / "t.zip")
