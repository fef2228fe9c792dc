"""Written videos, track files and crops, read back."""

from __future__ import annotations

import csv
import itertools
import json
from collections.abc import Iterable, Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import pytest
import supervision as sv

from bpbreid_track.errors import InputError, UsageError
from bpbreid_track.io.mot_format import read_mot
from bpbreid_track.io.open_source import open_source
from bpbreid_track.io.sinks.crops import CropSink
from bpbreid_track.io.sinks.tracks import (
    CsvSink,
    JsonlSink,
    MotSink,
    Sink,
    check_track_path,
    open_track_sink,
)
from bpbreid_track.io.sinks.video import VideoSink, check_video_path
from bpbreid_track.io.sinks.window import WindowSink
from bpbreid_track.io.sources.base import Frame


@pytest.fixture(scope="module")
def frames(shared: Path) -> list[Frame]:
    """Thirty real frames, 854 x 480."""
    with open_source(shared / "data/video/basketball-broadcast.mp4") as source:
        return list(itertools.islice(source, 30))


# What a track of a .jsonl states besides the columns of the table.
JSONL_ONLY = {"class_id", "class_name", "filled"}


def write_video(
    path: Path,
    frames: Iterable[Frame],
    rate: Fraction | float = 25,
    *,
    size: tuple[int, int] = (854, 480),
    timed: bool = True,
) -> None:
    with VideoSink(path, *size, rate) as sink:
        for frame in frames:
            sink.write(frame.image, frame.timestamp if timed else None)


def probe(path: Path) -> dict[str, Any]:
    """Codec, size, rate and times of a video, by decoding all of it."""
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        pictures = list(container.decode(stream))
        return {
            "codec": stream.codec_context.name,
            "pixels": stream.codec_context.pix_fmt,
            "size": (stream.width, stream.height),
            "rate": stream.average_rate,
            "times": [float(picture.pts * stream.time_base) for picture in pictures],
            "last": pictures[-1].to_ndarray(format="bgr24"),
        }


def people(*rows: tuple[int, float, float, float, float]) -> sv.Detections:
    """Detections from (id, left, top, right, bottom), confidence 0.9, 0.8, ..."""
    table = np.array(rows, dtype=np.float32).reshape(-1, 5)
    return sv.Detections(
        xyxy=table[:, 1:],
        confidence=np.linspace(0.9, 0.1, 9, dtype=np.float32)[: len(table)],
        class_id=np.zeros(len(table), int),
        tracker_id=table[:, 0].astype(int),
    )


def blank(index: int) -> Frame:
    return Frame(index, index / 30, np.zeros((100, 200, 3), np.uint8))


@pytest.mark.parametrize("suffix", [".mp4", ".mov", ".mkv", ".m4v"])
def test_video_has_every_frame_in_a_form_that_browsers_play(
    tmp_path: Path, frames: list[Frame], suffix: str
) -> None:
    path = tmp_path / f"out{suffix}"
    rate = Fraction(30000, 1001)
    write_video(path, frames, rate)
    found = probe(path)
    assert (found["codec"], found["pixels"], found["size"]) == ("h264", "yuv420p", (854, 480))
    assert found["rate"] == rate
    assert found["times"] == pytest.approx([frame.timestamp for frame in frames], abs=1e-3)
    assert np.abs(found["last"].astype(int) - frames[-1].image).mean() < 4
    assert [path.name for path in tmp_path.iterdir()] == [path.name]


@pytest.mark.parametrize("rate", [7, 10, 23.976, 25, 29.97, Fraction(24000, 1001), 50, 120], ids=str)
def test_video_keeps_the_frame_rate(tmp_path: Path, frames: list[Frame], rate: Fraction | float) -> None:
    path = tmp_path / "out.mp4"
    write_video(path, frames, rate, timed=False)
    found = probe(path)
    assert float(found["rate"]) == pytest.approx(float(rate), rel=1e-4)
    assert len(found["times"]) == 30


