"""track_video on real frames: what is written, in which order, and how a run ends."""

from __future__ import annotations

import json
import shutil
import threading
import time
from collections.abc import Iterator, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
import supervision as sv
import torch

from bpbreid_track import Encoder, PartTracker, TrackerConfig, track_video
from bpbreid_track.detection.detectors import PrecomputedDetector
from bpbreid_track.embeddings import PartEmbeddings
from bpbreid_track.errors import InputError, UsageError
from bpbreid_track.io.open_source import open_source
from bpbreid_track.io.sources.base import Frame
from bpbreid_track.io.sources.live import CameraSource

FRAMES = 24


class Watched:
    """The boxes of a file, and a look at how they are asked for."""

    name = "watched"

    def __init__(self, det: Path, fail_at: int | None = None, seconds: float = 0.0) -> None:
        self._boxes = PrecomputedDetector(det)
        self.fail_at, self.seconds = fail_at, seconds
        self.batches: list[int] = []
        self.error = RuntimeError("the network is on fire")

    def __call__(self, frames: Sequence[Frame]) -> list[sv.Detections]:
        self.batches.append(len(frames))
        if self.fail_at in [frame.index for frame in frames]:
            raise self.error
        time.sleep(self.seconds)
        return self._boxes(frames)


class Camera(CameraSource):
    """A camera at 200 frames a second; ``stalls_after`` frames it waits for ever."""

    def __init__(self, stalls_after: int | None = None) -> None:
        self.name, self.width, self.height = "camera", 64, 48
        self.frame_rate, self.notes = Fraction(200), []
        self._stalls_after = stalls_after
        self.wake = threading.Event()

    def _pictures(self) -> Iterator[tuple[float, Any]]:
        for count in range(10_000):
            if count == self._stalls_after:
                self.wake.wait()
                return
            time.sleep(0.005)
            yield count / 200, np.full((48, 64, 3), count % 256, np.uint8)

    def _image(self, picture: np.ndarray) -> np.ndarray:
        return picture

    def _release(self) -> None:
        pass


def decoded_frames(path: Path) -> int:
    with av.open(str(path)) as container:
        return sum(1 for _ in container.decode(video=0))


def alive() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name.startswith("bpbreid-")]


def test_every_frame_is_in_the_video_and_in_the_tracks(pets: Path, det: Path, tmp_path: Path) -> None:
    out, tracks = tmp_path / "out.mp4", tmp_path / "tracks.jsonl"
    report = track_video(pets, out, tracks=tracks, detector=det, max_frames=FRAMES)
    lines = [json.loads(line) for line in tracks.read_text().splitlines()]
    assert report.frames == decoded_frames(out) == len(lines) == FRAMES
    assert [line["frame"] for line in lines] == list(range(1, FRAMES + 1))
    assert report.identities == len({row["id"] for line in lines for row in line["tracks"]}) > 3
    assert set(report.stages) == {
        "decode",
        "detect",
        "encode",
        "associate",
        "smooth",
        "draw",
        "colours",
        "write",
    }
    assert report.fps > 0
    assert not report.interrupted


def test_frame_count_of_a_whole_file_is_kept(shared: Path, det: Path, tmp_path: Path) -> None:
    source = shared / "data/video/soccer-tactical.mp4"
    report = track_video(source, tmp_path / "out.mp4", detector=det, encoder="none")
    assert report.frames == decoded_frames(tmp_path / "out.mp4") == decoded_frames(source) == 169


def test_threads_give_what_the_stages_would_give_in_turn(pets: Path, det: Path) -> None:
    seen: list[list[int]] = []
    track_video(
        pets,
        detector=det,
        max_frames=FRAMES,
        on_frame=lambda _, found: seen.append(found.tracker_id.tolist()),
    )
    boxes, tracker = PrecomputedDetector(det), PartTracker(TrackerConfig(frame_rate=7), Encoder.load())
    expected = []
    for frame in open_source(pets):
        if frame.index == FRAMES:
            break
        found = tracker.update(boxes([frame])[0], frame.image, timestamp=frame.timestamp)
        expected.append(found.tracker_id.tolist())
    assert seen == expected


def test_two_runs_write_the_same_bytes(pets: Path, det: Path, tmp_path: Path) -> None:
    for name in ("a.txt", "b.txt"):
        track_video(pets, tracks=tmp_path / name, detector=Watched(det, seconds=0.001), max_frames=FRAMES)
    assert (tmp_path / "a.txt").read_bytes() == (tmp_path / "b.txt").read_bytes()


def test_on_frame_runs_in_order_in_the_calling_thread_after_writing(
    pets: Path, det: Path, tmp_path: Path
) -> None:
    tracks = tmp_path / "tracks.jsonl"
    calls: list[int] = []

    def on_frame(frame: Frame, detections: sv.Detections) -> None:
        assert threading.current_thread() is threading.main_thread()
        assert len(tracks.read_text().splitlines()) > frame.index
        assert detections.tracker_id is not None
        calls.append(frame.index)

    waits = {"smooth": {"bridge_seconds": 0}}  # or rows wait for those who may come back
    track_video(pets, tracks=tracks, detector=det, max_frames=FRAMES, on_frame=on_frame, config=waits)
    assert calls == list(range(FRAMES))


