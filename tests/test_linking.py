"""Joining tracklets of one person: who is joined, and who never is."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest
from run_rows import RATE, looks, run_of, views, walk
from scenes import DIM, PARTS

from bpbreid_track.config import LinkConfig
from bpbreid_track.identities.appearance_stats import AppearanceSums, MeanAppearance
from bpbreid_track.identities.linking import Linked, distance_threshold, link
from bpbreid_track.identities.tracklets import TrackedRows, continuations, ends_of, seen_together
from bpbreid_track.tracking.assignment import assign, assign_sparse
from bpbreid_track.tracking.boxes import clear_boxes

# Two people who are in the picture all the time: the run's examples of different people.
CROWD = (walk(8, range(100), (2000, 200)), walk(9, range(100), (2300, 200)))
CROWD_LOOKS = {8: 8, 9: 9}


def linked(*tracklets: TrackedRows, people: MeanAppearance | None = None, **settings: float) -> Linked:
    rows = run_of(*tracklets)
    return link(rows, people, LinkConfig(**settings))


def test_person_who_was_hidden_keeps_the_first_number() -> None:
    walker = (walk(1, range(20), (100, 200), (5, 0)), walk(2, range(50, 80), (100, 200), (5, 0)))
    done = linked(*walker, *CROWD, people=looks({1: 1, 2: 1, **CROWD_LOOKS}))
    assert done.identity == {1: 1, 2: 1, 8: 8, 9: 9}
    assert done.joined == 1
    assert set(done.rows.id.tolist()) == {1, 8, 9}


def test_chain_of_three_tracklets_is_one_person() -> None:
    walker = [walk(n, range(30 * n, 30 * n + 15), (100, 200), (3, 0)) for n in (1, 2, 3)]
    done = linked(*walker, *CROWD, people=looks({1: 1, 2: 1, 3: 1, **CROWD_LOOKS}))
    assert [done.identity[n] for n in (1, 2, 3)] == [1, 1, 1]


def test_people_who_look_different_stay_apart_where_one_follows_the_other() -> None:
    walker = (walk(1, range(20), (100, 200), (5, 0)), walk(2, range(25, 60), (100, 200), (5, 0)))
    assert linked(*walker, *CROWD, people=looks({1: 1, 2: 2, **CROWD_LOOKS})).joined == 0


def test_look_decides_between_two_who_could_be_meant() -> None:
    before = (walk(1, range(20), (100, 200)), walk(2, range(20), (160, 200)))
    after = (walk(3, range(40, 60), (110, 200)), walk(4, range(40, 60), (150, 200)))
    done = linked(*before, *after, *CROWD, people=looks({1: 1, 2: 2, 3: 2, 4: 1, **CROWD_LOOKS}))
    assert (done.identity[3], done.identity[4]) == (2, 1)


@pytest.mark.parametrize("seed", range(5))
def test_no_identity_is_ever_at_two_places_in_one_frame(seed: int) -> None:
    rng = np.random.default_rng(seed)
    tracklets = []
    for identity in range(1, 41):
        start = int(rng.integers(0, 180))
        place = (float(rng.uniform(0, 300)), 200.0)
        tracklets.append(walk(identity, range(start, start + int(rng.integers(1, 40))), place))
    # Everybody looks alike: whatever can be joined will be.
    done = linked(*tracklets, people=looks(dict.fromkeys(range(1, 41), 1)), max_gap_seconds=100, strictness=0)
    assert done.joined > 5
    keys = list(zip(done.rows.frame.tolist(), done.rows.id.tolist(), strict=True))
    assert len(keys) == len(set(keys))


def test_twins_seen_together_are_never_joined() -> None:
    twins = (walk(1, range(30), (100, 200)), walk(2, range(29, 60), (100, 200)))
    assert linked(*twins, *CROWD, people=looks({1: 1, 2: 1, **CROWD_LOOKS})).joined == 0


@pytest.mark.parametrize(
    ("place", "gap", "joined"),
    [
        pytest.param((150, 200), 20, 1, id="near and soon"),
        pytest.param((900, 200), 20, 0, id="eight heights in two seconds"),
        pytest.param((900, 200), 90, 1, id="eight heights in nine seconds"),
        pytest.param((150, 200), 150, 0, id="after the longest gap"),
    ],
)
def test_nobody_jumps(place: tuple[float, float], gap: int, joined: int) -> None:
    person = (walk(1, range(20), (100, 200)), walk(2, range(19 + gap, 45 + gap), place))
    assert linked(*person, *CROWD, people=looks({1: 1, 2: 1, **CROWD_LOOKS})).joined == joined


def test_nobody_doubles_in_height() -> None:
    later = walk(2, range(30, 50), (100, 200))
    later.xyxy[:, 1] -= 100
    earlier = walk(1, range(20), (100, 200))
    assert linked(earlier, later, *CROWD, people=looks({1: 1, 2: 1, **CROWD_LOOKS})).joined == 0


@pytest.mark.parametrize("known", [True, False], ids=["no common part", "no encoder"])
@pytest.mark.parametrize(
    ("start", "place", "joined"),
    [
        pytest.param(24, (100, 200), 1, id="half a second, on the path"),
        pytest.param(24, (160, 200), 0, id="half a second, beside the path"),
        pytest.param(45, (100, 200), 0, id="seconds later, on the path"),
    ],
)
def test_motion_alone_joins_short_gaps_on_the_path_only(
    known: bool, start: int, place: tuple[float, float], joined: int
) -> None:
    walker = (walk(1, range(20), (100, 200), (5, 0)), walk(2, range(start, 70), place, (5, 0)))
    people = None
    if known:
        people = looks({1: 1, 2: 1, **CROWD_LOOKS})
        people.whole.visibility[0, 1:] = 0
        people.whole.visibility[1, 0] = 0
        people.whole.visibility[1, 1:] = 1
    assert linked(*walker, *CROWD, people=people).joined == joined


def test_motion_alone_joins_nobody_where_two_could_be_meant() -> None:
    one = (walk(1, range(20), (100, 200), (5, 0)), walk(2, range(24, 70), (100, 200), (5, 0)))
    assert linked(*one, *CROWD).joined == 1
    assert linked(*one, walk(3, range(21), (100, 220), (5, 0)), *CROWD).joined == 0


def test_boxes_that_were_never_encoded_do_no_harm() -> None:
    sums = AppearanceSums(PARTS, DIM)
    sums.add(np.array([1, 2]), np.zeros((2, len(PARTS), DIM), np.float32), np.zeros((2, len(PARTS))))
    assert len(sums.means().ids) == 0
    walker = (walk(1, range(20), (100, 200)), walk(2, range(24, 70), (100, 200)))
    assert linked(*walker, people=sums.means()).joined == 1


def test_chain_must_look_like_one_person_from_end_to_end() -> None:
    """Each step is near enough, the ends of the chain are not: a slow drift from one person to another."""
    people = looks({1: 1, 2: 1, 3: 1, **CROWD_LOOKS})
    angles = {1: 0.0, 2: 0.65, 3: 1.3}
    for row, number in enumerate(people.ids.tolist()):
        if number in angles:
            people.whole.features[row] = 0
            people.whole.features[row, :, 0] = float(np.cos(angles[number]))
            people.whole.features[row, :, 1] = float(np.sin(angles[number]))
            people.spread[row] = 0
    tracklets = [walk(n, range(30 * n, 30 * n + 15), (100, 200)) for n in (1, 2, 3)]
    done = linked(*tracklets, *CROWD, people=people)
    assert done.threshold is not None
    assert 0.65 < done.threshold < 1.2
    assert done.joined == 1


def test_threshold_follows_the_distances_of_the_run() -> None:
    rng = np.random.default_rng(0)
    same = rng.normal(0.4, 0.05, 100)
    far, near = (distance_threshold(same, rng.normal(m, 0.05, 400), 2.0) for m in (1.2, 0.7))
    assert 0.5 < near < 0.62 < far < 1.0
    # An encoder that cannot tell people apart joins next to nobody.
    assert np.mean(same <= distance_threshold(same, same, 2.0)) < 0.05


def test_person_with_two_boxes_hardly_moves_the_threshold() -> None:
    rng = np.random.default_rng(0)
    same, other = rng.normal(0.4, 0.05, 50), rng.normal(1.0, 0.1, 100)
    twice = np.concatenate((other, np.full(5, 0.1)))
    assert abs(distance_threshold(same, twice, 2.0) - distance_threshold(same, other, 2.0)) < 0.03


def test_threshold_without_any_example_is_finite() -> None:
    nothing = np.zeros(0)
    assert 0.5 < distance_threshold(nothing, np.array([np.inf]), 2.0) < 0.8


def test_every_row_of_the_run_comes_back_in_order() -> None:
    rows = run_of(
        walk(1, range(5), (100, 200)), walk(1, range(8, 12), (100, 200)), walk(-1, range(9), (9, 9))
    )
    done = link(rows, None, LinkConfig())
    np.testing.assert_array_equal(done.rows.xyxy, rows.xyxy)
    np.testing.assert_array_equal(done.rows.id, rows.id)
    assert (np.diff(done.rows.frame) >= 0).all()


def test_empty_run() -> None:
    rows = walk(1, range(0), (0, 0))
    done = link(rows, None, LinkConfig())
    assert (done.identity, done.joined, len(done.rows)) == ({}, 0, 0)


@pytest.mark.parametrize("count", [1, 2, 5, 37])
def test_sums_are_the_plain_mean_and_its_halves_in_bounded_memory(count: int) -> None:
    seen = [views([1], unlike=1.0, seed=seed).numpy() for seed in range(count)]
    sums = AppearanceSums(PARTS, DIM)
    for features, visibility in seen:
        sums.add(np.array([7]), features, visibility)
    mean = np.sum([features for features, _ in seen], axis=0)
    mean /= np.linalg.norm(mean, axis=2, keepdims=True)
    found = sums.means()
    np.testing.assert_allclose(found.whole.features.numpy(), mean, atol=1e-5)
    assert sums.views(np.array([7, 8])).tolist() == [count, 0]
    assert bool(np.isfinite(found.spread).all()) == (count > 1)
    assert len(sums._sums[7]._features) <= 4


def test_hidden_and_doubtful_boxes_are_not_remembered() -> None:
    boxes = np.array([[0, 0, 40, 100], [5, 10, 45, 110], [200, 0, 240, 100]])
    clear = clear_boxes(boxes, np.array([0.9, 0.9, 0.2]), max_cover=0.6, min_score=0.5)
    assert clear.tolist() == [False, True, False]


def test_pairs_seen_together_are_those_of_each_frame() -> None:
    rng = np.random.default_rng(0)
    frame, number = np.nonzero(rng.random((60, 12)) < 0.25)
    rows = run_of(*(walk(int(n), range(f, f + 1), (0, 0)) for f, n in zip(frame, number, strict=True)))
    ids = np.unique(number)
    expected = {
        (int(a), int(b))
        for f in range(60)
        for a in np.searchsorted(ids, number[frame == f])
        for b in np.searchsorted(ids, number[frame == f])
        if a < b
    }
    pairs = seen_together(rows, ids)
    assert {tuple(pair) for pair in pairs.tolist()} == expected
    assert len(pairs) == len(expected)


def test_only_pairs_within_the_longest_gap_are_looked_at() -> None:
    """Tracklets one after the other for hours: pairs grow with their number, not with its square."""
    tracklets = run_of(*(walk(n, range(10 * n, 10 * n + 5), (100, 200)) for n in range(2000)))
    found = list(continuations(ends_of(tracklets), 1.0, 10.0))
    assert sum(map(len, found)) == 10 * 2000 - sum(range(11))
    assert max(pairs.gap.max() for pairs in found) <= 10.0


def test_long_runs_are_linked_in_bounded_memory() -> None:
    """All pairs of 2,000 tracklets would take 32 MB an array."""
    tracklets = run_of(*(walk(n, range(10 * n, 10 * n + 5), (100 + 300 * (n % 9), 200)) for n in range(2000)))
    people = looks({n: n % 9 for n in range(2000)})
    tracemalloc.start()
    done = link(tracklets, people, LinkConfig())
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert done.joined > 1970
    assert peak < 30e6


def test_a_crowd_of_strangers_is_linked_in_bounded_memory() -> None:
    """Two million pairs are within reach, 80 MB, and nothing tells which are of one person."""
    tracklets = run_of(*(walk(n, range(n, n + 1), (100, 200)) for n in range(2000)))
    tracemalloc.start()
    done = link(tracklets, None, LinkConfig(max_gap_seconds=2000 / RATE))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert done.joined == 0
    assert peak < 120e6


@pytest.mark.parametrize("seed", range(3))
def test_sparse_assignment_is_that_of_the_whole_matrix(seed: int) -> None:
    rng = np.random.default_rng(seed)
    cost = np.where(rng.random((60, 50)) < 0.1, rng.random((60, 50)) * 2, np.inf)
    cost[:, :3] = np.inf
    rows, columns = assign(cost, 1.5)
    pairs = np.argwhere(np.isfinite(cost))
    chosen = pairs[assign_sparse(*pairs.T, cost[tuple(pairs.T)], 1.5)]
    assert chosen.tolist() == np.stack([rows, columns], axis=1).tolist()
    nothing = np.zeros(0, np.int64)
    assert assign_sparse(nothing, nothing, np.zeros(0), 1.5).tolist() == []


def test_ended_tracklets_keep_their_mean_and_spread() -> None:
    whole, settled = AppearanceSums(PARTS, DIM), AppearanceSums(PARTS, DIM)
    for seed in range(9):
        seen = views([1, 2, 3], unlike=1.0, seed=seed).numpy()
        for sums in (whole, settled):
            sums.add(np.array([1, 2, 3]), *seen)
    settled.settle({2})
    before, after = whole.means(), settled.means()
    np.testing.assert_allclose(after.spread, before.spread, rtol=1e-6)
    np.testing.assert_allclose(after.whole.features.numpy(), before.whole.features.numpy(), atol=1e-6)
    assert [len(settled._sums[n]._features) for n in (1, 2, 3)] == [1, 3, 1]
