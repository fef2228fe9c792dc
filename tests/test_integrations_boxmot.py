"""BoxMOT, really installed: its BoT-SORT with our vectors and with the part distance."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from host_scenes import Street, change_of_places, invisible, table

from bpbreid_track import Encoder
from bpbreid_track.errors import UsageError
from bpbreid_track.integrations.report import appearance_report
from bpbreid_track.integrations.vectors import flat_vectors

boxmot = pytest.importorskip("boxmot", reason="needs the integrations extra: pip install -e '.[dev]'")
host = pytest.importorskip("bpbreid_track.integrations.boxmot")
exact = pytest.importorskip("bpbreid_track.integrations.boxmot_parts")


def ids_over(tracker: object, street: Street) -> list[dict[int, int]]:
    """Identity of each detection row, frame by frame."""
    found = []
    for image, boxes, scores, _ in street:
        out = np.asarray(tracker.update(table(boxes, scores), image)).reshape(-1, 8)  # type: ignore[attr-defined]
        found.append({int(row[7]): int(row[4]) for row in out})
    return found


def packed(sample: int, boxes: np.ndarray, scores: np.ndarray, vectors: np.ndarray) -> object:
    from boxmot.structures import Boxes, Detections

    return Detections(
        geometry=Boxes(torch.from_numpy(boxes)),
        scores=torch.from_numpy(scores),
        class_ids=torch.zeros(len(boxes), dtype=torch.int64),
        sample_id=str(sample),
        embeddings=torch.from_numpy(vectors),
    )


def test_our_vector_drives_the_hosts_own_tracker(bundled_encoder: Encoder, street: Street) -> None:
    tracker = boxmot.BotSort(reid_model=host.ReIDModel(bundled_encoder), cmc_method="sof")
    host.watch(tracker)
    found = ids_over(tracker, street)
    assert len(found[-1]) >= 3
    report = appearance_report(tracker)
    assert (report.level, report.compares) == ("drop-in", "foreground vector")
    assert report.matches > 20
    features = [track.smooth_feat for track in tracker.active_tracks]
    assert {len(vector) for vector in features} == {bundled_encoder.dim}


def test_packed_vectors_are_not_for_the_hosts_own_cosine(bundled_encoder: Encoder) -> None:
    tracker = boxmot.BotSort(reid_model=host.ReIDModel(bundled_encoder, "parts"))
    with pytest.raises(UsageError, match="take PartBotSort"):
        host.watch(tracker)
    with pytest.raises(UsageError, match=r"expected boxmot\.BotSort"):
        host.watch(boxmot.ByteTrack())


def test_the_older_call_of_a_reid_model_works_too(bundled_encoder: Encoder, street: Street) -> None:
    model = host.ReIDModel(bundled_encoder, "concat")
    boxes = np.concatenate([street.boxes[0], np.float32([[-50, -50, -10, -10]])])
    vectors = model.get_features(boxes, street.images[0])
    assert vectors.shape == (len(boxes), 4 * bundled_encoder.dim)
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)


def test_part_botsort_keeps_parts_apart_on_real_frames(bundled_encoder: Encoder, street: Street) -> None:
    tracker = exact.PartBotSort(bundled_encoder, use_cmc=False)
    found = ids_over(tracker, street)
    assert len(found[-1]) >= 3
    assert set(found[-1].values()) & set(found[1].values())
    for track in tracker.active_tracks:
        norms = np.linalg.norm(track.parts.features, axis=1)
        np.testing.assert_allclose(norms[track.parts.evidence > 0], 1, atol=1e-5)
    assert appearance_report(tracker).level == "exact"
    tracker.reset()
    assert appearance_report(tracker).matches == 0
    assert ids_over(tracker, street) == found


def after_the_change(tracker: object, street: Street, vector: str) -> tuple[list[int], list[int]]:
    """Identities of the two people before and after, person by person."""
    rows = []
    for index, (boxes, scores, embeddings) in enumerate(change_of_places(street)):
        rows.append(tracker.update(packed(index, boxes, scores, flat_vectors(embeddings, vector))))  # type: ignore[attr-defined]
    ends = []
    for tracks in (rows[-2], rows[-1]):
        order = np.argsort(np.asarray(tracks.detection_indices))
        ends.append(np.asarray(tracks.track_ids)[order].tolist())
    return ends[0], ends[1]


def test_parts_that_show_decide_and_hidden_ones_do_not(bundled_encoder: Encoder, street: Street) -> None:
    tracker = exact.PartBotSort(bundled_encoder, use_cmc=False)
    before, after = after_the_change(tracker, street, "parts")
    assert after == before[::-1]
    assert appearance_report(tracker).decided == 2


def test_without_a_common_part_motion_decides(bundled_encoder: Encoder, street: Street) -> None:
    blind = exact.PartBotSort(bundled_encoder, use_cmc=False)
    motion = boxmot.BotSort(use_embeddings=False, use_cmc=False)
    for index, (_, boxes, scores, embeddings) in enumerate(street):
        vectors = flat_vectors(invisible(embeddings), "parts")
        ours = blind.update(packed(index, boxes, scores, vectors))
        theirs = np.asarray(motion.update(table(boxes, scores))).reshape(-1, 8)
        assert np.asarray(ours.track_ids).tolist() == theirs[:, 4].astype(int).tolist()
    assert appearance_report(blind).matches > 20
    assert appearance_report(blind).decided == 0
