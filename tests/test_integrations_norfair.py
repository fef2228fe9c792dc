"""norfair (or norfair-enough), really installed: a lost object is found again by its parts."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from host_scenes import Street, invisible

from bpbreid_track import PartEmbeddings, part_distance
from bpbreid_track.integrations.report import appearance_report

pytest.importorskip("norfair", reason="needs the integrations extra: pip install -e '.[dev]'")
host = pytest.importorskip("bpbreid_track.integrations.norfair")


def only(people: PartEmbeddings, *parts: str) -> PartEmbeddings:
    """The same person with these parts visible and nothing else."""
    visibility = torch.zeros_like(people.visibility)
    for part in parts:
        visibility[:, people.part_names.index(part)] = 1
    return PartEmbeddings(people.features, visibility, people.part_names)


def gone_and_back(
    tracker: Any, before: PartEmbeddings, after: PartEmbeddings, vector: str
) -> tuple[int, int]:
    """Identity of a person who is seen at the left, is gone, and comes back at the right."""
    left, right = np.array([[100.0, 100, 140, 200]]), np.array([[500.0, 100, 540, 200]])
    ids = []
    for boxes, embeddings, frames in ((left, before, 12), (None, before, 20), (right, after, 12)):
        for _ in range(frames):
            objects = tracker.update(
                [] if boxes is None else host.norfair_detections(boxes, [0.9], embeddings, vector)
            )
        ids.append(objects[0].id if objects else None)
    return ids[0], ids[2]


@pytest.mark.parametrize("vector", ["foreground", "concat", "parts"])
def test_a_person_who_comes_back_elsewhere_is_found_again(street: Street, vector: str) -> None:
    tracker = host.ReIDTracker(vector)
    person = street.embeddings[0][0]
    left, back = gone_and_back(tracker, person, person, vector)
    assert left == back
    report = appearance_report(tracker)
    assert report.level == ("exact" if vector == "parts" else "drop-in")
    assert report.decided == 1
    assert report.matches > 10


def test_hidden_parts_do_not_count(street: Street) -> None:
    one, other = street.embeddings[0][0], street.embeddings[0][1]
    legs = one.part_names.index("legs")
    mixed = other.features.clone()
    mixed[:, legs] = one.features[:, legs]
    back = only(PartEmbeddings(mixed, other.visibility, other.part_names), "legs")
    found = gone_and_back(host.ReIDTracker("parts"), one, back, "parts")
    assert found[0] == found[1]


def test_another_person_is_not_taken_for_the_lost_one(street: Street) -> None:
    one, other = street.embeddings[0][0], street.embeddings[0][1]
    assert float(part_distance(one, other)) > 0.8
    found = gone_and_back(host.ReIDTracker("parts"), one, other, "parts")
    assert None not in found
    assert found[0] != found[1]


def test_without_a_common_part_nobody_is_merged(street: Street) -> None:
    person = street.embeddings[0][0]
    tracker = host.ReIDTracker("parts")
    found = gone_and_back(tracker, only(person, "foreground", "head"), only(person, "legs"), "parts")
    assert None not in found
    assert found[0] != found[1]
    assert appearance_report(tracker).decided == 0
    blind = host.ReIDTracker("foreground")
    assert len(set(gone_and_back(blind, invisible(person), invisible(person), "foreground"))) == 2


def test_it_tracks_real_frames(street: Street) -> None:
    tracker = host.ReIDTracker("parts", initialization_delay=2)
    seen = []
    for _, boxes, scores, embeddings in street:
        objects = tracker.update(host.norfair_detections(boxes, scores, embeddings))
        seen.append({item.id for item in objects})
    assert len(seen[-1]) >= 3
    assert seen[4] & seen[-1]


def test_all_pairs_at_once_are_the_pairs_one_by_one(street: Street) -> None:
    import norfair

    distance = host.PartReID()
    tracker = norfair.Tracker("iou", 0.7, initialization_delay=2)
    for _, boxes, scores, embeddings in street:
        objects = tracker.update(host.norfair_detections(boxes, scores, embeddings))
    table = distance.get_distances(objects, objects[::-1])
    for row, new in enumerate(objects[::-1]):
        for column, old in enumerate(objects):
            assert table[row, column] == pytest.approx(distance(new, old), abs=1e-5)
    assert distance.get_distances(objects, None).shape == (0, len(objects))
