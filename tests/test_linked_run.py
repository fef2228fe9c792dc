"""track_video with link=True on real frames: joined identities in every output, however the run ends."""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
import supervision as sv

from bpbreid_track import track_video
from bpbreid_track.cli.track import run
from bpbreid_track.detection.detectors import PrecomputedDetector
from bpbreid_track.errors import InputError, UsageError
from bpbreid_track.identities.track_history import TrackHistory
from bpbreid_track.io.open_source import open_source
from bpbreid_track.io.sources.base import Frame, Source

FRAMES = 22
BLIND = range(12, 15)
# A tracker that waits for a single frame at the sequence's 7 a second: the blind spell ends all tracks.
IMPATIENT = {"tracker": {"lost_seconds": 0.2, "appearance_seconds": 0.2}}


class Blinking:
    """The boxes of a file, none at all in the frames ``BLIND``."""

    name = "blinking"

    def __init__(self, det: Path, fail_at: int | None = None, signal_at: int | None = None) -> None:
        self._boxes = PrecomputedDetector(det)
        self._fail_at, self._signal_at = fail_at, signal_at

    def __call__(self, frames: Sequence[Frame]) -> list[sv.Detections]:
        for frame in frames:
            if frame.index == self._fail_at:
                raise RuntimeError("the network is on fire")
            if frame.index == self._signal_at:
                os.kill(os.getpid(), signal.SIGINT)
        found = self._boxes(frames)
        return [
            boxes[: 0 if frame.index in BLIND else len(boxes)]
            for frame, boxes in zip(frames, found, strict=True)
        ]


@pytest.fixture(scope="module")
def det(pets: Path) -> Path:
    return pets / "det/yolo11n.txt"


def decoded(path: Path) -> list[np.ndarray]:
    with av.open(str(path)) as container:
        return [picture.to_ndarray(format="bgr24") for picture in container.decode(video=0)]


def lines(path: Path) -> list[dict]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_everybody_is_found_again_after_a_blind_spell_and_drawn_through_it(
    pets: Path, det: Path, tmp_path: Path
) -> None:
    out, tracks, crops = tmp_path / "o.mp4", tmp_path / "t.jsonl", tmp_path / "crops"
    seen: list[tuple[int, int]] = []
    report = track_video(
        pets,
        out,
        tracks=tracks,
        crops=crops,
        detector=Blinking(det),
        config=IMPATIENT,
        max_frames=FRAMES,
        link=True,
        on_frame=lambda frame, boxes: seen.append((frame.index, int((boxes.tracker_id >= 0).sum()))),
    )
    written = lines(tracks)
    before = {row["id"] for row in written[BLIND.start - 1]["tracks"]}
    after = {row["id"] for row in written[BLIND.stop + 3]["tracks"]}
    assert report.joined is not None
    assert report.joined >= 2
    assert len(before & after) >= 2
    assert report.identities == len({row["id"] for line in written for row in line["tracks"]})

    hidden = [row for index in BLIND for row in written[index]["tracks"]]
    assert hidden
    assert all(row["filled"] is True for row in hidden)
    assert report.filled == sum(row["filled"] for line in written for row in line["tracks"])
    assert seen == [(n, len(line["tracks"])) for n, line in enumerate(written)]
    found = sum(not row["filled"] for line in written for row in line["tracks"])
    assert len(list(crops.rglob("*.jpg"))) == found
    assert not list(crops.rglob(f"{BLIND.start + 1:06d}.jpg"))

    pictures = decoded(out)
    assert len(pictures) == len(written) == report.frames == FRAMES
    source = cv2.imread(str(pets / f"img1/{BLIND.start + 2:06d}.jpg"))
    painted = np.abs(pictures[BLIND.start + 1].astype(int) - source).max(axis=2) > 60
    assert painted.sum() > 500


def test_without_linking_and_smoothing_nothing_is_joined_nor_filled(
    pets: Path, det: Path, tmp_path: Path
) -> None:
    tracks, config = tmp_path / "t.jsonl", {**IMPATIENT, "smooth": {"lag_seconds": 0}}
    report = track_video(
        pets, tracks=tracks, detector=Blinking(det), encoder="none", config=config, max_frames=20
    )
    assert (report.joined, report.filled, report.named) == (None, None, None)
    assert not any(lines(tracks)[index]["tracks"] for index in BLIND)
    assert not any(row["filled"] for line in lines(tracks) for row in line["tracks"])


