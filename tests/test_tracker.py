"""PartTracker as a story: who keeps the identity when people hide, cross and come back."""

from __future__ import annotations

import datetime
from fractions import Fraction

import numpy as np
import pytest
import supervision as sv
import torch
from scenes import PARTS, Scene, Walker, crossing, identities

from bpbreid_track import PartEmbeddings, PartTracker, TrackerConfig, part_distance


def boxes(*xyxy: list[float], score: float = 0.9) -> sv.Detections:
    rows = np.array(xyxy, np.float32).reshape(-1, 4)
    return sv.Detections(xyxy=rows, confidence=np.full(len(rows), score), class_id=np.zeros(len(rows), int))


def test_people_of_the_first_frame_get_their_identities_at_once() -> None:
    found = identities(PartTracker(), Scene([Walker((100, 200)), Walker((300, 200))], 5))
    assert found == {0: [1] * 5, 1: [2] * 5}


def test_a_newcomer_is_confirmed_after_three_frames_and_takes_the_next_number() -> None:
    late = Walker((300, 200), hidden=set(range(10)))
    found = identities(PartTracker(), Scene([Walker((100, 200)), late], 15))
    assert found[1] == [-1, -1, 2, 2, 2]


def test_false_alarms_of_one_frame_use_up_no_identities() -> None:
    ghosts = [Walker((300 + 90 * k, 300), hidden=set(range(40)) - {5 + 3 * k}) for k in range(5)]
    newcomer = Walker((900, 200), hidden=set(range(25)))
    found = identities(PartTracker(), Scene([Walker((100, 200)), *ghosts, newcomer], 40))
    assert set(found[6][2:]) == {2}


def test_identity_survives_ten_hidden_frames_by_motion_alone() -> None:
    walker = Walker((100, 200), (4, 0), hidden=set(range(20, 30)))
    assert set(identities(PartTracker(), Scene([walker], 50))[0]) == {1}


def test_identity_survives_faint_detections() -> None:
    walker = Walker((100, 200), (4, 0), faint=set(range(10, 40)))
    assert set(identities(PartTracker(), Scene([walker], 50))[0]) == {1}


def test_what_scores_low_for_longer_than_people_hide_is_nobody_by_place_alone() -> None:
    walker = Walker((100, 200), (4, 0), faint=set(range(10, 90)))
    found = identities(PartTracker(), Scene([walker], 95))[0]
    assert set(found[:40]) == {1}
    assert set(found[50:90]) == {-1}


def test_parts_keep_whoever_scores_low_for_long() -> None:
    faint = Walker((100, 200), (4, 0), faint=set(range(30, 90)), look=1)
    other = Walker((900, 200), look=2)
    found = identities(PartTracker(), Scene([faint, other], 95), appearance=True)
    assert set(found[0]) == {1}


def test_parts_undo_the_swap_that_motion_makes_when_people_turn_back_unseen() -> None:
    by_motion = identities(PartTracker(), crossing(turn_back=True))
    by_parts = identities(PartTracker(), crossing(turn_back=True), appearance=True)
    assert by_motion[0][-1] == 2, "the scene must fool motion, or it shows nothing"
    assert by_motion[1][-1] == 1
    assert set(by_parts[0]) == {1}
    assert set(by_parts[1]) == {2}


def test_people_who_look_alike_are_left_to_motion() -> None:
    found = identities(PartTracker(), crossing(looks=(1, 1)), appearance=True)
    assert set(found[0]) == {1}
    assert set(found[1]) == {2}


def test_a_lost_person_comes_back_elsewhere_by_appearance_and_not_by_motion() -> None:
    def scene() -> Scene:
        away = set(range(30, 120))
        gone = Walker((100, 200), look=1, hidden=away, path=dict.fromkeys(range(120, 150), (400, 260)))
        return Scene([gone, Walker((800, 500), look=2)], 150)

    assert set(identities(PartTracker(), scene(), appearance=True)[0]) == {1}
    assert identities(PartTracker(), scene())[0][-1] not in (1, -1)


