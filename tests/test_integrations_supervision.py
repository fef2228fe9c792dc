"""Part embeddings as columns of sv.Detections."""

from __future__ import annotations

import numpy as np
import pytest
import supervision as sv
import torch
from host_scenes import Street

from bpbreid_track import PartTracker
from bpbreid_track.errors import InputError
from bpbreid_track.integrations.supervision import embeddings_of, with_embeddings


def carried(street: Street, frame: int) -> sv.Detections:
    boxes, scores = street.boxes[frame], street.scores[frame]
    detections = sv.Detections(boxes, confidence=scores, class_id=np.zeros(len(boxes), int))
    return with_embeddings(detections, street.embeddings[frame])


def test_embeddings_come_back_as_they_went_in(street: Street) -> None:
    found = embeddings_of(carried(street, 0))
    assert found.part_names == street.embeddings[0].part_names
    assert torch.equal(found.features, street.embeddings[0].features)
    assert torch.equal(found.visibility, street.embeddings[0].visibility)


def test_embeddings_follow_their_boxes_through_slicing_and_merging(street: Street) -> None:
    a, b = carried(street, 0), carried(street, 3)
    sure = a.confidence > np.median(a.confidence)
    merged = sv.Detections.merge([a[sure][::-1], b[[1, 0]]])
    found = embeddings_of(merged)
    expected = torch.cat(
        [
            street.embeddings[0].features[np.flatnonzero(sure)[::-1].copy()],
            street.embeddings[3].features[[1, 0]],
        ]
    )
    assert torch.equal(found.features, expected)
    assert found.part_names == street.embeddings[0].part_names


def test_nothing_left_is_still_embeddings(street: Street) -> None:
    detections = carried(street, 0)
    found = embeddings_of(detections[detections.confidence > 2])
    assert len(found) == 0
    assert found.dim == street.embeddings[0].dim


def test_the_tracker_takes_what_detections_carry(street: Street) -> None:
    ours, theirs = PartTracker(), PartTracker()
    for frame in range(len(street.images)):
        detections = carried(street, frame)
        out = ours.update(detections, embeddings=embeddings_of(detections))
        expected = theirs.update(detections, embeddings=street.embeddings[frame])
        np.testing.assert_array_equal(out.tracker_id, expected.tracker_id)
        assert torch.equal(embeddings_of(out).features, street.embeddings[frame].features)


def test_detections_without_embeddings_name_the_mend() -> None:
    with pytest.raises(InputError, match="add them by with_embeddings"):
        embeddings_of(sv.Detections(np.array([[0.0, 0, 9, 9]])))


def test_frames_in_which_nobody_is_go_through_the_tracker_also_where_supervision_drops_their_columns(
    street: Street,
) -> None:
    tracker = PartTracker()
    nobody = carried(street, 0)[[]]
    for detections in (sv.Detections.merge([nobody, nobody]), nobody, sv.Detections.empty()):
        assert len(tracker.update(detections, embeddings=embeddings_of(detections))) == 0
    assert embeddings_of(sv.Detections.merge([nobody, carried(street, 1)])) is not None


def test_embeddings_of_other_boxes_are_refused(street: Street) -> None:
    with pytest.raises(ValueError, match="one a box, got 1"):
        with_embeddings(carried(street, 0), street.embeddings[0][:1])


def test_smoother_of_supervision_joins_rows_without_identity_and_the_documented_way_does_not() -> None:
    boxes = np.array([[0, 0, 10, 20], [200, 0, 210, 20], [50, 50, 60, 70]], float)
    tracked = sv.Detections(boxes, confidence=np.ones(3), tracker_id=np.array([-1, -1, 7]))
    plain = sv.DetectionsSmoother().update_with_detections(tracked)
    assert sorted(plain.xyxy[:, 0].tolist()) == [50, 100], (
        "if this fails, the page of supervision is out of date"
    )
    known = tracked.tracker_id >= 0
    smoother = sv.DetectionsSmoother()
    shown = sv.Detections.merge([smoother.update_with_detections(tracked[known]), tracked[~known]])
    assert sorted(shown.xyxy[:, 0].tolist()) == [0, 50, 200]
    assert sorted(shown.tracker_id.tolist()) == [-1, -1, 7]
