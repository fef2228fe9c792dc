"""BoxMOT 25's BoT-SORT with the part distance (exact)."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..model.encoder import Encoder
from ._versions import require
from .boxmot import ReIDModel
from .parts import TrackParts, as_cosine, part_distances
from .report import AppearanceReport, describe

VERSION = require("boxmot", "25", "26")

from boxmot.trackers.box.botsort.track import STrack  # noqa: E402
from boxmot.trackers.box.botsort.tracker import BotSort  # noqa: E402
from boxmot.trackers.common.association.matching import fuse_score  # noqa: E402


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
