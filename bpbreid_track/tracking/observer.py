"""What the tracker shows to somebody who wants to know why: one frame, before tracks and memory change."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np

from .appearance_memory import AppearanceMemory
from .association import Trace
from .evidence import Evidence, MotionCues
from .tracks import Boxes, Tracks

if TYPE_CHECKING:
    from ..embeddings import PartEmbeddings


@dataclass(frozen=True)
class AssociatedFrame:
    """One frame after the association, with tracks and memory as it saw them.

    Attributes:
        tracks: T tracks, predicted to this frame.
        memory: of their parts; None without appearance.
        boxes: N boxes.
        embeddings: of the boxes; None without appearance.
        cues, evidence: what motion and parts say of all pairs.
        trace: what was decided, and why.
        born: int rows of the boxes that start tracks, in the order in which these are appended.
        now: time of the frame in seconds.
    """

    tracks: Tracks
    memory: AppearanceMemory | None
    boxes: Boxes
    embeddings: PartEmbeddings | None
    cues: MotionCues
    evidence: Evidence
    trace: Trace
    born: np.ndarray
    now: float


class Observer(Protocol):
    """Is shown every frame of a tracker that carries it; takes no part in the association."""

    def look(self, frame: AssociatedFrame) -> None:
        """Take in a frame before tracks and memory are corrected."""

    def name(self, tracks: Tracks, identities: np.ndarray) -> None:
        """Finish the frame.

        Args:
            tracks: all that live on, the new ones at the end.
            identities: int [N], what each box was given; -1 for none.
        """