def test_mp4_index_comes_first(tmp_path: Path, frames: list[Frame]) -> None:
    path = tmp_path / "out.mp4"
    write_video(path, frames[:5])
    data = path.read_bytes()
    assert data.index(b"moov") < data.index(b"mdat")


def test_times_that_do_not_advance_lose_no_frame(tmp_path: Path, frames: list[Frame]) -> None:
    path = tmp_path / "out.mp4"
    with VideoSink(path, 854, 480, 10) as sink:
        for frame, timestamp in zip(frames, (0.0, 0.1, 0.1, 0.05, 0.4), strict=False):
            sink.write(frame.image, timestamp)
    written = probe(path)["times"]
    assert len(written) == 5
    assert written == pytest.approx([0, 0.1, 0.1, 0.1, 0.4], abs=1e-3)
    assert np.all(np.diff(written) > 0)


def test_odd_size_gains_a_column_and_a_row(tmp_path: Path, frames: list[Frame]) -> None:
    odd = [Frame(f.index, f.timestamp, np.ascontiguousarray(f.image[:201, :303])) for f in frames[:5]]
    path = tmp_path / "odd.mp4"
    write_video(path, odd, size=(303, 201))
    found = probe(path)
    assert found["size"] == (304, 202)
    expected = np.pad(odd[-1].image, ((0, 1), (0, 1), (0, 0)), mode="edge")
    assert np.abs(found["last"].astype(int) - expected).mean() < 5


def test_colours_survive(tmp_path: Path) -> None:
    colours = np.array([[0, 0, 200], [0, 200, 0], [200, 0, 0], [30, 200, 220]], np.uint8)
    image = np.repeat(np.repeat(colours[None], 64, axis=1), 64, axis=0)
    path = tmp_path / "colours.mp4"
    with VideoSink(path, 256, 64, 25) as sink:
        sink.write(image)
    with open_source(path) as source:
        read = next(iter(source)).image
    assert np.abs(read[32, 32::64].astype(int) - colours).max() <= 6


def test_video_appears_only_when_it_is_finished(tmp_path: Path, frames: list[Frame]) -> None:
    path = tmp_path / "out.mp4"
    path.write_bytes(b"the video of an earlier run")
    sink = VideoSink(path, 854, 480, 25)
    sink.write(frames[0].image)
    assert path.read_bytes() == b"the video of an earlier run"
    sink.close()
    sink.close()
    assert len(probe(path)["times"]) == 1


def test_interrupted_video_is_playable(tmp_path: Path, frames: list[Frame]) -> None:
    path = tmp_path / "out.mp4"

    def interrupted() -> Iterator[Frame]:
        yield from frames[:10]
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_video(path, interrupted())
    assert len(probe(path)["times"]) == 10


def test_video_without_frames_leaves_nothing(tmp_path: Path) -> None:
    VideoSink(tmp_path / "out.mp4", 64, 64, 25).close()
    assert list(tmp_path.iterdir()) == []


def test_image_of_another_size_is_refused(tmp_path: Path) -> None:
    with (
        VideoSink(tmp_path / "out.mp4", 64, 48, 25) as sink,
        pytest.raises(ValueError, match=r"\[48, 64, 3\]"),
    ):
        sink.write(np.zeros((64, 48, 3), np.uint8))


def test_bad_output_paths_are_told_at_once(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"out\.avi: a video is written as \.mp4"):
        VideoSink(tmp_path / "out.avi", 64, 64, 25)
    with pytest.raises(UsageError, match=r"out\.json: tracks are written as \.txt, \.csv, \.jsonl"):
        open_track_sink(tmp_path / "out.json")
    missing = tmp_path / "new" / "folder"
    for check in (check_video_path, lambda path: VideoSink(path, 64, 64, 25)):
        with pytest.raises(InputError, match="create it first") as caught:
            check(missing / "out.mp4")
        assert not isinstance(caught.value, UsageError)
    for check in (check_track_path, open_track_sink):
        with pytest.raises(InputError, match="create it first"):
            check(missing / "out.txt")
    (tmp_path / "folder.txt").mkdir()
    with pytest.raises(InputError, match="is a folder"):
        open_track_sink(tmp_path / "folder.txt")
    assert [path.name for path in tmp_path.iterdir()] == ["folder.txt"]