def test_tracks_alone_take_no_second_reading(pets: Path, det: Path, tmp_path: Path) -> None:
    class Once(Source):
        """A source that is gone after one reading."""

        live = False

        def __init__(self) -> None:
            self._source = open_source(pets)
            self.name, self.width, self.height = "once", self._source.width, self._source.height
            self.frame_rate, self.frame_count, self.notes = self._source.frame_rate, None, []
            self.readings = 0

        def __iter__(self):  # type: ignore[no-untyped-def]
            self.readings += 1
            return iter(self._source)

    source, tracks = Once(), tmp_path / "t.csv"
    options = {"detector": Blinking(det), "encoder": "none", "max_frames": 20, "link": True}
    track_video(source, tracks=tracks, **options)
    rows = [line.split(",") for line in tracks.read_text().splitlines()]
    assert source.readings == 1
    assert rows[0][-1] == "filled"
    assert {row[-1] for row in rows[1:]} == {"0", "1"}
    with pytest.raises(UsageError, match="give its path"):
        track_video(source, tmp_path / "o.mp4", **options)


def test_live_source_is_refused_in_one_line(det: Path, tmp_path: Path) -> None:
    class Camera(Source):
        name, width, height, live, frame_rate, frame_count = "camera", 64, 48, True, Fraction(10), None
        notes: list[str] = []  # noqa: RUF012

        def __iter__(self):  # type: ignore[no-untyped-def]
            raise AssertionError("is not read")

    with pytest.raises(UsageError, match="camera: is live and cannot be read twice"):
        track_video(Camera(), tracks=tmp_path / "t.txt", detector=det, link=True)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")
def test_interrupt_while_tracking_leaves_complete_linked_files(pets: Path, det: Path, tmp_path: Path) -> None:
    previous = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        report = track_video(
            pets,
            tmp_path / "o.mp4",
            tracks=tmp_path / "t.jsonl",
            detector=Blinking(det, signal_at=22),
            encoder="none",
            config=IMPATIENT,
            link=True,
        )
    finally:
        signal.signal(signal.SIGINT, previous)
    written = lines(tmp_path / "t.jsonl")
    assert report.interrupted
    assert 0 < report.frames == len(written) == len(decoded(tmp_path / "o.mp4")) < 60
    assert report.notes == []


def test_interrupt_while_writing_leaves_a_playable_video_and_all_tracks(
    pets: Path, det: Path, tmp_path: Path
) -> None:
    def on_frame(frame: Frame, _: sv.Detections) -> None:
        if frame.index == 5:
            raise KeyboardInterrupt

    report = track_video(
        pets,
        tmp_path / "o.mp4",
        tracks=tmp_path / "t.jsonl",
        detector=Blinking(det),
        encoder="none",
        max_frames=60,
        link=True,
        on_frame=on_frame,
    )
    pictures = len(decoded(tmp_path / "o.mp4"))
    assert report.interrupted
    assert 6 <= pictures < 60 == len(lines(tmp_path / "t.jsonl")) == report.frames
    assert report.notes == [f"writing was interrupted: pictures of {pictures} of 60 frames were written"]


def test_detector_that_fails_keeps_the_frames_before(pets: Path, det: Path, tmp_path: Path) -> None:
    out, tracks = tmp_path / "o.mp4", tmp_path / "t.jsonl"
    with pytest.raises(RuntimeError, match="on fire") as caught:
        track_video(pets, out, tracks=tracks, detector=Blinking(det, fail_at=18), encoder="none", link=True)
    assert len(decoded(out)) == len(lines(tracks)) == 18
    assert caught.value.__notes__ == [f"18 frames were written to {path}" for path in (tracks, out)]


def test_output_that_cannot_be_written_is_told_before_tracking(pets: Path, det: Path, tmp_path: Path) -> None:
    (tmp_path / "crops/00001").mkdir(parents=True)
    with pytest.raises(InputError, match="is not empty"):
        track_video(pets, crops=tmp_path / "crops", detector=Blinking(det, fail_at=0), link=True)


def test_command_line_says_what_was_joined(
    pets: Path, det: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    files = ["--out", str(tmp_path / "o.mp4"), "--tracks", str(tmp_path / "t.csv")]
    arguments = ["--detector", str(det), "--encoder", "none", "--max-frames", "12"]
    assert run([str(pets), *arguments, *files, "--link"]) == 0
    assert "tracklets joined" in " ".join(capsys.readouterr().err.split())
    assert len(decoded(tmp_path / "o.mp4")) == 12


def test_journal_gives_back_its_rows_whatever_the_number_of_frames() -> None:
    journal = TrackHistory()
    for index in range(1200):
        boxes = np.full((index % 3, 4), float(index), np.float32)
        data = {"class_name": np.array(["person"] * len(boxes))}
        classes, ids = np.zeros(len(boxes), int), np.arange(len(boxes))
        journal.add(index, index / 10, sv.Detections(boxes, class_id=classes, tracker_id=ids, data=data))
    rows = journal.rows(np.array(journal.times))
    assert len(rows) == sum(index % 3 for index in range(1200))
    np.testing.assert_array_equal(rows.frame, rows.xyxy[:, 0])
    np.testing.assert_allclose(rows.time, rows.frame / 10)
    assert journal.class_names == {0: "person"}
