"""What the integrations share: vectors, part memory, reports, versions, arrays. No host is needed here."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
import supervision as sv
import torch
from host_scenes import Street, table

from bpbreid_track import Encoder, PartEmbeddings, PartTracker, TrackerConfig, part_distance
from bpbreid_track.errors import InputError, UsageError
from bpbreid_track.integrations._versions import require
from bpbreid_track.integrations.array_tracker import ArrayTracker
from bpbreid_track.integrations.parts import TrackParts, part_distances
from bpbreid_track.integrations.report import AppearanceReport, appearance_report
from bpbreid_track.integrations.vectors import FlatEncoder, flat_vectors, pack, unpack


def test_importing_the_package_imports_no_host() -> None:
    hosts = ["boxmot", "ultralytics", "trackers", "norfair", "deep_sort_realtime", "tracklab", "supervision"]
    code = f"import sys, bpbreid_track.integrations; print([h for h in {hosts} if h in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_packed_vectors_survive_a_host_that_normalises_them(street: Street) -> None:
    features, visibility = street.embeddings[0].numpy()
    visibility = visibility.copy()
    visibility[0, 1] = 0
    visibility[1, 2] = 0.25
    vectors = pack(features, visibility)
    found = unpack(vectors / np.linalg.norm(vectors, axis=1, keepdims=True))
    np.testing.assert_allclose(found.visibility, visibility, atol=1e-5)
    assert found.visibility[0, 1] == 0
    np.testing.assert_allclose(found.features, features * (visibility > 0)[..., None], atol=1e-6)


def test_a_box_in_which_nothing_shows_packs_to_no_zero_row() -> None:
    vectors = pack(np.zeros((1, 3, 4), np.float32), np.zeros((1, 3), np.float32))
    assert vectors.any()
    assert not unpack(vectors).visibility.any()


def test_foreign_vectors_are_not_taken_for_packed_ones() -> None:
    with pytest.raises(ValueError, match="vector='parts'"):
        unpack(-np.ones((2, 512), np.float32))
    with pytest.raises(ValueError, match="do not hold"):
        unpack(np.random.default_rng(0).uniform(0.1, 1, (2, 513)))


def test_flat_vectors_are_unit_and_leave_out_what_is_hidden(street: Street) -> None:
    people = street.embeddings[0][:2]
    visibility = people.visibility.clone()
    visibility[0, 3] = 0
    people = PartEmbeddings(people.features, visibility, people.part_names)
    foreground, concat = flat_vectors(people), flat_vectors(people, "concat")
    np.testing.assert_allclose(foreground, people.features[:, 0].numpy(), atol=1e-6)
    np.testing.assert_allclose(np.linalg.norm(concat, axis=1), 1, atol=1e-5)
    assert not concat.reshape(2, 4, -1)[0, 3].any()
    with pytest.raises(UsageError, match="did you mean 'foreground'"):
        flat_vectors(people, "forground")  # type: ignore[arg-type]


def test_vectors_of_a_box_outside_the_frame_agree_with_nobody(
    bundled_encoder: Encoder, street: Street
) -> None:
    adapter = FlatEncoder(bundled_encoder)
    outside = np.float32([[-90, -90, -20, -10], [5000, 0, 5100, 90]])
    vectors = adapter.boxes(street.images[0], np.concatenate([street.boxes[0], outside]))
    assert not vectors[-2:].any()
    filled = adapter.never_zero(vectors)
    likeness = filled @ filled[-2:].T
    assert np.abs(likeness[:-1, 1]).max() < 0.5
    assert np.abs(likeness[:-2, 0]).max() < 0.5
    assert adapter.width == filled.shape[1]


def test_a_track_does_not_average_in_what_is_hidden() -> None:
    right, up = np.float32([1, 0]), np.float32([0, 1])
    track = TrackParts(np.stack([right, right]), np.float32([1, 1]))
    for _ in range(20):
        track.learn(TrackParts(np.stack([up, up]), np.float32([1, 0])))
    assert track.features[0] @ up > 0.9
    np.testing.assert_array_equal(track.features[1], right)
    assert 0 < track.evidence[1] < 1


def test_distances_of_fresh_tracks_are_those_of_the_public_function(street: Street) -> None:
    a, b = street.embeddings[0], street.embeddings[3]
    distances = part_distances(
        [*map(TrackParts.unpack, flat_vectors(a, "parts")), None],
        [*map(TrackParts.unpack, flat_vectors(b, "parts"))],
    )
    np.testing.assert_allclose(distances[:-1], part_distance(a, b).numpy(), atol=2e-3)
    assert np.isinf(distances[-1]).all()


def test_no_common_part_is_no_distance() -> None:
    features = np.eye(2, dtype=np.float32)
    head, legs = (TrackParts(features, np.float32(shown)) for shown in ([1, 0], [0, 1]))
    assert np.isinf(part_distances([head], [legs])).all()


def test_a_report_counts_the_matches_that_motion_would_not_have_made() -> None:
    report = AppearanceReport("a host", "exact", "part distance")
    motion = np.array([[0.1, 0.3, 0.9], [0.4, 0.2, 0.9], [0.9, 0.9, 0.8]])
    report.count(motion, [0, 1], [0, 1], 0.7)
    assert (report.matches, report.decided) == (2, 0)
    report.count(motion, [0, 1, 2], [1, 0, 2], 0.7)  # a change of places, and one too far for motion
    assert (report.matches, report.decided) == (5, 3)
    assert "appearance decided 3 of 5 matches" in str(report)


def test_a_report_of_something_else_names_the_mend() -> None:
    with pytest.raises(UsageError, match="watch"):
        appearance_report(object())


def test_an_unsupported_version_is_named_with_the_range() -> None:
    found = sv.__version__
    with pytest.raises(InputError, match=rf"supervision {found} is installed.*>=99,<100; pip install"):
        require("supervision", "99", "100")
    with pytest.raises(InputError, match=r"no-such-host is not installed; pip install 'no-such-host>=1,<2'"):
        require("no-such-host", "1", "2")
    assert require(("no-such-host", "supervision"), "0.1", "99") == found


def test_array_tracker_gives_what_part_tracker_gives(bundled_encoder: Encoder, street: Street) -> None:
    config = TrackerConfig(frame_rate=7)
    arrays, ours = ArrayTracker(config, bundled_encoder), PartTracker(config)
    for image, boxes, scores, embeddings in street:
        rows = arrays.update(table(boxes, scores), image)
        expected = ours.update(
            sv.Detections(boxes, confidence=scores, class_id=np.zeros(len(boxes), int)),
            image,
            embeddings=embeddings,
        )
        known = np.flatnonzero(expected.tracker_id > 0)
        np.testing.assert_array_equal(rows[:, 4], expected.tracker_id[known])
        np.testing.assert_array_equal(rows[:, 7], known)
        np.testing.assert_allclose(rows[:, :4], boxes[known])
    assert arrays.update(np.zeros((0, 6)), street.images[-1]).shape == (0, 8)
    report = appearance_report(arrays)
    assert report.level == "exact"
    assert report.matches > 20


def test_array_tracker_says_what_it_wants() -> None:
    with pytest.raises(ValueError, match=r"expected \[N, 6\].*got \[3, 5\]"):
        ArrayTracker().update(torch.zeros(3, 5).numpy())


@pytest.mark.parametrize("vector", ["foreground", "concat", "parts"])
def test_a_frame_without_people_gives_an_empty_array_of_the_usual_width(street: Street, vector: str) -> None:
    some, nobody = street.embeddings[0], street.embeddings[0][:0]
    assert flat_vectors(nobody, vector).shape == (0, flat_vectors(some, vector).shape[1])
    encoder = FlatEncoder(Encoder.load(device="cpu"), vector)
    image = np.full((240, 320, 3), 90, np.uint8)
    width = encoder.boxes(image, np.array([[10.0, 10, 60, 150]])).shape[1]
    assert encoder.boxes(image, np.empty((0, 4), np.float32)).shape == (0, width)


def test_rows_with_scores_are_not_cut_into_other_boxes(bundled_encoder: Encoder, street: Street) -> None:
    rows = table(street.boxes[0], street.scores[0])[:2]  # 12 numbers, which would be three boxes
    with pytest.raises(ValueError, match=r"expected shape \[N, 4\].*got \[2, 6\]"):
        FlatEncoder(bundled_encoder).boxes(street.images[0], rows)
