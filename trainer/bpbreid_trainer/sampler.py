"""Which images make a batch: P identities with K images each, the same for the same seed and epoch."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from torch.utils.data import Sampler

from bpbreid_track.errors import InputError


def pk_batches(
    labels: Sequence[int], identities: int, images: int, *, seed: int, epoch: int, even: bool = False
) -> list[list[int]]:
    """The batches of an epoch: rows of ``labels``, ``images`` of each of ``identities`` in a row.

    The shuffled images of each identity are cut into groups of ``images``; an identity with fewer repeats
    some. A batch takes a group of each of ``identities`` that have one left, drawn at random, until too few
    are left. Where there are fewer identities than asked for, a batch holds them all. There is always a
    batch.

    Args:
        labels: identity of each image.
        identities: P.
        images: K.
        seed: with ``epoch``, decides everything.
        epoch: from 0.
        even: draw identities in proportion to the groups they have left, so that those with many images
            are spread over the epoch. Else all alike, and the last batches hold few identities again and
            again.

    Raises:
        InputError: fewer than two identities: there is nobody to tell apart.
    """
    rng = np.random.default_rng((seed, epoch))
    array = np.asarray(labels)
    people = np.unique(array)
    if len(people) < 2:
        raise InputError(f"training data: {len(people)} identity; at least 2 are needed to tell apart")
    identities = min(identities, len(people))
    groups = [_groups(np.flatnonzero(array == person), images, rng) for person in people]
    left = list(range(len(groups)))
    batches = []
    while len(left) >= identities:
        weights = np.array([len(groups[person]) for person in left], dtype=float) if even else None
        share = None if weights is None else weights / weights.sum()
        chosen = rng.choice(left, identities, replace=False, p=share).tolist()
        batches.append([row for person in chosen for row in groups[person].pop()])
        left = [person for person in left if groups[person]]
    return batches


def _groups(rows: np.ndarray, size: int, rng: np.random.Generator) -> list[list[int]]:
    shuffled = rng.permutation(rows)
    if len(rows) < size:
        shuffled = np.concatenate([shuffled, rng.choice(rows, size - len(rows))])
    whole = len(shuffled) // size * size
    return shuffled[:whole].reshape(-1, size).tolist()


class BatchSampler(Sampler[list[tuple[int, int]]]):
    """The batches of one epoch after another for a DataLoader, from any batch on.

    It yields lists of (row, seed): the seed is that of the random changes to this image, so that they depend
    on nothing but (seed, epoch, place in the epoch), whichever worker makes them.

    Args:
        labels: identity of each image.
        identities: P.
        images: K.
        seed: of everything random.
        even: as for ``pk_batches``.
        rank: which of ``world`` equal slices of each batch to yield.
        world: number of processes.
    """

    def __init__(
        self,
        labels: Sequence[int],
        identities: int,
        images: int,
        *,
        seed: int,
        even: bool = False,
        rank: int = 0,
        world: int = 1,
    ) -> None:
        self.labels, self.identities, self.images = list(labels), identities, images
        self.seed, self.even, self.rank, self.world = seed, even, rank, world
        size = min(identities, len(set(self.labels))) * images
        if size % world:
            raise InputError(f"a batch of {size} images cannot be shared equally among {world} processes")
        self.slice = size // world
        self.seek(0)

    def seek(self, epoch: int, batch: int = 0) -> None:
        """Yield the batches of ``epoch`` from number ``batch`` on."""
        self.epoch, self.start = epoch, batch
        self.batches = pk_batches(
            self.labels, self.identities, self.images, seed=self.seed, epoch=epoch, even=self.even
        )

    def __len__(self) -> int:
        return len(self.batches) - self.start

    def __iter__(self) -> Iterator[list[tuple[int, int]]]:
        first = self.rank * self.slice
        for number in range(self.start, len(self.batches)):
            rows = self.batches[number]
            seeds = np.random.SeedSequence((self.seed, self.epoch, number)).generate_state(
                len(rows), np.uint64
            )
            keys = [(row, int(seed >> 1)) for row, seed in zip(rows, seeds, strict=True)]
            yield keys[first : first + self.slice]
