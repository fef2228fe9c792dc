"""Ultralytics' BoT-SORT with our vectors and with the part distance, and YOLO.track with our tracker file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from host_scenes import Street, change_of_places, invisible, table
from ultralytics.engine.results import Boxes
from ultralytics.trackers import BOTSORT
from ultralytics.trackers.track import TRACKER_MAP
from ultralytics.utils import YAML, IterableSimpleNamespace
from ultralytics.utils.checks import check_yaml

from bpbreid_track import Encoder
from bpbreid_track.detection.weights import find_detector_weights
from bpbreid_track.errors import UsageError
from bpbreid_track.integrations import ultralytics as host
from bpbreid_track.integrations.report import appearance_report
from bpbreid_track.integrations.vectors import flat_vectors


def settings(file: str, **changes: Any) -> IterableSimpleNamespace:
    return IterableSimpleNamespace(**(YAML.load(check_yaml(file)) | changes))


def as_boxes(boxes: np.ndarray, scores: np.ndarray) -> Boxes:
    return Boxes(table(boxes, scores), orig_shape=(576, 768))


def rows(out: Any) -> dict[int, int]:
    """Identity of each detection row."""
    return {int(row[7]): int(row[4]) for row in np.asarray(out).reshape(-1, 8)}


def test_our_vector_drives_the_hosts_own_tracker(bundled_encoder: Encoder, street: Street) -> None:
    tracker = BOTSORT(settings("botsort.yaml"))
    host.use_encoder(tracker, host.ReIDEncoder(bundled_encoder, "concat"))
    for image, boxes, scores, _ in street:
        found = rows(tracker.update(as_boxes(boxes, scores), image))
    assert len(found) >= 3
    assert {len(track.smooth_feat) for track in tracker.tracked_stracks} == {4 * bundled_encoder.dim}
    report = appearance_report(tracker)
    assert (report.level, report.compares) == ("drop-in", "concat vector")
    assert report.matches > 20


def test_a_box_in_which_nothing_shows_gets_no_vector(bundled_encoder: Encoder, street: Street) -> None:
    boxes = np.array([[300.0, 260, 30, 90, 0], [-50, -50, 20, 20, 1]])
    seen, unseen = host.ReIDEncoder(bundled_encoder)(street.images[0], boxes)
    assert seen is not None
    assert seen.shape == (bundled_encoder.dim,)
    assert unseen is None


def test_packed_vectors_are_not_for_the_hosts_own_cosine(bundled_encoder: Encoder) -> None:
    with pytest.raises(UsageError, match="take BPBReIDTracker"):
        host.use_encoder(BOTSORT(settings("botsort.yaml")), host.ReIDEncoder(bundled_encoder, "parts"))


def exact(encoder: Encoder, **changes: Any) -> Any:
    return host.BPBReIDTracker(settings(host.TRACKER, gmc_method="none", **changes), encoder)


def test_parts_that_show_decide_and_hidden_ones_do_not(bundled_encoder: Encoder, street: Street) -> None:
    tracker = exact(bundled_encoder)
    found = [
        rows(tracker.update(as_boxes(boxes, scores), feats=flat_vectors(embeddings, "parts")))
        for boxes, scores, embeddings in change_of_places(street)
    ]
    assert found[-1] == {0: found[-2][1], 1: found[-2][0]}
    assert appearance_report(tracker).decided == 2


def test_without_a_common_part_motion_decides(bundled_encoder: Encoder, street: Street) -> None:
    blind, motion = exact(bundled_encoder), BOTSORT(settings("botsort.yaml", gmc_method="none"))
    for _, boxes, scores, embeddings in street:
        vectors = flat_vectors(invisible(embeddings), "parts")
        ours = rows(blind.update(as_boxes(boxes, scores), feats=vectors))
        theirs = rows(motion.update(as_boxes(boxes, scores)))
        assert list(ours) == list(theirs)
    assert len(set(ours.values())) == len(set(theirs.values()))
    report = appearance_report(blind)
    assert report.matches > 20
    assert report.decided == 0


@pytest.mark.parametrize("appearance", ["parts", "foreground"])
def test_the_tracker_file_chooses_the_level(
    bundled_encoder: Encoder, street: Street, appearance: str
) -> None:
    tracker = exact(bundled_encoder, appearance=appearance)
    for image, boxes, scores, _ in street:
        tracker.update(as_boxes(boxes, scores), image)
    report = appearance_report(tracker)
    assert report.level == {"parts": "exact", "foreground": "drop-in"}[appearance]
    assert report.matches > 20
    has_parts = [getattr(track, "parts", None) is not None for track in tracker.tracked_stracks]
    assert set(has_parts) == {appearance == "parts"}


def test_a_misspelt_level_is_named(bundled_encoder: Encoder) -> None:
    with pytest.raises(UsageError, match="did you mean 'parts'"):
        exact(bundled_encoder, appearance="part")


def test_yolo_track_runs_with_our_tracker_file(shared: Path, street: Street) -> None:
    from ultralytics import YOLO

    local = shared / "weights" / "yolo11n.pt"
    model = YOLO(local if local.exists() else find_detector_weights("auto").path)
    assert TRACKER_MAP["bpbreid"] is host.BPBReIDTracker
    seen: list[set[int]] = []
    for image in street.images[:5]:
        result = model.track(
            image, persist=True, tracker=host.TRACKER, classes=[0], device="cpu", verbose=False
        )[0]
        seen.append(set() if result.boxes.id is None else set(result.boxes.id.int().tolist()))
    tracker = model.predictor.trackers[0]
    assert isinstance(tracker, host.BPBReIDTracker)
    assert seen[1] & seen[-1]
    report = appearance_report(tracker)
    assert report.level == "exact"
    assert report.matches >= 4
