"""Hindsight of a camera that moves: what it does is not taken for what people do."""

from __future__ import annotations

import numpy as np
import pytest
from run_rows import RATE, run_of, walk

from bpbreid_track.identities.hindsight import Hindsight, smooth_run
from bpbreid_track.identities.tracklets import TrackedRows
from bpbreid_track.tracking.camera_motion import CameraStep
from bpbreid_track.tracking.kalman import to_cxcywh, to_xyxy

LAG = 1.0
FRAMES = 40


def hand_held(seed: int = 0) -> list[CameraStep]:
    """A camera that trembles, turns and zooms."""
    rng = np.random.default_rng(seed)
    steps = [CameraStep()]
    for _ in range(1, FRAMES):
        angle, zoom = rng.normal(0, 0.01), np.exp(rng.normal(0, 0.01))
        turn = zoom * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
        steps.append(CameraStep(np.column_stack([turn, rng.normal(0, 15, 2)])))
    return steps


def filmed(rows: TrackedRows, steps: list[CameraStep]) -> TrackedRows:
    """Rows of the world as that camera shows them."""
    pose, poses = np.eye(3), []
    for step in steps:
        if step.affine is not None:
            pose = np.vstack([step.affine, [0, 0, 1]]) @ pose
        poses.append(pose)
    pose = np.array(poses)[rows.frame]
    boxes = to_cxcywh(rows.xyxy)
    centre = np.einsum("rij,rj->ri", pose[:, :2, :2], boxes[:, :2]) + pose[:, :2, 2]
    size = boxes[:, 2:] * np.sqrt(np.linalg.det(pose[:, :2, :2]))[:, None]
    rows.xyxy[:] = to_xyxy(np.hstack([centre, size]))
    return rows


def people(frames: range = range(FRAMES)) -> TrackedRows:
    return run_of(walk(1, frames, (300, 200), (4, 1)), walk(2, frames, (500, 260), (-3, 0)))


def in_hindsight(rows: TrackedRows, steps: list[CameraStep] | list[CameraStep | None]) -> TrackedRows:
    return smooth_run(rows, np.arange(FRAMES) / RATE, steps, LAG)


def test_who_walks_steadily_is_left_where_a_trembling_camera_shows_them() -> None:
    steps = hand_held()
    rows = filmed(people(), steps)
    np.testing.assert_allclose(in_hindsight(rows, steps).xyxy, rows.xyxy, atol=1e-6)
    blind = in_hindsight(rows, [CameraStep()] * FRAMES)
    assert np.abs(blind.xyxy - rows.xyxy).max() > 2, "the camera alone makes that much"


def test_who_was_missed_is_filled_in_where_that_camera_would_have_shown_them() -> None:
    steps = hand_held()
    whole = filmed(people(), steps)
    missed = np.isin(whole.frame, [14, 15, 16])
    done = in_hindsight(whole[~missed], steps)
    np.testing.assert_allclose(done.xyxy[done.filled], whole.xyxy[missed], atol=1e-6)


def test_of_frames_that_nobody_looked_at_the_camera_did_an_equal_share() -> None:
    angle, shift = 0.02, np.array([9.0, -4.0])
    turn = 1.01 * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    steps: list[CameraStep | None] = [CameraStep(), *[None] * (FRAMES - 1)]
    each = CameraStep(np.column_stack([turn, shift]))
    whole = filmed(people(), [CameraStep(), *[each] * (FRAMES - 1)])
    power = np.linalg.matrix_power(np.vstack([each.affine, [0, 0, 1]]), 3)[:2]
    for frame in range(3, FRAMES, 3):
        steps[frame] = CameraStep(power)
    seen = whole.frame % 3 == 0
    done = in_hindsight(whole[seen], steps)
    np.testing.assert_allclose(done.xyxy[done.filled], whole.xyxy[~seen], atol=1e-6)


def test_a_camera_that_zooms_in_for_hours_costs_no_accuracy() -> None:
    hindsight = Hindsight(LAG)
    zoom = CameraStep(np.array([[1.02, 0, -6.4], [0, 1.02, -3.6]]))  # about (320, 180)
    box, found = np.array([[310.0, 130, 330, 230]]), []
    for frame in range(20_000):
        hindsight.add(frame / RATE, np.array([1]), box, np.ones(1), zoom)
        while hindsight.is_ready:
            found.append(hindsight.next())
    # In the picture they stay as large as they are: they walk away as fast as it zooms.
    assert np.abs(to_xyxy(found[-1].cxcywh) - box).max() < 5
    assert np.isfinite(found[-1].cxcywh).all()


@pytest.mark.parametrize("step", [CameraStep(np.zeros((2, 3))), CameraStep(cut=True), None])
def test_a_step_that_says_nothing_of_places_is_no_error(step: CameraStep | None) -> None:
    steps: list[CameraStep | None] = [CameraStep()] * FRAMES
    steps[20] = step
    done = in_hindsight(people(), steps)
    np.testing.assert_allclose(done.xyxy, people().xyxy, atol=1e-9)
