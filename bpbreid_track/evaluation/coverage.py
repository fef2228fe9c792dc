"""Which part of the truth a result speaks of: a run that was cut short looks like a bad tracker."""

from __future__ import annotations

import numpy as np

from ..io.mot_format import ALL_FRAMES, Frames, frames_text
from .pairs import Pair
from .tracks import Benchmark, counted_rows


def coverage(pair: Pair, *, benchmark: Benchmark = "auto", frames: Frames = ALL_FRAMES) -> str:
    """What part of the truth's frames the result covers, in one line; empty where it covers all of them.

    Args:
        pair: truth and result.
        benchmark: as in ``evaluate_tracks``.
        frames: likewise.

    Raises:
        InputError: no row of the truth counts.
    """
    path = pair.result_path
    wanted = np.unique(pair.gt.frame[counted_rows(pair.gt_path, pair.gt, benchmark)])
    first, last = frames
    inside = (wanted >= (first or 1)) & (wanted <= (last or wanted[-1]))
    wanted = wanted[inside]
    had = wanted[np.isin(wanted, pair.spoken)]
    if not len(wanted) or len(had) == len(wanted):
        return ""
    if not len(had):
        return f"{path}: has none of the truth's {len(wanted)} frames ({wanted[0]} to {wanted[-1]})"
    part = frames_text((int(had[0]), int(had[-1])))
    outside = (wanted < had[0]) | (wanted > had[-1])
    mend = f"; --frames {part} judges those alone" if outside.any() else ""
    return (
        f"{path}: covers {len(had)} of the truth's {len(wanted)} frames, {had[0]} to {had[-1]} of "
        f"{wanted[0]} to {wanted[-1]}, and people of the others count as missed{mend}"
    )
