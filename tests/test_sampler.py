"""Batches of P identities with K images each."""

from __future__ import annotations

import weakref
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import torch
from reid_scene import make_reid_set

from bpbreid_track.errors import InputError
from bpbreid_trainer.data import load_dataset
from bpbreid_trainer.data.samples import images as image_files
from bpbreid_trainer.inputs import batch_loader, train_images
from bpbreid_trainer.options import TrainOptions
from bpbreid_trainer.processes import Processes
from bpbreid_trainer.sampler import BatchSampler, pk_batches

LABELS = [person for person, images in enumerate([9, 4, 2, 7, 5, 4, 12]) for _ in range(images)]


def test_every_batch_has_p_identities_with_k_images_each():
    batches = pk_batches(LABELS, 3, 4, seed=0, epoch=0)
    assert batches
    for batch in batches:
        assert Counter(Counter(LABELS[row] for row in batch).values()) == {4: 3}


def test_images_repeat_only_where_an_identity_has_too_few():
    seen = Counter(row for batch in pk_batches(LABELS, 3, 4, seed=0, epoch=0) for row in batch)
    assert all(LABELS[row] == 2 for row, times in seen.items() if times > 1)


def test_batches_depend_on_seed_and_epoch_alone():
    first = pk_batches(LABELS, 3, 4, seed=0, epoch=0)
    assert first == pk_batches(LABELS, 3, 4, seed=0, epoch=0)
    assert first != pk_batches(LABELS, 3, 4, seed=0, epoch=1)
    assert first != pk_batches(LABELS, 3, 4, seed=1, epoch=0)


@pytest.mark.parametrize(
    "labels", [[0, 1], [0, 0, 1, 1, 2], LABELS], ids=["two images", "three people", "seven"]
)
def test_fewer_identities_than_asked_for_still_make_an_epoch(labels):
    batches = pk_batches(labels, 16, 4, seed=0, epoch=0)
    assert batches
    assert all({labels[row] for row in batch} == set(labels) for batch in batches)


@pytest.mark.parametrize("labels", [[], [5, 5, 5]], ids=["nobody", "one"])
def test_one_identity_is_an_error(labels):
    with pytest.raises(InputError, match="at least 2"):
        pk_batches(labels, 16, 4, seed=0, epoch=0)


def test_processes_share_the_batches_of_one():
    whole = BatchSampler(LABELS, 2, 4, seed=3)
    halves = [BatchSampler(LABELS, 2, 4, seed=3, rank=rank, world=2) for rank in (0, 1)]
    assert [a + b for a, b in zip(*halves, strict=True)] == list(whole)


def test_a_process_reads_the_images_of_its_slices_alone_and_keeps_none(
    shared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = load_dataset(make_reid_set(shared, tmp_path / "set", people=4))
    augment = {"occlude": 0, "collage": 0}  # they look at other people's images
    options = TrainOptions.model_validate({"data": {"root": "set"}, "workers": 0, "augment": augment})
    opened, pictures, read = list[Path](), list[weakref.ref[np.ndarray]](), image_files.read_image

    def noted(path: Path) -> np.ndarray:
        image = read(path)
        opened.append(path)
        pictures.append(weakref.ref(image))
        return image

    monkeypatch.setattr(image_files, "read_image", noted)
    files = list[set[Path]]()
    for rank in (0, 1):
        images = train_images(options, data, 16, (64, 32))
        sampler = BatchSampler(images.labels, 4, 2, seed=0, rank=rank, world=2)
        loader = batch_loader(images, sampler, options, Processes(rank, 2, torch.device("cpu")))
        opened.clear()
        for number, batch in enumerate(loader, start=1):
            assert len(opened) == number * len(batch[0]) == 4 * number
            assert not any(picture() is not None for picture in pictures)
        files.append(set(opened))
    assert len(files[0]) == len(files[1]) == 8
    assert not files[0] & files[1]
    assert files[0] | files[1] == {sample.path for sample in data.train}


def test_a_batch_must_divide_among_the_processes():
    with pytest.raises(InputError, match=r"8 images .* 3 processes"):
        BatchSampler(LABELS, 2, 4, seed=0, world=3)


def test_seeking_goes_on_with_the_same_images_and_seeds():
    sampler = BatchSampler(LABELS, 2, 4, seed=3)
    sampler.seek(5)
    whole = list(sampler)
    sampler.seek(5, batch=2)
    assert list(sampler) == whole[2:]
    assert len(sampler) == len(whole) - 2


def test_an_image_drawn_twice_is_changed_in_two_ways():
    sampler = BatchSampler([0, 1], 2, 4, seed=0)
    keys = [key for batch in sampler for key in batch]
    assert len({row for row, _ in keys}) == 2
    assert len({seed for _, seed in keys}) == len(keys) == 8


def test_even_sampling_spreads_people_with_many_images_over_the_epoch():
    labels = [person for person in range(40) for _ in range(40 if person < 8 else 8)]

    def people_of_last_quarter(even):
        batches = pk_batches(labels, 4, 4, seed=0, epoch=0, even=even)
        rows = [row for batch in batches[-len(batches) // 4 :] for row in batch]
        return len({labels[row] for row in rows})

    assert people_of_last_quarter(even=True) > 1.5 * people_of_last_quarter(even=False)
    flat = [row for batch in pk_batches(labels, 4, 4, seed=0, epoch=0, even=True) for row in batch]
    assert len(flat) == len(set(flat)) > 0.9 * len(labels)
