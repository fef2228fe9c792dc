"""Several data sets as one to train on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from .samples import ReidDataset, Sample


def joined(sets: Sequence[ReidDataset]) -> ReidDataset:
    """The training images of all sets; query and gallery stay with the sets they belong to.

    Identity 7 of one set is somebody else than identity 7 of another, and so it is with cameras: those of
    each set are numbered on from the ones before. A single set is returned as it is.
    """
    if len(sets) == 1:
        return sets[0]
    samples: list[Sample] = []
    person, camera = 0, 0
    for number, one in enumerate(sets):
        samples += [
            replace(s, person_id=s.person_id + person, camera=s.camera + camera, dataset=number)
            for s in one.train
        ]
        person = 1 + max(s.person_id for s in samples)
        camera = 1 + max(s.camera for s in samples)
    return ReidDataset("+".join(one.name for one in sets), sets[0].root, train=samples)
