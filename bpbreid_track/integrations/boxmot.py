"""BoxMOT: our vector as its ``reid_model`` (drop-in). The part distance is in ``boxmot_parts``.

``ReIDModel`` fits every BoxMOT from 16 on: the method that BoxMOT calls has changed the names of its
arguments and nothing else.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ..errors import UsageError
from ._versions import require
from .report import AppearanceReport, describe
from .vectors import FlatEncoder

VERSION = require("boxmot", "16", "26")


class ReIDModel(FlatEncoder):
    """``reid_model`` of BotSort, StrongSort, DeepOcSort, HybridSort, BoostTrack and OccluBoost (drop-in).

    Where an older BoxMOT insists on a model of its own, put this one in its place: ``tracker.model = ...``.

    >>> from boxmot import BotSort  # doctest: +SKIP
    >>> tracker = BotSort(reid_model=ReIDModel())  # doctest: +SKIP
    """

    def get_features(self, boxes: Any, image: np.ndarray) -> np.ndarray:
        """Vectors float32 [N, D] of boxes [N, 4] in pixels of a BGR image uint8 [H, W, 3]; no zero row."""
        return self.never_zero(self.boxes(image, boxes))


def watch(tracker: Any) -> AppearanceReport:
    """Count from now on what appearance decides in a ``boxmot.BotSort`` of BoxMOT 25, whoever encodes.

    Returns:
        The report, which stays up to date; ``appearance_report(tracker)`` finds it too.

    Raises:
        UsageError: another tracker, or an older BoxMOT.
    """
    if not hasattr(tracker, "_first_association_cost") or not hasattr(tracker, "use_embeddings"):
        raise UsageError(
            f"watch: expected boxmot.BotSort of BoxMOT 25, got {type(tracker).__name__} of {VERSION}"
        )
    model = getattr(tracker, "_reid_model", None)
    vector = getattr(model, "vector", None)
    if vector == "parts":
        raise UsageError("watch: BotSort compares by cosine; for vector='parts' take PartBotSort")
    report = AppearanceReport(
        "boxmot BotSort", *(describe(vector) if vector else ("drop-in", "another model's vector"))
    )
    _watch_cost(tracker, report, "_first_association_cost", tracker.match_thresh)
    _watch_cost(tracker, report, "_unconfirmed_association_cost", tracker.unconfirmed_match_thresh)
    tracker.appearance = report
    return report


def _watch_cost(tracker: Any, report: AppearanceReport, method: str, limit: float) -> None:
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
