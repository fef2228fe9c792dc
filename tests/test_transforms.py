"""Augmentation: what happens to the image happens to its part labels, and a seed says all of it."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from torch import Generator, Tensor
from torch.utils.data import DataLoader

from bpbreid_track.model.part_groups import CHANNELS, PART_GROUPS, mirrored_parts, part_names
from bpbreid_trainer.data import (
    NOT_COUNTED,
    Sample,
    TrainImages,
    build_transforms,
    group_fields,
    label_map,
    soft_maps,
)
from bpbreid_trainer.data.mask_files import write_fields
from bpbreid_trainer.data.transforms import IMAGENET_MEAN, IMAGENET_STD

SIZE = (128, 64)
LEFT_WRIST, RIGHT_WRIST, NOSE = (CHANNELS.index(name) for name in ("left_wrist", "right_wrist", "nose"))
# What stands for which part in the painted image.
COLOURS = {0: (0, 0, 255), 2: (255, 0, 0), 3: (0, 255, 0)}  # parts of 'eight': background, left and right arm


def painted_person(folder: Path, identity: int = 1) -> Sample:
    """Blue scene, a red left arm on the image's right, a green right arm on its left; labels to match."""
    image = np.full((*SIZE, 3), COLOURS[0], np.uint8)
    fields = np.zeros((36, *SIZE), np.float32)
    for channel, part, columns in ((LEFT_WRIST, 2, slice(40, 56)), (RIGHT_WRIST, 3, slice(8, 32))):
        image[32:96, columns] = COLOURS[part]
        fields[channel, 32:96, columns] = 1
    name = f"{identity:04d}_c1_1"
    folder.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(folder / f"{name}.png"), cv2.cvtColor(image, cv2.COLOR_RGB2BGR))
    write_fields(folder / f"{name}.npy", fields)
    return Sample(folder / f"{name}.png", identity, 0, folder / f"{name}.npy")


def pixels(image: Tensor) -> Tensor:
    """Back to 0 .. 255."""
    mean, std = (torch.tensor(v)[:, None, None] for v in (IMAGENET_MEAN, IMAGENET_STD))
    return (image * std + mean) * 255


def images_with(
    tmp_path: Path, soft: bool = False, map_size: tuple[int, int] = SIZE, **chances: float
) -> TrainImages:
    off = {"crop_padding": 0, "erase": 0.0}
    transform = build_transforms(SIZE, part_names("eight"), **{**off, **chances})
    samples = [painted_person(tmp_path, 1), painted_person(tmp_path, 2)]
    return TrainImages(samples, transform, "eight", map_size=map_size, soft=soft)


@pytest.mark.parametrize(
    "chances",
    [
        pytest.param({}, id="nothing"),
        pytest.param({"crop_padding": 10}, id="crop"),
        pytest.param({"erase": 1.0}, id="erase"),
        pytest.param({"crop_padding": 10, "erase": 1.0}, id="crop and erase"),
    ],
)
def test_labels_stay_with_the_pixels_they_describe(tmp_path: Path, chances: dict[str, float]) -> None:
    images = images_with(tmp_path, **chances)
    for seed in range(20):
        image, target, _, _ = images[0, seed]
        colours = pixels(image)
        for part in (2, 3):
            # A pixel is labelled as arm where it has the arm's colour, and only there (borders are blurred).
            seen = (colours - torch.tensor(COLOURS[part])[:, None, None]).abs().amax(0) < 40
            assert ((target == part) != seen).float().mean() < 0.02
        assert set(target.unique().tolist()) <= {0, 2, 3}


def test_a_mirrored_left_arm_is_a_right_arm(tmp_path: Path) -> None:
    straight, target, _, _ = images_with(tmp_path)[0, 5]
    mirrored, mirrored_target, _, _ = images_with(tmp_path, flip=1.0)[0, 5]
    assert torch.equal(mirrored, straight.flip(-1))
    swapped = target.flip(-1)
    expected = torch.where(swapped == 2, 3, torch.where(swapped == 3, 2, swapped))
    assert torch.equal(mirrored_target, expected)


def test_an_occluder_hides_parts_and_is_no_part(tmp_path: Path) -> None:
    covered = 0
    for seed in range(10):
        plain_image, plain, _, _ = images_with(tmp_path)[0, seed]
        image, target, _, _ = images_with(tmp_path, occlude=1.0)[0, seed]
        changed = ((image - plain_image).abs() > 0.05).any(0)
        assert not target[changed].any()
        assert torch.equal(target[~changed & (target > 0)], plain[~changed & (target > 0)])
        covered += int((plain > 0).sum() - (target > 0).sum())
    assert covered > 0


