"""Boxes from before a track was confirmed get its identity once it is, in every way a run can be written."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import supervision as sv

from bpbreid_track import track_video
from bpbreid_track.config import TrackerConfig
from bpbreid_track.io.sources.base import Frame
from bpbreid_track.pipeline.confirm import Confirm
from bpbreid_track.pipeline.stage import Item
from bpbreid_track.tracking.other_classes import OtherClasses
from bpbreid_track.tracking.tracker import PartTracker

FRAMES = 60
# PETS09 has seven frames a second: three more after the first.
SLOW = {"confirm_seconds": 0.45}


def beginnings(source: Path, out: Path, **options: Any) -> dict[int, int]:
    """The first frame in which the detector found each identity."""
    settings = {"tracker": SLOW, "smooth": {"bridge_seconds": 0}, **options.pop("also", {})}
    given = {"detector": source / "det/yolo11n.txt", "encoder": "none", "max_frames": FRAMES}
    track_video(source, tracks=out, config=settings, **given, **options)
    first: dict[int, int] = {}
    with out.open() as file:
        for row in csv.DictReader(file):
            if row["filled"] == "0":
                first.setdefault(int(row["id"]), int(row["frame"]))
    return first


@pytest.mark.parametrize(("every", "later"), [(1, 3), (2, 4)])
def test_boxes_of_who_was_confirmed_later_are_theirs_from_the_first_on(
    every: int, later: int, pets: Path, tmp_path: Path
) -> None:
    also = {"detector": {"every": every}}
    waited = beginnings(pets, tmp_path / "waited.csv", also=also)
    newcomers = {identity for identity, frame in waited.items() if frame > 1}
    assert len(newcomers) >= 4
    config = TrackerConfig(frame_rate=7, **SLOW)
    tracker, first = PartTracker(config), dict[int, int]()
    for frame, boxes in enumerate(_boxes(pets), start=1):
        if frame > FRAMES or (every > 1 and frame % every and frame not in (1, FRAMES)):
            continue
        for identity in tracker.update(boxes, timestamp=frame / 7).tracker_id.tolist():
            first.setdefault(identity, frame)
    first.pop(-1, None)
    assert waited.keys() == first.keys()
    assert {first[i] - waited[i] for i in newcomers} == {later}


def _boxes(pets: Path) -> list[sv.Detections]:
    rows = np.loadtxt(pets / "det/yolo11n.txt", delimiter=",", usecols=range(7))
    out = []
    for frame in range(1, FRAMES + 1):
        here = rows[rows[:, 0] == frame]
        corners = np.concatenate([here[:, 2:4], here[:, 2:4] + here[:, 4:6]], axis=1)
        out.append(sv.Detections(corners.astype(np.float32), confidence=here[:, 6].astype(np.float32)))
    return out


def test_a_run_that_is_joined_afterwards_has_them_too(pets: Path, tmp_path: Path) -> None:
    plain = beginnings(pets, tmp_path / "plain.csv")
    joined = beginnings(pets, tmp_path / "joined.csv", link=True)
    # Numbers are given anew in the order of appearance, or stay; either way nobody begins later.
    assert sorted(joined.values())[:8] == sorted(plain.values())[:8]


def test_large_pictures_wait_for_less() -> None:
    stage = Confirm(1 << 27)  # two fit
    picture = np.zeros((2, 2, 3), np.uint8)
    passed = []
    for index in range(5):
        boxes = sv.Detections(np.array([[0, 0, 1, 1]], np.float32), tracker_id=np.array([-1]))
        passed.append(len(stage([Item(Frame(index, index / 25, picture), boxes, tracks=np.array([4]))])))
    assert passed == [0, 0, 1, 1, 1]
    assert [len(items) for items in stage.finish()] == [1, 1]


def test_a_ball_is_not_given_the_identity_of_a_player() -> None:
    picture = np.zeros((200, 200, 3), np.uint8)
    people = PartTracker(TrackerConfig(frame_rate=10, confirm_seconds=0.2))
    others = OtherClasses(people, {32}, iter(range(100, 200)))
    stage, out = Confirm(picture.nbytes), []
    for index in range(6):
        person = sv.Detections(
            np.array([[10, 10, 50, 120]], np.float32)[: index > 0],
            confidence=np.ones(int(index > 0), np.float32),
            class_id=np.zeros(int(index > 0), int),
        )
        ball = sv.Detections(
            np.array([[150, 150, 160, 160]], np.float32)[: index > 1],
            confidence=np.ones(int(index > 1), np.float32),
            class_id=np.full(int(index > 1), 32),
        )
        time = index / 10
        found = people.update(person, timestamp=time + 0.1)
        both = others.add(found, ball, picture, time + 0.1)
        tracks = np.concatenate([people.track_numbers, others.track_numbers])
        assert len(tracks) == len(both)
        out += stage([Item(Frame(index, time, picture), both, tracks=tracks)])
    out += [item for items in stage.finish() for item in items]
    named = [
        dict(zip(i.detections.class_id.tolist(), i.detections.tracker_id.tolist(), strict=True)) for i in out
    ]
    assert named == [{}, {0: 1}] + [{0: 1, 32: 100}] * 4