def test_a_player_who_is_hidden_for_a_moment_is_not_taken_for_a_team_mate_elsewhere() -> None:
    hidden = Walker((100, 200), look=1, hidden=set(range(30, 34)))
    team_mate = Walker((500, 400), look=1, hidden=set(range(30)))
    scene = Scene([hidden, team_mate, Walker((700, 200), look=2)], 60)
    found = identities(PartTracker(), scene, appearance=True)
    assert set(found[0]) == {1}
    assert found[1][2:] == [3] * 28


def test_a_stranger_in_the_place_of_a_lost_person_gets_a_new_identity() -> None:
    first = Walker((200, 200), look=1, hidden=set(range(30, 90)))
    stranger = Walker((215, 205), look=3, hidden=set(range(50)))
    scene = Scene([first, stranger, Walker((700, 500), look=2)], 90)
    assert identities(PartTracker(), scene, appearance=True)[1][-1] == 3
    assert identities(PartTracker(), scene)[1][-1] == 1, (
        "motion alone must be fooled, or the scene shows nothing"
    )


def test_without_a_common_part_a_pair_falls_back_to_motion() -> None:
    # Legs only before, upper body only after: nothing can be compared, and nothing must be lost by that.
    scene = Scene([Walker((100, 200), (3, 0), look=1), Walker((500, 200), (-3, 0), look=2)], 40)
    upper, legs = ["foreground", "head", "torso"], ["legs"]
    scene.hide_parts = {f: upper if f < 20 else [*legs, "foreground"] for f in range(40)}
    found = identities(PartTracker(), scene, appearance=True)
    assert set(found[0]) == {1}
    assert set(found[1]) == {2}


def test_hidden_parts_do_not_poison_the_memory() -> None:
    # While the legs are hidden their vectors are garbage; afterwards the person is known again.
    walker = Walker(
        (100, 200), look=1, hidden=set(range(60, 100)), path=dict.fromkeys(range(100, 120), (160, 200))
    )
    scene = Scene([walker, Walker((700, 200), look=2)], 120)
    tracker = PartTracker()
    rng = np.random.default_rng(0)
    seen = []
    for frame, (detections, embeddings, truth) in enumerate(scene):
        if 20 <= frame < 60:
            garbage = torch.from_numpy(rng.normal(size=embeddings.features[:, 3].shape)).float()
            embeddings.features[:, 3] = torch.nn.functional.normalize(garbage, dim=-1)
            embeddings.visibility[:, 3] = 0
        out = tracker.update(detections, embeddings=embeddings)
        seen += [int(i) for k, i in zip(truth, out.tracker_id, strict=True) if k == 0]
    assert set(seen) == {1}


def test_a_part_not_seen_for_long_is_forgotten() -> None:
    tracker = PartTracker()
    scene = Scene([Walker((100, 200), look=1)], 500, hide_parts={f: ["legs"] for f in range(10, 500)})
    for detections, embeddings, _ in scene:
        tracker.update(detections, embeddings=embeddings)
    only_legs = PartEmbeddings(embeddings.features, (torch.tensor([[0, 0, 0, 1]])), PARTS)
    assert tracker.memory is not None
    assert np.isinf(tracker.memory.distances(only_legs)).all()
    assert np.isfinite(tracker.memory.distances(embeddings)).all()


def test_every_row_comes_back_in_place_with_its_columns() -> None:
    tracker = PartTracker()
    rows = sv.Detections(
        xyxy=np.array(
            [[0, 0, 40, 100], [9.0, 9, 9, 9], [50, 50, 50, 90], [200, 0, 240, 100], [300, 0, 340, 100]]
        ),
        confidence=np.array([0.9, 0.9, 0.9, 0.05, 0.95]),
        class_id=np.zeros(5, int),
        data={"name": np.array(list("abcde"))},
    )
    rows.xyxy[1] = np.nan  # supervision refuses this only when it is built
    out = tracker.update(rows)
    assert out.tracker_id.tolist() == [1, -1, -1, -1, 2]
    assert out.data["name"].tolist() == list("abcde")
    np.testing.assert_array_equal(out.xyxy, rows.xyxy)
    assert rows.tracker_id is None, "the caller's detections must stay as they were"