def test_erasing_fills_with_the_mean_colour_within_its_limits(tmp_path: Path) -> None:
    plain = images_with(tmp_path)[0, 0][0]
    shares = []
    for seed in range(40):
        image = images_with(tmp_path, erase=1.0)[0, seed][0]
        erased = (image != plain).any(0)
        shares.append(erased.float().mean().item())
        assert image[:, erased].abs().max() < 0.02  # the mean colour, normalised, is zero
    assert min(shares) >= 0.015
    assert 0.25 < max(shares) <= 0.42


def test_colours_change_and_labels_do_not(tmp_path: Path) -> None:
    plain, target, _, _ = images_with(tmp_path)[0, 3]
    image, same, _, _ = images_with(tmp_path, color_jitter=1.0)[0, 3]
    assert not torch.equal(image, plain)
    assert torch.equal(target, same)


def everything(tmp_path: Path) -> TrainImages:
    return images_with(
        tmp_path, crop_padding=10, erase=0.5, flip=0.5, color_jitter=0.5, occlude=0.5, map_size=(8, 4)
    )


def test_a_sample_is_a_function_of_its_seed_alone(tmp_path: Path) -> None:
    images = everything(tmp_path)
    first = images[0, 7]
    torch.manual_seed(123)
    np.random.seed(5)  # noqa: NPY002 - the global generators must not matter
    images[1, 3]
    again = images[0, 7]
    assert torch.equal(first[0], again[0])
    assert torch.equal(first[1], again[1])
    others = [images[0, seed][0] for seed in range(8, 16)]
    assert len({tuple(image.flatten()[::97].tolist()) for image in others}) == 8


def test_drawing_a_sample_leaves_the_global_generators_alone(tmp_path: Path) -> None:
    before = torch.get_rng_state()
    everything(tmp_path)[0, 3]
    assert torch.equal(before, torch.get_rng_state())


def test_workers_do_not_change_the_batches(tmp_path: Path) -> None:
    keys = [(index % 2, 100 + index) for index in range(8)]
    batches = [
        list(DataLoader(everything(tmp_path), batch_size=4, sampler=keys, num_workers=workers))
        for workers in (0, 2)
    ]
    for alone, helped in zip(*batches, strict=True):
        assert all(torch.equal(a, b) for a, b in zip(alone, helped, strict=True))


def test_images_without_labels_are_not_counted(tmp_path: Path) -> None:
    labelled = painted_person(tmp_path, 1)
    nobody = Sample(labelled.path, 2, 0, tmp_path / "nobody.npy")
    write_fields(tmp_path / "nobody.npy", np.zeros((36, 32, 16)))
    transform = build_transforms(SIZE, part_names("five"))
    images = TrainImages([labelled, Sample(labelled.path, 1, 0), nobody], transform, "five", map_size=(8, 4))
    assert (images[1][1] == NOT_COUNTED).all()
    assert (images[2][1] == NOT_COUNTED).all()
    assert (images[0][1] >= 0).all()
    assert images[0][1].shape == images[1][1].shape == (8, 4)
    assert images[0][1].dtype == torch.int64


def test_identities_are_numbered_in_order(tmp_path: Path) -> None:
    sample = painted_person(tmp_path)
    samples = [Sample(sample.path, person, camera) for person, camera in ((7, 2), (3, 1), (7, 0))]
    images = TrainImages(samples, build_transforms(SIZE, part_names("five")), "five")
    assert (images.labels, images.num_identities, images.person_ids) == ([1, 0, 1], 2, [3, 7])
    assert [images[index][2:] for index in range(3)] == [(1, 2), (0, 1), (1, 0)]


def test_without_augmentation_the_image_is_what_the_encoder_sees(shared: Path) -> None:
    path = sorted((shared / "data/market1501-split/query").glob("*.jpg"))[0]
    transform = build_transforms((256, 128), part_names("five"), crop_padding=0, erase=0)
    image = TrainImages([Sample(path, 1, 0)], transform, "five")[0][0]
    resized = cv2.resize(cv2.cvtColor(cv2.imread(str(path)), cv2.COLOR_BGR2RGB), (128, 256))
    expected = (resized / 255 - IMAGENET_MEAN) / IMAGENET_STD
    np.testing.assert_allclose(image.permute(1, 2, 0).numpy(), expected, atol=1e-5)


