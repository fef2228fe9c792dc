"""What becomes of the boxes of a run at its end, class by class."""

from __future__ import annotations

from collections.abc import Collection

import numpy as np

from ..config import LinkConfig
from .appearance_stats import MeanAppearance
from .linking import Linked, link
from .tracklets import TrackedRows, concatenate


def link_by_class(
    rows: TrackedRows,
    means: MeanAppearance | None,
    config: LinkConfig,
    by_motion: Collection[int] = (),
) -> Linked:
    """As ``link``; classes in ``by_motion`` are linked each among themselves, by motion alone.

    Args:
        rows: the boxes of the run.
        means: mean appearance of the people.
        config: settings.
        by_motion: numbers of the classes that are no people.
    """
    apart = np.isin(rows.class_id, list(by_motion))
    if not apart.any():
        return link(rows, means, config)
    people = link(rows[~apart], means, config)
    groups = [people]
    for number in np.unique(rows.class_id[apart]):
        groups.append(link(rows[rows.class_id == number], None, config))
    return Linked(
        concatenate([group.rows for group in groups]).sorted(),
        {before: after for group in groups for before, after in group.identity.items()},
        sum(group.joined for group in groups),
        people.threshold,
    )


def as_tracked(rows: TrackedRows) -> Linked:
    """The identities as the tracker gave them."""
    ids = np.unique(rows.id[rows.id >= 0]).tolist()
    return Linked(rows, {identity: identity for identity in ids}, 0, None)
