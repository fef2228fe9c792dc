"""--cache: a second run neither searches nor encodes, and gives the same tracks to the byte."""

from __future__ import annotations

import itertools
import json
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import supervision as sv
import torch
from test_cli import environment

from bpbreid_track import Encoder, track_video
from bpbreid_track.cli.track import run
from bpbreid_track.detection.detectors import PrecomputedDetector
from bpbreid_track.errors import InputError, UsageError
from bpbreid_track.io.open_source import open_source
from bpbreid_track.io.sources.base import Frame, Source
from bpbreid_track.model.checkpoint import load_checkpoint, save_checkpoint
from bpbreid_track.model.find_weights import find_encoder_weights
from bpbreid_track.pipeline.associate import Associate
from bpbreid_track.pipeline.cache_file import CacheReader
from bpbreid_track.pipeline.cached_networks import asked_for, stored_networks
from bpbreid_track.pipeline.stage import Item
from bpbreid_track.read_config import run_config

FRAMES = 8


class Counted(PrecomputedDetector):
    """The boxes of a file, and how often somebody asked."""

    asked = 0

    def __call__(self, frames: Sequence[Frame]) -> list[sv.Detections]:
        self.asked += len(frames)
        return super().__call__(frames)


class First(Source):
    """The first frames of a sequence, counting those that were decoded."""

    def __init__(self, folder: Path, count: int = FRAMES) -> None:
        self._inner = open_source(folder)
        self.name, self.frame_rate, self.frame_count = "first", self._inner.frame_rate, count
        self.width, self.height, self.live = self._inner.width, self._inner.height, False
        self.notes: list[str] = []
        self.decoded = 0

    def __iter__(self) -> Any:
        for frame in self._inner:
            if frame.index == self.frame_count:
                return
            self.decoded += 1
            yield frame


@pytest.fixture(scope="module")
def encoder() -> Encoder:
    return Encoder.load(device="cpu", precision="fp32")


@pytest.fixture
def work(pets: Path, det: Path, encoder: Encoder, tmp_path: Path) -> Any:
    """Runs of the first frames with a cache; gives the detector, the report and the bytes of the tracks."""

    def go(frames: int | None = FRAMES, **changed: Any) -> Any:
        detector, tracks = Counted(det), tmp_path / "t.csv"
        given = {"source": pets, "detector": detector, "encoder": encoder, "cache": tmp_path / "c", **changed}
        report = track_video(given.pop("source"), tracks=tracks, max_frames=frames, **given)
        return detector, report, tracks.read_bytes()

    return go


def test_second_run_computes_nothing_and_writes_the_same_bytes(work: Any, tmp_path: Path) -> None:
    first, _, with_new_cache = work()
    plain = work(cache=None)[2]
    second, report, from_cache = work()
    assert (first.asked, second.asked) == (FRAMES, 0)
    assert {"detect", "encode"}.isdisjoint(report.stages)
    assert report.cached_frames == FRAMES
    assert from_cache == with_new_cache == plain
    assert len(from_cache.splitlines()) > 3 * FRAMES
    assert {path.name for path in tmp_path.iterdir()} == {"c", "t.csv"}


WITHOUT_NETWORKS = """
import sys
import threading
from bpbreid_track.cli.track import run
start, started = threading.Thread.start, []
threading.Thread.start = lambda self: started.append(self.name) or start(self)
code = run(sys.argv[1:])
assert not [name for name in started if name.startswith("bpbreid")], started
needless = {"torch", "ultralytics", "timm", "openvino", "rich"}
assert not needless & set(sys.modules), needless & set(sys.modules)
sys.exit(code)
"""


def test_a_run_of_which_all_is_known_loads_neither_torch_nor_what_shows_and_takes_no_threads(
    pets: Path, det: Path, tmp_path: Path
) -> None:
    arguments = [str(pets), "--detector", str(det), "--device", "cpu", "--max-frames", str(FRAMES), "--quiet"]
    arguments += ["--cache", str(tmp_path / "c"), "--tracks"]
    assert run([*arguments, str(tmp_path / "first.csv")]) == 0
    again = [sys.executable, "-c", WITHOUT_NETWORKS, *arguments, str(tmp_path / "second.csv")]
    done = subprocess.run(again, capture_output=True, text=True, env=environment())
    assert (done.returncode, done.stderr) == (0, "")
    assert (tmp_path / "second.csv").read_bytes() == (tmp_path / "first.csv").read_bytes()
    assert len((tmp_path / "second.csv").read_bytes().splitlines()) > 3 * FRAMES


