"""The page of --report by itself: safe, small, with few crops of people who are seen clearly."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import supervision as sv
from report_data import shown

from bpbreid_track.explain.reasons import MatchReason
from bpbreid_track.io.sources.base import Frame
from bpbreid_track.pipeline.report import StageTiming, TrackingReport
from bpbreid_track.report_page.lives import Life
from bpbreid_track.report_page.moments import MOST as MOST_MOMENTS
from bpbreid_track.report_page.page import RunPage
from bpbreid_track.report_page.pictures import crop, scene
from bpbreid_track.report_page.views import MOST as MOST_VIEWS
from bpbreid_track.report_page.views import Views


def test_what_names_say_is_text_on_the_page(tmp_path: Path) -> None:
    evil = "</script><img src=x onerror=alert(1)> & \u2028 'a' @@DATA@@"
    report = TrackingReport(evil, evil, evil, {"section": {"key": evil}}, {"tracks": evil}, notes=[evil])
    page = RunPage(tmp_path / "run.html")
    page.lives.of[1] = Life([(1, 2, 0.0, 0.1)], 2, evil)
    page.write(report.to_dict())
    text = (tmp_path / "run.html").read_text(encoding="utf-8")
    assert text.count("<script") == text.count("</script>") == 2
    assert "<img" not in text
    data = shown(tmp_path / "run.html")
    assert data["source"] == data["identities"][0]["name"] == evil
    # Names of files need not be text at all.
    page.write(TrackingReport("a\udcff.mp4", "", "", {}, {}).to_dict())


def test_a_page_of_twenty_minutes_and_500_people_stays_small(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    page = RunPage(tmp_path / "run.html")
    frames = 20 * 60 * 30
    # Noise is what JPEG makes least of: no real picture takes more.
    noise = rng.integers(0, 256, (1080, 1920, 3), np.uint8)
    for identity in range(1, 501):
        begin = int(rng.integers(1, frames - 9000))
        cuts = begin + np.sort(rng.choice(9000, 120, replace=False))
        page.lives.of[identity] = Life(
            [(int(a), int(b), float(a) / 30, float(b) / 30) for a, b in cuts.reshape(-1, 2)],
            4500,
            f"name {identity}",
        )
        for view in range(MOST_VIEWS):
            x, y = rng.integers(0, 1000, 2)
            boxes = sv.Detections(
                np.array([[x, y % 800, x + 88, y % 800 + 112]], np.float32), tracker_id=np.array([identity])
            )
            page.views.add(Frame(begin + view, float(view), noise), boxes)
    page.lives.last = (frames, frames / 30)
    for number in range(3 * MOST_MOMENTS):
        boxes = sv.Detections(np.array([[400, 300, 640, 900]], np.float32), tracker_id=np.array([number + 1]))
        for time in (2.0 * number, 2.0 * number + 0.7 * 1000):
            page.first.add(Frame(round(time * 30), time, noise), boxes)
            assert len(page.first.found()) <= MOST_MOMENTS
    page.write(report_of("street.mp4").to_dict())
    assert (tmp_path / "run.html").stat().st_size < 15e6
    data = shown(tmp_path / "run.html")
    assert len(data["identities"]) == 500
    assert len(data["moments"]) == MOST_MOMENTS
    assert all(one["crops"] for one in data["identities"])


def report_of(source: str) -> TrackingReport:
    return TrackingReport(source, "boxes", "none", {}, {}, stages={"detect": StageTiming(2.0, 500.0)})


def test_crops_of_one_person_stay_few_and_spread_over_its_life() -> None:
    views = Views()
    image = np.zeros((400, 400, 3), np.uint8)
    for index in range(600):  # a minute, in which somebody walks up to the camera
        box = np.array([[100, 100, 110 + index / 4, 120 + index / 2.5]], np.float32)
        views.add(Frame(index, index / 10, image), sv.Detections(box, tracker_id=np.array([5])))
        assert len(views.of(5)) <= MOST_VIEWS
    times = [view.time for view in views.of(5)]
    assert len(times) >= 3
    assert times[0] < 20
    assert times[-1] > 45


def test_whoever_is_hidden_or_was_not_detected_gives_no_crop() -> None:
    image = np.zeros((400, 400, 3), np.uint8)
    front, back = [100, 100, 160, 300], [120, 100, 180, 280]
    views = Views()
    views.add(
        Frame(0, 0.0, image), sv.Detections(np.array([back, front], np.float32), tracker_id=np.array([1, 2]))
    )
    views.add(Frame(1, 0.1, image), sv.Detections(np.array([back], np.float32), tracker_id=np.array([1])))
    assert [view.frame for view in views.of(1)] == [2], "the first was hidden"
    filled = sv.Detections(
        np.array([front], np.float32), tracker_id=np.array([3]), data={"filled": np.array([True])}
    )
    views.add(Frame(2, 0.2, image), filled)
    assert views.of(3) == []
    outside = sv.Detections(
        np.array([[-50, -50, -5, -5], [900, 10, 950, 90]], np.float32), tracker_id=np.array([4, 5])
    )
    views.add(Frame(3, 0.3, image), outside)
    assert views.of(4) == views.of(5) == []


def test_pictures_outside_the_frame_are_none() -> None:
    image = np.zeros((50, 50, 3), np.uint8)
    assert crop(image, np.array([60.0, 60, 90, 90])) is None
    assert scene(image, [np.array([500.0, 500, 510, 510])], [1]) is None
    assert scene(image, [np.array([10.0, 10, 30, 40])], [1]) is not None


def test_parts_that_show_outweigh_a_larger_box() -> None:
    image, views = np.zeros((400, 400, 3), np.uint8), Views()
    for index, (size, parts) in enumerate([(100, ("head", "torso", "legs")), (120, ("head",))]):
        boxes = sv.Detections(np.array([[50, 50, 50 + size, 250]], np.float32), tracker_id=np.array([1]))
        views.add(Frame(index, index / 10, image), boxes, [_reason(visible=parts)])
    assert [view.frame for view in views.of(1)] == [1]


def _reason(**changes: Any) -> MatchReason:
    values: dict[str, Any] = {
        "row": 0,
        "track": 0,
        "identity": 1,
        "round": "high",
        "lost": 0.0,
        "motion": 0.1,
        "place": 5.0,
        "distance": None,
        "parts": {},
        "appearance": None,
        "cost": -5.0,
        "limit": 0.0,
        "visible": (),
        "by_appearance": False,
        "runner_up": None,
        "closest": (),
    }
    return MatchReason(**values | changes)
