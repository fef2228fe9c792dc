"""How place, overlap and parts decide who is who, and which boxes need a look at all."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scenes import DIM, PARTS, Scene, Walker, crossing, identities, look

from bpbreid_track import PartEmbeddings, PartTracker, TrackerConfig
from bpbreid_track.tracking import kalman
from bpbreid_track.tracking.cost_matrices import mahalanobis, position_log_ratio

NOISE = kalman.Noise()


def lost_for(seconds: float) -> np.ndarray:
    state = kalman.start(np.array([[100.0, 200, 40, 100]]), NOISE)
    for _ in range(20):
        kalman.predict(state, 0.04, NOISE)
        state = kalman.update(state, np.array([[100.0, 200, 40, 100]]), np.array([[5.0]]))
    kalman.predict(state, seconds, NOISE)
    return state


def ratio(seconds: float, box: list[float]) -> float:
    return log_ratio(lost_for(seconds), np.array([box]))


def log_ratio(state: np.ndarray, box: np.ndarray, elsewhere: float = 0.0) -> float:
    distance = mahalanobis(state, box, 0.05)
    return float(position_log_ratio(state, box, distance, 0.05, 20.0, np.array([elsewhere]))[0, 0])


def test_the_right_place_says_much_soon_and_little_later() -> None:
    here = [100.0, 200, 40, 100]
    values = [ratio(seconds, here) for seconds in (0.1, 1.0, 5.0, 20.0)]
    assert values == sorted(values, reverse=True)
    assert values[0] > 4
    assert values[-1] < 0


def test_a_far_place_speaks_against_a_person_lost_just_now_and_less_later() -> None:
    there = [400.0, 200, 40, 100]
    assert ratio(0.1, there) < -50
    assert ratio(5.0, there) > -5


def test_a_wrong_height_speaks_against_a_pair() -> None:
    assert ratio(0.5, [100.0, 200, 80, 200]) < ratio(0.5, [100.0, 200, 40, 100]) - 2


def test_the_log_ratio_is_that_of_the_two_densities() -> None:
    state = lost_for(1.0)
    box = np.array([[130.0, 190, 40, 100]])
    variance = state[kalman.VAR_POSITION, 0, :2] + 25.0
    offset = box[0, :2] - state[kalman.POSITION, 0, :2]
    density = np.exp(-0.5 * (offset**2 / variance).sum()) / (2 * np.pi * np.sqrt(variance.prod()))
    stranger = 1 / (20.0 * 100**2)
    assert log_ratio(state, box) == pytest.approx(np.log(density / stranger), abs=1e-6)


def test_no_place_says_more_against_a_person_than_that_few_do_the_unforeseen() -> None:
    far, near = np.array([[900.0, 200, 40, 100]]), np.array([[100.0, 200, 40, 100]])
    assert log_ratio(lost_for(0.1), far, 0.05) == pytest.approx(np.log(0.05))
    mixed = np.log(0.95 * np.exp(log_ratio(lost_for(3.0), near)) + 0.05)
    assert log_ratio(lost_for(3.0), near, 0.05) == pytest.approx(mixed)


def test_likeness_does_not_stand_in_for_overlap_with_a_person_in_sight() -> None:
    # Two of one kit side by side: 1 is hidden for a moment and comes back where he was when 2 is hidden.
    # What then shows 1's box touches the place of 2, who was in sight until now.
    first = Walker((200, 200), look=1, hidden=set(range(30, 36)))
    second = Walker((230, 200), look=1, hidden=set(range(36, 200)))
    found = identities(PartTracker(), Scene([first, second], 45), appearance=True)
    assert found[0][36 - 6 :] == [1] * 9
    assert set(found[1]) == {2}


class CountingEncoder:
    """Gives every box the look of the walker behind it, and counts."""

    device = torch.device("cpu")

    def __init__(self, scene: Scene) -> None:
        self.rows = {}
        for frame, (detections, embeddings, _) in enumerate(scene):
            for box, row in zip(detections.xyxy, embeddings, strict=True):
                self.rows[frame, box.tobytes()] = row
        self.encoded = 0

    def encode(self, frame: np.ndarray, xyxy: np.ndarray) -> PartEmbeddings:
        self.encoded += len(xyxy)
        number = int(frame[0, 0, 0])
        rows = [self.rows[number, box.tobytes()] for box in xyxy.astype(np.float32)]
        return PartEmbeddings.cat(rows) if rows else PartEmbeddings.empty(PARTS, DIM)


def run(config: TrackerConfig, scene: Scene, *, own: bool) -> tuple[list[list[int]], PartTracker]:
    encoder = CountingEncoder(scene)
    tracker = PartTracker(config, encoder if own else None)
    out = []
    for number, (detections, embeddings, _) in enumerate(scene):
        frame = np.full((600, 1000, 3), number, np.uint8)
        found = tracker.update(detections, frame, embeddings=None if own else embeddings)
        out.append(found.tracker_id.tolist())
    if own:
        assert encoder.encoded == tracker.stats.encoded
    return out, tracker


def test_only_boxes_in_doubt_are_encoded_and_identities_stay_the_same() -> None:
    config = TrackerConfig(encode="ambiguous", camera_motion="none")
    every = TrackerConfig(encode="all", camera_motion="none")
    few, sparing = run(config, crossing(turn_back=True), own=True)
    all_looks, thorough = run(every, crossing(turn_back=True), own=True)
    assert few == all_looks
    assert sparing.stats.encoded * 2 < thorough.stats.encoded == thorough.stats.boxes


def test_given_embeddings_lead_to_the_same_tracks_as_an_encoder_of_ones_own() -> None:
    config = TrackerConfig(encode="ambiguous", camera_motion="none")
    given, first = run(config, crossing(turn_back=True), own=False)
    own, second = run(config, crossing(turn_back=True), own=True)
    assert given == own
    assert first.stats.encoded == second.stats.encoded


def test_a_lone_walker_is_looked_at_now_and_then_to_keep_the_memory_fresh() -> None:
    config = TrackerConfig(encode="ambiguous", refresh_seconds=1.0, camera_motion="none")
    _, tracker = run(config, Scene([Walker((100, 200), (2, 0), look=1)], 150), own=True)
    # Ten first looks, then one a second for some five seconds at 30 frames a second.
    assert 14 <= tracker.stats.encoded <= 16
    assert tracker.memory is not None
    distance = tracker.memory.distances(PartEmbeddings(look(1)[None], torch.ones(1, len(PARTS)), PARTS))
    assert distance[0, 0] < 0.5


def test_a_frame_without_boxes_is_no_trouble_for_a_sparing_tracker() -> None:
    config = TrackerConfig(encode="ambiguous", camera_motion="none")
    found, _ = run(config, Scene([Walker((100, 200), hidden={3, 4})], 8), own=True)
    assert [len(row) for row in found] == [1, 1, 1, 0, 0, 1, 1, 1]
