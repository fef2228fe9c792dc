"""Detector and encoder that OpenVINO alone runs: the same numbers to the bit, and torch where needed."""

from __future__ import annotations

import copy
import os
import pickle
import subprocess
import sys
import types
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import supervision as sv
import torch
from small_encoders import network

from bpbreid_track import Encoder, PartEmbeddings, kept_exports, machine
from bpbreid_track.config import DetectorConfig, EncoderConfig, RunConfig
from bpbreid_track.detection import detectors, exported_detector
from bpbreid_track.detection.detectors import UltralyticsDetector, load_detector
from bpbreid_track.detection.exported import exported_file, read_facts, write_facts
from bpbreid_track.detection.exported_detector import ExportedDetector, open_exported
from bpbreid_track.detection.weights import import_ultralytics
from bpbreid_track.io.sources.base import Frame
from bpbreid_track.model.checkpoint import save_checkpoint
from bpbreid_track.model.exported_encoder import ExportedEncoder, open_exported_encoder, openvino_file
from bpbreid_track.pipeline import fingerprint
from bpbreid_track.pipeline.networks import load_encoder

pytest.importorskip("openvino")


@pytest.fixture(scope="module")
def filled(shared: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cache in which the person detector and the bundled encoder are exported and known."""
    folder = tmp_path_factory.mktemp("cache")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("BPBREID_CACHE", str(folder))
        load_detector(str(shared / "weights/yolo11n.pt"), device="cpu")
        Encoder.load(device="cpu", runtime="openvino")
    return folder


@pytest.fixture(scope="module")
def pictures(shared: Path) -> list[Frame]:
    """Real frames of four sizes, one of them high and narrow."""
    folder = shared / "data/mot/PETS09-S2L1-300/img1"
    street = [cv2.imread(str(folder / f"{number:06d}.jpg")) for number in (1, 200)]
    capture = cv2.VideoCapture(str(shared / "data/mot/ADL-Rundle-6/ADL-Rundle-6.mp4"))
    images = [*street, capture.read()[1], street[0][:501, 200:433], street[1][100:, :701]]
    return [Frame(index, index / 7, np.ascontiguousarray(image)) for index, image in enumerate(images)]


def same(some: sv.Detections, others: sv.Detections) -> None:
    for column in ("xyxy", "confidence", "class_id"):
        np.testing.assert_array_equal(getattr(some, column), getattr(others, column))


def replaced(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


def equal(some: PartEmbeddings, others: PartEmbeddings) -> None:
    np.testing.assert_array_equal(some.numpy().features, others.numpy().features)
    np.testing.assert_array_equal(some.numpy().visibility, others.numpy().visibility)


@pytest.mark.parametrize(
    "settings",
    [
        pytest.param({}, id="people"),
        pytest.param({"image_size": 650, "confidence": 0.02, "iou": 0.45}, id="many that overlap"),
        pytest.param({"classes": ("person", "handbag", "bench"), "confidence": 0.05}, id="three classes"),
        pytest.param({"max_detections": 5}, id="five at most"),
    ],
)
def test_boxes_are_those_of_ultralytics_to_the_last_bit(
    shared: Path, cache: Path, pictures: list[Frame], settings: dict[str, Any]
) -> None:
    weights, config = shared / "weights/yolo11n.pt", DetectorConfig(**settings)
    theirs = UltralyticsDetector(weights, config, "cpu")
    ours = load_detector(str(weights), config, "cpu")
    assert isinstance(ours, ExportedDetector)
    assert (ours.name, ours.classes, ours.class_names) == (theirs.name, theirs.classes, theirs.class_names)
    assert (ours.runtime, ours.precision, ours.by_motion) == ("openvino", theirs.precision, theirs.by_motion)
    found = 0
    for picture in pictures:
        expected = theirs([picture])[0]
        same(ours([picture])[0], expected)
        found += len(expected)
    assert found > 10
    for boxes, picture in zip(ours(pictures), pictures, strict=True):
        same(boxes, theirs([picture])[0])


def test_boxes_of_a_pose_network_are_the_same_too(
    pose_weights: Path, cache: Path, pictures: list[Frame]
) -> None:
    theirs = UltralyticsDetector(pose_weights, device="cpu")
    ours = load_detector(str(pose_weights), device="cpu")
    assert isinstance(ours, ExportedDetector)
    assert ours.image_size(1080, 1920) == theirs.image_size(1080, 1920) == 1280
    same(ours(pictures[:1])[0], theirs(pictures[:1])[0])


def test_a_network_whose_boxes_differ_is_left_to_ultralytics(
    shared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BPBREID_CACHE", str(tmp_path))
    monkeypatch.setattr(exported_detector, "suppress", lambda rows, iou: rows[::-1])
    detector = load_detector(str(shared / "weights/yolo11n.pt"), device="cpu")
    assert isinstance(detector, UltralyticsDetector)
    assert detector.runtime == "openvino"


@pytest.mark.parametrize(
    "damage",
    [
        pytest.param(lambda facts: facts.write_bytes(b""), id="empty"),
        pytest.param(lambda facts: facts.write_text('{"task": "detect"}'), id="incomplete"),
        pytest.param(lambda facts: replaced(facts, ":32,", ":0,"), id="no stride"),
        pytest.param(lambda facts: replaced(facts, '"detect"', "[]"), id="types"),
        pytest.param(lambda facts: facts.unlink(), id="gone"),
        pytest.param(lambda facts: facts.with_name("network.bin").write_bytes(b""), id="weights damaged"),
        pytest.param(lambda facts: facts.with_name("network.xml").write_text("<net"), id="network damaged"),
    ],
)
def test_what_cannot_be_read_of_an_export_is_no_error(shared: Path, cache: Path, damage: Any) -> None:
    weights = shared / "weights/yolo11n.pt"
    assert open_exported(weights, DetectorConfig(), "cpu", "x") is not None
    facts = exported_file("openvino", weights, DetectorConfig().max_detections).with_name("facts.json")
    facts.write_text(facts.read_text().replace('"bf16":"bf16"', '"bf16":"fp32"'))  # which reads it no later
    damage(facts)
    assert open_exported(weights, DetectorConfig(), "cpu", "x") is None


def test_settings_of_the_first_run_do_not_decide_what_runs_the_second(
    shared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BPBREID_CACHE", str(tmp_path))
    weights = str(shared / "weights/yolo11n.pt")
    rare = DetectorConfig(classes=("sports ball",), confidence=0.95)
    assert isinstance(load_detector(weights, rare, "cpu"), ExportedDetector)


def test_masks_are_left_to_ultralytics(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BPBREID_CACHE", str(tmp_path / "cache"))
    import_ultralytics().YOLO("yolo11n-seg.yaml", verbose=False).save(tmp_path / "masks.pt")
    monkeypatch.setattr(detectors, "remember", lambda *_: pytest.fail("nothing is to be remembered"))
    detector = load_detector(str(tmp_path / "masks.pt"), device="cpu")
    assert isinstance(detector, UltralyticsDetector)
    assert detector.runtime == "openvino"


def test_all_classes_are_said_to_be_tracked_in_each_run(
    shared: Path, cache: Path, caplog: pytest.LogCaptureFixture
) -> None:
    weights = shared / "weights/yolo11n.pt"
    path = exported_file("openvino", weights, DetectorConfig().max_detections)
    facts = read_facts(path)
    assert facts is not None
    write_facts(path, facts.model_copy(update={"names": {number: f"c{number}" for number in facts.names}}))
    for _ in range(2):
        caplog.clear()
        assert load_detector(str(weights), device="cpu").classes is None
        assert "knows no class 'person'" in caplog.text


def test_the_input_is_a_multiple_of_the_stride(shared: Path, cache: Path) -> None:
    found = open_exported(shared / "weights/yolo11n.pt", DetectorConfig(), "cpu", "x")
    assert found is not None
    weights, network, facts, *others = found.__reduce__()[1]
    wide = ExportedDetector(weights, network, facts.model_copy(update={"stride": 64}), *others)
    assert (found.image_size(144, 176), wide.image_size(144, 176)) == (352, 384)


def test_copies_find_the_same_and_what_is_no_picture_is_refused(
    shared: Path, cache: Path, pictures: list[Frame]
) -> None:
    detector = load_detector(str(shared / "weights/yolo11n.pt"), device="cpu")
    encoder = open_exported_encoder("default", EncoderConfig(), "cpu", "auto")
    assert isinstance(detector, ExportedDetector)
    assert encoder is not None
    for copied in (copy.deepcopy, lambda thing: pickle.loads(pickle.dumps(thing))):
        same(copied(detector)(pictures[:1])[0], detector(pictures[:1])[0])
        boxes = [[10, 10, 60, 150]]
        equal(copied(encoder).encode(pictures[0].image, boxes), encoder.encode(pictures[0].image, boxes))
    for odd in (pictures[0].image[..., 0], np.zeros((0, 0, 3), np.uint8)):
        with pytest.raises(ValueError, match="image 0: expected"):
            detector.find([odd])


def test_an_incomplete_folder_gives_way_to_a_whole_one(tmp_path: Path) -> None:
    target = tmp_path / "place/network.xml"
    before, made = {"place/other": ""}, {"a/whole/network.xml": "a", "b/whole/network.xml": "b"}
    for name, content in (before | made).items():
        (tmp_path / name).parent.mkdir(parents=True)
        (tmp_path / name).write_text(content)
    kept_exports._keep(tmp_path / "a/whole", target)
    assert [path.name for path in target.parent.iterdir()] == ["network.xml"]
    kept_exports._keep(tmp_path / "b/whole", target)
    assert target.read_text() == "a"


def test_weights_that_may_not_be_read_are_one_clear_line(
    shared: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(path: Path) -> str:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(kept_exports, "sha256", refuse)
    assert open_exported(shared / "weights/yolo11n.pt", DetectorConfig(), "cpu", "x") is None


def test_facts_of_both_precisions_are_kept(shared: Path, cache: Path) -> None:
    path = exported_file("openvino", shared / "weights/yolo11n.pt", DetectorConfig().max_detections)
    facts = read_facts(path)
    assert facts is not None
    assert facts.names[0] == "person"
    assert (facts.task, facts.stride, facts.suppressed) == ("detect", 32, False)
    (known,) = facts.precision.items()
    other = {"bf16": "fp32", "fp32": "bf16"}[known[0]]
    write_facts(path, facts.model_copy(update={"precision": {other: "fp32"}}))
    again = read_facts(path)
    assert again is not None
    assert again.precision == {known[0]: known[1], other: "fp32"}


def test_a_gpu_that_there_may_be_is_asked_for_by_torch(
    shared: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    weights = shared / "weights/yolo11n.pt"
    monkeypatch.setattr(machine, "may_have_gpu", lambda: True)
    assert open_exported(weights, DetectorConfig(), "auto", "x") is None
    assert open_exported(weights, DetectorConfig(), "cpu", "x") is not None
    assert open_exported_encoder("default", EncoderConfig(), "auto", "auto") is None
    assert open_exported_encoder("default", EncoderConfig(), "cpu", "auto") is not None


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_embeddings_are_those_of_openvino_in_torch_to_the_last_bit(
    cache: Path, pictures: list[Frame], precision: str
) -> None:
    theirs = Encoder.load(device="cpu", precision=precision, runtime="openvino")
    ours = open_exported_encoder("default", EncoderConfig(), "cpu", precision)
    assert ours is not None
    assert (ours.part_names, ours.dim, ours.input_size) == (theirs.part_names, theirs.dim, theirs.input_size)
    assert fingerprint.of_encoder(ours) == fingerprint.of_encoder(theirs)
    boxes = np.random.default_rng(0).uniform(0, 400, (19, 2)).repeat(2, 0).reshape(19, 4)
    boxes[:, 2:] += [40, 110]
    boxes[3] = np.nan
    images = [picture.image for picture in pictures[:2]]
    asked = images, [boxes, boxes[:2]]
    for found, expected in zip(ours.encode(*asked), theirs.encode(*asked), strict=True):
        equal(found, expected)
    # What else is in a frame changes nobody's.
    alone = ours.encode(images[0], boxes[5:6]).numpy().features
    np.testing.assert_array_equal(alone[0], ours.encode(images[0], boxes).numpy().features[5])
    crops = [image[10:200, 30:90] for image in images]
    equal(ours.encode_crops(crops), theirs.encode_crops(crops))
    assert len(ours.encode_crops([])) == len(ours.encode(images[0], [])) == 0


def test_torch_does_what_openvino_alone_cannot(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BPBREID_CACHE", str(tmp_path / "cache"))
    weights = tmp_path / "net.safetensors"
    save_checkpoint(network(), weights)
    settings = RunConfig()
    assert isinstance(load_encoder(weights, settings, "cpu", "fp32"), ExportedEncoder)
    painted = settings.model_copy(update={"draw": settings.draw.model_copy(update={"overlay": ("parts",)})})
    mirrored = settings.model_copy(update={"encoder": EncoderConfig(mirror=True)})
    in_torch = settings.model_copy(update={"encoder": EncoderConfig(runtime="torch")})
    for other in (painted, mirrored, in_torch):
        assert isinstance(load_encoder(weights, other, "cpu", "fp32"), Encoder)
    # Of a version that kept no fingerprint.
    path = openvino_file(weights)
    path.write_text(path.read_text().replace("&quot;weights&quot;", "&quot;before&quot;"))
    assert open_exported_encoder(weights, EncoderConfig(), "cpu", "fp32") is None
    assert isinstance(load_encoder(weights, settings, "cpu", "fp32"), Encoder)


def test_the_second_run_loads_neither_torch_nor_ultralytics_and_writes_the_same_tracks(
    shared: Path, cache: Path, tmp_path: Path
) -> None:
    program = (
        "import sys\n"
        "from bpbreid_track.cli.track import main\n"
        "try:\n"
        "    main()\n"
        "finally:\n"
        "    loaded = {'torch', 'torchvision', 'ultralytics'} & set(sys.modules)\n"
        "    print('loaded', sorted(loaded), file=sys.stderr)\n"
    )
    written = []
    for name, more in (("without", []), ("with", ["--overlay", "boxes,parts"])):
        tracks, video = tmp_path / f"{name}.txt", tmp_path / f"{name}.mp4"
        command = [sys.executable, "-c", program, str(shared / "data/mot/PETS09-S2L1-300"), "--device", "cpu"]
        command += ["--detector", str(shared / "weights/yolo11n.pt"), "--max-frames", "12", *more]
        command += ["--tracks", str(tracks), "--out", str(video)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        assert ("loaded []" in done.stderr) == (name == "without")
        written.append(tracks.read_bytes())
    assert written[0] == written[1] != b""


@pytest.mark.parametrize("asked", [None, "1"])
def test_threads_are_as_many_as_torch_will_take(asked: str | None) -> None:
    program = (
        "import bpbreid_track.machine as machine; own = machine.cpu_threads(); import torch;"
        "assert own == torch.get_num_threads() == machine.cpu_threads()"
    )
    environment = {name: value for name, value in os.environ.items() if not name.endswith("_NUM_THREADS")}
    environment |= {} if asked is None else {"OMP_NUM_THREADS": asked}
    subprocess.run([sys.executable, "-c", program], check=True, env=environment)


def test_threads_are_told_while_somebody_loads_torch_and_where_less_are_asked_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "torch", types.ModuleType("torch"))
    monkeypatch.delenv("MKL_NUM_THREADS", raising=False)
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    assert machine.cpu_threads() == 1
    monkeypatch.setenv("OMP_NUM_THREADS", "99")
    assert machine.cpu_threads() < 99
    for nonsense in ("", "0", "many"):
        monkeypatch.setenv("OMP_NUM_THREADS", nonsense)
        assert machine.cpu_threads() >= 1
    monkeypatch.setattr(machine, "_limit", None)
    machine.limit_threads(5)
    assert machine.cpu_threads() == 5


@pytest.mark.skipif(sys.platform == "darwin", reason="there only torch can tell")
def test_a_driver_is_a_gpu_that_there_may_be(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "_AMD_GPU", tmp_path / "none")
    monkeypatch.setattr(machine, "_NVIDIA_DRIVERS", ("no_such_library.so",))
    assert not machine.may_have_gpu()
    assert [machine.is_cpu(device) for device in ("auto", "cpu", "cuda")] == [True, True, False]
    monkeypatch.setattr(machine, "_NVIDIA_DRIVERS", (sys.modules["_ctypes"].__file__,))
    assert machine.may_have_gpu()
    monkeypatch.setattr(machine, "_NVIDIA_DRIVERS", ())
    monkeypatch.setattr(machine, "_AMD_GPU", tmp_path)
    assert machine.may_have_gpu()
    assert [machine.is_cpu(device) for device in ("auto", "cpu", "cuda")] == [False, True, False]


def test_tiles_are_told_as_torch_tells_them() -> None:
    assert machine.cpu_has_bf16() == bool(getattr(torch.cpu, "_is_amx_tile_supported", lambda: False)())
