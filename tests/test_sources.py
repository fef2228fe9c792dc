"""Reading videos, image folders and sequences, good and bad ones."""

from __future__ import annotations

import itertools
import os
import shutil
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
import pytest

from bpbreid_track.errors import InputError, UsageError
from bpbreid_track.evaluation import evaluate_tracks
from bpbreid_track.io.open_source import open_source
from bpbreid_track.io.sinks.video import VideoSink
from bpbreid_track.io.sources.base import Frame
from bpbreid_track.io.sources.video import Clock


def read(source: str | os.PathLike[str], limit: int | None = None) -> tuple[list[Frame], list[str]]:
    """The first ``limit`` frames of a source, and its notes."""
    with open_source(source) as opened:
        return list(itertools.islice(opened, limit)), opened.notes


def times(frames: list[Frame]) -> list[float]:
    return [frame.timestamp for frame in frames]


@pytest.fixture(scope="module")
def pictures(shared: Path) -> list[np.ndarray]:
    """Twelve real frames, uint8 [480, 854, 3]."""
    frames, _ = read(shared / "data/video/basketball-broadcast.mp4", 12)
    return [frame.image for frame in frames]


@pytest.fixture
def image_folder(tmp_path: Path, pictures: list[np.ndarray]) -> Path:
    """1.png ... 12.png, written so that neither creation order nor the alphabet is their order."""
    folder = tmp_path / "frames"
    folder.mkdir()
    for number, image in reversed(list(enumerate(pictures, start=1))):
        cv2.imwrite(str(folder / f"{number}.png"), image)
    return folder


@pytest.mark.parametrize(
    ("name", "size", "rate", "announced", "frames"),
    [
        ("people-detection.264", (768, 432), Fraction(24), None, 596),
        ("soccer-tactical.mp4", (848, 478), Fraction(25), 169, 169),
        ("basketball-broadcast.mp4", (854, 480), Fraction(30000, 1001), 165, 165),
        ("street-crowd.avi", (1280, 720), Fraction(50), 205, 205),
    ],
)
def test_video_gives_every_frame_at_its_time(
    shared: Path, name: str, size: tuple[int, int], rate: Fraction, announced: int | None, frames: int
) -> None:
    with open_source(shared / "data/video" / name) as source:
        assert (source.width, source.height, source.frame_rate, source.live) == (*size, rate, False)
        assert source.frame_count == announced
        for index, frame in enumerate(source):
            assert frame.index == index
            assert frame.timestamp == pytest.approx(index / rate, abs=1e-6)
            assert frame.image.shape == (source.height, source.width, 3)
            assert frame.image.dtype == np.uint8
            assert frame.image.flags.c_contiguous
        assert index + 1 == frames
        assert source.notes == []


def test_frames_stay_valid_after_the_next_one_is_read(shared: Path) -> None:
    path = shared / "data/video/basketball-broadcast.mp4"
    kept, _ = read(path, 5)
    with open_source(path) as source:
        for frame, earlier in zip(source, kept, strict=False):
            np.testing.assert_array_equal(frame.image, earlier.image)
    assert not np.array_equal(kept[0].image, kept[4].image)


def test_a_source_can_be_read_twice(shared: Path) -> None:
    with open_source(shared / "data/video/soccer-tactical.mp4") as source:
        first = next(iter(source))
        assert sum(1 for _ in source) == 169
        again = next(iter(source))
    np.testing.assert_array_equal(first.image, again.image)
    assert again.timestamp == 0


def test_colours_agree_with_opencv(shared: Path) -> None:
    path = shared / "data/video/one-by-one-person-detection.mp4"
    (frame,), _ = read(path, 1)
    _, expected = cv2.VideoCapture(str(path)).read()
    assert np.abs(frame.image.astype(int) - expected).mean() < 2.5


def test_variable_frame_rate_keeps_its_times(tmp_path: Path, pictures: list[np.ndarray]) -> None:
    written = [0.0, 0.04, 0.08, 0.5, 0.54, 1.3, 1.31, 2.0]
    path = tmp_path / "variable.mp4"
    with VideoSink(path, 854, 480, 25) as sink:
        for image, timestamp in zip(pictures, written, strict=False):
            sink.write(image, timestamp)
    frames, notes = read(path)
    assert times(frames) == pytest.approx(written, abs=1e-4)
    assert notes == []


