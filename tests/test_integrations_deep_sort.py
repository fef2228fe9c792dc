"""deep-sort-realtime, really installed: our embedder, the part distance, and rows that stay together."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from host_scenes import Street, change_of_places, invisible

from bpbreid_track import Encoder
from bpbreid_track.errors import UsageError
from bpbreid_track.integrations.report import appearance_report
from bpbreid_track.integrations.vectors import flat_vectors, pack

pytest.importorskip("deep_sort_realtime", reason="needs the integrations extra: pip install -e '.[dev]'")
host = pytest.importorskip("bpbreid_track.integrations.deep_sort_realtime")


def raw(boxes: np.ndarray, scores: np.ndarray) -> list[Any]:
    sizes = np.concatenate([boxes[:, :2], boxes[:, 2:] - boxes[:, :2]], axis=1).astype(float)
    return [(box.tolist(), float(score), "person") for box, score in zip(sizes, scores, strict=True)]


def shown(tracks: list[Any]) -> list[Any]:
    return [track for track in tracks if track.is_confirmed() and track.time_since_update == 0]


@pytest.mark.parametrize(("vector", "level"), [("foreground", "drop-in"), ("parts", "exact")])
def test_it_tracks_real_frames(bundled_encoder: Encoder, street: Street, vector: str, level: str) -> None:
    tracker = host.PartDeepSort(bundled_encoder, vector)
    seen = []
    for image, boxes, scores, _ in street:
        seen.append(
            {track.track_id for track in shown(tracker.update_tracks(raw(boxes, scores), frame=image))}
        )
    assert len(seen[-1]) >= 3
    assert seen[4] & seen[-1]
    report = appearance_report(tracker)
    assert report.level == level
    assert report.matches > 20


def test_vectors_stay_with_their_people_when_a_box_has_no_size(street: Street) -> None:
    from deep_sort_realtime.deepsort_tracker import DeepSort

    boxes, scores = street.boxes[0][:2], street.scores[0][:2]
    rows = [([5.0, 5.0, 0.0, 9.0], 0.9, "person"), *raw(boxes, scores)]
    vectors = list(np.eye(3, dtype=np.float32))
    kept = host.update_tracks(DeepSort(embedder=None), rows, vectors, others=["nobody", "first", "second"])
    assert [track.others for track in kept] == ["first", "second"]
    np.testing.assert_array_equal([track.features[0] for track in kept], np.eye(3)[1:])
    shifted = DeepSort(embedder=None).update_tracks(rows, vectors, others=["nobody", "first", "second"])
    assert [track.others for track in shifted] == ["nobody", "first"]  # what the guard is for


def test_packed_vectors_are_not_for_the_hosts_own_cosine(bundled_encoder: Encoder) -> None:
    from deep_sort_realtime.deepsort_tracker import DeepSort

    tracker = DeepSort(embedder=None)
    tracker.embedder = host.Embedder(bundled_encoder, "parts")
    with pytest.raises(UsageError, match="take PartDeepSort"):
        host.watch(tracker)


def test_a_column_of_another_length_is_refused(street: Street) -> None:
    from deep_sort_realtime.deepsort_tracker import DeepSort

    with pytest.raises(ValueError, match="embeds: expected 2 rows, one a box, got 1"):
        host.update_tracks(
            DeepSort(embedder=None), raw(street.boxes[0][:2], street.scores[0][:2]), [np.ones(3)]
        )


def person_at(tracks: list[Any], boxes: np.ndarray) -> list[str]:
    """Identity at each box."""
    found = {tuple(np.round(track.to_ltrb(orig=True))): track.track_id for track in shown(tracks)}
    return [found[tuple(np.round(box))] for box in boxes]


def test_parts_that_show_decide_and_hidden_ones_do_not(bundled_encoder: Encoder, street: Street) -> None:
    tracker = host.PartDeepSort(bundled_encoder)
    found = []
    for index, (boxes, scores, embeddings) in enumerate(change_of_places(street)):
        tracks = tracker.update_tracks(raw(boxes, scores), list(flat_vectors(embeddings, "parts")))
        if index >= 3:  # confirmed by then
            found.append(person_at(tracks, boxes))
    assert found[-1] == found[-2][::-1]
    assert appearance_report(tracker).decided == 2


def test_without_a_common_part_the_overlap_decides(bundled_encoder: Encoder, street: Street) -> None:
    tracker = host.PartDeepSort(bundled_encoder)
    seen = []
    for _, boxes, scores, embeddings in street:
        vectors = list(flat_vectors(invisible(embeddings), "parts"))
        seen.append({track.track_id for track in shown(tracker.update_tracks(raw(boxes, scores), vectors))})
    assert seen[4] & seen[-1]
    report = appearance_report(tracker)
    assert report.matches > 20
    assert report.decided == 0


def test_an_empty_crop_gets_a_vector_all_the_same(bundled_encoder: Encoder, street: Street) -> None:
    crops = [street.images[0][200:300, 250:290], np.zeros((0, 5, 3), np.uint8)]
    vectors = host.Embedder(bundled_encoder).predict(crops)
    assert [len(vector) for vector in vectors] == [bundled_encoder.dim] * 2
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)


def test_the_memory_of_a_track_goes_with_it() -> None:
    metric = host.PartMetric(0.2)
    vectors = pack(np.eye(2, dtype=np.float32)[:, None], np.ones((2, 1), np.float32))
    metric.partial_fit(vectors, np.array(["1", "2"]), ["1", "2"])
    np.testing.assert_allclose(metric.distance(vectors, ["1", "2"]), 1 - np.eye(2), atol=1e-6)
    metric.partial_fit(vectors[:0], np.array([]), ["2"])
    assert set(metric.samples) == {"2"}
