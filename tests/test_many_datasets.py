"""Training on several data sets at once: nobody is mixed up, each has its share, figures are per set."""

from __future__ import annotations

import shutil
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from reid_scene import make_reid_set

from bpbreid_track.errors import InputError, UsageError
from bpbreid_trainer.data import ReidDataset, Sample, joined
from bpbreid_trainer.engine import fit
from bpbreid_trainer.inputs import datasets
from bpbreid_trainer.logs import read_table
from bpbreid_trainer.losses import part_averaged_triplet_loss
from bpbreid_trainer.options import TrainOptions, read_options
from bpbreid_trainer.sampler import pk_batches

SMALL = {"backbone": "efficientnet_lite0", "input_size": (64, 32), "dim": 32}


def a_set(name: str, people: int, cameras: int, images: int = 8) -> ReidDataset:
    """``people`` with identities from 1, seen by ``cameras`` in turn."""
    samples = [
        Sample(Path(f"{name}{person}_{image}.jpg"), 1 + person, image % cameras)
        for person in range(people)
        for image in range(images)
    ]
    return ReidDataset(name, Path(name), train=samples)


def test_equal_numbers_of_different_sets_are_different_people_and_cameras() -> None:
    one, two = a_set("one", 3, 2), a_set("two", 2, 4)
    both = joined([one, two]).train
    who = {(sample.path.name[:3], int(sample.path.name[3])): sample.person_id for sample in both}
    assert len(set(who.values())) == 5
    cameras = {name: {s.camera for s in both if s.path.name.startswith(name)} for name in ("one", "two")}
    assert (len(cameras["one"]), len(cameras["two"])) == (2, 4)
    assert not cameras["one"] & cameras["two"]
    assert [sample.dataset for sample in both] == [0] * 24 + [1] * 16
    assert joined([one]) is one


@pytest.mark.parametrize("epoch", range(3))
def test_each_set_has_its_share_of_every_batch(epoch: int) -> None:
    samples = joined([a_set("large", 60, 2), a_set("small", 20, 2)]).train
    labels, sets = [s.person_id for s in samples], [s.dataset for s in samples]
    batches = pk_batches(labels, 8, 4, seed=0, epoch=epoch, even=True, sets=sets)
    for batch in batches:
        people = Counter(sets[row] for row in batch[::4])
        assert people == {0: 6, 1: 2}
    assert len(batches) >= 18  # of 20, if none were left over


def test_a_small_set_still_has_somebody_to_tell_apart() -> None:
    samples = joined([a_set("large", 200, 2), a_set("tiny", 3, 2, images=80)]).train
    labels, sets = [s.person_id for s in samples], [s.dataset for s in samples]
    for batch in pk_batches(labels, 8, 4, seed=0, epoch=0, even=True, sets=sets)[:20]:
        assert sum(sets[row] == 1 for row in batch[::4]) == 2


def test_images_of_an_identity_are_of_as_many_cameras_as_there_are() -> None:
    # 20 images by camera 0, two by each of three others
    cameras = [0] * 20 + [1, 1, 2, 2, 3, 3]
    labels = [5] * 26 + [6] * 26
    groups = Counter[tuple[int, int]]()
    for batch in pk_batches(labels, 2, 4, seed=1, epoch=0, even=True, cameras=cameras * 2):
        for at in (0, 4):
            rows = batch[at : at + 4]
            groups[labels[rows[0]], len({(cameras * 2)[row] for row in rows})] += 1
    assert groups == {(5, 4): 2, (5, 1): 4, (6, 4): 2, (6, 1): 4}


def test_negatives_are_of_the_set_of_the_anchor() -> None:
    # Somebody of the other set lies between the two people of this one.
    parts = torch.tensor([[[0.0]], [[1.0]], [[1.1]], [[3.0]]])
    labels, sets = torch.tensor([0, 0, 9, 1]), torch.tensor([0, 0, 1, 0])
    mixed = part_averaged_triplet_loss(parts, labels, 0.3)
    within = part_averaged_triplet_loss(parts, labels, 0.3, sets=sets)
    assert mixed.item() == pytest.approx((0.2 + 1.2) / 2)  # |0-1| - |0-1.1| + .3, |1-0| - |1-1.1| + .3
    assert within.item() == 0


