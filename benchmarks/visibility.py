"""Whether a part that shows counts as seen, and one that is painted over does not.

    python benchmarks/visibility.py --data ADL-Rundle-6 KITTI-17 [--encoder default] [--seconds 2]

Crops are those of ``cross_domain.py``. A part shows where the pose network that makes training labels finds
it in the whole crop (a field of at least 0.5). *Seen* is the share of those that the encoder calls visible
(above 0.5). *Painted* is the share of those that it still calls visible when all rows of the crop in which
the field reaches 0.5 are painted grey, from the nearer end of the crop on.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import cv2
import numpy as np
import torch

sys.path[:0] = [str(Path(__file__).resolve().parent)]

from cross_domain import crops_of, over_sequences  # noqa: E402

from bpbreid_track import Encoder  # noqa: E402
from bpbreid_track.model.part_groups import PART_GROUPS  # noqa: E402
from bpbreid_trainer.data.grouping import THRESHOLD, group_fields  # noqa: E402
from bpbreid_trainer.data.mask_files import read_fields  # noqa: E402
from bpbreid_trainer.parsing.jobs import Job  # noqa: E402
from bpbreid_trainer.parsing.yolo_pose import YoloPose  # noqa: E402

_GREY, _VISIBLE, _MARGIN = 128, 0.5, 0.03


def rows_of_parts(crops: list[np.ndarray], part_names: tuple[str, ...]) -> np.ndarray:
    """First and last row of each part, shares of the height, float [N, K, 2]; NaN where it does not show."""
    group = next(group for group in PART_GROUPS.values() if tuple(group) == part_names)
    spans = np.full((len(crops), len(part_names), 2), np.nan)
    with tempfile.TemporaryDirectory() as place:
        jobs = [
            Job(Path(place, f"{number}.png"), Path(place, f"{number}.npy")) for number in range(len(crops))
        ]
        for crop, job in zip(crops, jobs, strict=True):
            cv2.imwrite(str(job.image), crop)
        for _ in YoloPose().label(jobs):
            pass
        for number, job in enumerate(jobs):
            fields = torch.from_numpy(read_fields(job.out))
            for part, strength in enumerate(
                group_fields(fields, [list(channels) for channels in group.values()])
            ):
                rows = torch.nonzero((strength >= THRESHOLD).any(1)).flatten().tolist()
                if rows:
                    spans[number, part] = rows[0] / len(strength), (rows[-1] + 1) / len(strength)
    return spans


def painted(crop: np.ndarray, span: np.ndarray) -> np.ndarray:
    """A copy without the rows of ``span``, and those between it and the nearer end of the crop."""
    copy = crop.copy()
    top, bottom = span[0] - _MARGIN, span[1] + _MARGIN
    if span.mean() < 0.5:
        copy[: max(1, round(bottom * len(crop)))] = _GREY
    else:
        copy[max(0, round(top * len(crop))) :] = _GREY
    return copy


def figures_of(sequence: Path, encoder: Encoder, seconds: float) -> dict[str, float]:
    """Shares by part, and of how many crops."""
    crops, _, _ = crops_of(sequence, seconds)
    found = encoder.encode_crops(crops)
    names = encoder.options.part_names
    first = found.part_names.index(names[0])
    spans = rows_of_parts(crops, names)
    shows = ~np.isnan(spans[..., 0])
    visible = found.visibility.numpy()[:, first:] > _VISIBLE
    figures: dict[str, float] = {"crops": len(crops)}
    for part, name in enumerate(names):
        rows = np.flatnonzero(shows[:, part])
        if not len(rows):
            continue
        figures[f"{name}, shows"] = len(rows)
        figures[f"{name}, seen"] = float(visible[rows, part].mean())
        hidden = encoder.encode_crops([painted(crops[row], spans[row, part]) for row in rows])
        figures[f"{name}, painted"] = float((hidden.visibility[:, first + part] > _VISIBLE).float().mean())
    return figures


if __name__ == "__main__":
    over_sequences(__doc__, figures_of, ["torchvision", "timm", "ultralytics"])
