"""Other cameras' light, sharpness and boxes: pictures change within bounds, labels follow."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
import torch
from torch import Generator, Tensor

from bpbreid_track.io.sources.images import read_image
from bpbreid_trainer.data.conditions import degrade, recolour, relight, truncate
from bpbreid_trainer.data.placement import Placement

SIZE = (128, 64)


@pytest.fixture(scope="module")
def person(shared) -> Tensor:
    """A crop of a real person, uint8 [3, 128, 64]."""
    path = sorted((shared / "data/market1501-split/bounding_box_train").glob("*.jpg"))[0]
    image = read_image(path)
    assert image is not None
    return torch.from_numpy(cv2.cvtColor(image, cv2.COLOR_BGR2RGB)).permute(2, 0, 1).contiguous()


def on_tensors(change):
    """A change of arrays [h, w, 3] as one of tensors [3, h, w]."""

    def changed(image: Tensor, rng: Generator) -> Tensor:
        return torch.from_numpy(change(image.permute(1, 2, 0).numpy(), rng)).permute(2, 0, 1)

    return changed


def variants(change, person: Tensor, count: int = 60) -> list[Tensor]:
    return [change(person, Generator().manual_seed(seed)) for seed in range(count)]


@pytest.mark.parametrize("change", [on_tensors(relight), on_tensors(recolour), degrade])
def test_a_picture_stays_a_picture_of_its_size_and_the_given_one_stays_as_it_is(change, person) -> None:
    before = person.clone()
    made = variants(change, person)
    assert all(one.dtype == torch.uint8 and one.shape == person.shape for one in made)
    assert torch.equal(person, before)
    assert torch.equal(made[7], change(person, Generator().manual_seed(7)))
    assert sum(not torch.equal(one, person) for one in made) > 50


def test_light_changes_in_both_directions_and_some_pictures_are_grey(person) -> None:
    made = variants(on_tensors(relight), person, 200)
    brightness = [one.float().mean().item() / person.float().mean().item() for one in made]
    assert min(brightness) < 0.8
    assert max(brightness) > 1.2
    grey = [bool((one.float().amax(0) - one.float().amin(0)).max() <= 1) for one in made]
    assert 5 <= sum(grey) <= 40


def test_turned_hues_leave_light_and_shade_as_they_are(person) -> None:
    for one in variants(on_tensors(recolour), person):
        assert (one.float().amax(0) - person.float().amax(0)).abs().max() <= 2


def test_losses_take_away_detail_or_add_noise_but_no_colour(person) -> None:
    made = variants(degrade, person)
    for one in made:
        assert (one.float().mean((1, 2)) - person.float().mean((1, 2))).abs().max() < 6
    sharpness = [cv2.Laplacian(one.permute(1, 2, 0).numpy(), cv2.CV_32F).var() for one in (person, *made)]
    assert np.median(sharpness[1:]) < sharpness[0]


def test_a_box_around_less_shows_the_upper_part_or_one_side() -> None:
    rows = torch.arange(SIZE[0])[:, None].expand(SIZE)
    columns = 2 * torch.arange(SIZE[1])[None].expand(SIZE)
    ruler = torch.stack([rows, columns, torch.zeros(SIZE)]).to(torch.uint8)
    kinds = set()
    for seed in range(60):
        made, placement = truncate(ruler, Placement(SIZE), Generator().manual_seed(seed))
        assert placement.window is not None
        top, left, height, width = placement.window
        assert top == 0
        assert 0.39 * SIZE[0] <= height
        assert 0.49 * SIZE[1] <= width
        shown = made[0].float().amax().item(), made[1].float().amin().item() / 2
        assert shown[0] == pytest.approx(top + height - 1, abs=2)
        assert shown[1] == pytest.approx(left, abs=2)
        kinds.add("upper" if height < SIZE[0] else "left" if left == 0 else "right")
    assert kinds == {"upper", "left", "right"}


def test_labels_follow_a_box_around_less() -> None:
    # One part fills rows 32 to 63 of 128; the box shows the upper 64 rows.
    parts = torch.zeros(1, *SIZE)
    parts[0, 32:64] = 1
    placement = Placement(SIZE, window=(0, 0, 64, 64))
    found = placement.sample(parts, SIZE, [0])[0]
    assert (found[66:126] > 0.9).all()
    assert (found[:62] < 0.1).all()
    moved = Placement(SIZE, window=(0, 0, 64, 64), shift=(10, 0)).sample(parts, SIZE, [0])[0]
    assert (moved[56:116] > 0.9).all()
    assert (moved[:52] < 0.1).all()
