"""The four-times-two Kalman filter against the textbook's matrices."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.linalg import expm

from bpbreid_track.tracking import kalman

NOISE = kalman.Noise(
    measurement=np.array([0.01, 0.01, 0.03, 0.02]),
    jitter=np.array([0.06, 0.05, 0.1, 0.06]),
    acceleration=np.array([0.3, 0.1, 0.1, 0.1]),
    speed=np.array([0.6, 0.5, 0.1, 0.1]),
)


def discretised(height: float, seconds: float, fading: bool) -> tuple[np.ndarray, np.ndarray]:
    """Transition and process noise [8, 8] of the continuous model, by Van Loan's matrix exponential."""
    drift = np.zeros((8, 8))
    drift[:4, 4:] = np.eye(4)
    drift[4:, 4:] = -fading * np.eye(4) / kalman.SPEED_SECONDS
    spectrum = np.diag(np.square(np.concatenate([NOISE.jitter, NOISE.acceleration]) * height))
    both = expm(np.block([[-drift, spectrum], [np.zeros((8, 8)), drift.T]]) * seconds)
    transition = both[8:, 8:].T
    return transition, transition @ both[:8, 8:]


def textbook(boxes: list[np.ndarray], seconds: float, fading: bool) -> tuple[np.ndarray, np.ndarray]:
    """One track with full 8 x 8 matrices; returns mean [8] and covariance [8, 8]."""
    height = boxes[0][3]
    mean = np.concatenate([boxes[0], np.zeros(4)])
    speed = np.square(NOISE.speed * height)
    covariance = np.diag(np.concatenate([(2 * NOISE.measurement * height) ** 2, speed]))
    observe = np.eye(4, 8)
    for box in boxes[1:]:
        transition, process = discretised(mean[3], seconds, fading)
        mean = transition @ mean
        covariance = transition @ covariance @ transition.T + process
        innovation = observe @ covariance @ observe.T + np.diag((NOISE.measurement * box[3]) ** 2)
        gain = covariance @ observe.T @ np.linalg.inv(innovation)
        mean = mean + gain @ (box - observe @ mean)
        covariance = covariance - gain @ observe @ covariance
    return mean, covariance


@pytest.mark.parametrize("fading", [True, False])
@pytest.mark.parametrize("seconds", [1 / 60, 1 / 7], ids=["60 fps", "7 fps"])
def test_filter_equals_the_textbook(seconds: float, fading: bool) -> None:
    rng = np.random.default_rng(0)
    walks = [
        [np.array([100 + 6 * t, 200 - t, 40, 100 + k]) + rng.normal(0, 2, 4) for t in range(12)]
        for k in range(3)
    ]
    state = kalman.start(np.array([walk[0] for walk in walks]), NOISE)
    for step in range(1, 12):
        kalman.predict(state, seconds, NOISE, fading=fading)
        boxes = np.array([walk[step] for walk in walks])
        state = kalman.update(state, boxes, NOISE.measurement * boxes[:, 3:])
    for track, walk in enumerate(walks):
        mean, covariance = textbook(walk, seconds, fading)
        np.testing.assert_allclose(state[kalman.POSITION, track], mean[:4], rtol=1e-9)
        np.testing.assert_allclose(state[kalman.VELOCITY, track], mean[4:], rtol=1e-9, atol=1e-9)
        np.testing.assert_allclose(state[kalman.VAR_POSITION, track], np.diag(covariance)[:4], rtol=1e-9)
        np.testing.assert_allclose(state[kalman.COVARIANCE, track], np.diag(covariance[:4, 4:]), rtol=1e-9)
        np.testing.assert_allclose(state[kalman.VAR_VELOCITY, track], np.diag(covariance)[4:], rtol=1e-9)


def test_one_long_step_equals_many_short_ones() -> None:
    boxes = np.array([[100.0, 200, 40, 100]])
    once, often = kalman.start(boxes, NOISE), kalman.start(boxes, NOISE)
    once[kalman.VELOCITY, 0, 0] = often[kalman.VELOCITY, 0, 0] = 50
    kalman.predict(once, 1.0, NOISE)
    for _ in range(10):
        kalman.predict(often, 0.1, NOISE)
    np.testing.assert_allclose(often, once, rtol=1e-9)


def test_uncertainty_grows_while_a_track_is_lost() -> None:
    state = kalman.start(np.array([[100.0, 200, 40, 100]]), NOISE)
    deviations = []
    for _ in range(5):
        kalman.predict(state, 0.5, NOISE)
        deviations.append(state[kalman.VAR_POSITION, 0, 0])
    assert np.all(np.diff(deviations) > 0)


def test_a_speed_is_forgotten_and_places_do_not_run_away() -> None:
    state = kalman.start(np.array([[100.0, 200, 40, 100]]), NOISE)
    state[kalman.VELOCITY, 0, 0] = 50
    for _ in range(60):
        kalman.predict(state, 1.0, NOISE)
    assert abs(state[kalman.VELOCITY, 0, 0]) < 1e-6
    assert state[kalman.POSITION, 0, 0] == pytest.approx(100 + 50 * kalman.SPEED_SECONDS)
    before = state[kalman.VAR_POSITION, 0, 0]
    kalman.predict(state, 1.0, NOISE)
    # As a random walk: so much a second, however long ago it was.
    walk = (NOISE.acceleration[0] * kalman.SPEED_SECONDS) ** 2 + NOISE.jitter[0] ** 2
    assert state[kalman.VAR_POSITION, 0, 0] - before == pytest.approx(walk * 100**2, rel=1e-6)


def test_boxes_survive_the_way_to_centres_and_back() -> None:
    xyxy = np.array([[10.0, 20, 50, 120], [0, 0, 3, 9]])
    np.testing.assert_allclose(kalman.to_xyxy(kalman.to_cxcywh(xyxy)), xyxy)


def test_warp_carries_tracks_with_the_camera() -> None:
    state = kalman.start(np.array([[100.0, 200, 40, 100]]), NOISE)
    state[kalman.VELOCITY, 0, :2] = [10, 0]
    before = state.copy()
    # Zoom by two, a quarter turn, and a shift.
    kalman.warp(state, np.array([[0.0, -2, 5], [2, 0, 7]]))
    np.testing.assert_allclose(state[kalman.POSITION, 0], [-395, 207, 80, 200])
    np.testing.assert_allclose(state[kalman.VELOCITY, 0, :2], [0, 20], atol=1e-12)
    np.testing.assert_allclose(state[kalman.VAR_POSITION :], 4 * before[kalman.VAR_POSITION :])