def test_painting_leaves_the_frame_of_the_callback_alone(pets: Path, det: Path, tmp_path: Path) -> None:
    first = next(iter(open_source(pets))).image
    images: list[np.ndarray] = []
    track_video(
        pets,
        tmp_path / "o.mp4",
        detector=det,
        max_frames=5,
        on_frame=lambda frame, _: images.append(frame.image),
    )
    np.testing.assert_array_equal(images[0], first)


def test_batches_are_filled_whatever_the_timing(pets: Path, det: Path) -> None:
    detector = Watched(det)
    track_video(pets, detector=detector, max_frames=10, config={"detector": {"batch_size": 4}})
    assert detector.batches == [4, 4, 2]


def test_frame_rate_is_the_sources_unless_it_is_set(pets: Path, det: Path) -> None:
    plain = track_video(pets, detector=det, max_frames=2)
    stated = track_video(pets, detector=det, max_frames=2, config=TrackerConfig(frame_rate=14))
    assert plain.config["tracker"]["frame_rate"] == 7
    assert stated.config["tracker"]["frame_rate"] == 14


def test_report_is_plain_data(pets: Path, det: Path, tmp_path: Path) -> None:
    report = track_video(
        pets, tmp_path / "o.mp4", detector=det, max_frames=3, config={"draw": {"thickness": 1}}
    )
    values = json.loads(json.dumps(report.to_dict()))
    assert values["config"]["draw"]["thickness"] == 1
    assert values["outputs"] == {"video": str(tmp_path / "o.mp4")}
    assert values["stages"]["decode"]["ms"] > 0


def test_real_network_finds_and_tracks_people(shared: Path) -> None:
    report = track_video(
        shared / "data/mot/ADL-Rundle-6", detector=shared / "weights/yolo11n.pt", max_frames=4, device="cpu"
    )
    assert report.detections > 16
    assert report.identities >= 3
    assert "yolo11n.pt" in report.detector


def test_embeddings_reach_the_tracker(pets: Path, det: Path) -> None:
    class Stripes:
        """Mean colour of the upper and the lower half: a small but real encoder."""

        device = torch.device("cpu")

        def __repr__(self) -> str:
            return "stripes"

        def encode(self, frame: np.ndarray, rows: np.ndarray) -> PartEmbeddings:
            features = np.zeros((len(rows), 3, 3), np.float32)
            for n, (left, top, right, bottom) in enumerate(rows.astype(int)):
                middle = (top + bottom) // 2
                for p, (start, stop) in enumerate(((top, bottom), (top, middle), (middle, bottom))):
                    color = frame[start:stop, left:right].mean(axis=(0, 1)) - 100
                    features[n, p] = color / np.linalg.norm(color)
            return PartEmbeddings(features, np.ones((len(rows), 3)), ["foreground", "upper", "lower"])

    report = track_video(pets, detector=det, encoder=Stripes(), max_frames=60)  # type: ignore[arg-type]
    assert report.encoder == "stripes"
    assert report.stages["encode"].ms > 0
    assert 0 < report.encoded < report.detections, "on a CPU only boxes in doubt are looked at"
    assert report.matches_appearance > 0


def test_the_bundled_encoder_is_the_default_and_can_be_left_out(pets: Path, det: Path) -> None:
    report = track_video(pets, detector=det, max_frames=4, config={"tracker": {"encode": "all"}})
    assert report.encoder.startswith("default (")
    assert report.encoded == report.detections > 0
    assert report.matches_appearance + report.matches_motion > 0
    assert report.stages["encode"].ms > 0
    assert track_video(pets, detector=det, encoder="none", max_frames=1).encoder == "none (motion alone)"


def test_detector_that_fails_keeps_the_frames_before(pets: Path, det: Path, tmp_path: Path) -> None:
    out, tracks = tmp_path / "out.mp4", tmp_path / "tracks.jsonl"
    detector = Watched(det, fail_at=11)
    with pytest.raises(RuntimeError) as caught:
        track_video(pets, out, tracks=tracks, detector=detector)
    assert caught.value is detector.error
    assert caught.value.__notes__ == [f"11 frames were written to {out}, {tracks}"]
    assert decoded_frames(out) == len(tracks.read_text().splitlines()) == 11
    assert not alive()


def test_source_that_fails_keeps_the_frames_before(pets: Path, det: Path, tmp_path: Path) -> None:
    for number in range(1, 10):
        shutil.copy(pets / f"img1/{number:06d}.jpg", tmp_path)
    image = np.zeros((10, 10, 3), np.uint8)
    sv.cv2_to_pillow(image).save(tmp_path / "000010.jpg")
    with pytest.raises(InputError, match=r"000010\.jpg"):
        track_video(tmp_path, tmp_path / "out.mp4", detector=det)
    assert decoded_frames(tmp_path / "out.mp4") == 9
    assert not alive()


