"""The network of a detector through other runtimes than torch: same boxes, and torch where one fails."""

from __future__ import annotations

import ctypes
import gc
import logging
import re
import sys
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import supervision as sv
from small_encoders import network

from bpbreid_track import Encoder, machine
from bpbreid_track.config import DetectorConfig
from bpbreid_track.detection import exported as exported_files
from bpbreid_track.detection import runtime_choice
from bpbreid_track.detection.detectors import UltralyticsDetector
from bpbreid_track.detection.exact_head import split_at_head
from bpbreid_track.detection.exported import exported
from bpbreid_track.detection.runtime_choice import choose_runtime
from bpbreid_track.errors import InputError, UsageError
from bpbreid_track.io.sources.base import Frame
from bpbreid_track.model.checkpoint import save_checkpoint
from bpbreid_track.model.openvino_streams import OpenVinoStreams, openvino_core, stream_count

SIZE = 960


@pytest.fixture(scope="module")
def filled(pose_weights: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cache that holds the OpenVINO export of ``pose_weights``."""
    pytest.importorskip("openvino")
    folder = tmp_path_factory.mktemp("cache")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("BPBREID_CACHE", str(folder))
        exported("openvino", pose_weights, DetectorConfig().max_detections)
    return folder


@pytest.fixture(scope="module")
def pets(shared: Path) -> list[Frame]:
    folder = shared / "data/mot/PETS09-S2L1-300/img1"
    return [Frame(i, i / 7, cv2.imread(str(folder / f"{i + 1:06d}.jpg"))) for i in (0, 150)]


def _detector(weights: Path, runtime: str = "auto", **settings: Any) -> UltralyticsDetector:
    config = DetectorConfig(**{"runtime": runtime, "image_size": SIZE, "confidence": 0.2} | settings)
    return UltralyticsDetector(weights, config, "cpu")


@pytest.mark.parametrize("tiles", [False, True])
def test_openvino_finds_the_boxes_of_torch_and_the_same_ones_each_time(
    pose_weights: Path, cache: Path, pets: list[Frame], monkeypatch: pytest.MonkeyPatch, tiles: bool
) -> None:
    monkeypatch.setattr(machine, "cpu_has_bf16", lambda: tiles)
    monkeypatch.setattr(machine, "cpu_has_wide_bf16", lambda: False)
    fast, torch = _detector(pose_weights, batch_size=2), _detector(pose_weights, "torch")
    assert (fast.runtime, torch.runtime) == ("openvino", "torch")
    assert fast.description.endswith("(OpenVINO, bf16)" if tiles else "(OpenVINO)")
    part = Frame(2, 1.0, np.ascontiguousarray(pets[0].image[100:, 300:]))
    for frame in (*pets, part):
        boxes, expected = fast([frame])[0], torch([frame])[0]
        assert abs(len(boxes) - len(expected)) <= tiles
        overlaps = sv.box_iou_batch(expected.xyxy, boxes.xyxy).max(axis=1)
        assert np.median(overlaps) > 0.99
        assert tiles or overlaps.min() > 0.99
        np.testing.assert_array_equal(boxes.xyxy, fast([frame])[0].xyxy)
    for frame, boxes in zip(pets, fast(pets), strict=True):
        np.testing.assert_array_equal(boxes.xyxy, fast([frame])[0].xyxy)


def test_more_sizes_than_are_compiled_for_give_the_same_boxes(
    pose_weights: Path, cache: Path, pets: list[Frame]
) -> None:
    fast = _detector(pose_weights)
    crops = [Frame(i, 0.0, np.ascontiguousarray(pets[0].image[60 * i :])) for i in range(6)]
    alone = [fast([crop])[0].xyxy for crop in crops]
    again = _detector(pose_weights)
    for crop, boxes in zip(reversed(crops), reversed(alone), strict=True):
        found = again([crop])[0].xyxy
        assert len(found) == len(boxes) > 0
        np.testing.assert_allclose(found, boxes, atol=0.5)


@pytest.mark.parametrize("which", ["people", "poses"])
def test_a_network_split_at_its_head_gives_what_the_whole_gives(
    pose_weights: Path, shared: Path, cache: Path, pets: list[Frame], which: str
) -> None:
    openvino = pytest.importorskip("openvino")
    weights = {"people": shared / "weights/yolo11n.pt", "poses": pose_weights}[which]
    path = exported("openvino", weights, DetectorConfig().max_detections)
    core = openvino_core(openvino)
    halves = split_at_head(openvino, core.read_model(path))
    assert halves is not None
    picture = cv2.resize(pets[0].image, (448, 320))[None].transpose(0, 3, 1, 2).astype(np.float32) / 255
    whole, in_two = (
        OpenVinoStreams(core, steps, 1, 1)(picture)[0]
        for steps in ([(path, "fp32")], [(half, "fp32") for half in halves])
    )
    np.testing.assert_allclose(in_two, whole, rtol=1e-4, atol=1e-3)
    layers = [
        sum(node.get_type_name() == "Convolution" for node in half.get_ordered_ops()) for half in halves
    ]
    assert layers[0] > 4 * layers[1] > 0


def test_an_output_that_is_no_part_of_the_head_comes_out_of_the_second_half_too() -> None:
    openvino = pytest.importorskip("openvino")
    operations = openvino.opset13

    def layer(images: Any, seed: int) -> Any:
        kernel = np.random.default_rng(seed).normal(size=(3, 3, 1, 1)).astype(np.float32)
        return operations.convolution(images, operations.constant(kernel), [1, 1], [0, 0], [0, 0], [1, 1])

    def made() -> Any:
        picture = operations.parameter([1, 3, 8, 8], openvino.Type.f32)
        features = layer(picture, 0)
        edges, scores = operations.softmax(layer(features, 1), 1), operations.sigmoid(layer(features, 2))
        outputs = [operations.concat([edges, scores], 1), layer(features, 3)]
        return openvino.Model([operations.result(output) for output in outputs], [picture])

    halves = split_at_head(openvino, made())
    assert halves is not None
    picture = np.random.default_rng(9).random((1, 3, 8, 8)).astype(np.float32)
    core = openvino_core(openvino)
    whole, in_two = (
        OpenVinoStreams(core, steps, 1, 1)(picture)
        for steps in ([(made(), "fp32")], [(half, "fp32") for half in halves])
    )
    assert [output.shape for output in in_two] == [(1, 6, 8, 8), (1, 3, 8, 8)]
    for found, expected in zip(in_two, whole, strict=True):
        np.testing.assert_allclose(found, expected, atol=1e-5)


def test_a_network_with_another_head_is_not_split() -> None:
    openvino = pytest.importorskip("openvino")
    operations = openvino.opset13
    picture = operations.parameter([1, 3, 8, 8], openvino.Type.f32)
    scores = operations.sigmoid(operations.softmax(picture, 1))
    model = openvino.Model([operations.result(operations.concat([scores, picture], 1))], [picture])
    assert split_at_head(openvino, model) is None


@pytest.mark.parametrize(("threads", "streams"), [(1, 1), (2, 2), (3, 2), (4, 4), (16, 4)])
def test_streams_divide_a_batch_of_eight(threads: int, streams: int) -> None:
    assert stream_count(threads) == streams


def test_the_export_is_whole_named_after_its_content_and_made_once(
    pose_weights: Path, cache: Path, caplog: pytest.LogCaptureFixture
) -> None:
    found = exported("openvino", pose_weights, DetectorConfig().max_detections)
    assert sorted(path.name for path in found.parent.iterdir()) == ["network.bin", "network.xml"]
    assert list((cache / "exported").iterdir()) == [found.parent]
    assert not caplog.records


def test_who_exports_at_the_same_time_takes_what_is_there_first(
    pose_weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BPBREID_CACHE", str(tmp_path))
    begun: list[Path] = []

    def slow_export(runtime: Any, made: Path, most: int) -> None:
        begun.append(made)
        if len(begun) == 1:
            exported("openvino", pose_weights, most)  # another process, from its beginning to its end
        made.with_suffix(".xml").write_text("first" if made == begun[1] else "late")

    monkeypatch.setattr(exported_files, "_export", slow_export)
    found = exported("openvino", pose_weights, 300)
    assert found.read_text() == "first"
    assert [path.name for path in (tmp_path / "exported").iterdir()] == [found.parent.name]


def _cut(network: Path) -> None:
    network.write_bytes(network.read_bytes()[:1000])


def _other_numbers(network: Path) -> None:
    weights = network.with_suffix(".bin")
    first_convolution = re.search(r'offset="(\d+)" size="1728"', network.read_text())  # float [16, 3, 3, 3]
    assert first_convolution is not None
    start, content = int(first_convolution[1]), bytearray(weights.read_bytes())
    content[start : start + 1728] = bytes(1728)
    weights.write_bytes(content)


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        pytest.param(_cut, "delete it", id="unreadable"),
        pytest.param(_other_numbers, "other boxes", id="wrong-boxes"),
    ],
)
def test_a_damaged_export_is_not_used_and_one_line_says_so(
    damage: Any,
    reason: str,
    pose_weights: Path,
    cache: Path,
    pets: list[Frame],
    caplog: pytest.LogCaptureFixture,
) -> None:
    damage(exported("openvino", pose_weights, DetectorConfig().max_detections))
    detector = _detector(pose_weights, "openvino")
    assert detector.runtime == "torch"
    assert "OpenVINO" not in detector.description
    (record,) = [record for record in caplog.records if record.levelno == logging.WARNING]
    assert reason in record.getMessage()
    assert "\n" not in record.getMessage()
    assert len(detector(pets[:1])[0]) > 0


def test_a_cache_that_cannot_be_written_costs_speed_only(
    pose_weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    pytest.importorskip("openvino")
    (tmp_path / "file").touch()
    monkeypatch.setenv("BPBREID_CACHE", str(tmp_path / "file"))
    assert _detector(pose_weights).runtime == "torch"
    assert "is run by torch, OpenVINO failed" in caplog.text


def test_what_is_not_installed_is_passed_over_or_named_with_its_mend(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("onnxruntime")
    weights = Path("people.pt")
    monkeypatch.setitem(runtime_choice.PACKAGES, "openvino", ("no_such_package",))
    assert choose_runtime("auto", weights, "cpu") == "onnx"
    with pytest.raises(InputError, match="pip install no_such_package"):
        choose_runtime("openvino", weights, "cpu")
    monkeypatch.setitem(runtime_choice.PACKAGES, "onnx", ("no_such_package",))
    assert choose_runtime("auto", weights, "cpu") == "torch"


@pytest.mark.parametrize(
    ("weights", "device"),
    [("people.pt", "cuda:0"), ("people.pt", "mps"), ("people.onnx", "cpu"), ("people", "cpu")],
)
def test_gpus_and_exported_weights_are_left_as_they_are(weights: str, device: str) -> None:
    assert choose_runtime("auto", Path(weights), device) == "torch"
    with pytest.raises(UsageError, match=r"detector\.runtime openvino"):
        choose_runtime("openvino", Path(weights), device)


class _Stack(ctypes.Structure):
    """stack_t of Linux: where this thread handles signals."""

    _fields_ = (("address", ctypes.c_void_p), ("flags", ctypes.c_int), ("size", ctypes.c_size_t))


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_after_networks_are_gone_signals_still_have_a_stack(
    cache: Path, pose_weights: Path, tmp_path: Path
) -> None:
    first = _detector(pose_weights, "openvino")
    save_checkpoint(network(), tmp_path / "net.safetensors")
    second = Encoder.load(tmp_path / "net.safetensors", device="cpu", runtime="openvino")
    assert (first.runtime, second.runtime) == ("openvino", "openvino")
    del first
    gc.collect()
    del second
    gc.collect()
    stack = _Stack()
    assert ctypes.CDLL(None).sigaltstack(None, ctypes.byref(stack)) == 0
    ranges = [line.split()[0].split("-") for line in Path("/proc/self/maps").read_text().splitlines()]
    mapped = any(int(low, 16) <= (stack.address or 0) < int(high, 16) for low, high in ranges)
    assert mapped or not stack.address