def test_frames_without_people_age_the_tracks() -> None:
    tracker = PartTracker(TrackerConfig(lost_seconds=1.0))
    for _ in range(3):
        tracker.update(boxes([0, 0, 40, 100]))
    for _ in range(29):
        assert len(tracker.update(sv.Detections.empty())) == 0
    assert tracker.update(boxes([0, 0, 40, 100])).tracker_id.tolist() == [1]
    for _ in range(32):
        tracker.update(sv.Detections.empty())
    assert tracker.update(boxes([0, 0, 40, 100])).tracker_id.tolist() == [-1]


def test_timestamps_rule_over_the_frame_rate() -> None:
    tracker = PartTracker(TrackerConfig(lost_seconds=1.0))
    tracker.update(boxes([0, 0, 40, 100]), timestamp=10.0)
    assert tracker.update(boxes([0, 0, 40, 100]), timestamp=10.9).tracker_id.tolist() == [1]
    assert tracker.update(sv.Detections.empty(), timestamp=11.0).tracker_id.tolist() == []
    assert tracker.update(boxes([0, 0, 40, 100]), timestamp=15.0).tracker_id.tolist() == [2]
    with pytest.raises(ValueError, match=r"more than the last one, 15\.0"):
        tracker.update(boxes(), timestamp=15.0)


def test_timestamps_are_numbers_of_any_kind() -> None:
    tracker = PartTracker()
    for timestamp in (Fraction(1, 25), np.float32(0.1), np.int64(1), 2):
        tracker.update(boxes([0, 0, 40, 100]), timestamp=timestamp)
    for wrong in ("3", [3.0], datetime.timedelta(seconds=3)):
        with pytest.raises(TypeError, match="timestamp: expected a number of seconds"):
            tracker.update(boxes(), timestamp=wrong)  # type: ignore[arg-type]


def test_a_walk_is_followed_at_any_frame_rate() -> None:
    # The same walk, 1.2 heights a second, sampled at 5 and at 60 frames a second.
    for rate in (5, 60):
        walker = Walker((100, 200), (120 / rate, 0))
        found = identities(PartTracker(TrackerConfig(frame_rate=rate)), Scene([walker], 4 * rate))
        assert set(found[0]) == {1}, f"{rate} frames a second"


def test_two_trackers_do_not_share_ids() -> None:
    one, two = PartTracker(), PartTracker()
    one.update(boxes([0, 0, 40, 100], [100, 0, 140, 100]))
    assert two.update(boxes([0, 0, 40, 100])).tracker_id.tolist() == [1]


def test_reset_starts_from_one_again() -> None:
    tracker = PartTracker()
    tracker.update(boxes([0, 0, 40, 100]), timestamp=5.0)
    tracker.reset()
    assert tracker.update(boxes([500, 0, 540, 100]), timestamp=0.0).tracker_id.tolist() == [1]
    assert tracker.stats.frames == 1


def test_two_runs_agree_to_the_last_identity() -> None:
    runs = [identities(PartTracker(), crossing(turn_back=True), appearance=True) for _ in range(2)]
    assert runs[0] == runs[1]


def test_a_track_does_not_change_its_class_unless_allowed() -> None:
    person, ball = boxes([0, 0, 40, 100]), boxes([0, 0, 40, 100])
    ball.class_id = np.array([32])
    strict = PartTracker()
    strict.update(person)
    assert strict.update(ball).tracker_id.tolist() == [-1]
    lenient = PartTracker(TrackerConfig(class_agnostic=True))
    lenient.update(person)
    assert lenient.update(ball).tracker_id.tolist() == [1]


def test_a_second_box_of_a_tracked_person_starts_no_track() -> None:
    tracker = PartTracker()
    tracker.update(boxes([0, 0, 40, 100]))
    for _ in range(5):  # a wide box round a stride beside the one round the body
        out = tracker.update(boxes([0, 0, 40, 100], [0, 0, 58, 100]))
        assert out.tracker_id.tolist() == [1, -1]
    assert tracker.stats.identities == 1


