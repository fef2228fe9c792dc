"""Boxes of a file: scores of another scale, boxes twice, boxes of other pictures."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import supervision as sv

from bpbreid_track import PartTracker, TrackerConfig, track_video
from bpbreid_track.detection.detectors import PrecomputedDetector
from bpbreid_track.errors import InputError, UsageError
from bpbreid_track.io.mot_format import read_mot
from bpbreid_track.io.open_source import open_source


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    """Ten pictures of 320 x 240."""
    folder = tmp_path / "pictures"
    folder.mkdir()
    for number in range(1, 11):
        cv2.imwrite(str(folder / f"{number:06d}.jpg"), np.full((240, 320, 3), 90, np.uint8))
    return folder


def written(path: Path, change: float = 1.0, times: int = 1, last: int = 10) -> str:
    rows = [
        f"{n},-1,{(20 + 20 * n) * change},{60 * change},{40 * change},{120 * change},0.9\n"
        for n in range(1, 11)
    ]
    rows[-1] = rows[-1].replace("10,", f"{last},", 1)
    path.write_text("".join(row * times for row in rows))
    return str(path)


def test_a_score_above_1_is_no_evidence_for_a_pair(shared: Path) -> None:
    rows = read_mot(shared / "data/mot/KITTI-17/det/det.txt")
    assert rows.confidence.max() > 80  # a detector whose scores are no shares
    trackers = [PartTracker(TrackerConfig(frame_rate=10)) for _ in range(2)]
    seen: list[list[int]] = [[], []]
    for frame in range(1, 60):
        here = rows.frame == frame
        for tracker, ids, scores in zip(
            trackers, seen, (rows.confidence[here], rows.confidence[here].clip(max=1)), strict=True
        ):
            boxes = sv.Detections(xyxy=rows.xyxy[here].reshape(-1, 4), confidence=scores)
            ids += tracker.update(boxes).tracker_id.tolist()
    assert seen[0] == seen[1]


def test_scores_that_are_no_shares_are_said_so(
    shared: Path, pictures: Path, caplog: pytest.LogCaptureFixture
) -> None:
    PrecomputedDetector(written(pictures / "det.txt"))
    assert not caplog.text
    PrecomputedDetector(shared / "data/mot/KITTI-17/det/det.txt")
    assert "has scores up to 85.4: a score is a share from 0 to 1" in caplog.text


def test_a_box_that_stands_there_twice_is_one_person(
    pictures: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    det = written(tmp_path / "det.txt", times=2)
    report = track_video(pictures, tracks=tmp_path / "t.txt", detector=det, encoder="none")
    assert (report.identities, len(read_mot(tmp_path / "t.txt"))) == (1, 10)
    assert "10 boxes stand there twice; each counts once" in caplog.text
    (tmp_path / "two.txt").write_text(
        "1,-1,5,5,9,9,0.5\n1,-1,5,5,9,9,0.8\n1,-1,5,5,9,8,0.7\n2,-1,5,5,9,9,0.6\n"
    )
    with open_source(pictures) as source:
        first, second = PrecomputedDetector(tmp_path / "two.txt")(list(source)[:2])
    assert first.confidence == pytest.approx([0.8, 0.7])
    assert second.confidence == pytest.approx([0.6])


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        pytest.param(
            {"change": 1.9}, "4 of 10 boxes have their middle beside the pictures", id="larger pictures"
        ),
        pytest.param(
            {"last": 400}, "has boxes up to frame 400, and pictures ends about frame 10", id="longer"
        ),
    ],
)
def test_boxes_of_another_recording_are_said_so(
    settings: dict[str, Any], message: str, pictures: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with open_source(pictures) as source:
        PrecomputedDetector(written(tmp_path / "own.txt")).check_frames(source)
        assert not caplog.text
        PrecomputedDetector(written(tmp_path / "other.txt", **settings)).check_frames(source)
    assert message in caplog.text


def test_boxes_beside_all_pictures_and_fractions_are_errors(pictures: Path, tmp_path: Path) -> None:
    far = written(tmp_path / "far.txt", 100)
    with (
        open_source(pictures) as source,
        pytest.raises(InputError, match="all boxes lie beside the pictures"),
    ):
        PrecomputedDetector(far).check_frames(source)
    with pytest.raises(InputError, match="multiply fractions by the width and height"):
        PrecomputedDetector(written(tmp_path / "shares.txt", 1 / 320))


def test_a_file_of_boxes_is_found_inside_its_sequence(
    pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (pictures / "det").mkdir()
    written(pictures / "det" / "det.txt")
    report = track_video("pictures", tracks="t.txt", detector="det/det.txt", encoder="none")
    assert (report.identities, report.frames) == (1, 10)
    with pytest.raises(UsageError, match="is read by this run and would be overwritten"):
        track_video("pictures", tracks="pictures/det/det.txt", detector="det/det.txt", encoder="none")
    Path("det").mkdir()
    Path("det/det.txt").write_text("")  # what lies where one is comes first
    assert track_video("pictures", tracks="t.txt", detector="det/det.txt", encoder="none").identities == 0
