"""Crops: rounding and clipping of boxes, and the resize held against cv2.resize on real frames."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from bpbreid_track.frames import check_image
from bpbreid_track.model.crops import CropSource, DeviceCrops, TensorCrops, crop_source, normalise
from bpbreid_track.model.host_crops import check_boxes, pixel_boxes

CPU = torch.device("cpu")
SIZE = (256, 128)


def on_host(images: list[np.ndarray], through: tuple[int, int] | None = None) -> CropSource:
    return TensorCrops(images, through)


def on_device(images: list[np.ndarray], through: tuple[int, int] | None = None) -> CropSource:
    return DeviceCrops(images, CPU, through)  # the accelerator's arithmetic, on the CPU


both_ways = pytest.mark.parametrize("source", [on_host, on_device])


def resized_by_opencv(image: np.ndarray, box: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    x1, y1, x2, y2 = box
    crop = cv2.resize(image[y1:y2, x1:x2], size[::-1], interpolation=cv2.INTER_LINEAR)
    return crop[..., ::-1].astype(int)


def noise(height: int, width: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


# ------------------------------------------------------------------ the resize


@both_ways
def test_real_crops_are_resized_as_opencv_does(source, shared: Path) -> None:
    folder = shared / "data/market1501-split/query"
    crops = [cv2.imread(str(path)) for path in sorted(folder.glob("*.jpg"))[:12]]
    boxes = np.array([[0, 0, crop.shape[1], crop.shape[0]] for crop in crops])
    cut = source(crops).cut(np.arange(len(crops)), boxes, SIZE).numpy().astype(int)
    expected = np.stack([resized_by_opencv(crop, box, SIZE) for crop, box in zip(crops, boxes, strict=True)])
    assert np.abs(cut - expected).mean() < 0.2
    assert np.abs(cut - expected).max() <= 1


@both_ways
def test_people_of_a_real_frame_are_resized_as_opencv_does(source, shared: Path) -> None:
    sequence = shared / "data/mot/PETS09-S2L1-300"
    frame = cv2.imread(str(sorted((sequence / "img1").glob("*"))[0]))
    rows = np.loadtxt(sequence / "gt/gt.txt", delimiter=",")
    left, top, width, height = rows[rows[:, 0] == 1][:, 2:6].T
    boxes, usable = pixel_boxes(np.column_stack([left, top, left + width, top + height]), *frame.shape[:2])
    assert usable.all()
    cut = source([frame]).cut(np.zeros(len(boxes), int), boxes, SIZE).numpy().astype(int)
    expected = np.stack([resized_by_opencv(frame, box, SIZE) for box in boxes])
    assert np.abs(cut - expected).mean() < 0.2
    assert np.abs(cut - expected).max() <= 1


@both_ways
@pytest.mark.parametrize(
    "box",
    [
        pytest.param([0, 0, 128, 256], id="same size"),
        pytest.param([3, 5, 4, 6], id="one pixel"),
        pytest.param([10, 10, 11, 200], id="one column"),
        pytest.param([0, 0, 300, 400], id="whole image, shrunk"),
        pytest.param([290, 390, 300, 400], id="in the corner, enlarged"),
    ],
)
def test_noise_of_any_extent_is_resized_as_opencv_does(source, box: list[int]) -> None:
    image, boxes = noise(400, 300), np.array([box])
    cut = source([image]).cut(np.zeros(1, int), boxes, SIZE).numpy()[0]
    assert np.abs(cut - resized_by_opencv(image, boxes[0], SIZE)).max() <= 1


@both_ways
def test_on_the_way_through_a_smaller_size_crops_lose_what_it_cannot_hold(source) -> None:
    image, boxes = noise(400, 300), np.array([[0, 0, 300, 400], [3, 5, 40, 90], [10, 10, 11, 12]])
    cut = source([image], (64, 32)).cut(np.zeros(3, int), boxes, (96, 48)).numpy().astype(int)
    small = [resized_by_opencv(image, box, (64, 32))[..., ::-1].astype(np.uint8) for box in boxes]
    expected = [resized_by_opencv(crop, np.array([0, 0, 32, 64]), (96, 48)) for crop in small]
    assert np.abs(cut - np.stack(expected)).max() <= 2  # two roundings
    assert np.abs(cut[0] - resized_by_opencv(image, boxes[0], (96, 48))).mean() > 10


@both_ways
def test_pixels_outside_the_box_do_not_leak_in(source) -> None:
    image = np.full((40, 40, 3), 255, np.uint8)
    image[10:20, 10:20] = 0
    cut = source([image]).cut(np.zeros(1, int), np.array([[10, 10, 20, 20]]), SIZE)
    assert cut.max() == 0


@both_ways
def test_crops_of_several_images_of_different_sizes_keep_their_order(source) -> None:
    images = [np.full((20 + i, 30 - i, 3), 50 * i, np.uint8) for i in range(4)]
    index = np.array([2, 0, 3, 1, 2])
    cut = source(images).cut(index, np.array([[1, 1, 9, 9]] * 5), (16, 8))
    assert cut[:, 0, 0, 0].tolist() == [100, 0, 150, 50, 100]


@both_ways
def test_channels_come_out_as_red_green_blue(source) -> None:
    image = np.zeros((8, 8, 3), np.uint8)
    image[..., 0] = 255  # blue
    cut = source([image]).cut(np.zeros(1, int), np.array([[0, 0, 8, 8]]), (4, 4))
    assert cut[0, 0, 0].tolist() == [0, 0, 255]


def test_large_images_are_uploaded_apart_and_small_ones_together_with_the_same_result() -> None:
    large = [noise(700, 800, seed) for seed in range(2)]
    small = [image[:50, :40].copy() for image in large]
    boxes, index = np.array([[2, 3, 30, 45]] * 2), np.arange(2)
    torch.testing.assert_close(
        on_device(large).cut(index, boxes, (32, 16)), on_device(small).cut(index, boxes, (32, 16))
    )


def test_the_cpu_gets_opencv_crops_and_others_batched_ones() -> None:
    assert isinstance(crop_source([noise(4, 4)], CPU), TensorCrops)
    assert isinstance(crop_source([noise(4, 4)], torch.device("meta")), DeviceCrops)


def test_normalising_subtracts_the_mean_and_divides_by_the_deviation() -> None:
    images = torch.from_numpy(np.stack([noise(6, 4, 0), noise(6, 4, 1)]))
    mean, std = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
    ready = normalise(images, mean, std)
    slow = (images.permute(0, 3, 1, 2) / 255 - torch.tensor(mean)[:, None, None]) / torch.tensor(std)[
        :, None, None
    ]
    torch.testing.assert_close(ready, slow, atol=1e-5, rtol=1e-5)
    assert ready.is_contiguous(memory_format=torch.channels_last)


# ------------------------------------------------------------------ boxes


@pytest.mark.parametrize(
    ("box", "expected"),
    [
        pytest.param([10.4, 10.6, 20.5, 30.2], [10, 11, 20, 30], id="rounded"),
        pytest.param([-5, -7, 20, 30], [0, 0, 20, 30], id="clipped at the upper left"),
        pytest.param([90, 40, 130, 80], [90, 40, 100, 50], id="clipped at the lower right"),
        pytest.param([-1e30, -1e30, 1e30, 1e30], [0, 0, 100, 50], id="far too large"),
        pytest.param([10, 10, 10, 30], None, id="no width"),
        pytest.param([20, 10, 10, 30], None, id="negative width"),
        pytest.param([10.1, 10, 10.3, 30], None, id="less than half a pixel"),
        pytest.param([100, 10, 120, 30], None, id="right of the image"),
        pytest.param([-30, 10, 0, 30], None, id="left of the image"),
        pytest.param([np.nan, 10, 20, 30], None, id="not a number"),
        pytest.param([0, 0, np.inf, 30], None, id="infinite"),
    ],
)
def test_boxes_are_rounded_and_clipped_or_unusable(box: list[float], expected: list[int] | None) -> None:
    boxes, usable = pixel_boxes(np.array([box], dtype=float), 50, 100)
    assert usable.tolist() == [expected is not None]
    assert boxes[0].tolist() == (expected or [0, 0, 0, 0])


@pytest.mark.parametrize(
    "boxes", [[], np.zeros((0, 4)), np.zeros(0), torch.zeros(0, 4)], ids=["list", "[0, 4]", "[0]", "tensor"]
)
def test_no_boxes_in_any_form_are_no_boxes(boxes: object) -> None:
    assert check_boxes(boxes).shape == (0, 4)


@pytest.mark.parametrize(
    "boxes",
    [
        pytest.param([1, 2, 3, 4], id="one flat box"),
        pytest.param(np.zeros((2, 5)), id="five columns"),
        pytest.param([["a", "b", "c", "d"]], id="letters"),
        pytest.param([[1, 2, 3, 4], [1, 2]], id="ragged"),
    ],
)
def test_boxes_of_another_shape_are_refused_by_name(boxes: object) -> None:
    with pytest.raises(ValueError, match=r"where: expected .*\[N, 4\].* got"):
        check_boxes(boxes, "where")


@pytest.mark.parametrize(
    ("image", "found"),
    [
        pytest.param(np.zeros((4, 5), np.uint8), r"uint8 \[4, 5\].*GRAY2BGR", id="grey"),
        pytest.param(np.zeros((4, 5, 4), np.uint8), r"uint8 \[4, 5, 4\].*BGRA2BGR", id="four channels"),
        pytest.param(np.zeros((4, 5, 3), np.float32), r"float32 \[4, 5, 3\]", id="float"),
        pytest.param(torch.zeros(4, 5, 3), "Tensor", id="tensor"),
        pytest.param(None, "NoneType", id="nothing"),
    ],
)
def test_images_of_another_kind_are_refused_with_the_mend(image: object, found: str) -> None:
    with pytest.raises(ValueError, match=r"frame: expected .*uint8 \[H, W, 3\] in BGR, got .*" + found):
        check_image(image)


def test_a_mirrored_view_of_an_image_is_taken() -> None:
    image = noise(30, 20)
    assert np.array_equal(check_image(image[:, ::-1]), image[:, ::-1])


def test_boxes_may_be_of_any_float_type_that_torch_has() -> None:
    rows = [[1.0, 2.0, 30.0, 40.5]]
    for kind in (torch.bfloat16, torch.float16, torch.float64, torch.float32):
        assert check_boxes(torch.tensor(rows, dtype=kind)).tolist() == rows