def test_mot_file_is_exact_to_the_letter(tmp_path: Path) -> None:
    path = tmp_path / "tracks.txt"
    sink = MotSink(path)
    sink.write(blank(0), people((7, 10, 20, 40.5, 80.126), (-1, 0, 0, 5, 5)))
    sink.write(blank(1), sv.Detections.empty())
    sink.write(blank(2), people((12, -0.001, 1, 2, 3)))
    sink.close()
    assert path.read_text() == (
        "1,7,10.00,20.00,30.50,60.13,0.90000,-1,-1,-1\n3,12,0.00,1.00,2.00,2.00,0.90000,-1,-1,-1\n"
    )


def test_mot_file_round_trips_real_boxes(shared: Path, tmp_path: Path) -> None:
    truth = read_mot(shared / "data/mot/ADL-Rundle-6/gt/gt.txt")
    path = tmp_path / "tracks.txt"
    sink = open_track_sink(path)
    for number in range(1, 526):
        now = truth.frame == number
        sink.write(
            blank(number - 1),
            sv.Detections(truth.xyxy[now], confidence=truth.confidence[now], tracker_id=truth.id[now]),
        )
    sink.close()
    again = read_mot(path)
    np.testing.assert_array_equal(again.frame, truth.frame)
    np.testing.assert_array_equal(again.id, truth.id)
    np.testing.assert_allclose(again.xyxy, truth.xyxy, atol=0.01)


