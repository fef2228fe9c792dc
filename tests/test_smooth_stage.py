"""Smoothing within a run: every frame is written once, in order, and its boxes are those of hindsight."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import supervision as sv

from bpbreid_track import track_video
from bpbreid_track.detection.detectors import PrecomputedDetector
from bpbreid_track.evaluation import evaluate_tracks
from bpbreid_track.io.open_source import open_source
from bpbreid_track.io.sources.base import Frame, Source
from bpbreid_track.pipeline.smooth import Smooth
from bpbreid_track.pipeline.stage import Item

FRAMES, BLIND = 30, (11, 12)


class Blinking(PrecomputedDetector):
    """The boxes of a file, none at all in the frames ``BLIND``."""

    def __call__(self, frames: Sequence[Frame]) -> list[sv.Detections]:
        found = zip(frames, super().__call__(frames), strict=True)
        return [boxes[: 0 if frame.index in BLIND else len(boxes)] for frame, boxes in found]


@pytest.fixture
def det(pets: Path) -> Path:
    return pets / "det/yolo11n.txt"


def table(path: Path) -> list[dict[str, str]]:
    with path.open() as file:
        return list(csv.DictReader(file))


def track(source: Any, tracks: Path, detector: Any, **options: Any) -> list[dict[str, str]]:
    given = {"encoder": "none", "max_frames": FRAMES, **options}
    report = track_video(source, tracks=tracks, detector=detector, **given)
    assert report.frames == FRAMES
    return table(tracks)


def test_a_blind_spell_is_filled_and_nobody_is_counted_as_found_there(
    pets: Path, det: Path, tmp_path: Path
) -> None:
    seen: list[tuple[int, tuple[int, ...]]] = []
    report = track_video(
        pets,
        tracks=tmp_path / "t.csv",
        crops=tmp_path / "crops",
        detector=Blinking(det),
        encoder="none",
        max_frames=FRAMES,
        on_frame=lambda frame, _: seen.append((frame.index, frame.image.shape)),
    )
    rows = table(tmp_path / "t.csv")
    hidden = [row for row in rows if int(row["frame"]) - 1 in BLIND]
    assert len(hidden) > 4
    assert all(row["filled"] == "1" for row in hidden)
    assert report.filled == sum(row["filled"] == "1" for row in rows) >= len(hidden)
    found = {(row["frame"], row["id"]) for row in rows if row["filled"] == "0"}
    assert len(list((tmp_path / "crops").rglob("*.jpg"))) == len(found)
    assert seen == [(index, (576, 768, 3)) for index in range(FRAMES)]


def test_the_score_rises_with_it(pets: Path, det: Path, tmp_path: Path) -> None:
    scores = {}
    for lag in (0.0, 1.0):
        out = tmp_path / f"{lag:g}.txt"
        track_video(pets, tracks=out, detector=det, encoder="none", config={"smooth": {"lag_seconds": lag}})
        scores[lag] = evaluate_tracks(pets / "gt/gt.txt", out).as_dict()["HOTA"]
    assert scores[1.0] > scores[0.0] + 2


def test_boxes_settled_at_the_end_are_those_of_the_run_itself(pets: Path, det: Path, tmp_path: Path) -> None:
    """With nobody to join, a linked run and a plain one write the same."""
    plain = track(pets, tmp_path / "t.csv", Blinking(det))
    config = {"link": {"max_gap_seconds": 0}}
    linked = track(pets, tmp_path / "l.csv", Blinking(det), link=True, config=config)
    key = lambda row: (int(row["frame"]), int(row["id"]))  # noqa: E731
    assert sorted(linked, key=key) == sorted(plain, key=key)


def test_a_video_and_a_cache_change_no_track(pets: Path, det: Path, tmp_path: Path) -> None:
    plain = track(pets, tmp_path / "t.csv", det)
    assert track(pets, tmp_path / "v.csv", det, out=tmp_path / "v.mp4") == plain
    for _ in range(2):
        assert track(pets, tmp_path / "c.csv", det, cache=tmp_path / "cache") == plain


class Stream(Source):
    """A sequence as if it came from a camera."""

    def __init__(self, folder: Path) -> None:
        self._inner = open_source(folder)
        self.name, self.frame_rate, self.frame_count = "stream", self._inner.frame_rate, None
        self.width, self.height, self.live, self.notes = self._inner.width, self._inner.height, True, []

    def __iter__(self) -> Iterator[Frame]:
        yield from self._inner


def test_a_camera_waits_for_nothing(pets: Path, det: Path, tmp_path: Path) -> None:
    lines = (line.split(",") for line in det.read_text().splitlines())
    found = {(int(line[0]), *(round(float(number), 1) for number in line[2:6])) for line in lines}
    rows = track(Stream(pets), tmp_path / "t.csv", det)
    sides = ("left", "top", "width", "height")
    assert {(int(row["frame"]), *(round(float(row[side]), 1) for side in sides)) for row in rows} <= found
    assert not any(row["filled"] == "1" for row in rows)


class Cut(Source):
    """A sequence that a cut breaks in two: its second half is another street, seen upside down."""

    live = False

    def __init__(self, folder: Path, after: int) -> None:
        self._inner, self._after = open_source(folder), after
        self.name, self.frame_rate, self.frame_count = "cut", Fraction(25), None
        self.width, self.height, self.notes = self._inner.width, self._inner.height, []

    def __iter__(self) -> Iterator[Frame]:
        noise = np.random.default_rng(0).integers(0, 255, (36, 48, 3), np.uint8)
        other = cv2.resize(noise, (self.width, self.height), interpolation=cv2.INTER_NEAREST)
        for number, frame in enumerate(self._inner):
            image = frame.image if number < self._after else other
            yield Frame(number, number / 25, image)


def test_no_box_flies_across_a_cut(pets: Path, tmp_path: Path) -> None:
    """Somebody recognised behind a cut was not on the way there in between."""

    class Two(PrecomputedDetector):
        def __init__(self) -> None:
            self.name, self.description = "two", "two"

        def __call__(self, frames: Sequence[Frame]) -> list[sv.Detections]:
            out = []
            for frame in frames:
                left = 100.0 if frame.index < 15 else 500.0
                there = frame.index < 13 or frame.index > 16
                box = np.array([[left, 100, left + 40, 200]], np.float32)[: int(there)]
                score, kind = np.full(len(box), 0.9, np.float32), np.zeros(len(box), int)
                out.append(sv.Detections(box, confidence=score, class_id=kind))
            return out

        def check_frames(self, source: Source) -> None:
            pass

    rows = track(Cut(pets, 15), tmp_path / "t.csv", Two(), config={"tracker": {"lost_seconds": 5}})
    assert {float(row["left"]) for row in rows} == {100.0, 500.0}
    assert not any(row["filled"] == "1" for row in rows)


def test_large_pictures_wait_for_less(pets: Path) -> None:
    image = np.zeros((4, 4, 3), np.uint8)
    for size, waiting in ((1 << 20, 9), (64 << 20, 4)):
        stage, written = Smooth(10.0, size), []
        for index in range(9):
            boxes = sv.Detections(np.array([[index, 0, index + 9, 20]], np.float32), tracker_id=np.array([1]))
            written += stage([Item(Frame(index, index / 9, image), boxes, time=index / 9)])
        assert len(written) == 9 - waiting
        for waited in stage.finish():
            written += waited
        assert [item.frame.index for item in written] == list(range(9))
        np.testing.assert_allclose([item.detections.xyxy[0, 0] for item in written], range(9), atol=1e-4)
