"""Which result belongs to which ground truth, in two folders."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..errors import InputError, UsageError, did_you_mean
from ..io.mot_format import MotRows
from ..io.read_tracks import is_sequence, read_result, read_truth, truth_file

_RESULTS = (".txt", ".csv", ".jsonl")


@dataclass(frozen=True)
class Pair:
    """Ground truth and result of a sequence. Each file is read once: it may be a pipe.

    Attributes:
        gt_path: the file of the ground truth.
        gt: its rows.
        result_path: the file of the result.
        result: its rows.
        spoken: int64 [F], frames that the result speaks of, in a .jsonl also those without a box.
    """

    gt_path: Path
    gt: MotRows
    result_path: Path
    result: MotRows
    spoken: np.ndarray


def read_pair(gt: str | os.PathLike[str], result: str | os.PathLike[str]) -> Pair:
    """Both files, in any format that ``evaluate_tracks`` takes.

    Raises:
        InputError: one of them is missing or malformed.
    """
    gt, result = truth_file(gt), truth_file(result)
    return Pair(gt, read_truth(gt), result, *read_result(result))


def sequence_files(
    gt_folder: str | os.PathLike[str],
    result_folder: str | os.PathLike[str],
    sequences: Sequence[str] | None = None,
) -> dict[str, tuple[Path, Path]]:
    """Ground truth and result of each sequence, by its name, as ``evaluate_folder`` finds them.

    Raises:
        InputError: no sequence, or one without result or with two.
        UsageError: a name in ``sequences`` that ``gt_folder`` does not have.
    """
    gt_folder, result_folder = Path(gt_folder), Path(result_folder)
    known = sorted(path.name for path in gt_folder.glob("*/") if is_sequence(path))
    if not known:
        raise InputError(f"{gt_folder}: no ground truth there; expected <sequence>/gt/gt.txt")
    names = list(dict.fromkeys(sequences)) if sequences else known
    pairs = {}
    for name in names:
        if name not in known:
            raise UsageError(f"{gt_folder}: no sequence {name!r}{did_you_mean(name, known)}")
        files = [file for end in _RESULTS if (file := result_folder / f"{name}{end}").is_file()]
        if not files:
            raise InputError(
                f"{result_folder / name}.txt: no such file; every sequence needs a result "
                "(or name those to evaluate)"
            )
        if len(files) > 1:
            raise InputError(
                f"{files[0]} and {files[1].name} are both the result of {name}; keep one of them"
            )
        pairs[name] = truth_file(gt_folder / name), files[0]
    return pairs
