"""--cache after kill -9: whole frames are used by the next run, half ones never are."""

from __future__ import annotations

import os
import subprocess
import sys
import time
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import supervision as sv
from small_encoders import network

from bpbreid_track import Encoder, track_video
from bpbreid_track.detection.detectors import PrecomputedDetector
from bpbreid_track.errors import InputError, Notice
from bpbreid_track.io.part_file import PartFile, part_name
from bpbreid_track.io.sources.base import Frame
from bpbreid_track.model.checkpoint import save_checkpoint
from bpbreid_track.pipeline import cache_layout as layout
from bpbreid_track.pipeline.cache_file import CacheReader, CacheWriter, take_up

ROOT = Path(__file__).resolve().parent.parent
PROGRAM = [sys.executable, "-c", "from bpbreid_track.cli.track import main; main()"]
FACTS = {
    "made_from": {"source": {"name": "a"}},
    "complete": False,
    "notes": [],
    "part_names": ["all", "head"],
}
FACTS |= {"parts": 2, "dim": 3}
pytestmark = [
    pytest.mark.skipif(sys.platform == "win32", reason="nothing is taken up without locks"),
    pytest.mark.filterwarnings("ignore::bpbreid_track.errors.Notice"),
]


class Counted(PrecomputedDetector):
    """The boxes of a file, and how often somebody asked."""

    asked = 0

    def __call__(self, frames: Sequence[Frame]) -> list[sv.Detections]:
        self.asked += len(frames)
        return super().__call__(frames)


class CountedEncoder(Encoder):
    """An encoder, and of how many frames it was asked for people."""

    asked = 0

    def encode(self, images: Any, boxes: Any) -> Any:
        self.asked += len(images)
        return super().encode(images, boxes)


def record(number: int) -> layout.Record:
    """A frame of ``number`` boxes."""
    rng = np.random.default_rng(number)
    shapes: list[tuple[int, ...]] = [(number, 4), (number,), (number, 2), (number, 2, 3)]
    return layout.Record(np.arange(number), *(rng.random(shape, np.float32) for shape in shapes))


def add(writer: CacheWriter, first: int, last: int) -> None:
    for number in range(first, last):
        writer.add(number, number / 25, 7 * number, record(number))


@pytest.fixture
def left(tmp_path: Path) -> bytes:
    """What a run had written of frames 0 to 4 when it was killed."""
    writer = CacheWriter(tmp_path / "c", FACTS)
    add(writer, 0, 5)
    data = part_name(tmp_path / "c").read_bytes()
    writer.discard()
    return data


def taken_up(folder: Path, data: bytes) -> list[int] | None:
    """The frames that come back of a file cut short, once each is known to be what it was; None: no cache."""
    part_name(folder / "c").write_bytes(data)
    (folder / "c").unlink(missing_ok=True)
    taken = take_up(folder / "c", None)
    assert not part_name(folder / "c").exists()
    assert taken == (folder / "c").exists()
    if not taken:
        return None
    reader = CacheReader(folder / "c")
    assert reader.facts == FACTS
    for row, number in enumerate(reader.index["frame"].tolist()):
        for ours, theirs in zip(reader.read(row), record(number), strict=True):
            np.testing.assert_array_equal(ours, theirs)
    reader.close()
    return [int(number) for number in reader.index["frame"]]


def test_killed_run_is_continued_where_it_was(pets: Path, det: Path, tmp_path: Path) -> None:
    save_checkpoint(network(part_names=("upper", "lower")), tmp_path / "small.safetensors")
    (tmp_path / "c.yaml").write_text("encoder: {runtime: torch}\ndetector: {batch_size: 3}\n")
    given = [
        "--detector",
        str(det),
        "--encoder",
        "small.safetensors",
        "--config",
        "c.yaml",
        "--device",
        "cpu",
    ]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    process = subprocess.Popen(
        [*PROGRAM, str(pets), *given, "--cache", "c", "--tracks", "t.jsonl", "--quiet"],
        cwd=tmp_path,
        env=environment,
    )
    tracks, deadline = tmp_path / "t.jsonl", time.monotonic() + 100
    while not (tracks.is_file() and tracks.read_bytes().count(b"\n") >= 10):
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.01)
    process.kill()
    process.wait(timeout=60)
    had = tracks.read_bytes().count(b"\n")
    assert not (tmp_path / "c").exists()
    detector, encoder = Counted(det), CountedEncoder.load(tmp_path / "small.safetensors", device="cpu")
    options: dict[str, Any] = {"detector": detector, "encoder": encoder, "max_frames": had + 12}
    with pytest.warns(Notice, match=r"c\.part was left by a run that was killed; its \d+ frames are used"):
        report = track_video(pets, cache=tmp_path / "c", tracks=tmp_path / "again.csv", **options)
    assert had <= report.cached_frames < report.frames == had + 12
    assert detector.asked == encoder.asked == report.frames - report.cached_frames
    track_video(pets, tracks=tmp_path / "plain.csv", **options)
    assert (tmp_path / "again.csv").read_bytes() == (tmp_path / "plain.csv").read_bytes()
    assert not (tmp_path / "c.part").exists()


