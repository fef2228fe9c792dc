"""People made of the pieces of others: what is said to change does, the rest stays."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from reid_scene import make_reid_set
from torch import Generator

from bpbreid_trainer.data import load_dataset
from bpbreid_trainer.data.made_up import blended, redress, set_before
from bpbreid_trainer.data.samples import read_image
from bpbreid_trainer.inputs import train_images
from bpbreid_trainer.options import MADE_UP, TrainOptions

SEEDS = range(30)


@pytest.fixture(scope="module")
def people(shared) -> tuple[np.ndarray, np.ndarray]:
    """Crops of two real people, uint8 [128, 64, 3]."""
    paths = sorted((shared / "data/market1501-split/bounding_box_train").glob("*.jpg"))
    return read_image(paths[0]), read_image(paths[-1])


@pytest.fixture(scope="module")
def parts() -> torch.Tensor:
    """Two parts in the middle, one above the other, to the cell: float [2, 16, 8]."""
    maps = torch.zeros(2, 16, 8)
    maps[0, 2:8, 2:6] = 1
    maps[1, 8:14, 2:6] = 1
    return maps


def changed(image: np.ndarray, other: np.ndarray) -> np.ndarray:
    return (image.astype(int) != other).any(-1)


def test_other_clothes_are_on_the_person_and_on_one_part_at_times(people, parts) -> None:
    person = people[0]
    upper = lower = one_only = 0
    for seed in SEEDS:
        made = redress(person, parts, Generator().manual_seed(seed))
        assert made.dtype == np.uint8
        assert made.shape == person.shape
        where = changed(made, person)
        assert not where[:, :8].any()
        assert not where[:8].any()
        above, below = where[20:56, 20:44].mean() > 0.5, where[72:108, 20:44].mean() > 0.5
        upper, lower, one_only = upper + above, lower + below, one_only + (above != below)
    assert min(upper, lower, one_only) >= 5


def test_another_scene_leaves_the_person_as_they_are(people, parts) -> None:
    person, other = people
    for seed in SEEDS:
        made = set_before(person, parts, other, Generator().manual_seed(seed))
        where = changed(made, person)
        assert not where[20:108, 20:44].any()
        assert where[:, :8].mean() > 0.8


def test_where_nobody_was_found_the_scene_stays(people, parts) -> None:
    person, other = people
    assert set_before(person, torch.zeros(2, 1, 1), other, Generator().manual_seed(0)) is person


def test_somebody_shines_through_but_the_person_stays_the_brighter_one(people) -> None:
    person, other = (image.astype(float) for image in people)
    for seed in SEEDS:
        made = blended(*people, Generator().manual_seed(seed)).astype(float)
        share = ((made - person) * (other - person)).sum() / ((other - person) ** 2).sum()
        assert -0.01 <= share <= 0.41
        assert np.abs(person + share * (other - person) - made).max() <= 1.5


@pytest.mark.parametrize("name", MADE_UP)
def test_a_made_up_person_is_a_function_of_the_seed_and_keeps_labels(name, shared, tmp_path: Path) -> None:
    root = make_reid_set(shared, tmp_path / "set")
    made, kept = (
        train_images(
            TrainOptions.model_validate(
                {"augment": {"crop_padding": 0, "erase": 0, name: share}, "loss": {"weights": {}}}
            ),
            load_dataset(root),
            stride=4,
            size=(64, 32),
        )
        for share in (1.0, 0.0)
    )
    again = [made[(0, seed)] for seed in (1, 1, 2, 3, 4)]
    assert torch.equal(again[0][0], again[1][0])
    assert len({item[0].numpy().tobytes() for item in again}) >= 3
    assert all(torch.equal(item[1], kept[(0, 1)][1]) for item in again)


@pytest.mark.parametrize("name", ["recolour", *MADE_UP])
def test_made_up_people_and_losses_on_identities_do_not_go_together(name) -> None:
    with pytest.raises(ValueError, match=rf"augment\.{name} with losses on identities"):
        TrainOptions.model_validate({"augment": {name: 0.5}})
