"""Box similarities and the assignment."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from torchvision.ops import box_iou

from bpbreid_track.tracking.assignment import assign
from bpbreid_track.tracking.boxes import covered_share, iou


def random_boxes(n: int, seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    corner = rng.uniform(0, 100, (n, 2))
    return np.concatenate([corner, corner + rng.uniform(5, 60, (n, 2))], axis=1)


def best_by_trial(cost: np.ndarray, limit: float) -> float:
    """Lowest total of all assignments, an unmatched track counting as ``limit``."""
    tracks, boxes = cost.shape
    options = [*range(boxes), *([None] * tracks)]
    best = np.inf
    for choice in set(itertools.permutations(options, tracks)):
        total = 0.0
        for track, box in enumerate(choice):
            total += limit if box is None or not cost[track, box] <= limit else cost[track, box]
        best = min(best, total)
    return best


def test_iou_equals_torchvision() -> None:
    import torch

    a, b = random_boxes(20, 0), random_boxes(30, 1)
    expected = box_iou(torch.from_numpy(a), torch.from_numpy(b)).numpy()
    np.testing.assert_allclose(iou(a, b), expected, atol=1e-9)


@pytest.mark.parametrize(("t", "n"), [(0, 3), (3, 0), (0, 0)])
def test_no_tracks_or_no_boxes_are_no_special_case(t: int, n: int) -> None:
    assert iou(random_boxes(t, 0), random_boxes(n, 1)).shape == (t, n)
    rows, columns = assign(np.zeros((t, n)), 0.5)
    assert len(rows) == len(columns) == 0


@pytest.mark.parametrize("seed", range(12))
def test_assignment_is_optimal(seed: int) -> None:
    rng = np.random.default_rng(seed)
    cost = rng.uniform(0, 1, (4, 3))
    cost[rng.random((4, 3)) < 0.3] = np.inf
    rows, columns = assign(cost, 0.7)
    assert len(set(rows)) == len(rows)
    assert len(set(columns)) == len(columns)
    assert np.all(cost[rows, columns] <= 0.7)
    total = cost[rows, columns].sum() + 0.7 * (4 - len(rows))
    assert total == pytest.approx(best_by_trial(cost, 0.7))


def test_forbidden_pairs_are_never_made() -> None:
    rows, columns = assign(np.array([[np.inf, 0.9], [np.nan, 0.2]]), 0.5)
    assert rows.tolist() == [1]
    assert columns.tolist() == [1]


def test_the_nearer_person_covers_the_farther_one_and_not_the_reverse() -> None:
    far, near = [0, 0, 40, 100], [20, 10, 60, 130]
    apart = [200, 0, 240, 100]
    share = covered_share(np.array([far, near, apart], float))
    np.testing.assert_allclose(share, [20 * 90 / 4000, 0, 0])
