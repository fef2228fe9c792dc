"""The demo: the same pixels each time, a truth that fits them, people who hide and come back."""

from __future__ import annotations

from itertools import islice
from pathlib import Path

import numpy as np
import pytest
import supervision as sv

from bpbreid_track.config import DetectorConfig
from bpbreid_track.detection.detectors import UltralyticsDetector
from bpbreid_track.detection.weights import wheel_weights
from bpbreid_track.io.demo.scene import Scene
from bpbreid_track.io.demo.source import DemoSource
from bpbreid_track.io.mot_format import MotRows, read_mot
from bpbreid_track.io.open_source import open_source
from bpbreid_track.io.sources.base import Frame


@pytest.fixture(scope="module")
def demo() -> DemoSource:
    return DemoSource()


@pytest.fixture(scope="module")
def truth(demo: DemoSource) -> MotRows:
    return demo.truth()


def test_the_word_demo_opens_the_scene() -> None:
    with open_source("demo") as source:
        first, second = islice(source, 2)
    assert (source.name, source.width, source.height) == ("demo", 1280, 720)
    assert (source.frame_rate, source.frame_count, source.live) == (25, 350, False)
    assert first.image.shape == (720, 1280, 3)
    assert (first.index, second.index) == (0, 1)
    assert second.timestamp == pytest.approx(0.04)


def test_every_frame_is_given(demo: DemoSource) -> None:
    assert sum(1 for _ in demo) == demo.frame_count


def test_two_renderings_are_equal_and_frames_differ() -> None:
    first, second = Scene(), Scene()
    for index in (0, 140, 349):
        assert np.array_equal(first.render(index), second.render(index))
    assert first.truth(140) == second.truth(140)
    assert not np.array_equal(first.render(140), first.render(141))


def test_truth_boxes_lie_in_the_picture_and_are_as_tall_as_people(truth: MotRows) -> None:
    xyxy = truth.xyxy
    assert (xyxy >= 0).all()
    assert (xyxy <= [1280, 720, 1280, 720]).all()
    assert set(truth.id) == {1, 2, 3, 4, 5, 6}
    assert len(set(zip(truth.frame, truth.id, strict=True))) == len(truth)
    assert 250 < truth.ltwh[:, 3].min() < truth.ltwh[:, 3].max() < 480
    assert truth.ltwh[:, 2].max() < 220


def test_people_move_smoothly(truth: MotRows) -> None:
    for identity in set(truth.id):
        rows = truth.id == identity
        together = np.diff(truth.frame[rows]) == 1
        # The heels swing and a box at the border is cut, but nobody jumps.
        assert np.abs(np.diff(truth.ltwh[rows, 1])[together]).max() < 8
        assert np.abs(np.diff(truth.xyxy[rows, 0])[together]).max() < 30


def test_at_least_three_people_vanish_and_come_back(truth: MotRows) -> None:
    returned = 0
    for identity in set(truth.id):
        visibility = truth.extra[truth.id == identity, 1]
        hidden = np.flatnonzero(visibility < 0.1)
        seen = np.flatnonzero(visibility > 0.9)
        middle = hidden[(hidden > seen.min()) & (hidden < seen.max())]
        returned += len(middle) >= 20
    assert returned >= 3


def test_visibility_is_what_shows_in_the_picture(truth: MotRows) -> None:
    visibility = truth.extra[:, 1]
    assert visibility.min() == 0
    assert visibility.max() <= 1
    assert ((visibility >= 0.1) == (truth.confidence == 1)).all()
    # Sooner or later everybody stands free.
    assert all(visibility[truth.id == identity].max() > 0.97 for identity in set(truth.id))


def test_the_written_truth_reads_back(demo: DemoSource, truth: MotRows, tmp_path: Path) -> None:
    demo.write_truth(tmp_path / "gt.txt")
    rows = read_mot(tmp_path / "gt.txt")
    np.testing.assert_array_equal(rows.frame, truth.frame)
    np.testing.assert_array_equal(rows.id, truth.id)
    np.testing.assert_allclose(rows.ltwh, truth.ltwh, atol=0.006)
    np.testing.assert_array_equal(rows.confidence, truth.confidence)
    np.testing.assert_allclose(rows.extra[:, 1], truth.extra[:, 1], atol=0.0006)


def test_a_real_detector_finds_everybody_who_half_shows(truth: MotRows) -> None:
    weights = wheel_weights()
    assert weights is not None, "the extra 'offline' belongs to the development environment"
    detector = UltralyticsDetector(weights, DetectorConfig(image_size=640), "cpu")
    scene = Scene()
    found = visible = 0
    for index in (60, 180, 230, 320):
        boxes = detector([Frame(index, index / 25, scene.render(index))])[0]
        rows = (truth.frame == index + 1) & (truth.extra[:, 1] > 0.5)
        overlap = sv.box_iou_batch(truth.xyxy[rows], boxes.xyxy)
        found += int((overlap.max(axis=1) >= 0.5).sum())
        visible += int(rows.sum())
    assert visible >= 12
    assert found == visible