def test_whatever_byte_it_ends_with_whole_frames_come_back_and_no_half_one(
    left: bytes, tmp_path: Path
) -> None:
    found = {size: taken_up(tmp_path, left[:size]) for size in range(16, len(left) + 1, 3)}
    found[len(left)] = taken_up(tmp_path, left)
    counts = [0 if frames is None else len(frames) for frames in found.values()]
    assert counts == sorted(counts)
    assert set(counts) == set(range(6))
    assert all(frames == list(range(len(frames))) for frames in found.values() if frames)


@pytest.mark.parametrize("spoilt", [1, 3, 4])
def test_frames_before_a_damaged_one_come_back(left: bytes, tmp_path: Path, spoilt: int) -> None:
    data = bytearray(left)
    data[data.index(record(spoilt).xyxy.tobytes()) + 2] ^= 1
    assert taken_up(tmp_path, bytes(data)) == list(range(spoilt))


def test_zeros_and_noise_are_no_frames(left: bytes, tmp_path: Path) -> None:
    noise = np.random.default_rng(0).bytes(5000)
    assert taken_up(tmp_path, left + bytes(5000)) == taken_up(tmp_path, left + noise) == [0, 1, 2, 3, 4]
    assert taken_up(tmp_path, layout.MAGIC) is None
    assert taken_up(tmp_path, layout.MAGIC + noise) is None


def test_run_that_continued_a_cache_leaves_the_frames_of_both(left: bytes, tmp_path: Path) -> None:
    assert taken_up(tmp_path, left) == [0, 1, 2, 3, 4]
    start = CacheReader(tmp_path / "c")
    writer = CacheWriter(tmp_path / "c", FACTS, start)
    copied = part_name(tmp_path / "c").read_bytes()
    add(writer, 5, 8)
    grown = part_name(tmp_path / "c").read_bytes()
    writer.discard()
    for data in (copied, grown[: len(copied) + 80]):  # no more than the file has
        part_name(tmp_path / "c").write_bytes(data)
        assert not take_up(tmp_path / "c", start)
        assert not part_name(tmp_path / "c").exists()
    part_name(tmp_path / "c").write_bytes(grown)
    assert take_up(tmp_path / "c", start)
    start.close()
    assert len(CacheReader(tmp_path / "c").index) == 8
    for data, count in ((copied[:-40], 4), (grown[:-5], 7), (grown[:-4], 8), (grown, 8)):
        assert taken_up(tmp_path, data) == list(range(count))


def test_cache_without_steps_is_read_and_continued(left: bytes, tmp_path: Path) -> None:
    data, index = bytearray(layout.MAGIC), []
    for number in range(3):
        parts = record(number)
        blob = b"".join(array.tobytes() for array in parts)
        index.append((number, number / 25, len(data), number, 7 * number, zlib.crc32(blob)))
        data += blob + bytes(layout.padding(len(blob)))
    (tmp_path / "c").write_bytes(data + layout.footer(len(data), index, FACTS))
    start = CacheReader(tmp_path / "c")
    writer = CacheWriter(tmp_path / "c", FACTS, start)
    add(writer, 3, 5)
    grown = part_name(tmp_path / "c").read_bytes()
    writer.discard()
    assert taken_up(tmp_path, grown) == [0, 1, 2, 3, 4]


def test_what_was_left_of_something_else_does_not_replace_a_cache(left: bytes, tmp_path: Path) -> None:
    writer = CacheWriter(tmp_path / "c", FACTS)
    add(writer, 0, 2)
    writer.finish(FACTS | {"made_from": {"source": {"name": "b"}}})
    before = (tmp_path / "c").read_bytes()
    part_name(tmp_path / "c").write_bytes(left)
    there = CacheReader(tmp_path / "c")
    assert not take_up(tmp_path / "c", there)
    assert (tmp_path / "c").read_bytes() == before
    with pytest.warns(Notice, match=r"c\.part was left .*; it is .*c\.killed until this one has finished"):
        CacheWriter(tmp_path / "c", FACTS, there).discard()
    assert (tmp_path / "c.killed").read_bytes() == left


def test_a_file_of_another_kind_and_one_that_is_being_written_are_not_touched(
    left: bytes, tmp_path: Path
) -> None:
    part = part_name(tmp_path / "c")
    part.write_text("Dear diary")
    assert not take_up(tmp_path / "c", None)
    assert part.read_text() == "Dear diary"
    part.unlink()
    living = PartFile(tmp_path / "c")
    living.write(left)
    assert not take_up(tmp_path / "c", None)
    assert part.read_bytes() == left
    living.discard()


def test_what_was_left_of_another_run_is_refused_with_what_differs_and_kept(
    pets: Path, det: Path, left: bytes, tmp_path: Path
) -> None:
    part_name(tmp_path / "c").write_bytes(left)
    with (
        pytest.warns(Notice, match="its 5 frames are used"),
        pytest.raises(InputError, match=r"c: this cache was made with another .*source name \(a there"),
    ):
        track_video(pets, detector=det, encoder="none", cache=tmp_path / "c", max_frames=3)
    assert len(CacheReader(tmp_path / "c").index) == 5
    assert CacheReader(tmp_path / "c").facts == FACTS
