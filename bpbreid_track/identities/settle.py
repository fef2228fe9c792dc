"""What becomes of the boxes of a run at its end, class by class."""

from __future__ import annotations

from collections.abc import Collection

import numpy as np

from ..config import LinkConfig
from .appearance_stats import MeanAppearance
from .linking import Linked, fill_gaps, link
from .tracklets import TrackedRows, concatenate


def link_by_class(
    rows: TrackedRows,
    times: np.ndarray,
    means: MeanAppearance | None,
    config: LinkConfig,
    by_motion: Collection[int] = (),
) -> Linked:
    """As ``link``; classes in ``by_motion`` are linked each among themselves, by motion alone.

    Args:
        rows: the boxes of the run.
        times: float64 [F], time of every frame of the run.
        means: mean appearance of the people.
        config: settings.
        by_motion: numbers of the classes that are no people.
    """
    apart = np.isin(rows.class_id, list(by_motion))
    if not apart.any():
        return link(rows, times, means, config)
    people = link(rows[~apart], times, means, config)
    groups = [people]
    for number in np.unique(rows.class_id[apart]):
        groups.append(link(rows[rows.class_id == number], times, None, config))
    every = concatenate([group.rows for group in groups])
    return Linked(
        every[np.lexsort((every.filled, every.frame))],
        {before: after for group in groups for before, after in group.identity.items()},
        sum(group.joined for group in groups),
        sum(group.filled for group in groups),
        people.threshold,
    )


def as_tracked(rows: TrackedRows, times: np.ndarray, fill_seconds: float) -> Linked:
    """The identities as the tracker gave them, with gaps up to ``fill_seconds`` filled.

    Args:
        rows: the boxes of the run.
        times: float64 [F], time of every frame of the run.
        fill_seconds: 0: none are filled.
    """
    ids = np.unique(rows.id[rows.id >= 0]).tolist()
    fills = fill_gaps(rows, times, fill_seconds)
    every = concatenate([rows, fills]).sorted()
    return Linked(every, {identity: identity for identity in ids}, 0, len(fills), None)
