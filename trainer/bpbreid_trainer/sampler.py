"""Which images make a batch: P identities with K images each, the same for the same seed and epoch."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from torch.utils.data import Sampler

from bpbreid_track.errors import InputError


def pk_batches(
    labels: Sequence[int],
    identities: int,
    images: int,
    *,
    seed: int,
    epoch: int,
    even: bool = False,
    cameras: Sequence[int] | None = None,
    sets: Sequence[int] | None = None,
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
        cameras: of each image. Given, the images of a group are of as many cameras as there are.
        sets: data set of each image. Given, each set has its share of every batch: in proportion to the
            groups it has left, but two identities at least, so that there is somebody to tell apart.

    Raises:
        InputError: fewer than two identities: there is nobody to tell apart.
    """
    rng = np.random.default_rng((seed, epoch))
    array = np.asarray(labels)
    people, first = np.unique(array, return_index=True)
    if len(people) < 2:
        raise InputError(f"training data: {len(people)} identity; at least 2 are needed to tell apart")
    identities = min(identities, len(people))
    seen_by = None if cameras is None else np.asarray(cameras)
    groups = [_groups(np.flatnonzero(array == person), images, rng, seen_by) for person in people]
    of_set = np.zeros(len(people), int) if sets is None else np.asarray(sets)[first]
    left = np.array([len(group) for group in groups])
    batches = []
    while np.count_nonzero(left) >= identities:
        chosen: list[int] = []
        for which, share in _shares(of_set, left, identities).items():
            own = np.flatnonzero((left > 0) & (of_set == which))
            chance = left[own] / left[own].sum() if even else None
            chosen += rng.choice(own, share, replace=False, p=chance).tolist()
        batches.append([row for person in chosen for row in groups[person].pop()])
        left[chosen] -= 1
    return batches


def _shares(of_set: np.ndarray, left: np.ndarray, identities: int) -> dict[int, int]:
    """How many identities of each set the next batch takes: in proportion to what is left, two at least."""
    numbers = np.unique(of_set[left > 0])
    groups = np.array([left[of_set == number].sum() for number in numbers])
    people = np.array([np.count_nonzero(left[of_set == number]) for number in numbers])
    wanted = identities * groups / groups.sum()
    # As long as there is room, one more for the set that is furthest behind its share.
    shares = np.minimum(people, 2) if 2 * len(numbers) <= identities else np.zeros(len(numbers), int)
    while shares.sum() < identities:
        shares[np.argmax(np.where(shares < people, wanted - shares, -np.inf))] += 1
    return dict(zip(numbers.tolist(), shares.tolist(), strict=True))


def _groups(
    rows: np.ndarray, size: int, rng: np.random.Generator, cameras: np.ndarray | None
) -> list[list[int]]:
    shuffled = rng.permutation(rows)
    if cameras is not None:
        # All first images of the cameras, then all second ones: neighbours are of different cameras.
        seen_by = cameras[shuffled]
        turn = np.array([np.count_nonzero(seen_by[:place] == seen_by[place]) for place in range(len(rows))])
        shuffled = shuffled[np.argsort(turn, kind="stable")]
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
        even, cameras, sets: as for ``pk_batches``.
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
        cameras: Sequence[int] | None = None,
        sets: Sequence[int] | None = None,
        rank: int = 0,
        world: int = 1,
    ) -> None:
        self.labels, self.identities, self.images = list(labels), identities, images
        self.seed, self.rank, self.world = seed, rank, world
        self._how: dict[str, Any] = {"even": even, "cameras": cameras, "sets": sets}
        size = min(identities, len(set(self.labels))) * images
        if size % world:
            raise InputError(f"a batch of {size} images cannot be shared equally among {world} processes")
        self.slice = size // world
        self.seek(0)

    def seek(self, epoch: int, batch: int = 0) -> None:
        """Yield the batches of ``epoch`` from number ``batch`` on."""
        self.epoch, self.start = epoch, batch
        self.batches = pk_batches(
            self.labels, self.identities, self.images, seed=self.seed, epoch=epoch, **self._how
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
