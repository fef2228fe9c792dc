"""deep-sort-realtime: our vector as its embedder, and its cascade with the part distance."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ..errors import UsageError
from ..model.encoder import Encoder
from ._versions import require
from .parts import TrackParts, as_cosine, part_distances
from .report import AppearanceReport, describe
from .vectors import FlatEncoder, Vector, flat_vectors

VERSION = require("deep-sort-realtime", "1.3.2", "1.4")

from deep_sort_realtime.deep_sort import iou_matching  # noqa: E402
from deep_sort_realtime.deepsort_tracker import DeepSort  # noqa: E402


class Embedder(FlatEncoder):
    """``tracker.embedder`` of a ``DeepSort`` made with ``embedder=None`` (drop-in)."""

    def predict(self, crops: Sequence[np.ndarray]) -> list[np.ndarray]:
        """One vector float32 [D] for each BGR crop uint8 [h, w, 3]; an empty crop gets a random one."""
        rows = flat_vectors(
            self.encoder.encode_crops([np.ascontiguousarray(crop) for crop in crops]), self.vector
        )
        return list(self.never_zero(rows))


def update_tracks(
    tracker: DeepSort,
    raw_detections: Sequence[Any],
    embeds: Sequence[np.ndarray] | None = None,
    frame: np.ndarray | None = None,
    others: Sequence[Any] | None = None,
    **options: Any,
) -> list[Any]:
    """``tracker.update_tracks`` with the rows kept together.

    The host drops boxes of no width or height but not their vectors, nor ``others`` or ``instance_masks``:
    all that follow then belong to the wrong person. Here every column loses the same rows.

    Args:
        tracker: any ``DeepSort`` without polygons.
        raw_detections: N of ([left, top, width, height], score, class).
        embeds: N vectors, or None for the tracker's embedder.
        frame: uint8 [H, W, 3] BGR, needed without ``embeds``.
        others: N of whatever tracks shall carry.
        options: of ``DeepSort.update_tracks``; ``instance_masks`` N masks.

    Returns:
        The host's tracks.

    Raises:
        ValueError: a column of another length than ``raw_detections``.
    """
    keep = [row for row, (box, *_) in enumerate(raw_detections) if box[2] > 0 and box[3] > 0]
    columns = {"embeds": embeds, "others": others, "instance_masks": options.pop("instance_masks", None)}
    kept: dict[str, list[Any] | None] = {}
    for name, column in columns.items():
        if column is not None and len(column) != len(raw_detections):
            raise ValueError(f"{name}: expected {len(raw_detections)} rows, one a box, got {len(column)}")
        kept[name] = None if column is None else [column[row] for row in keep]
    tracks: list[Any] = DeepSort.update_tracks(
        tracker, [raw_detections[row] for row in keep], frame=frame, **kept, **options
    )
    return tracks


class PartMetric:
    """Eq. 9 in place of the host's nearest-neighbour metric: ``DeepSort.tracker.metric``.

    Each track remembers every part for itself instead of a gallery of whole vectors. A pair without a common
    part leaves the appearance cascade and is decided by the host's IoU round.

    Args:
        matching_threshold: largest cosine distance; a part distance d counts as d^2 / 2.
    """

    def __init__(self, matching_threshold: float) -> None:
        self.matching_threshold = matching_threshold
        self.samples: dict[Any, TrackParts] = {}
        self._last: dict[Any, np.ndarray] = {}

    def partial_fit(self, features: np.ndarray, targets: np.ndarray, active_targets: Sequence[Any]) -> None:
        """Take in packed vectors [N, L] of the tracks ``targets``; forget those not active."""
        for vector, target in zip(features, targets, strict=True):
            # The host hands over the newest vector of a track again and again until there is a newer one.
            last = self._last.get(target)
            if last is not None and np.array_equal(last, vector):
                continue
            view = TrackParts.unpack(vector)
            if target in self.samples:
                self.samples[target].learn(view)
            else:
                self.samples[target] = view
            self._last[target] = vector
        for store in (self.samples, self._last):
            for target in set(store) - set(active_targets):
                del store[target]

    def distance(self, features: np.ndarray, targets: Sequence[Any]) -> np.ndarray:
        """Costs [T, N] of packed vectors [N, L]; above the threshold where no part is common."""
        views = [TrackParts.unpack(vector) for vector in features]
        costs = as_cosine(part_distances([self.samples.get(target) for target in targets], views))
        return np.where(np.isfinite(costs), costs, 1e5).astype(np.float64)


class PartDeepSort(DeepSort):
    """``DeepSort`` that keeps rows together, with the masked part distance or one of our vectors.

    Args:
        encoder: a ready ``Encoder`` or what ``Encoder.load`` takes.
        vector: ``parts``: the part distance (exact); ``foreground`` or ``concat``: the host's own metric on
            that vector (drop-in).
        options: of ``DeepSort``.

    Attributes:
        appearance: what appearance decided so far.
    """

    def __init__(self, encoder: Encoder | str = "default", vector: Vector = "parts", **options: Any) -> None:
        super().__init__(embedder=None, **options)
        self.embedder = Embedder(encoder, vector)
        if vector == "parts":
            self.tracker.metric = PartMetric(self.tracker.metric.matching_threshold)
        self.appearance = watch(self)

    def update_tracks(self, raw_detections: Sequence[Any], *args: Any, **options: Any) -> list[Any]:
        """As ``update_tracks`` of this module."""
        return update_tracks(self, raw_detections, *args, **options)


def watch(tracker: DeepSort) -> AppearanceReport:
    """Count from now on what appearance decides in a ``DeepSort``, whoever embeds."""
    vector = getattr(tracker.embedder, "vector", None)
    if vector == "parts" and not isinstance(tracker.tracker.metric, PartMetric):
        raise UsageError("watch: DeepSort compares by cosine; for vector='parts' take PartDeepSort")
    report = AppearanceReport(
        "deep-sort-realtime", *(describe(vector) if vector else ("drop-in", "another embedder's vector"))
    )
    inner = tracker.tracker
    match = inner._match

    def counted(detections: list[Any]) -> Any:
        matches, tracks, boxes = match(detections)
        if matches:
            motion = iou_matching.iou_cost(inner.tracks, detections)
            rows, columns = zip(*matches, strict=True)
            report.count(motion, rows, columns, inner.max_iou_distance)
        return matches, tracks, boxes

    inner._match = counted
    tracker.appearance = report
    return report
