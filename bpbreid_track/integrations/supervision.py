"""supervision: part embeddings as columns of ``sv.Detections``.

``data["embedding"]`` float32 [N, P, D] and ``data["visibility"]`` float32 [N, P] are cut, filtered and merged
with the boxes; the names of the parts travel in ``metadata``.
"""

from __future__ import annotations

import copy

import numpy as np

from ..embeddings import PartEmbeddings
from ..errors import InputError
from ._versions import require

VERSION = require("supervision", "0.27", "0.32")

import supervision as sv  # noqa: E402

EMBEDDING, VISIBILITY, PART_NAMES = "embedding", "visibility", "part_names"


def with_embeddings(detections: sv.Detections, embeddings: PartEmbeddings) -> sv.Detections:
    """A copy of ``detections`` that carries ``embeddings``.

    Args:
        detections: N boxes.
        embeddings: N rows for the same boxes in the same order, on any device.

    Raises:
        ValueError: another number of rows.
    """
    if len(embeddings) != len(detections):
        raise ValueError(f"embeddings: expected {len(detections)} rows, one a box, got {len(embeddings)}")
    features, visibility = embeddings.numpy()
    out = copy.copy(detections)
    out.data = {**detections.data, EMBEDDING: features, VISIBILITY: visibility}
    out.metadata = {**detections.metadata, PART_NAMES: list(embeddings.part_names)}
    return out


def embeddings_of(detections: sv.Detections) -> PartEmbeddings | None:
    """The embeddings that ``with_embeddings`` put there, row by row as the boxes are now.

    None where there is no box and no column either: supervision drops the columns when it merges frames in
    which nobody is. ``PartTracker.update`` takes that as well.

    Raises:
        InputError: boxes without embeddings.
    """
    missing = [key for key in (EMBEDDING, VISIBILITY) if key not in detections.data]
    if missing and not len(detections):
        return None
    if missing:
        raise InputError(
            f"detections carry no {' and no '.join(missing)}; add them by with_embeddings(detections, "
            "encoder.encode(frame, detections.xyxy))"
        )
    features, visibility = (np.asarray(detections.data[key], np.float32) for key in (EMBEDDING, VISIBILITY))
    names = detections.metadata.get(PART_NAMES)
    if names is None:
        names = ["foreground", *(f"part{number}" for number in range(1, visibility.shape[1]))]
    return PartEmbeddings(features, visibility, list(names))
