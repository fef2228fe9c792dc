"""norfair and norfair-enough: part embeddings in the re-identification of lost objects.

norfair looks at appearance in one place: when a new object is being confirmed it may be merged with a lost
one. ``ReIDTracker`` does that with the masked part distance (exact) or a flat vector (drop-in).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ..embeddings import PartEmbeddings
from ._versions import require
from .parts import TrackParts, as_cosine, part_distances
from .report import AppearanceReport, describe
from .vectors import Vector, flat_vectors

VERSION = require(("norfair-enough", "norfair"), "2.2", "2.5")

import norfair  # noqa: E402
from norfair.distances import Distance  # noqa: E402


def norfair_detections(
    xyxy: Any,
    scores: Any,
    embeddings: PartEmbeddings,
    vector: Vector = "parts",
    data: Sequence[Any] | None = None,
) -> list[norfair.Detection]:
    """Boxes as norfair's detections: two corner points and an embedding.

    Args:
        xyxy: [N, 4] pixels.
        scores: [N].
        embeddings: N rows for the same boxes.
        vector: ``parts`` for ``PartReID``, the others for ``VectorReID``.
        data: N of whatever detections shall carry.
    """
    points = np.asarray(xyxy, np.float64).reshape(-1, 2, 2)
    rows = zip(points, scores, flat_vectors(embeddings, vector), strict=True)
    return [
        norfair.Detection(
            points=corners,
            scores=np.array([score, score], float),
            data=None if data is None else data[index],
            embedding=flat,
        )
        for index, (corners, score, flat) in enumerate(rows)
    ]


class VectorReID(Distance):
    """Cosine distance of the last vectors of two objects (drop-in), all pairs at once."""

    def get_distances(self, objects: Sequence[Any], candidates: Sequence[Any] | None) -> np.ndarray:
        """[candidates, objects] in [0, 2]; +inf for other labels or where one of the two shows nothing."""
        candidates = candidates or []
        out = np.full((len(candidates), len(objects)), np.inf)
        if out.size:
            old = np.stack([item.last_detection.embedding for item in objects])
            new = np.stack([_views(item)[-1].embedding for item in candidates])
            known = np.outer(new.any(axis=1), old.any(axis=1))
            out = np.where(known & _same_label(candidates, objects), 1 - new @ old.T, np.inf)
        return out

    def __call__(self, new: Any, old: Any) -> float:
        return float(self.get_distances([old], [new])[0, 0])


class PartReID(VectorReID):
    """Eq. 9 over what the past detections of two objects show of each part (exact).

    Hidden parts are not averaged in. Distances are on the scale of the cosine, d^2 / 2; +inf where no part is
    common: such a pair is not merged, and the new object goes on by motion under its own identity.
    """

    def get_distances(self, objects: Sequence[Any], candidates: Sequence[Any] | None) -> np.ndarray:
        candidates = candidates or []
        if not objects or not candidates:
            return np.full((len(candidates), len(objects)), np.inf)
        distances = part_distances(
            [_memory(item) for item in candidates], [_memory(item) for item in objects]
        )
        return np.where(_same_label(candidates, objects), as_cosine(distances), np.inf)


def _views(item: Any) -> list[Any]:
    """The detections behind an object, oldest first, or a detection itself."""
    if isinstance(item, norfair.Detection):
        return [item]
    past = [view for view in item.past_detections if view is not item.last_detection]
    return [*past, item.last_detection]


def _memory(item: Any) -> TrackParts:
    first, *others = (TrackParts.unpack(view.embedding) for view in _views(item))
    for view in others:
        first.learn(view)
    return first


def _same_label(candidates: Sequence[Any], objects: Sequence[Any]) -> np.ndarray:
    return np.array([[new.label == old.label for old in objects] for new in candidates])


class ReIDTracker(norfair.Tracker):
    """``norfair.Tracker`` that re-identifies by ``PartReID`` or ``VectorReID``, and counts what that did.

    Args:
        vector: ``parts`` (exact) or ``foreground``/``concat`` (drop-in); the detections must carry the same.
        distance_function: norfair's, for motion.
        distance_threshold: norfair's.
        reid_distance_threshold: largest appearance distance of a merge, on the scale of the cosine.
        reid_hit_counter_max: frames for which a lost object can be found again.
        options: of ``norfair.Tracker``.

    Attributes:
        appearance: matches and merges so far; appearance decides all merges and nothing else.
    """

    def __init__(
        self,
        vector: Vector = "parts",
        *,
        distance_function: Any = "iou",
        distance_threshold: float = 0.7,
        reid_distance_threshold: float = 0.25,
        reid_hit_counter_max: int = 150,
        **options: Any,
    ) -> None:
        reid = PartReID() if vector == "parts" else VectorReID()
        super().__init__(
            distance_function,
            distance_threshold,
            reid_distance_function=reid,
            reid_distance_threshold=reid_distance_threshold,
            reid_hit_counter_max=reid_hit_counter_max,
            **options,
        )
        # The constructor wraps it for one pair at a time.
        self.reid_distance_function = reid
        self.appearance = AppearanceReport("norfair", *describe(vector))

    def _update_objects_in_place(
        self, distance_function: Any, distance_threshold: float, objects: Any, candidates: Any, period: int
    ) -> Any:
        before = len(self.tracked_objects)
        result = super()._update_objects_in_place(
            distance_function, distance_threshold, objects, candidates, period
        )
        if distance_function is self.reid_distance_function:
            merged = before - len(self.tracked_objects)
            self.appearance.decided += merged
            self.appearance.matches += merged
        else:
            self.appearance.matches += len(result[1])
        return result