def test_who_steps_out_from_behind_another_gets_an_identity() -> None:
    tracker = PartTracker()
    tracker.update(boxes([0, 0, 40, 100]))
    for step in range(10):  # from four fifths hidden to not at all
        out = tracker.update(boxes([0, 0, 40, 100], [8.0 + 4 * step, 0, 48.0 + 4 * step, 100]))
    assert out.tracker_id.tolist() == [1, 2]


def test_a_box_of_another_class_may_lie_upon_a_tracked_one() -> None:
    def scene() -> sv.Detections:
        rows = boxes([0, 0, 40, 100], [2, 0, 42, 100])
        rows.class_id = np.array([0, 32])
        return rows

    tracker = PartTracker()
    tracker.update(boxes([0, 0, 40, 100]))
    for _ in range(5):
        out = tracker.update(scene())
    assert out.tracker_id.tolist() == [1, 2]


def test_statistics_tell_motion_from_appearance() -> None:
    tracker = PartTracker()
    identities(tracker, crossing(turn_back=True), appearance=True)
    assert tracker.stats.frames == 80
    assert tracker.stats.identities == 2
    assert 1 <= tracker.stats.matches_appearance <= 4
    assert tracker.stats.matches_motion + tracker.stats.matches_appearance == 2 * 59


def test_embeddings_must_fit_the_boxes_and_the_past() -> None:
    tracker = PartTracker()
    three = PartEmbeddings.empty(PARTS, 8)
    with pytest.raises(ValueError, match="expected 1 rows, one a box, got 0"):
        tracker.update(boxes([0, 0, 40, 100]), embeddings=three)
    tracker.reset()
    tracker.update(boxes(), embeddings=three)
    with pytest.raises(ValueError, match="reset"):
        tracker.update(boxes(), embeddings=PartEmbeddings.empty(PARTS, 16))


def test_appearance_may_begin_in_the_middle_of_a_stream() -> None:
    tracker = PartTracker()
    for number, (detections, embeddings, _) in enumerate(crossing()):
        out = tracker.update(detections, embeddings=embeddings if number % 3 == 2 else None)
    assert sorted(out.tracker_id.tolist()) == [1, 2]


@pytest.mark.parametrize("sequence", ["PETS09-S2L1-300", "ETH-Bahnhof"])
def test_real_boxes_give_each_identity_at_most_once_a_frame(shared, sequence: str) -> None:  # type: ignore[no-untyped-def]
    rows = np.loadtxt(shared / "data/mot" / sequence / "det/det.txt", delimiter=",")
    tracker = PartTracker(TrackerConfig(frame_rate=7))
    for frame in range(1, 301):
        here = rows[rows[:, 0] == frame]
        xyxy = np.concatenate([here[:, 2:4], here[:, 2:4] + here[:, 4:6]], axis=1)
        out = tracker.update(sv.Detections(xyxy=xyxy, confidence=here[:, 6]))
        given = out.tracker_id[out.tracker_id >= 0]
        assert len(np.unique(given)) == len(given)
    assert tracker.stats.matches_motion > 300


def test_a_box_of_score_nought_is_passed_over_without_a_word(recwarn: pytest.WarningsRecorder) -> None:
    tracker = PartTracker()
    tracker.update(boxes([0, 0, 40, 100]))
    assert tracker.update(boxes([0, 0, 40, 100], [900, 0, 940, 100], score=0.0)).tracker_id.tolist() == [
        -1,
        -1,
    ]
    assert not recwarn.list


@pytest.mark.parametrize("appearance", [False, True])
@pytest.mark.parametrize(
    "settings",
    [{"lost_seconds": 0}, {"lost_seconds": 0.03}, {"frame_rate": 0.5}, {"frame_rate": 0.05}],
    ids=str,
)
def test_who_is_seen_in_every_frame_is_never_lost_however_far_apart_the_frames_are(
    settings: dict[str, float], appearance: bool
) -> None:
    config = TrackerConfig(**{"frame_rate": 25, "appearance_seconds": 0, **settings})
    scene = Scene([Walker((100, 200), look=1), Walker((500, 200), look=2)], 8)
    assert identities(PartTracker(config), scene, appearance=appearance) == {0: [1] * 8, 1: [2] * 8}


