"""Which part of the truth a result speaks of: a run that was cut short looks like a bad tracker."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np

from ..io.mot_format import ALL_FRAMES, Frames, frames_text
from ..io.read_tracks import frames_of, read_result, read_truth, truth_file
from .tracks import Benchmark, counted_rows


def coverage(
    gt: str | os.PathLike[str],
    result: str | os.PathLike[str],
    *,
    benchmark: Benchmark = "auto",
    frames: Frames = ALL_FRAMES,
) -> str:
    """What part of the truth's frames the result covers, in one line; empty where it covers all of them.

    Args:
        gt: as in ``evaluate_tracks``.
        result: likewise. A .jsonl states also frames in which nobody was seen; in other files such frames are
            not covered.
        benchmark: likewise.
        frames: likewise.

    Raises:
        InputError: a file is missing or malformed.
    """
    path = truth_file(gt)
    truth = read_truth(path)
    wanted = np.unique(truth.frame[counted_rows(path, truth, benchmark)])
    rows = read_result(result)
    spoken = frames_of(result, rows)
    first, last = frames
    inside = (wanted >= (first or 1)) & (wanted <= (last or wanted[-1]))
    wanted = wanted[inside]
    had = wanted[np.isin(wanted, spoken)]
    if not len(wanted) or len(had) == len(wanted):
        return ""
    if not len(had):
        return f"{Path(result)}: has none of the truth's {len(wanted)} frames ({wanted[0]} to {wanted[-1]})"
    part = frames_text((int(had[0]), int(had[-1])))
    outside = (wanted < had[0]) | (wanted > had[-1])
    mend = f"; --frames {part} judges those alone" if outside.any() else ""
    return (
        f"{Path(result)}: covers {len(had)} of the truth's {len(wanted)} frames, {had[0]} to {had[-1]} of "
        f"{wanted[0]} to {wanted[-1]}, and people of the others count as missed{mend}"
    )
