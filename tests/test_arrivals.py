"""How likely whoever appears is somebody new: learnt from who came so far."""

from __future__ import annotations

import numpy as np
import pytest
import supervision as sv
import torch

from bpbreid_track import PartEmbeddings, PartTracker, TrackerConfig
from bpbreid_track.tracking.arrivals import RETURNS, Arrivals
from bpbreid_track.tracking.evidence import ABSENT

RATE = 10.0


def after(seconds: float, people: int, frame_rate: float = RATE) -> Arrivals:
    """A stream in which ``people`` came at even distances in time."""
    arrivals = Arrivals()
    count = round(seconds * frame_rate)
    came = np.diff(np.floor(np.linspace(0, people, count + 1))).astype(int)
    arrivals.learn(20, 0.0)
    for new in came:
        arrivals.learn(int(new), 1 / frame_rate)
    return arrivals


def test_before_anything_is_seen_a_new_person_a_second_is_assumed() -> None:
    away = np.array([2.0, 5.0])
    assert Arrivals().rate == 1.0
    assert Arrivals().against(away) == pytest.approx(np.log((away + 0.1) / RETURNS))


def test_people_of_the_first_second_were_there_already() -> None:
    arrivals = Arrivals()
    for _ in range(10):
        arrivals.learn(7, 0.1)
    assert arrivals.rate == 1.0


@pytest.mark.parametrize("people_a_second", [0.0, 0.1, 1.0, 3.0])
def test_the_rate_of_a_stream_is_learnt(people_a_second: float) -> None:
    learnt = after(60, round(60 * people_a_second))
    assert learnt.rate == pytest.approx(people_a_second, abs=0.15 + 0.1 * people_a_second)


def test_the_rate_does_not_depend_on_the_frame_rate() -> None:
    assert after(40, 20, 30).rate == pytest.approx(after(40, 20, 2).rate, rel=0.1)


def test_a_rush_hour_is_forgotten() -> None:
    arrivals = after(60, 300)
    for _ in range(round(300 * RATE)):
        arrivals.learn(0, 1 / RATE)
    assert arrivals.rate < 0.2


def test_the_odds_grow_with_the_absence_and_never_speak_for_a_return() -> None:
    odds = after(60, 60).against(np.array([1.0, 2.0, 8.0, 30.0]))
    assert (np.diff(odds) > 0).all()
    assert (after(60, 0).against(np.linspace(0, 30, 100)) >= 0).all()


def test_who_was_hidden_a_moment_ago_may_still_be_hidden_in_part() -> None:
    odds = after(60, 6).against(np.array([0.03, 0.1, 0.5, 1.0]))
    assert odds[0] == pytest.approx(ABSENT, abs=0.3)
    assert (np.diff(odds) < 0).all()


def _returned(strangers_a_second: float, distance: float) -> bool:
    """Whether somebody who comes back after six seconds, changed by ``distance``, gets the old identity."""
    tracker = PartTracker(TrackerConfig(frame_rate=RATE))
    generator = torch.Generator().manual_seed(0)
    looks = torch.nn.functional.normalize(torch.randn(200, 3, 64, generator=generator), dim=-1)
    changed = looks[0] * (1 - distance**2 / 2) + looks[150] * (1 - (1 - distance**2 / 2) ** 2) ** 0.5
    born: int | None = None
    stranger = 0
    for frame in range(300):
        people = {1: (looks[1], 100.0), 2: (looks[2], 300.0)}  # who stand there all the time
        if frame < 230:
            people[0] = (looks[0], 500.0)
        elif frame >= 290:
            people[0] = (changed, 900.0)
        if strangers_a_second and frame > 10:
            stranger = 3 + int(frame / RATE * strangers_a_second)
            people[stranger] = (looks[stranger], 1500.0 + 350 * (stranger % 4))
        boxes = np.array([[x - 20, 100, x + 20, 200] for _, x in people.values()], np.float32)
        features = torch.stack([vectors for vectors, _ in people.values()])
        visible = torch.ones(features.shape[:2])
        found = tracker.update(
            sv.Detections(xyxy=boxes, confidence=np.full(len(boxes), 0.9, np.float32)),
            embeddings=PartEmbeddings(features, visible, ("foreground", "upper", "lower")),
        )
        assert found.tracker_id is not None
        if 0 in people:
            now = int(found.tracker_id[list(people).index(0)])
            if born is None:
                born = now
    return now == born


def test_where_nobody_new_comes_a_likeness_brings_back_who_left() -> None:
    assert _returned(0.0, 0.685)


def test_where_new_people_come_all_the_time_the_same_likeness_does_not() -> None:
    assert not _returned(2.0, 0.685)
    assert _returned(2.0, 0.3)