def test_who_is_missing_for_a_frame_is_gone_where_nobody_is_waited_for() -> None:
    config = TrackerConfig(lost_seconds=0, appearance_seconds=0)
    scene = Scene([Walker((100, 200), look=1, hidden={4})], 9)
    found = identities(PartTracker(config), scene, appearance=False)[0]
    assert found[:4] == [1] * 4
    assert 1 not in found[4:]


@pytest.mark.parametrize(
    ("frame", "words"),
    [
        (
            np.zeros((240, 320), np.uint8),
            r"got uint8 \[240, 320\]; cv2.cvtColor\(frame, cv2.COLOR_GRAY2BGR\)",
        ),
        (np.zeros((240, 320, 1), np.uint8), r"got uint8 \[240, 320, 1\]"),
        (np.zeros((240, 320, 3), np.uint16), r"got uint16 \[240, 320, 3\]"),
        (np.zeros((240, 320, 3), np.float32), r"got float32 \[240, 320, 3\]"),
        (np.zeros((0, 0, 3), np.uint8), r"got none: \[0, 0, 3\]"),
    ],
)
def test_a_frame_that_is_no_colour_picture_is_refused_in_words_and_nothing_is_lost(
    frame: np.ndarray, words: str
) -> None:
    tracker = PartTracker()
    tracker.update(boxes([0, 0, 40, 100]))
    with pytest.raises(ValueError, match="frame: expected .*" + words):
        tracker.update(boxes([0, 0, 40, 100]), frame)
    colour = np.zeros((240, 320, 3), np.uint8)
    assert tracker.update(boxes([0, 0, 40, 100]), colour).tracker_id.tolist() == [1]
    assert tracker.stats.frames == 2


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize(
    ("feature", "visible"), [(np.nan, 1), (np.inf, 1), (1, np.nan), (1, -3), (1, 50)], ids=str
)
def test_one_bad_embedding_does_not_spoil_what_is_remembered(feature: float, visible: float) -> None:
    scene = Scene([Walker((100, 200), look=1), Walker((500, 200), look=2)], 30)
    tracker = PartTracker()
    for frame, (detections, embeddings, _) in enumerate(scene):
        if frame in {0, 10, 11}:
            features, visibility = (array.copy() for array in embeddings.numpy())
            features[0] *= feature
            visibility[0] = visible
            embeddings = PartEmbeddings(features, visibility, embeddings.part_names)
        tracker.update(detections, embeddings=embeddings)
    assert tracker.memory is not None
    assert np.isfinite(tracker.memory.features).all()
    assert (tracker.memory.evidence == 1).all()


@pytest.mark.parametrize("given", [np.array([[10.0, 10, 50, 120]]), [[10, 10, 50, 120]], None])
def test_what_is_not_detections_is_refused_with_the_mend(given: object) -> None:
    tracker = PartTracker()
    with pytest.raises(TypeError, match=r"expected sv\.Detections, got .*sv\.Detections\(xyxy=boxes"):
        tracker.update(given, timestamp=1.0)  # type: ignore[arg-type]
    assert tracker.update(boxes([10, 10, 50, 120]), timestamp=1.0).tracker_id.tolist() == [1]


def test_settings_and_embeddings_of_another_type_are_named() -> None:
    with pytest.raises(TypeError, match=r"^config: expected a TrackerConfig, got dict"):
        PartTracker({"frame_rate": 25})  # type: ignore[arg-type]
    vectors = np.ones((1, 8), np.float32)
    with pytest.raises(TypeError, match=r"^embeddings: expected PartEmbeddings, got ndarray"):
        PartTracker().update(boxes([10, 10, 50, 120]), embeddings=vectors)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match=r"^a: expected PartEmbeddings, got ndarray"):
        part_distance(vectors, vectors)  # type: ignore[arg-type]