def test_callback_that_fails_ends_the_run_with_complete_files(pets: Path, det: Path, tmp_path: Path) -> None:
    def on_frame(frame: Frame, _: sv.Detections) -> None:
        if frame.index == 5:
            raise KeyError("mine")

    out, tracks = tmp_path / "out.mp4", tmp_path / "tracks.jsonl"
    with pytest.raises(KeyError, match="mine"):
        track_video(pets, out, tracks=tracks, detector=det, on_frame=on_frame)
    assert decoded_frames(out) == len(tracks.read_text().splitlines()) >= 6
    assert not alive()


def test_full_disk_is_an_error_that_names_the_file(pets: Path, det: Path, tmp_path: Path) -> None:
    if not Path("/dev/full").exists():
        pytest.skip("no /dev/full on this system")
    tracks = tmp_path / "tracks.txt"
    tracks.symlink_to("/dev/full")
    with pytest.raises(InputError, match=r"tracks\.txt: cannot be written: No space left"):
        track_video(pets, tracks=tracks, detector=det)
    assert not alive()


def test_keyboard_interrupt_ends_the_run_in_good_order(pets: Path, det: Path, tmp_path: Path) -> None:
    def on_frame(frame: Frame, _: sv.Detections) -> None:
        if frame.index == 5:
            raise KeyboardInterrupt

    out, tracks = tmp_path / "out.mp4", tmp_path / "tracks.jsonl"
    report = track_video(pets, out, tracks=tracks, detector=det, on_frame=on_frame)
    assert report.interrupted
    assert 6 <= report.frames < 60
    assert decoded_frames(out) == len(tracks.read_text().splitlines()) == report.frames
    assert not alive()


def test_second_keyboard_interrupt_waits_for_nothing_but_finishes_the_files(
    pets: Path, det: Path, tmp_path: Path
) -> None:
    def on_frame(frame: Frame, _: sv.Detections) -> None:
        raise KeyboardInterrupt

    out, tracks = tmp_path / "out.mp4", tmp_path / "tracks.jsonl"
    with pytest.raises(KeyboardInterrupt) as caught:
        track_video(pets, out, tracks=tracks, detector=det, on_frame=on_frame)
    written = decoded_frames(out)
    assert written == len(tracks.read_text().splitlines()) >= 2
    assert caught.value.__notes__ == [f"{written} frames were written to {out}, {tracks}"]
    assert not alive()


def test_slow_tracking_of_a_camera_drops_frames_and_says_so(det: Path) -> None:
    times: list[float] = []
    detector = Watched(det, seconds=0.05)
    report = track_video(
        Camera(), detector=detector, max_frames=10, on_frame=lambda frame, _: times.append(frame.timestamp)
    )
    assert report.frames == 10
    assert set(detector.batches) == {1}
    assert report.dropped_frames > 30
    # The frames handed on are recent ones: ten at 20 a second span about half a second.
    assert times[-1] - times[0] > 0.2


def test_interrupt_is_heard_while_a_camera_gives_nothing(det: Path) -> None:
    camera = Camera(stalls_after=5)

    def on_frame(frame: Frame, _: sv.Detections) -> None:
        if frame.index == 0:
            raise KeyboardInterrupt

    start = time.monotonic()
    report = track_video(camera, detector=Watched(det), on_frame=on_frame)
    assert report.interrupted
    assert time.monotonic() - start < 8
    camera.wake.set()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        pytest.param({"max_frames": 0}, "max_frames", id="no frames"),
        pytest.param({"tracks": "tracks.xml"}, "tracks are written as", id="unknown track format"),
        pytest.param({"out": "out.gif"}, "a video is written as", id="unknown video format"),
        pytest.param({"out": "same.mp4", "tracks": "same.mp4"}, "two outputs", id="one path twice"),
        pytest.param({"config": {"trackr": {}}}, "did you mean 'tracker'", id="unknown setting"),
    ],
)
def test_wrong_usage_is_told_before_any_work(
    pets: Path,
    det: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    arguments: dict[str, Any],
    message: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UsageError, match=message):
        track_video(pets, detector=det, **arguments)
    assert list(tmp_path.iterdir()) == []


def test_nothing_that_is_read_is_overwritten(shared: Path, det: Path, tmp_path: Path) -> None:
    clip, boxes = tmp_path / "clip.mp4", tmp_path / "det.txt"
    shutil.copy(shared / "data/video/soccer-tactical.mp4", clip)
    shutil.copy(det, boxes)
    (tmp_path / "link.mp4").symlink_to(clip)
    before = clip.read_bytes(), boxes.read_bytes()
    for out, tracks in ((clip, None), (tmp_path / "link.mp4", None), (None, boxes)):
        with pytest.raises(UsageError, match="would be overwritten"):
            track_video(clip, out, tracks=tracks, detector=boxes)
    assert (clip.read_bytes(), boxes.read_bytes()) == before
