"""What a run trains and is tested on: the data set, its images with labels, and the loader of batches."""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import cv2
import torch
from torch import Tensor
from torch.utils.data import DataLoader

from bpbreid_track.errors import InputError, UsageError
from bpbreid_track.model.part_groups import part_names

from .data import ReidDataset, TrainImages, build_transforms, joined, load_dataset
from .evaluate import check_labels, check_test_set
from .options import MADE_UP, TrainOptions
from .processes import Processes
from .sampler import BatchSampler

_MOST_WORKERS = 16


def datasets(options: TrainOptions) -> tuple[ReidDataset, list[ReidDataset]]:
    """What to train on, and the data sets to test on, of which there may be none.

    Raises:
        UsageError: no data set named.
        InputError: no training images, no labels where they are needed, a set that is named twice, or one to
            test on in which no query can be found.
    """
    data = options.data
    if not data.root:
        raise UsageError("data.root: say where the data set lies, such as data.root=datasets/Market-1501")
    sets = []
    for root, layout, masks in data.sources():
        one = load_dataset(root, layout, masks=masks or None, with_masks=options.needs_masks)
        if not one.train:
            raise InputError(f"{one.root}: no training images, only query and gallery ({one.name} layout)")
        if options.needs_masks:
            _check_labels(one)
        sets.append(one)
    _require_each_once("root", sets)
    fixed = options.model.attention == "fixed"
    tests = [one for one in sets if one.query and one.gallery]
    if data.test_root:
        tests = [load_dataset(root, layout, with_masks=fixed) for root, layout in data.tests()]
        _require_each_once("test_root", tests)
    for test in tests:  # before hours of training, not after them
        check_test_set(test)
        if fixed:
            check_labels([*test.query, *test.gallery])
    return joined(sets), tests


def _require_each_once(setting: str, sets: Sequence[ReidDataset]) -> None:
    """Raise where two sets are one folder: its people would be two people each."""
    roots: dict[Path, ReidDataset] = {}
    for one in sets:
        if (other := roots.setdefault(one.root.resolve(), one)) is not one:
            raise InputError(f"data.{setting}: {other.root} and {one.root} are one data set; name it once")


def named_sets(sets: Sequence[ReidDataset]) -> dict[str, ReidDataset]:
    """Data sets by the name of their folder, and by all of its path where two have the same name."""
    names = [one.root.name for one in sets]
    return {
        name if names.count(name) == 1 else str(one.root): one for name, one in zip(names, sets, strict=True)
    }


def _check_labels(train: ReidDataset) -> None:
    without = sum(sample.mask_path is None for sample in train.train)
    if without == len(train.train):
        raise InputError(
            f"{train.root}: no human-parsing labels for its images; `bpbreid-train labels {train.root}` "
            "makes them, loss.attention_weight=0 trains without"
        )


def train_images(
    options: TrainOptions,
    train: ReidDataset,
    stride: int,
    size: tuple[int, int],
    clean: tuple[tuple[int, int], tuple[int, int]] | None = None,
) -> TrainImages:
    """The training images with labels of the size of the feature map.

    Args:
        stride: pixels of the input to a cell of the feature map.
        size: height and width of the images.
        clean: as for ``TrainImages``.
    """
    height, width = size
    # Without a use for labels none are read; any grouping does.
    group = options.parts if options.needs_masks else "full"
    samples = train.train if options.needs_masks else [replace(s, mask_path=None) for s in train.train]
    transform = build_transforms(
        (height, width),
        part_names(group),
        **options.augment.model_dump(exclude=set(MADE_UP)),
        mean=options.model.mean,
        std=options.model.std,
        source_size=options.model.source_size,
    )
    return TrainImages(
        samples,
        transform,
        group,
        map_size=(math.ceil(height / stride), math.ceil(width / stride)),
        soft=options.model.attention == "fixed",
        clean=clean,
        made_up=options.augment.model_dump(include=set(MADE_UP)),
    )


def batch_loader(
    images: TrainImages, sampler: BatchSampler, options: TrainOptions, procs: Processes
) -> DataLoader[tuple[Tensor, ...]]:
    """Loads what ``sampler`` yields: images, targets, labels and cameras of a batch, and clean pictures."""
    workers = _workers(options, procs)
    return DataLoader(
        images,  # type: ignore[arg-type]  # items are collated
        batch_sampler=sampler,
        num_workers=workers,
        persistent_workers=workers > 0,
        worker_init_fn=_calm_worker,
        pin_memory=procs.device.type == "cuda",
        generator=torch.Generator(),  # else every epoch would draw from the global one
    )


def _workers(options: TrainOptions, procs: Processes) -> int:
    if options.workers != "auto":
        return options.workers
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    local = int(os.environ.get("LOCAL_WORLD_SIZE", procs.world))
    return min(cores // local, _MOST_WORKERS) if cores > 1 else 0


def _calm_worker(_: int) -> None:
    cv2.setNumThreads(0)  # one thread a worker: the workers are the parallelism
