"""The demo: footage that decodes, boxes and truth that fit it, a picture in the README that is of today."""

from __future__ import annotations

import hashlib
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
import supervision as sv

from bpbreid_track import track_video
from bpbreid_track.config import DetectorConfig
from bpbreid_track.detection.detectors import UltralyticsDetector
from bpbreid_track.io.demo.source import FOLDER, TRUTH, DemoSource
from bpbreid_track.io.mot_format import MotRows, read_mot
from bpbreid_track.io.open_source import open_source
from bpbreid_track.io.sources.base import Frame

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="module")
def frames() -> list[Frame]:
    return list(DemoSource())


@pytest.fixture(scope="module")
def people() -> MotRows:
    """The truth of those who count."""
    rows = read_mot(TRUTH)
    keep = rows.confidence > 0
    assert set(rows.extra[keep, 0]) == {1}
    return MotRows(*(column[keep] for column in vars(rows).values()))


def test_the_word_demo_opens_the_footage(frames: list[Frame]) -> None:
    with open_source("demo") as source:
        assert (source.name, source.width, source.height) == ("demo", 534, 360)
        assert (source.frame_count, source.live, source.sound) == (300, False, None)
        assert float(source.frame_rate) == pytest.approx(29.97, abs=0.01)
    assert len(frames) == 300
    assert [frame.image.shape for frame in frames[::100]] == [(360, 534, 3)] * 3


def test_the_licence_stands_beside_the_very_file() -> None:
    said = (FOLDER / "README.md").read_text(encoding="utf-8")
    assert hashlib.sha256((FOLDER / "street.mp4").read_bytes()).hexdigest() in said
    assert "public domain" in said


def test_the_footage_stays_small() -> None:
    assert sum(path.stat().st_size for path in FOLDER.iterdir() if path.is_file()) < 1.5e6


def test_truth_lies_in_the_picture_once_a_frame(people: MotRows) -> None:
    assert (people.xyxy >= 0).all()
    assert (people.xyxy <= [534, 360, 534, 360]).all()
    assert (people.frame.min(), people.frame.max()) == (1, 300)
    assert set(people.id) == set(range(1, 11))
    assert len(set(zip(people.frame, people.id, strict=True))) == len(people)


def test_people_are_hidden_and_come_back(people: MotRows) -> None:
    gaps = [int(np.diff(people.frame[people.id == identity]).max()) for identity in range(1, 11)]
    assert sum(gap > 15 for gap in gaps) >= 4


def test_the_stored_boxes_find_most_of_the_people(people: MotRows) -> None:
    boxes = read_mot(DemoSource.boxes)
    found = [
        sv.box_iou_batch(people.xyxy[people.frame == frame], boxes.xyxy[boxes.frame == frame]).max(axis=1)
        for frame in range(1, 301)
        if (people.frame == frame).any()
    ]
    assert (np.concatenate(found) >= 0.5).mean() > 0.85


def test_the_stored_boxes_are_those_of_the_detector_named_beside_them(
    frames: list[Frame], shared: Path
) -> None:
    stored = read_mot(DemoSource.boxes)
    detector = UltralyticsDetector(
        shared / "weights/yolo11n.pt", DetectorConfig(image_size=640, runtime="torch"), "cpu"
    )
    for index in (80, 220):
        again = detector([frames[index]])[0]
        sure = (stored.frame == index + 1) & (stored.confidence > 0.5)
        assert sure.sum() >= 2
        assert (sv.box_iou_batch(stored.xyxy[sure], again.xyxy).max(axis=1) > 0.8).all()


def test_the_demo_needs_no_detector() -> None:
    report = track_video("demo", encoder=None, max_frames=5)
    assert report.detector == str(DemoSource.boxes)
    assert report.frames == 5
    assert report.identities > 0


def test_a_detector_that_is_named_is_taken(tmp_path: Path) -> None:
    (tmp_path / "det.txt").write_text("1,-1,10,10,40,90,0.9\n")
    report = track_video("demo", encoder=None, max_frames=2, detector=tmp_path / "det.txt")
    assert report.detections == 1


def test_the_picture_of_the_readme_is_what_the_tracker_does_today(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("trackeval", reason="the extra 'eval' is not installed")
    monkeypatch.syspath_prepend(ROOT / "scripts")
    import demo_picture

    motion, parts = demo_picture.both_ways()
    assert parts.switches < motion.switches
    drawn = cv2.imencode(".jpg", demo_picture.draw([motion, parts]), demo_picture.JPEG)[1]
    today = cv2.imdecode(drawn, cv2.IMREAD_COLOR).astype(float)
    there = cv2.imread(str(demo_picture.PICTURE)).astype(float)
    assert today.shape == there.shape, "run python scripts/demo_picture.py"
    apart = cv2.blur(np.abs(today - there).max(axis=2), (12, 12))
    assert apart.max() < 12, "run python scripts/demo_picture.py"
    sys.modules.pop("demo_picture")