@pytest.mark.parametrize("turn", [90, 180, 270])
def test_rotation_of_a_phone_video_is_applied(tmp_path: Path, pictures: list[np.ndarray], turn: int) -> None:
    path = tmp_path / "phone.mp4"
    with VideoSink(path, 854, 480, 25) as sink:
        for image in pictures:
            sink.write(image)
    one = 1 << 16
    a, b = {90: (0, one), 180: (-one, 0), 270: (0, -one)}[turn]
    data = bytearray(path.read_bytes())
    matrix = data.index(b"tkhd") + 44
    for offset, value in ((0, a), (4, b), (12, -b), (16, a)):
        data[matrix + offset : matrix + offset + 4] = value.to_bytes(4, "big", signed=True)
    path.write_bytes(data)
    (frame, *_), _ = read(path)
    upright = np.rot90(pictures[0], -turn // 90)
    assert frame.image.shape == upright.shape
    assert np.abs(frame.image.astype(int) - upright).mean() < 8


def test_clock_survives_repeated_and_restarted_times() -> None:
    clock = Clock(Fraction(10))
    read_times = [clock.read(t) for t in (5.0, 5.1, 5.1, 5.2, 5.3, 0.0, 0.1)]
    assert read_times == pytest.approx([0, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5])
    clock.skip(2.0)
    assert clock.read(77.0) == pytest.approx(2.6)
    assert clock.read(None) == pytest.approx(2.7)


def test_images_come_in_natural_order(image_folder: Path, pictures: list[np.ndarray]) -> None:
    frames, notes = read(image_folder)
    assert times(frames) == pytest.approx([index / 30 for index in range(12)])
    assert notes == []
    for frame, expected in zip(frames, pictures, strict=True):
        np.testing.assert_array_equal(frame.image, expected)


def test_glob_takes_the_images_that_match(image_folder: Path, pictures: list[np.ndarray]) -> None:
    frames, _ = read(image_folder / "1*.png")
    np.testing.assert_array_equal(frames[1].image, pictures[9])
    assert len(frames) == 4
    with pytest.raises(InputError, match="matches no file"):
        open_source(f"{image_folder}/*.jpg")


def test_rate_of_loose_images_can_be_given(image_folder: Path) -> None:
    with open_source(image_folder, image_rate=7.5) as source:
        assert source.frame_rate == Fraction(15, 2)
        assert times(list(source))[3] == pytest.approx(0.4)


def test_unreadable_image_leaves_a_gap_and_a_note(image_folder: Path) -> None:
    (image_folder / "3.png").write_bytes(b"not an image")
    (image_folder / "4.png").write_bytes(b"")
    frames, notes = read(image_folder)
    assert [frame.index for frame in frames] == [0, 1, *range(4, 12)]
    assert times(frames)[2] == pytest.approx(4 / 30)
    assert len(notes) == 1
    assert "3.png and 1 more could not be decoded" in notes[0]


def test_image_of_another_size_is_an_error_that_names_it(image_folder: Path) -> None:
    cv2.imwrite(str(image_folder / "7.png"), np.zeros((100, 50, 3), np.uint8))
    with pytest.raises(InputError, match=r"7\.png: 50 x 100 pixels .* 854 x 480"):
        read(image_folder)


def test_sequence_folder_has_the_rate_of_its_seqinfo(shared: Path) -> None:
    with open_source(shared / "data/mot/PETS09-S2L1-300") as source:
        assert (source.name, source.frame_rate, source.frame_count) == ("PETS09-S2L1-300", 7, 300)
        assert times(list(itertools.islice(source, 3))) == pytest.approx([0, 1 / 7, 2 / 7])
        assert source.notes == []


def test_sequence_folder_with_a_video_reads_it_at_the_rate_of_seqinfo(shared: Path, tmp_path: Path) -> None:
    with open_source(shared / "data/mot/ADL-Rundle-6") as source:
        assert (source.name, source.width, source.frame_rate, source.frame_count) == (
            "ADL-Rundle-6",
            1920,
            30,
            525,
        )
    shutil.copy(shared / "data/video/soccer-tactical.mp4", tmp_path)
    (tmp_path / "seqinfo.ini").write_text("[Sequence]\nname=slow\nimDir=img1\nframeRate=5\nseqLength=200\n")
    frames, notes = read(tmp_path, 3)
    assert times(frames) == pytest.approx([0, 0.2, 0.4])
    assert "seqLength is 200, found 169 frames" in notes[0]


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("", r"\[Sequence\]"),
        ("[Sequence]\nframeRate=fast\n", "must be numbers"),
        ("[Sequence]\nframeRate=0\n", "above"),
    ],
    ids=["empty", "words", "zero"],
)
def test_malformed_seqinfo_is_named(tmp_path: Path, text: str, complaint: str) -> None:
    (tmp_path / "seqinfo.ini").write_text(text)
    with pytest.raises(InputError, match=f"seqinfo.ini: .*{complaint}"):
        open_source(tmp_path)


