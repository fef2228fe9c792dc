"""How place, overlap and parts decide who is who, and which boxes need a look at all."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scenes import DIM, PARTS, Scene, Walker, crossing, identities, look
from scipy import stats

from bpbreid_track import PartEmbeddings, PartTracker, TrackerConfig
from bpbreid_track.tracking import kalman
from bpbreid_track.tracking.evidence import ABSENT, against_return
from bpbreid_track.tracking.motion_calibration import STREET, MotionCalibration
from bpbreid_track.tracking.place import PICTURES, TAIL, place_log_ratio, place_spread

HERE = [100.0, 200, 40, 100]
PICTURE = 640.0 * 480


def lost_for(seconds: float) -> np.ndarray:
    """State of a person of 100 pixels who stood still for most of a second, ``seconds`` later."""
    state = kalman.start(np.array([HERE]), STREET)
    for _ in range(20):
        kalman.predict(state, 0.04, STREET)
        state = kalman.update(state, np.array([HERE]), STREET.measurement * 100)
    kalman.predict(state, seconds, STREET)
    return state


def ratio(seconds: float, box: list[float]) -> float:
    return float(place_log_ratio(lost_for(seconds), np.array([box]), STREET.measurement, PICTURE)[0, 0])


def test_the_right_place_says_much_soon_and_little_later() -> None:
    values = [ratio(seconds, HERE) for seconds in (0.04, 1.0, 5.0, 20.0)]
    assert values == sorted(values, reverse=True)
    assert values[0] > 8
    assert values[-1] < 2


def test_a_far_place_speaks_against_a_person_lost_just_now_and_less_later() -> None:
    there = [400.0, 200, 40, 100]
    assert ratio(0.04, there) < -3
    assert ratio(5.0, there) > ratio(0.04, there) + 2


def test_a_step_is_little_after_a_seventh_of_a_second_and_much_after_a_thirtieth() -> None:
    # A third of a width, as a walker moves between frames at 7 a second.
    step = [113.0, 200, 40, 100]
    assert ratio(1 / 7, HERE) - ratio(1 / 7, step) < 0.8 * (ratio(1 / 30, HERE) - ratio(1 / 30, step))


def test_a_wrong_height_speaks_against_a_pair() -> None:
    assert ratio(0.5, [100.0, 200, 80, 200]) < ratio(0.5, HERE) - 2


def _worth_of_a_step(rate: float, trusted_by_the_frame: bool) -> float:
    """How much better the place is where somebody stood for a second than one a third of a width beside."""
    state = kalman.start(np.array([HERE]), STREET)
    for _ in range(round(rate)):
        kalman.predict(state, 1 / rate, STREET)
        state = kalman.update(state, np.array([HERE]), STREET.measurement * 100)
    kalman.predict(state, 1 / rate, STREET)
    spread = STREET.measurement if trusted_by_the_frame else place_spread(STREET.measurement, 1 / rate)
    here, beside = place_log_ratio(state, np.array([HERE, [113.0, 200, 40, 100]]), spread, PICTURE)[0]
    return float(here - beside)


def test_beside_parts_a_place_is_worth_hardly_more_at_many_frames_a_second() -> None:
    by_frame, by_second = (
        [_worth_of_a_step(rate, trusted) for rate in (4.0, 60.0)] for trusted in (True, False)
    )
    assert by_second[0] == by_frame[0]
    assert 0 < by_second[1] < 1.2 * by_second[0]
    assert by_frame[1] > 1.5 * by_frame[0]


def test_of_whoever_is_hidden_from_the_waist_down_the_upper_edge_still_speaks() -> None:
    # The lower edge 50 pixels from where it was, or both edges 25.
    hidden, shrunk = [100.0, 175, 40, 50], [100.0, 200, 40, 50]
    assert ratio(0.1, hidden) > ratio(0.1, shrunk) + 2


def test_the_log_ratio_is_that_of_three_student_densities_to_a_stranger() -> None:
    state, box = lost_for(1.0), np.array([[130.0, 190, 40, 110]])
    variance = state[kalman.VAR_POSITION, 0] + np.square(STREET.measurement * 110)
    spread = np.sqrt([variance[0], *[variance[1] + variance[3] / 4] * 2])
    distance = np.array([130.0 - 100, 190 - 55 - 150, 190 + 55 - 250])
    densities = stats.t.pdf(distance / spread, TAIL) / spread
    expected = np.log(densities.prod() * 110**3 * PICTURES * 1e6 / 110**2)
    assert place_log_ratio(state, box, STREET.measurement, 1e6)[0, 0] == pytest.approx(expected)


def test_noise_follows_the_motion_that_the_stream_shows() -> None:
    # Innovations three times as wide as expected, one in ten of them wild.
    rng = np.random.default_rng(0)
    motion = MotionCalibration()
    for _ in range(200):
        state = np.repeat(kalman.start(np.array([HERE]), motion.noise), 8, axis=1)
        expected = np.sqrt(state[kalman.VAR_POSITION] + np.square(motion.noise.measurement * 100))
        errors = 3 * expected / motion.spread * rng.standard_t(TAIL, (8, 4))
        errors[rng.random(8) < 0.1] *= 10
        motion.learn(state, state[kalman.POSITION] + errors, 1 / 30)
    np.testing.assert_allclose(motion.spread, 3, rtol=0.25)
    np.testing.assert_allclose(motion.noise.acceleration, motion.spread * STREET.acceleration)


@pytest.mark.parametrize("pace", [0.0, 0.4, 2.0], ids=["nobody moves", "a street", "a match"])
def test_who_is_out_of_sight_strays_as_fast_as_people_here_go(pace: float) -> None:
    rng = np.random.default_rng(0)
    motion = MotionCalibration()
    for _ in range(2000):
        state = np.repeat(kalman.start(np.array([HERE]), motion.noise), 8, axis=1)
        state[kalman.VELOCITY, :, :2] = pace * HERE[3] * rng.normal(size=(8, 2))
        motion.learn_speeds(state, np.ones(8, bool), 1 / 30)
    expected = np.maximum(STREET.acceleration[:2], pace * np.sqrt(2 / kalman.SPEED_SECONDS))
    noise = motion.noise_of(np.array([True, False]))
    np.testing.assert_allclose(noise.acceleration[0, :2], expected, rtol=0.05)
    np.testing.assert_array_equal(noise.acceleration[0, 2:], STREET.acceleration[2:])
    np.testing.assert_array_equal(noise.acceleration[1], STREET.acceleration)
    # So the spread of a speed stays what it is, however long nobody looks.
    lost = kalman.start(np.array([HERE]), motion.noise)
    for _ in range(30):
        kalman.predict(lost, 1.0, motion.noise_of(np.array([True])))
    u = expected * np.sqrt(kalman.SPEED_SECONDS / 2) * HERE[3]
    np.testing.assert_allclose(np.sqrt(lost[kalman.VAR_VELOCITY, 0, :2]), u, rtol=0.1)


def test_nothing_is_learnt_of_motion_from_no_match() -> None:
    motion = MotionCalibration()
    motion.learn(np.zeros((5, 0, 4)), np.zeros((0, 4)), 1 / 30)
    motion.learn_speeds(np.zeros((5, 2, 4)), np.zeros(2, bool), 1 / 30)
    np.testing.assert_array_equal(motion.spread, 1)


def test_a_half_hidden_person_who_was_lost_is_known_by_the_parts_that_show() -> None:
    away = set(range(30, 45))
    lost = Walker((200, 200), look=1, hidden=away, faint=set(range(45, 60)))
    scene = Scene([lost, Walker((700, 400), look=2)], 60)
    scene.hide_parts = {frame: ["legs"] for frame in range(45, 60)}
    assert identities(PartTracker(), scene, appearance=True)[0][30:] == [1] * 15
    assert identities(PartTracker(), scene)[0][30:] == [-1] * 15, "a place alone brings no faint box back"


@pytest.mark.parametrize("scale", [0.3, 1.0, 1.4], ids=lambda scale: f"distances of {scale}")
def test_any_scale_of_distances_is_learnt_from_the_first_seconds(scale: float) -> None:
    # Three people; the first comes back on the other side, the second in the place of the first.
    away = set(range(60, 80))
    first = Walker((200, 200), look=1, hidden=away, path=dict.fromkeys(range(80, 110), (500, 200)))
    second = Walker((500, 200), look=2, hidden=away, path=dict.fromkeys(range(80, 110), (200, 200)))
    scene = Scene([first, second, Walker((800, 500), look=3)], 110)
    tracker, found = PartTracker(), []
    for detections, embeddings, _ in scene:
        # Vectors nearer to one another by a common offset: distances shrink alike.
        offset = torch.zeros(DIM)
        offset[0] = 1.0 / scale if scale < 1 else 0.0
        features = torch.nn.functional.normalize(embeddings.features * scale + offset, dim=-1)
        near = PartEmbeddings(features, embeddings.visibility, PARTS)
        found.append(tracker.update(detections, embeddings=near).tracker_id.tolist())
    assert found[-1] == [1, 2, 3]


def test_at_few_frames_a_second_a_track_is_confirmed_by_fewer_boxes() -> None:
    late = Scene([Walker((100, 200)), Walker((500, 200), hidden={0, 1})], 8)
    shown = {rate: identities(PartTracker(TrackerConfig(frame_rate=rate)), late)[1] for rate in (30, 12, 3)}
    assert shown[30] == [-1, -1, 2, 2, 2, 2]
    assert shown[12] == [-1, 2, 2, 2, 2, 2]
    assert shown[3] == [2] * 6


def test_likeness_does_not_stand_in_for_the_place_of_a_person_in_sight() -> None:
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


def test_the_longer_somebody_is_away_the_more_has_to_speak_for_a_return() -> None:
    odds = against_return(np.array([0.7, 1.0, 2.0, 6.0, 20.0]))
    assert odds == pytest.approx(np.log((np.array([0.7, 1.0, 2.0, 6.0, 20.0]) + 0.1) / 0.65), abs=0.2)
    assert (np.diff(odds[1:]) > 0).all()
    assert (against_return(np.linspace(1e-3, 30, 200)) > 0).all(), "nothing speaks for a return by itself"


def test_who_was_hidden_a_moment_ago_may_still_be_hidden_in_part() -> None:
    odds = against_return(np.array([0.02, 0.1, 0.5]))
    assert odds[0] == pytest.approx(ABSENT, rel=0.1)
    assert (np.diff(odds) < 0).all()