def test_an_interrupt_ends_a_run_of_which_all_is_known_in_good_order(
    pets: Path, det: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = {"detector": det, "device": "cpu", "precision": "fp32", "cache": tmp_path / "c"}
    track_video(pets, tracks=tmp_path / "all.csv", max_frames=FRAMES, **given)  # type: ignore[arg-type]
    track_video(pets, tracks=tmp_path / "three.csv", max_frames=3, **given)  # type: ignore[arg-type]
    steps, step = itertools.count(1), Associate.step

    def interrupted(self: Associate, item: Item) -> None:
        step(self, item)
        if next(steps) == 3:
            signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr(Associate, "step", interrupted)
    report = track_video(pets, tracks=tmp_path / "cut.csv", max_frames=FRAMES, **given)  # type: ignore[arg-type]
    assert (report.interrupted, report.frames, report.cached_frames) == (True, 3, 3)
    assert (tmp_path / "cut.csv").read_bytes() == (tmp_path / "three.csv").read_bytes()


@pytest.mark.parametrize("change", ["weights", "boxes", "device", "setting", "more frames"])
def test_what_is_not_what_the_cache_was_made_by_is_loaded_and_compared(
    change: str, pets: Path, det: Path, tmp_path: Path
) -> None:
    weights, boxes = tmp_path / "e.safetensors", tmp_path / "det.txt"
    weights.write_bytes(find_encoder_weights("default").read_bytes())
    boxes.write_bytes(det.read_bytes())
    given: dict[str, Any] = {"detector": boxes, "encoder": weights, "device": "cpu", "precision": "fp32"}
    given |= {"cache": tmp_path / "c", "max_frames": 2, "config": {"encoder": {"runtime": "torch"}}}
    track_video(pets, **given)
    asked = asked_for(boxes, weights, run_config(given["config"]), "cpu", "fp32")
    assert asked is not None
    assert stored_networks(tmp_path / "c", asked, 2) is not None
    frames = 2
    if change == "weights":
        network = load_checkpoint(weights)
        with torch.no_grad():
            next(network.parameters()).mul_(2)
        save_checkpoint(network, weights)
    elif change == "boxes":
        boxes.write_bytes(det.read_bytes().replace(b"1,-1,", b"1,-1,1", 1))
    elif change == "device":
        asked |= {"device": "auto"}
    elif change == "setting":
        asked |= {"encoder settings": {**asked["encoder settings"], "mirror": False}}
    else:
        frames = 3
    assert stored_networks(tmp_path / "c", asked, frames) is None
    if change in {"weights", "boxes"}:
        with pytest.raises(InputError, match="made with another"):
            track_video(pets, **given)


def test_other_tracker_settings_give_what_they_give_without_a_cache(work: Any) -> None:
    work()
    config = {"tracker": {"birth_score": 0.99, "confirm_seconds": 0.2, "lost_seconds": 1}}
    assert work(config=config)[2] == work(config=config, cache=None)[2] != work()[2]


def test_the_file_holds_the_embeddings_exactly_as_computed(
    work: Any, pets: Path, det: Path, encoder: Encoder, tmp_path: Path
) -> None:
    work()
    frame = next(iter(open_source(pets)))
    boxes = PrecomputedDetector(det)([frame])[0]
    expected = encoder.encode(frame.image, boxes.xyxy).numpy()
    record = CacheReader(tmp_path / "c").read(0)
    np.testing.assert_array_equal(record.xyxy, boxes.xyxy)
    np.testing.assert_array_equal(record.features, expected.features)
    np.testing.assert_array_equal(record.visibility, expected.visibility)


def test_a_shorter_run_is_continued_and_only_the_rest_is_computed(work: Any) -> None:
    work(3)
    longer, report, tracks = work()
    assert longer.asked == FRAMES - 3
    assert report.cached_frames == 3
    assert tracks == work(cache=None)[2]
    assert work()[0].asked == 0
    assert work(2)[1].cached_frames == 2


def test_a_run_that_fails_leaves_the_frames_it_had(work: Any, pets: Path, det: Path) -> None:
    class Breaks(Counted):
        def __call__(self, frames: Sequence[Frame]) -> list[sv.Detections]:
            if frames[0].index == 5:
                raise RuntimeError("the lamp went out")
            return super().__call__(frames)

    with pytest.raises(RuntimeError, match="lamp"):
        work(detector=Breaks(det))
    detector, report, _ = work()
    assert (detector.asked, report.cached_frames) == (FRAMES - 5, 5)


def test_an_interrupted_run_leaves_the_frames_it_had(work: Any, tmp_path: Path) -> None:
    def stop(frame: Frame, _: sv.Detections) -> None:
        if frame.index == 2:
            raise KeyboardInterrupt

    report = work(None, on_frame=stop)[1]
    assert report.interrupted
    stored = len(CacheReader(tmp_path / "c").index)
    assert stored >= report.frames >= 3
    detector, again, tracks = work(stored + 2)
    assert (detector.asked, again.cached_frames) == (2, stored)
    assert tracks == work(stored + 2, cache=None)[2]


def test_nothing_is_decoded_where_nobody_looks_at_pictures(work: Any, pets: Path) -> None:
    config = {"tracker": {"camera_motion": "none"}}
    first, second, seen = First(pets), First(pets), First(pets)
    expected = work(None, source=first, config=config)[2]
    assert work(None, source=second, config=config)[2] == expected
    assert (first.decoded, second.decoded) == (FRAMES, 0)
    work(None, source=seen, config=config, on_frame=lambda frame, _: frame.image.mean())
    assert seen.decoded == FRAMES


def test_frames_without_boxes_and_runs_without_encoder_are_kept_too(work: Any, tmp_path: Path) -> None:
    empty = tmp_path / "empty.txt"
    empty.write_text("2,-1,100,100,50,120,0.9,-1,-1,-1\n")
    for encoder in ("none", "default"):
        config = {"cache": tmp_path / encoder, "encoder": encoder}
        assert work(3, detector=Counted(empty), **config)[2] == work(3, detector=Counted(empty), **config)[2]
    assert CacheReader(tmp_path / "none").index["boxes"].tolist() == [0, 1, 0]


OTHERS = [
    pytest.param(
        {"config": {"detector": {"confidence": 0.3}}},
        r"detector confidence \(0.1 there, 0.3 now",
        id="score",
    ),
    pytest.param({"encoder": "none"}, "encoder weights .* there, none now", id="no encoder"),
    pytest.param({"frames": 1, "source": "demo"}, "source name .*demo now", id="source"),
]


@pytest.mark.parametrize(("changed", "message"), OTHERS)
def test_a_cache_of_something_else_is_refused_with_what_differs(
    work: Any, tmp_path: Path, changed: dict[str, Any], message: str
) -> None:
    work(2)
    before = (tmp_path / "c").read_bytes()
    with pytest.raises(
        InputError, match=f"{tmp_path / 'c'}: .*{message}.*delete the file or choose"
    ) as caught:
        work(**changed)
    assert str(caught.value).startswith(f"{tmp_path / 'c'}: ")
    assert "\n" not in str(caught.value)
    assert (tmp_path / "c").read_bytes() == before


def test_other_weights_other_boxes_and_another_version_are_noticed(
    work: Any, det: Path, encoder: Encoder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    work(2)
    (tmp_path / "det.txt").write_text(det.read_text().replace("1,-1,", "1,-1,1", 1))
    with pytest.raises(InputError, match="detector content"):
        work(detector=Counted(tmp_path / "det.txt"))
    weight = next(encoder.network.parameters())  # type: ignore[union-attr]
    weight.data.mul_(1.5)
    try:
        with pytest.raises(InputError, match="encoder weights"):
            work()
    finally:
        weight.data.div_(1.5)
    other_runtime = Counted(det)
    other_runtime.runtime = "openvino"  # type: ignore[attr-defined]
    with pytest.raises(InputError, match=r"detector runtime \(none there, openvino now"):
        work(detector=other_runtime)
    monkeypatch.setattr("bpbreid_track.pipeline.open_cache.__version__", "9.9.9")
    with pytest.raises(InputError, match=r"program version \(.* there, 9\.9\.9 now"):
        work()


def test_other_pictures_behind_the_same_name_are_noticed(work: Any, pets: Path) -> None:
    class Dark(First):
        def __iter__(self) -> Any:
            for frame in super().__iter__():
                yield Frame(frame.index, frame.timestamp, frame.image // 2)

    work(3, source=First(pets))
    with pytest.raises(InputError, match="frame 1 is not the picture"):
        work(3, source=Dark(pets))


@pytest.mark.parametrize("place", ["cut", "index", "record"])
def test_a_damaged_cache_is_one_clear_line(work: Any, tmp_path: Path, place: str) -> None:
    work(2)
    path = tmp_path / "c"
    data = bytearray(path.read_bytes())
    if place == "cut":
        data = data[: len(data) // 2]
    else:
        data[-60 if place == "index" else 1000] ^= 0xFF
    path.write_bytes(data)
    with pytest.raises(InputError, match="damaged or was cut short; delete the file"):
        work(2)


def test_a_file_of_another_kind_is_not_touched(work: Any, det: Path, tmp_path: Path) -> None:
    diary = tmp_path / "diary.txt"
    diary.write_text("Dear diary")
    with pytest.raises(InputError, match=r"diary\.txt: not a cache that this program wrote"):
        work(cache=diary)
    assert diary.read_text() == "Dear diary"
    with pytest.raises(UsageError, match="two outputs"):
        work(cache=tmp_path / "t.csv")


def test_a_live_source_is_refused(work: Any, pets: Path) -> None:
    class Live(First):
        def __init__(self, folder: Path) -> None:
            super().__init__(folder)
            self.live = True

    with pytest.raises(UsageError, match="live source"):
        work(source=Live(pets))


def test_command_line_takes_a_cache(pets: Path, det: Path, tmp_path: Path) -> None:
    for name in ("a.jsonl", "b.jsonl"):
        arguments = ["--tracks", str(tmp_path / name), "--cache", str(tmp_path / "c"), "--quiet"]
        assert run([str(pets), "--detector", str(det), "--max-frames", "3", *arguments]) == 0
    assert (tmp_path / "a.jsonl").read_bytes() == (tmp_path / "b.jsonl").read_bytes()
    assert json.loads((tmp_path / "a.jsonl").read_text().splitlines()[0])["tracks"]