def test_csv_and_jsonl_say_the_same(tmp_path: Path) -> None:
    sinks: list[Sink] = [CsvSink(tmp_path / "t.csv"), JsonlSink(tmp_path / "t.jsonl")]
    named = people((3, 1, 2, 11, 22), (-1, 0, 0, 9, 9), (4, 5, 5, 8, 9))
    named.data["class_name"] = np.array(["person", "person", "ball, red"])
    for sink in sinks:
        sink.write(blank(0), sv.Detections.empty())
        sink.write(blank(3), named)
        sink.write(blank(4), people((3, 1, 2, 11, 22)))
        sink.close()
    with (tmp_path / "t.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    objects = [json.loads(line) for line in (tmp_path / "t.jsonl").read_text().splitlines()]
    assert [item["frame"] for item in objects] == [1, 4, 5]
    assert objects[0]["tracks"] == []
    assert objects[1]["timestamp"] == 0.1
    assert objects[1]["tracks"][1] == {
        "id": 4,
        "left": 5.0,
        "top": 5.0,
        "width": 3.0,
        "height": 4.0,
        "class": "ball, red",
        "confidence": 0.7,
        "class_id": 0,
        "class_name": "ball, red",
        "filled": False,
    }
    flat = [
        {"frame": str(item["frame"]), "timestamp": f"{item['timestamp']:.6f}"}
        | {key: str(value) for key, value in track.items() if key not in JSONL_ONLY}
        for item in objects
        for track in item["tracks"]
    ]
    assert rows == flat


def test_jsonl_states_the_class_as_number_and_name_and_which_boxes_are_filled(tmp_path: Path) -> None:
    sink = JsonlSink(tmp_path / "t.jsonl")
    boxes = people((1, 0, 0, 5, 9), (2, 9, 9, 15, 19))
    boxes.class_id = np.array([0, 3])
    sink.write(blank(0), boxes)
    boxes.data["filled"] = np.array([False, True])
    boxes.data["class_name"] = np.array(["player", "ball"])
    sink.write(blank(1), boxes)
    sink.write(blank(2), sv.Detections(boxes.xyxy, tracker_id=boxes.tracker_id))
    sink.close()
    found = [
        [
            (row["class"], row["class_id"], row["class_name"], row["filled"])
            for row in json.loads(line)["tracks"]
        ]
        for line in (tmp_path / "t.jsonl").read_text().splitlines()
    ]
    assert found == [
        [("0", 0, "person", False), ("3", 3, None, False)],
        [("player", 0, "player", False), ("ball", 3, "ball", True)],
        [(None, None, "person", False)] * 2,
    ]


@pytest.mark.parametrize("suffix", [".txt", ".csv", ".jsonl"])
def test_track_file_is_complete_at_any_moment(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"tracks{suffix}"
    sink = open_track_sink(path)
    for index in range(3):
        sink.write(blank(index), people((1, 1, 2, 30, 40)))
        text = path.read_text()
        assert text.endswith("\n")
        assert len(text.splitlines()) == index + 1 + (suffix == ".csv")
    sink.close()
    sink.close()


def test_unreported_confidence_counts_as_one_and_no_identity_as_no_row(tmp_path: Path) -> None:
    path = tmp_path / "tracks.txt"
    sink = MotSink(path)
    box = np.array([[1, 2, 3, 4]], np.float32)
    sink.write(blank(0), sv.Detections(box))
    sink.write(blank(1), sv.Detections(box, tracker_id=np.array([5])))
    sink.close()
    assert path.read_text() == "2,5,1.00,2.00,2.00,2.00,1.00000,-1,-1,-1\n"


def test_crops_are_sorted_by_identity_and_clipped_to_the_image(tmp_path: Path, frames: list[Frame]) -> None:
    folder = tmp_path / "crops"
    sink = CropSink(folder)
    frame = Frame(122, 4.0, frames[0].image)
    sink.write(
        frame,
        people((7, 100.4, 50, 160, 200.2), (8, -20, 400, 30, 999), (-1, 5, 5, 50, 90), (9, 900, 5, 950, 9)),
    )
    sink.write(frames[1], sv.Detections.empty())
    sink.close()
    assert sorted(str(path.relative_to(folder)) for path in folder.rglob("*.jpg")) == [
        "00007/000123.jpg",
        "00008/000123.jpg",
    ]
    crop = cv2.imread(str(folder / "00007/000123.jpg"))
    expected = frame.image[50:200, 100:160]
    assert crop.shape == expected.shape
    assert np.abs(crop.astype(int) - expected).mean() < 4
    assert cv2.imread(str(folder / "00008/000123.jpg")).shape == (80, 30, 3)


def test_of_so_many_crops_of_an_identity_the_first_is_kept(tmp_path: Path, frames: list[Frame]) -> None:
    sink = CropSink(tmp_path / "crops", every=3)
    for index in range(7):
        late = [(2, 0, 0, 50, 90)] if index >= 4 else []
        sink.write(Frame(index, index / 25, frames[0].image), people((1, 5, 5, 50, 90), *late))
    sink.close()
    kept = sorted(str(path.relative_to(tmp_path / "crops")) for path in tmp_path.rglob("*.jpg"))
    assert kept == ["00001/000001.jpg", "00001/000004.jpg", "00001/000007.jpg", "00002/000005.jpg"]


def test_crops_of_two_runs_are_not_mixed(tmp_path: Path, frames: list[Frame]) -> None:
    CropSink(tmp_path / "crops").write(frames[0], people((1, 0, 0, 50, 90)))
    with pytest.raises(InputError, match="not empty"):
        CropSink(tmp_path / "crops")
    with pytest.raises(InputError, match="create it first"):
        CropSink(tmp_path / "no" / "crops")


def test_window_without_a_display_is_wrong_usage(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.platform", "linux")
    monkeypatch.delenv("DISPLAY", raising=False)
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    with pytest.raises(UsageError, match="no display"):
        WindowSink("people")


def test_window_on_a_display_that_is_gone_is_wrong_usage(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.platform", "linux")
    monkeypatch.setenv("DISPLAY", ":987")
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    with pytest.raises(UsageError, match="no window can be opened on display ':987'"):
        WindowSink("people")
