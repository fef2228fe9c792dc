"""detector.every: some frames are searched, the others get the boxes between, and everything is written."""

from __future__ import annotations

import csv
import itertools
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import supervision as sv

from bpbreid_track import track_video
from bpbreid_track.detection.detectors import PrecomputedDetector
from bpbreid_track.io.open_source import open_source
from bpbreid_track.io.sources.base import Frame, Source
from bpbreid_track.tracking.motion_calibration import STREET

FRAMES, EVERY = 11, 3
SEARCHED = [0, 2, 5, 8, 10]  # the first one, the last of every three, and the last one


class Asked(PrecomputedDetector):
    """The boxes of a file, and the frames that were searched."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.frames: list[int] = []

    def __call__(self, frames: Sequence[Frame]) -> list[sv.Detections]:
        self.frames += [frame.index for frame in frames]
        return super().__call__(frames)


class Stream(Source):
    """A sequence as if it came from a camera."""

    def __init__(self, folder: Path) -> None:
        self._inner = open_source(folder)
        self.name, self.frame_rate, self.frame_count = "stream", self._inner.frame_rate, None
        self.width, self.height, self.live, self.notes = self._inner.width, self._inner.height, True, []

    def __iter__(self) -> Any:
        yield from self._inner


@pytest.fixture
def detector(pets: Path) -> Asked:
    return Asked(pets / "det/det.txt")


def _run(
    source: Any, detector: Asked, tracks: Path, *, frames: int = FRAMES, **options: Any
) -> list[dict[str, str]]:
    config = {"detector": {"every": EVERY}, **options.pop("config", {})}
    given = {"detector": detector, "encoder": "none", "config": config, "max_frames": frames, **options}
    report = track_video(source, tracks=tracks, **given)
    assert report.frames == frames
    with tracks.open() as file:
        return list(csv.DictReader(file))


def test_every_third_frame_is_searched_and_the_boxes_between_lie_near_straight_lines(
    pets: Path, detector: Asked, tmp_path: Path
) -> None:
    rows = _run(pets, detector, tmp_path / "t.csv")
    assert detector.frames == SEARCHED
    boxes = {(int(row["id"]), int(row["frame"]) - 1): row for row in rows}
    assert {frame for _, frame in boxes} == set(range(FRAMES))
    for (_, frame), row in boxes.items():
        assert row["filled"] == str(int(frame not in SEARCHED))
    for person in {person for person, _ in boxes}:
        for before, after in itertools.pairwise(SEARCHED):
            ends = [boxes.get((person, end)) for end in (before, after)]
            for frame in range(before + 1, after):
                row = boxes.get((person, frame))
                assert (row is None) == (None in ends)
                if row is not None and ends[0] is not None and ends[1] is not None:
                    share = (frame - before) / (after - before)
                    line = (1 - share) * float(ends[0]["left"]) + share * float(ends[1]["left"])
                    error = 2 * STREET.measurement.max() * float(row["height"])
                    assert float(row["left"]) == pytest.approx(line, abs=error)


def test_a_stream_is_written_whole_and_in_order(pets: Path, detector: Asked, tmp_path: Path) -> None:
    seen: list[int] = []
    rows = _run(
        Stream(pets), detector, tmp_path / "t.csv", on_frame=lambda frame, _: seen.append(frame.index)
    )
    assert seen == list(range(FRAMES))
    # A camera waits for the next frame that is searched, and no longer.
    again = _run(pets, detector, tmp_path / "again.csv", config={"smooth": {"lag_seconds": 0}})
    assert rows == again


def test_a_linked_run_fills_what_was_not_searched_whatever_else_it_fills(
    pets: Path, detector: Asked, tmp_path: Path
) -> None:
    plain = _run(pets, detector, tmp_path / "t.csv")
    linked = _run(pets, detector, tmp_path / "l.csv", link=True)
    assert len(linked) == len(plain)
    assert {row["frame"] for row in linked if row["filled"] == "1"} == {
        row["frame"] for row in plain if row["filled"] == "1"
    }


def test_a_cache_serves_longer_and_shorter_runs(pets: Path, detector: Asked, tmp_path: Path) -> None:
    for frames in (FRAMES, FRAMES - 1, FRAMES + 4):
        plain = _run(pets, detector, tmp_path / "t.csv", frames=frames)
        detector.frames.clear()
        assert _run(pets, detector, tmp_path / "c.csv", frames=frames, cache=tmp_path / "cache") == plain
    assert set(detector.frames).isdisjoint(SEARCHED)


def test_a_stated_frame_rate_counts_the_frames_between(pets: Path, detector: Asked, tmp_path: Path) -> None:
    rows = _run(pets, detector, tmp_path / "t.csv", config={"tracker": {"frame_rate": 7}})
    by_time = _run(pets, detector, tmp_path / "u.csv")
    assert [row["id"] for row in rows] == [row["id"] for row in by_time]
    np.testing.assert_allclose(
        *([float(row["left"]) for row in table] for table in (rows, by_time)), atol=0.02
    )
