"""Ultralytics: ``YOLO.track(..., tracker=TRACKER)`` with part embeddings in its BoT-SORT.

Importing this module registers ``tracker_type: bpbreid``. ``TRACKER`` is the path of a tracker YAML that uses
it; copy it to change settings. ``appearance: parts`` there is the exact level, ``foreground`` and ``concat``
are drop-in vectors in Ultralytics' own association.
"""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import UsageError
from ..model.encoder import Encoder
from ._versions import require
from .parts import TrackParts, as_cosine, part_distances
from .report import AppearanceReport, describe
from .vectors import FlatEncoder

VERSION = require("ultralytics", "8.4.70", "8.5")

from ultralytics.trackers import bot_sort  # noqa: E402
from ultralytics.trackers.track import TRACKER_MAP  # noqa: E402
from ultralytics.trackers.utils import matching  # noqa: E402

TRACKER = str(Path(__file__).with_name("ultralytics_bpbreid.yaml"))
"""A tracker YAML for ``YOLO.track(tracker=...)``."""


class ReIDEncoder(FlatEncoder):
    """``encoder`` of Ultralytics' BOTSORT: ``encoder(frame, boxes)``; ``use_encoder`` puts it in place."""

    def __call__(self, frame: np.ndarray, dets: np.ndarray) -> list[np.ndarray | None]:
        """Vectors of boxes [N, >= 4] (centre x, centre y, width, height); None where nothing shows.

        Ready vectors [N, D], which the host passes in place of the frame (``update(feats=)``), come back.
        """
        if frame.ndim == 2:
            return list(frame)
        boxes = np.asarray(dets, np.float64)[:, :4]
        half = boxes[:, 2:] / 2
        vectors = self.boxes(frame, np.concatenate((boxes[:, :2] - half, boxes[:, :2] + half), axis=1))
        return [row if row.any() else None for row in vectors]


def use_encoder(tracker: Any, encoder: ReIDEncoder) -> AppearanceReport:
    """Give a ready ``BOTSORT`` another encoder (drop-in), and count what it decides from now on.

    Args:
        tracker: ``ultralytics.trackers.BOTSORT``, made with ``with_reid: False`` or another encoder.
        encoder: with ``vector`` ``foreground`` or ``concat``.

    Returns:
        The report, which stays up to date; ``appearance_report(tracker)`` finds it too.

    Raises:
        UsageError: an encoder with ``vector="parts"``.
    """
    if encoder.vector == "parts":
        raise UsageError("use_encoder: BOTSORT compares by cosine; for vector='parts' take BPBReIDTracker")
    tracker.encoder = encoder
    tracker.args = copy.copy(tracker.args)
    tracker.args.with_reid = True
    tracker.args.model = "bpbreid"  # with "auto" the tracker would not be shown the frame
    return watch(tracker)


def watch(tracker: Any) -> AppearanceReport:
    """Count from now on what appearance decides in a ``BOTSORT`` of Ultralytics, whoever encodes."""
    vector = getattr(tracker.encoder, "vector", None)
    report = AppearanceReport(
        "ultralytics BOTSORT", *(describe(vector) if vector else ("drop-in", "another encoder's vector"))
    )
    inner = tracker.get_dists

    def counted(tracks: list[Any], detections: list[Any]) -> np.ndarray:
        cost: np.ndarray = inner(tracks, detections)
        used, tracker.args.with_reid = tracker.args.with_reid, False
        try:
            motion = inner(tracks, detections)
        finally:
            tracker.args.with_reid = used
        report.count_assignment(motion, cost, _limit(tracker, tracks))
        return cost

    tracker.get_dists = counted
    tracker.appearance = report
    return report


def _limit(tracker: Any, tracks: list[Any]) -> float:
    """The host's cost limit: its association of tracks not yet confirmed has one of its own."""
    confirmed = not tracks or tracks[0].is_activated
    return float(tracker.args.match_thresh) if confirmed else 0.7


class _PartTrack(bot_sort.BOTrack):
    """A track that remembers parts; its vectors are packed ones."""

    parts: TrackParts | None = None

    def update_features(self, feat: np.ndarray) -> None:
        view = TrackParts.unpack(feat)
        self.curr_feat = feat
        if self.parts is None:
            self.parts = view
        else:
            self.parts.learn(view)


class BPBReIDTracker(bot_sort.BOTSORT):
    """BoT-SORT of Ultralytics with the visibility-masked part distance as its appearance cost (exact).

    Each track remembers every part for itself. A pair without a common part costs what motion says. All else
    is Ultralytics', thresholds included: a part distance d counts as the cosine distance d^2 / 2. With
    ``appearance: foreground`` or ``concat`` in the YAML it is BoT-SORT unchanged with our vector (drop-in).

    Args:
        args: the keys of ``botsort.yaml``; ``model`` is what ``Encoder.load`` takes, ``auto`` the bundled
            encoder; ``appearance`` as said.
        encoder: a ready ``Encoder`` in place of ``model``.

    Attributes:
        appearance: what appearance decided so far.
    """

    def __init__(self, args: Any, encoder: Encoder | None = None) -> None:
        args = copy.copy(args)
        wanted, args.with_reid = args.with_reid, False  # the host would build an encoder of its own
        super().__init__(args)
        vector: Any = getattr(args, "appearance", "parts")
        self.appearance = AppearanceReport("ultralytics BOTSORT", *describe(vector))
        if wanted:
            model = str(getattr(args, "model", "auto"))
            source: Any = encoder or Encoder.load(
                "default" if model == "auto" else model, device=getattr(args, "device", None) or "auto"
            )
            self.encoder = ReIDEncoder(source, vector)
            args.with_reid, args.model = True, "bpbreid"

    def reset(self) -> None:
        super().reset()
        self.appearance.matches = self.appearance.decided = 0

    def init_track(self, results: Any, img: np.ndarray | None = None) -> list[Any]:
        if not self._exact or img is None or not len(results):
            tracks: list[Any] = super().init_track(results, img)
            return tracks
        boxes = bot_sort.parse_bboxes(results)
        rows = zip(boxes, results.conf, results.cls, self.encoder(img, boxes), strict=True)
        return [_PartTrack(*row) for row in rows]

    def get_dists(self, tracks: list[Any], detections: list[Any]) -> np.ndarray:
        used, self.args.with_reid = self.args.with_reid, False
        try:
            motion = super().get_dists(tracks, detections)
        finally:
            self.args.with_reid = used
        if not used or not motion.size:
            return motion
        cost = (
            self._with_parts(motion, tracks, detections)
            if self._exact
            else super().get_dists(tracks, detections)
        )
        self.appearance.count_assignment(motion, cost, _limit(self, tracks))
        return cost

    @property
    def _exact(self) -> bool:
        return bool(self.args.with_reid) and self.encoder.vector == "parts"

    def _with_parts(self, motion: np.ndarray, tracks: list[Any], detections: list[Any]) -> np.ndarray:
        distances = part_distances(
            [getattr(track, "parts", None) for track in tracks],
            [getattr(item, "parts", None) for item in detections],
        )
        appearance = as_cosine(distances) / 2
        trusted = appearance <= 1 - self.appearance_thresh
        trusted &= matching.iou_distance(tracks, detections) <= 1 - self.proximity_thresh
        return np.where(trusted, np.minimum(motion, appearance), motion)


TRACKER_MAP["bpbreid"] = BPBReIDTracker