def test_a_sharp_image_is_made_as_coarse_as_the_source_size() -> None:
    noise = np.random.default_rng(0).integers(0, 256, (200, 100, 3), dtype=np.uint8)
    coarse = cv2.resize(noise, (16, 32))
    transform = build_transforms(
        (64, 32),
        part_names("five"),
        crop_padding=0,
        erase=0,
        mean=(0, 0, 0),
        std=(1, 1, 1),
        source_size=(32, 16),
    )
    expected = torch.from_numpy(cv2.resize(coarse, (32, 64))).permute(2, 0, 1) / 255
    for image in (noise, coarse):  # one that has this size already stays as it is
        made, placement, _ = transform(image, Generator().manual_seed(0), lambda _: noise)
        torch.testing.assert_close(made, expected)
        assert placement.size == (64, 32)


# ---------------------------------------------------------------- grouping


def test_grouping_agrees_with_a_slow_loop() -> None:
    fields = torch.rand(36, 9, 5, generator=Generator().manual_seed(0))
    for name, parts in PART_GROUPS.items():
        channels = list(parts.values())
        labels = label_map(group_fields(fields, channels), 0.8)
        for row in range(9):
            for column in range(5):
                strengths = [max(fields[c, row, column].item() for c in part) for part in channels]
                best = max(range(len(strengths)), key=lambda k: (strengths[k], -k))
                expected = 1 + best if strengths[best] >= 0.8 else 0
                assert labels[row, column] == expected, name


def test_soft_maps_are_sharp_probabilities() -> None:
    parts = torch.tensor([[[0.9, 0.1]], [[0.2, 0.3]]])
    soft = soft_maps(parts)
    torch.testing.assert_close(soft.sum(0), torch.ones(1, 2))
    torch.testing.assert_close(soft[:, 0, 0], (15 * torch.tensor([0.0, 0.9, 0.2])).softmax(0))
    torch.testing.assert_close(soft[:, 0, 1], (15 * torch.tensor([1.0, 0.1, 0.3])).softmax(0))


def test_soft_targets_on_request(tmp_path: Path) -> None:
    _, target, _, _ = images_with(tmp_path, soft=True, map_size=(32, 16))[0]
    assert target.shape == (9, 32, 16)
    assert target.dtype == torch.float32
    torch.testing.assert_close(target.sum(0), torch.ones(32, 16))


@pytest.mark.parametrize("group", PART_GROUPS)
def test_mirroring_twice_changes_nothing(group: str) -> None:
    names = part_names(group)
    mirror = mirrored_parts(names)
    assert [mirror[part] for part in mirror] == list(range(len(names)))
    for name, part in zip(names, mirror, strict=True):
        assert names[part] == name.replace("left", "?").replace("right", "left").replace("?", "right")


def test_a_lonely_left_part_cannot_be_mirrored() -> None:
    with pytest.raises(ValueError, match="'left_arm' has no mirror image"):
        mirrored_parts(["head", "left_arm"])


def test_labels_keep_their_order_from_head_to_feet(tmp_path: Path) -> None:
    """A coarse field is read at the right place on any map: bands stay bands, at their heights."""
    fields = np.zeros((36, 10, 5), np.float32)
    bands = {"nose": (0, 2), "left_shoulder_to_left_hip": (2, 5), "left_knee": (5, 8), "left_ankle": (8, 10)}
    for name, (top, bottom) in bands.items():
        fields[CHANNELS.index(name), top:bottom] = 1
    sample = painted_person(tmp_path)
    write_fields(tmp_path / "bands.npy", fields)
    images = TrainImages(
        [Sample(sample.path, 1, 0, tmp_path / "bands.npy")],
        build_transforms(SIZE, part_names("five"), crop_padding=0, erase=0),
        "five",
        map_size=(40, 20),
    )
    column = images[0][1][:, 10].tolist()
    head, torso, legs, feet = (1 + part_names("five").index(n) for n in ("head", "torso", "legs", "feet"))
    assert sorted(set(column), key=column.index) == [head, torso, legs, feet]
    edges = [row + 1 for row, (above, below) in enumerate(pairwise(column)) if above != below]
    assert np.abs(np.array(edges) - [8, 20, 32]).max() <= 1
