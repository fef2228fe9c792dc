"""Boxes in hindsight: what trembles is stilled, what moves is followed, what is missing is filled in."""

from __future__ import annotations

import numpy as np
from run_rows import RATE, frame_times, run_of, walk

from bpbreid_track.identities.hindsight import smooth_run
from bpbreid_track.identities.smoothing import boxes_at
from bpbreid_track.identities.tracklets import TrackedRows
from bpbreid_track.tracking.camera_motion import CameraStep
from bpbreid_track.tracking.motion_calibration import STREET

LAG = 1.0


def smoothed(rows: TrackedRows, *, lag: float = LAG, cut: int | None = None) -> TrackedRows:
    times = frame_times(rows)
    return smooth_run(rows, times, [CameraStep(cut=frame == cut) for frame in range(len(times))], lag)


def trembling(rows: TrackedRows, pixels: float) -> TrackedRows:
    rows.xyxy[:] += np.random.default_rng(0).normal(0, pixels, rows.xyxy.shape)
    return rows


def test_a_steady_walk_is_left_where_it_is_from_its_first_box_to_its_last() -> None:
    rows = run_of(walk(1, range(30), (100, 200), (7, -2)), walk(4, range(5, 20), (400, 200)))
    np.testing.assert_allclose(smoothed(rows).xyxy, rows.xyxy, atol=1e-9)


def test_the_trembling_of_a_detector_is_halved() -> None:
    still = walk(1, range(60), (100, 200), (7, 0))
    found = smoothed(trembling(walk(1, range(60), (100, 200), (7, 0)), 2.0))
    assert np.abs(found.xyxy - still.xyxy).std() < 0.5 * 2.0


def test_who_turns_sharply_is_followed_within_the_error_of_a_detector() -> None:
    there = walk(1, range(20), (100, 200), (15, 0))
    back = walk(1, range(20, 40), (385 + 15 * 20, 200), (-15, 0))
    rows = run_of(there, back)
    moved = np.abs(smoothed(rows).xyxy - rows.xyxy)
    assert moved[[0, 5, 34, 39]].max() < 1e-9
    assert (moved.max(axis=0) <= 2 * STREET.measurement.max() * 100 + 1e-9).all()


def test_gaps_up_to_the_lag_are_filled_on_a_straight_line_in_time() -> None:
    rows = run_of(walk(1, range(5), (100, 200), (4, 0)), walk(1, range(8, 12), (100, 200), (4, 0)))
    rows.confidence[rows.frame == 8] = 0.3
    done = smoothed(rows)
    filled = done[done.filled]
    assert filled.frame.tolist() == [5, 6, 7]
    np.testing.assert_allclose(filled.xyxy[:, 0], 80 + 4 * filled.frame)
    np.testing.assert_allclose(filled.confidence, 0.6, rtol=1e-6)
    assert (np.diff(done.frame) >= 0).all()
    np.testing.assert_allclose(done[~done.filled].xyxy, rows.xyxy)
    assert not smoothed(rows, lag=3 / RATE).filled.any()


def test_long_gaps_those_of_nobody_and_those_across_a_cut_stay_open() -> None:
    far = run_of(walk(1, range(5), (100, 200)), walk(1, range(30, 35), (100, 200)))
    assert not smoothed(run_of(far, walk(-1, range(0, 35, 5), (500, 200)))).filled.any()
    short = run_of(walk(1, range(5), (100, 200)), walk(1, range(8, 12), (300, 200)))
    assert smoothed(short).filled.sum() == 3
    done = smoothed(short, cut=7)
    assert not done.filled.any()
    np.testing.assert_allclose(done.xyxy, short.xyxy)


def test_boxes_without_identity_and_a_lag_of_nothing_change_nothing() -> None:
    rows = trembling(run_of(walk(-1, range(9), (9, 9)), walk(2, range(9), (300, 99))), 3.0)
    done = smoothed(rows)
    np.testing.assert_array_equal(done.xyxy[done.id < 0], rows.xyxy[rows.id < 0])
    assert (done.xyxy[done.id == 2] != rows.xyxy[rows.id == 2]).any()
    assert smoothed(rows, lag=0) is rows


def test_a_lone_box_stays_and_nobody_is_no_error() -> None:
    lone = walk(3, range(4, 5), (50, 60))
    np.testing.assert_allclose(smoothed(lone).xyxy, lone.xyxy)
    assert len(smoothed(lone[np.zeros(0, np.intp)])) == 0
    nothing = boxes_at(0.0, 1.0, *(np.zeros(0) for _ in range(2)), np.zeros((0, 4)), np.zeros(0))
    assert len(nothing.ids) == 0