def test_truncated_mp4_gives_what_decodes_and_says_how_much(shared: Path, tmp_path: Path) -> None:
    data = (shared / "data/video/one-by-one-person-detection.mp4").read_bytes()  # its index comes first
    path = tmp_path / "half.mp4"
    path.write_bytes(data[: len(data) // 2])
    frames, notes = read(path)
    assert 300 < len(frames) < 1000
    assert notes == [
        f"{path}: only {len(frames)} of about 1394 frames could be decoded; the file is damaged or incomplete"
    ]


def test_mp4_without_index_says_how_to_repair_it(shared: Path, tmp_path: Path) -> None:
    data = (shared / "data/video/basketball-broadcast.mp4").read_bytes()  # its index comes last
    path = tmp_path / "cut.mp4"
    path.write_bytes(data[: len(data) // 2])
    with pytest.raises(InputError, match=r"cut\.mp4: .*moov atom.*untrunc"):
        open_source(path)


def test_damaged_packets_are_noted(shared: Path, tmp_path: Path) -> None:
    data = bytearray((shared / "data/video/basketball-broadcast.mp4").read_bytes())
    with av.open(str(shared / "data/video/basketball-broadcast.mp4")) as container:
        packet = list(itertools.islice(container.demux(video=0), 20))[10]
    data[packet.pos : packet.pos + packet.size] = bytes(packet.size)
    path = tmp_path / "scratched.mp4"
    path.write_bytes(data)
    frames, notes = read(path)
    assert len(frames) == 164
    assert "1 packet(s) could not be decoded" in notes[0]


def test_sound_alone_is_no_video(tmp_path: Path) -> None:
    path = tmp_path / "song.wav"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("pcm_s16le", rate=8000)
        sound = av.AudioFrame.from_ndarray(np.zeros((1, 8000), np.int16), format="s16", layout="mono")
        sound.sample_rate = 8000
        container.mux(stream.encode(sound))
    with pytest.raises(InputError, match=r"song\.wav: holds no video stream"):
        open_source(path)


@pytest.mark.parametrize(
    ("name", "content", "complaint"),
    [
        ("missing.mp4", None, "no such file"),
        ("empty.mp4", b"", "the file is empty"),
        ("renamed.mp4", b"just some text\n" * 50, "not a video"),
        ("broken.png", b"just some text", "could not be decoded as an image"),
    ],
)
def test_bad_files_are_named_in_one_line(
    tmp_path: Path, name: str, content: bytes | None, complaint: str
) -> None:
    path = tmp_path / name
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(InputError, match=complaint) as caught:
        open_source(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_folder_without_images_says_what_it_holds(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no images in this folder"):
        open_source(tmp_path)
    (tmp_path / "clip.mp4").touch()
    with pytest.raises(InputError, match=r"to track its video give .*clip\.mp4"):
        open_source(tmp_path)
    (tmp_path / "bad.jpg").write_bytes(b"?")
    with pytest.raises(InputError, match=r"bad\.jpg could not be decoded"):
        open_source(tmp_path)


def test_absent_webcam_is_one_clear_line(capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(InputError, match="webcam 93: no such camera"):
        open_source("93")
    assert capfd.readouterr().err == ""


def test_empty_source_is_wrong_usage() -> None:
    with pytest.raises(UsageError):
        open_source("")


@pytest.mark.parametrize(
    ("text", "note"),
    [
        ("\ufeff[Sequence]\r\nname=s\r\nframeRate=25\r\nseqLength=3\r\n", None),  # Windows Notepad
        ("[Sequence]\nframeRate=25\n", None),
        ("[Sequence]\nname=s\nseqLength=3\n", "states no frameRate; 30 frames a second are assumed"),
    ],
)
def test_one_seqinfo_serves_tracking_and_evaluation(text: str, note: str | None, tmp_path: Path) -> None:
    pytest.importorskip("trackeval", reason="the extra 'eval' is not installed")
    (tmp_path / "gt").mkdir()
    (tmp_path / "img1").mkdir()
    (tmp_path / "seqinfo.ini").write_bytes(text.encode())
    truth = "".join(f"{frame},1,{20 + 4 * frame},60,40,120,1,-1,-1,-1\n" for frame in (1, 2, 3))
    (tmp_path / "gt/gt.txt").write_text(truth)
    for frame in (1, 2, 3):
        cv2.imwrite(str(tmp_path / f"img1/{frame:06d}.png"), np.full((240, 320, 3), 90, np.uint8))
    with open_source(tmp_path) as source:
        assert len(list(source)) == 3
        assert source.frame_rate == (30 if note else 25)
        assert [str(tmp_path / "seqinfo.ini") in each and note in each for each in source.notes] == (
            [True] if note else []
        )
    assert pytest.approx(100) == evaluate_tracks(tmp_path / "gt/gt.txt", tmp_path / "gt/gt.txt").IDF1
