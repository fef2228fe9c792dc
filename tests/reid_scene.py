"""A small ReID data set for the trainer's tests: real crops in Market-1501's layout, with drawn labels."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np

# Rows of a 16 x 8 field on which each group of channels is strong: a person standing upright.
_BANDS = {
    (0, 1, 2, 3, 4): slice(0, 3),
    (5, 6, 7, 8, 25, 26): slice(3, 6),
    (11, 12, 21, 22, 23, 24): slice(5, 8),
    (13, 14, 17, 18, 19, 20): slice(8, 13),
    (15, 16): slice(13, 16),
}


def make_reid_set(shared: Path, root: Path, *, people: int = 6, images: int = 4, labels: bool = True) -> Path:
    """``images`` crops of each of the first ``people`` in training, query and gallery."""
    source = shared / "data" / "market1501-split"
    wanted = {
        "bounding_box_train": _people(source / "bounding_box_train", people),
        "query": _people(source / "query", people),
        "bounding_box_test": _people(source / "query", people),
    }
    for split, names in wanted.items():
        (root / split).mkdir(parents=True)
        for name in names:
            for path in sorted((source / split).glob(f"{name}_*.jpg"))[:images]:
                shutil.copy(path, root / split)
                if labels and split == "bounding_box_train":
                    _write_labels(root / "masks" / "drawn" / split / f"{path.stem}.npy")
    return root


def _people(folder: Path, count: int) -> list[str]:
    return sorted({path.name.partition("_")[0] for path in folder.glob("*.jpg")})[:count]


def _write_labels(path: Path) -> None:
    fields = np.zeros((36, 16, 8), np.float32)
    for channels, rows in _BANDS.items():
        fields[list(channels), rows, 2:6] = 0.9
    path.parent.mkdir(parents=True, exist_ok=True)
    np.save(path, fields)
