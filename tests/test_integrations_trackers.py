"""Roboflow's trackers, really installed: our tracker among theirs, in Python and on their command line."""

from __future__ import annotations

import shutil
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest
import supervision as sv
from host_scenes import FRAMES, Street

from bpbreid_track import Encoder, PartTracker, TrackerConfig
from bpbreid_track.integrations.report import appearance_report
from bpbreid_track.io.mot_format import read_mot

pytest.importorskip("trackers", reason="needs the integrations extra: pip install -e '.[dev]'")
host = pytest.importorskip("bpbreid_track.integrations.trackers")


def detections(boxes: np.ndarray, scores: np.ndarray) -> sv.Detections:
    return sv.Detections(boxes, confidence=scores, class_id=np.zeros(len(boxes), int))


def test_it_is_part_tracker_behind_their_interface(street: Street) -> None:
    from trackers.core.base import BaseTracker

    assert "bpbreid" in BaseTracker._registered_trackers()
    theirs, ours = host.BPBReIDTracker(frame_rate=7), PartTracker(TrackerConfig(frame_rate=7))
    for index, (image, boxes, scores, embeddings) in enumerate(street):
        theirs.appearance.encoder = None  # the embeddings at hand are the same numbers
        update = theirs.appearance.update
        theirs.appearance.update = lambda *a, e=embeddings, u=update, **k: u(*a, embeddings=e, **k)
        out = theirs.update(detections(boxes, scores), image, timestamp=index / 7)
        theirs.appearance.update = update
        expected = ours.update(detections(boxes, scores), image, embeddings=embeddings, timestamp=index / 7)
        np.testing.assert_array_equal(out.tracker_id, expected.tracker_id)
        living = theirs.tracked_objects
        assert set(out.tracker_id[out.tracker_id > 0]) <= set(living.tracker_id)
    report = appearance_report(theirs)
    assert report.level == "exact"
    assert report.matches > 20
    theirs.reset()
    assert len(theirs.tracked_objects) == 0


def test_times_that_do_not_advance_are_skipped_as_their_trackers_do(street: Street) -> None:
    tracker = host.BPBReIDTracker(encoder="none")
    first = tracker.update(detections(street.boxes[0], street.scores[0]), timestamp=1.0)
    assert (first.tracker_id > 0).any()
    for late in (1.0, 0.5, float("nan")):
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            out = tracker.update(detections(street.boxes[1], street.scores[1]), timestamp=late)
        assert caught
        assert (out.tracker_id == -1).all()
    again = tracker.update(detections(street.boxes[1], street.scores[1]), timestamp=1.1)
    assert set(first.tracker_id[first.tracker_id > 0]) & set(again.tracker_id)


def test_the_reid_method_gives_one_vector_a_box(bundled_encoder: Encoder, street: Street) -> None:
    model = host.ReIDModel(bundled_encoder)
    found = model.extract_embeddings(
        detections(street.boxes[0], street.scores[0]), street.images[0], batch_size=8
    )
    np.testing.assert_allclose(found, street.embeddings[0].features[:, 0].numpy(), atol=1e-5)
    assert model.extract_embeddings(sv.Detections.empty(), street.images[0]).shape == (0, 0)


def test_their_command_line_tracks_with_it(
    street: Street, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source, result = tmp_path / "img1", tmp_path / "result.txt"
    source.mkdir()
    for path in sorted((street.folder / "img1").iterdir())[:FRAMES]:
        shutil.copy(path, source / path.name)
    words = f"trackers track --source {source} --detections {street.folder}/det/yolo11n.txt"
    words += f" --tracker bpbreid --tracker.appearance_seconds 8 --mot-output {result}"
    monkeypatch.setattr(sys, "argv", words.split())
    assert host.main() == 0
    rows = read_mot(result)
    assert set(rows.frame) == set(range(1, FRAMES + 1))
    first, last = (set(rows.id[(rows.frame == frame) & (rows.id > 0)]) for frame in (1, FRAMES))
    assert first & last