def test_a_run_on_two_sets_reports_each_and_their_mean(shared: Path, tmp_path: Path) -> None:
    first = make_reid_set(shared, tmp_path / "first")
    second = Path(shutil.copytree(first, tmp_path / "second"))
    changes: dict[str, Any] = {
        "data": {"root": [str(first), str(second)]},
        "output": str(tmp_path / "run"),
        "model": SMALL,
        "pretrained": False,
        "identities_per_batch": 4,
        "sampling": "balanced",
        "epochs": 1,
        "workers": 0,
        "device": "cpu",
        "augment": {"relight": 1, "truncate": 1, "degrade": 1},
    }
    report = fit(TrainOptions.model_validate(changes), quiet=True)
    (row,) = read_table(tmp_path / "run" / "scores.csv")
    assert row["mAP"] == pytest.approx((row["mAP_first"] + row["mAP_second"]) / 2, abs=1e-5)
    assert report.metrics is not None
    assert report.metrics.mAP == pytest.approx(row["mAP"], abs=1e-5)
    alone = TrainOptions.model_validate({**changes, "data": {"root": str(first)}})
    assert len(datasets(TrainOptions.model_validate(changes))[0].train) == 2 * len(datasets(alone)[0].train)


def test_labels_are_named_for_each_set_or_for_all() -> None:
    data = read_options("small", ["data.root=[a, b]", "data.masks=[x, y]"]).data
    assert data.sources() == [("a", "auto", "x"), ("b", "auto", "y")]
    assert read_options("small", ["data.root=[a, b]"]).data.sources()[1] == ("b", "auto", "")
    with pytest.raises(UsageError, match=r"data\.masks: 3 for the 2 of data\.root"):
        read_options("small", ["data.root=[a, b]", "data.masks=[x, y, z]"]).data.sources()


@pytest.mark.parametrize("setting", ["root", "test_root"])
def test_a_set_that_is_named_twice_is_refused(setting: str, shared: Path, tmp_path: Path) -> None:
    first = make_reid_set(shared, tmp_path / "first", people=2)
    (tmp_path / "link").symlink_to(first)
    data = {"root": str(first)} | {setting: [str(first), str(tmp_path / "link")]}
    with pytest.raises(
        InputError, match=rf"data\.{setting}: .*first and .*link are one data set; name it once"
    ):
        datasets(TrainOptions.model_validate({"data": data, "model": SMALL}))


def test_a_set_in_which_nobody_can_be_found_again_is_refused_before_training(
    shared: Path, tmp_path: Path
) -> None:
    root = make_reid_set(shared, tmp_path / "set", people=2)
    for path in [*root.glob("query/*.jpg"), *root.glob("bounding_box_test/*.jpg")]:
        path.rename(path.with_name(path.name.replace("_c", "_c1_was")))  # one camera
    for data in ({"root": str(root)}, {"root": str(root), "test_root": str(root)}):
        with pytest.raises(InputError, match=r"set: no query shows somebody whom another camera"):
            datasets(TrainOptions.model_validate({"data": data, "model": SMALL}))


def test_two_folders_of_one_name_are_told_apart_in_the_scores(shared: Path, tmp_path: Path) -> None:
    first = make_reid_set(shared, tmp_path / "a" / "set")
    second = Path(shutil.copytree(first, tmp_path / "b" / "set"))
    settings = {
        "data": {"root": [str(first), str(second)]},
        "output": str(tmp_path / "run"),
        "model": SMALL,
        "pretrained": False,
        "identities_per_batch": 4,
        "epochs": 1,
        "workers": 0,
        "device": "cpu",
    }
    fit(TrainOptions.model_validate(settings), quiet=True)
    (row,) = read_table(tmp_path / "run" / "scores.csv")
    named = [name for name in row if name.startswith("mAP_")]
    assert len(named) == 2
    assert np.isfinite([row[name] for name in named]).all()
