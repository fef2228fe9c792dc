"""BoxMOT: our vector as its ``reid_model``, and its BoT-SORT with the part distance.

``ReIDModel`` fits every tracker that takes a ``reid_model`` and the older signature
``get_features(xyxys, img)``; ``PartBotSort`` is BoxMOT 25's BoT-SORT with Eq. 9 in place of the cosine.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ..model.encoder import Encoder
from ._versions import require
from .parts import TrackParts, as_cosine, part_distances
from .report import AppearanceReport, describe
from .vectors import FlatEncoder

VERSION = require("boxmot", "25", "26")

from boxmot.trackers.box.botsort.track import STrack  # noqa: E402
from boxmot.trackers.box.botsort.tracker import BotSort  # noqa: E402
from boxmot.trackers.common.association.matching import fuse_score  # noqa: E402


class ReIDModel(FlatEncoder):
    """``reid_model`` of BotSort, StrongSort, DeepOcSort, HybridSort, BoostTrack and OccluBoost (drop-in).

    >>> from boxmot import BotSort  # doctest: +SKIP
    >>> tracker = BotSort(reid_model=ReIDModel())  # doctest: +SKIP
    """

    def get_features(self, boxes: Any, image: np.ndarray) -> np.ndarray:
        """Vectors float32 [N, D] of boxes [N, 4] in pixels of a BGR image uint8 [H, W, 3]; no zero row."""
        return self.never_zero(self.boxes(image, boxes))


class _PartTrack(STrack):
    """A track that remembers parts; its vectors are packed ones."""

    parts: TrackParts | None = None

    def update_features(self, feat: Any) -> None:
        view = TrackParts.unpack(feat)
        self.curr_feat = np.asarray(feat, np.float32)
        if self.parts is None:
            self.parts = view
        else:
            self.parts.learn(view)


class PartBotSort(BotSort):
    """BoT-SORT of BoxMOT 25 with the visibility-masked part distance as its appearance cost (exact).

    Each track remembers every part for itself. A pair without a common part costs what motion says. All else
    is BoxMOT's, thresholds included: a part distance d counts as the cosine distance d^2 / 2.

    Args:
        encoder: a ready ``Encoder`` or what ``Encoder.load`` takes. Ready vectors must be those of
            ``vectors.flat_vectors(embeddings, "parts")``.
        options: of ``boxmot.BotSort``.

    Attributes:
        appearance: what appearance decided so far.
    """

    def __init__(self, encoder: Encoder | str = "default", **options: Any) -> None:
        super().__init__(reid_model=ReIDModel(encoder, "parts"), **options)
        self.appearance = AppearanceReport("boxmot BotSort", *describe("parts"))

    def reset(self) -> None:
        super().reset()
        self.appearance.matches = self.appearance.decided = 0

    def _create_detections(self, dets_first: Any, features_high: Any) -> list[Any]:
        options = {"id_allocator": self.id_allocator, "max_obs": self.max_obs, "is_obb": self.is_obb}
        if not self.use_embeddings:
            return [_PartTrack(row, **options) for row in dets_first]
        return [
            _PartTrack(row, vector, **options) for row, vector in zip(dets_first, features_high, strict=True)
        ]

    def _first_association_cost(self, tracks: Any, detections: Any) -> np.ndarray:
        motion = self.association_distance(tracks, detections)
        near = motion <= self.proximity_thresh
        if self.fuse_first_associate:
            motion = fuse_score(motion, detections)
        cost = self._with_parts(motion, near, tracks, detections, 1.0)
        self.appearance.count_assignment(motion, cost, self.match_thresh)
        return cost

    def _unconfirmed_association_cost(self, tracks: Any, detections: Any) -> np.ndarray:
        motion = self.association_distance(tracks, detections)
        near = motion <= self.proximity_thresh
        motion = fuse_score(motion, detections)
        cost = self._with_parts(motion, near, tracks, detections, self.unconfirmed_emb_scale)
        self.appearance.count_assignment(motion, cost, self.unconfirmed_match_thresh)
        return cost

    def _with_parts(
        self, motion: np.ndarray, near: np.ndarray, tracks: Any, detections: Any, divisor: float
    ) -> np.ndarray:
        if not self.use_embeddings or not motion.size:
            return motion
        distances = part_distances([track.parts for track in tracks], [item.parts for item in detections])
        appearance = as_cosine(distances) / divisor
        trusted = near & (appearance <= self.appearance_thresh)
        return np.where(trusted, np.minimum(motion, appearance), motion)


def watch(tracker: BotSort) -> AppearanceReport:
    """Count from now on what appearance decides in a ``boxmot.BotSort``; the drop-in vector's or any other's.

    Returns:
        The report, which stays up to date; ``appearance_report(tracker)`` finds it too.
    """
    model = getattr(tracker, "_reid_model", None)
    vector = getattr(model, "vector", None)
    report = AppearanceReport(
        "boxmot BotSort", *(describe(vector) if vector else ("drop-in", "another model's vector"))
    )
    _watch_cost(tracker, report, "_first_association_cost", tracker.match_thresh)
    _watch_cost(tracker, report, "_unconfirmed_association_cost", tracker.unconfirmed_match_thresh)
    tracker.appearance = report
    return report


def _watch_cost(tracker: BotSort, report: AppearanceReport, method: str, limit: float) -> None:
    inner = getattr(tracker, method)

    def counted(tracks: Any, detections: Any) -> np.ndarray:
        cost: np.ndarray = inner(tracks, detections)
        used, tracker.use_embeddings = tracker.use_embeddings, False
        try:
            motion = inner(tracks, detections)
        finally:
            tracker.use_embeddings = used
        report.count_assignment(motion, cost, limit)
        return cost

    setattr(tracker, method, counted)
