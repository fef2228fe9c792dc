"""Why a box was given to a track, or to none: reasons from the numbers of the association.

Pure functions and plain data; ``recorder.ReasonRecorder`` applies them to a frame of the tracker. Nothing
here takes part in the association. T tracks, N boxes, P parts.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ..tracking.rounds import LOW

if TYPE_CHECKING:
    from ..embeddings import PartEmbeddings
    from ..tracking.appearance_memory import AppearanceMemory

BIRTH = "birth"

# What kept a track from a box.
CLASS = "another class"
NO_PART = "no common part"
SCORE = "box scores too low"
COST = "evidence speaks against it"
TAKEN = "taken by another box"
WHOLE = "another assignment was likelier"


@dataclass(frozen=True)
class Rival:
    """A track that did not get a box.

    Attributes:
        track: number of the track, from 0, unique within a run.
        identity: its identity; None while unconfirmed.
        lost: seconds since its last match; 0 if that was in the last frame.
        motion: 1 - IoU of the box and the predicted box of the track, in [0, 1].
        place: log-likelihood ratio of the box's place, above 0 if it speaks for the pair.
        distance: part distance (Eq. 9), in [0, 2]; None where no part shows in both.
        parts: distance of each part that shows in both.
        appearance: log-likelihood ratio of the part distance, above 0 if it speaks for the pair; None where
            no part shows in both.
        cost: minus all evidence together, the odds of track and box among it; None where the pair was
            forbidden.
        limit: the highest cost its round accepts; None where no round takes such a pair.
        ruled_out: why the track did not get the box, one of the constants of this module.
        box: row of the box that the track took in this frame; None if it took none.
    """

    track: int
    identity: int | None
    lost: float
    motion: float
    place: float
    distance: float | None
    parts: dict[str, float]
    appearance: float | None
    cost: float | None
    limit: float | None
    ruled_out: str
    box: int | None


@dataclass(frozen=True)
class MatchReason:
    """Why a box has the track it has.

    Attributes:
        row: row of the box among the frame's detections.
        track: number of the track, from 0, unique within a run.
        identity: its identity at the end of the frame; None while unconfirmed.
        round: ``high``, ``low``, ``new`` (a track not yet confirmed) or ``birth`` (a track of its own).
        lost, motion, place, distance, parts, appearance, cost: as for ``Rival``; None or empty at birth.
        limit: the highest cost this round accepts; None at birth.
        visible: names of the parts that show in the box.
        by_appearance: motion alone would have decided otherwise.
        runner_up: the cheapest other track that could have had the box.
        closest: at birth and until confirmation: the tracks that the box could have continued.
    """

    row: int
    track: int
    identity: int | None
    round: str
    lost: float
    motion: float | None
    place: float | None
    distance: float | None
    parts: dict[str, float]
    appearance: float | None
    cost: float | None
    limit: float | None
    visible: tuple[str, ...]
    by_appearance: bool
    runner_up: Rival | None
    closest: tuple[Rival, ...]

    def as_dict(self) -> dict[str, Any]:
        """Plain data, ready for JSON."""
        return asdict(self)

    def short(self) -> str:
        """``H 0.41``: letter of the round (``l`` for low), and the part distance where there is one.

        The letter of a track that was lost is ``L``.
        """
        letter = "L" if self.lost else "l" if self.round == LOW else self.round[0].upper()
        return letter if self.distance is None else f"{letter} {self.distance:.2f}"


def shared_part_distances(
    memory: AppearanceMemory, embeddings: PartEmbeddings, track: int, row: int
) -> dict[str, float]:
    """Euclidean distance of every part that is known of the track and shows in the box, by name."""
    from ..tracking.appearance_memory import FADED  # not above: a log of reasons is read without torch

    features, visibility = embeddings.numpy()
    shown = (memory.evidence[track] >= FADED) & (visibility[row] > 0)
    gaps = np.linalg.norm(memory.features[track] - features[row], axis=-1)
    return {
        name: round(float(gap), 4)
        for name, gap, both in zip(memory.part_names, gaps, shown, strict=True)
        if both
    }


def ruled_out(*, same_class: bool, cost: float, limit: float | None, taken: bool, faint: bool) -> str:
    """The first of the tracker's conditions that kept a confirmed track from a box.

    Args:
        same_class: whether track and box are of one class (or classes do not matter).
        cost: of the pair, inf where forbidden.
        limit: the highest cost its round accepts; None where no round takes the box.
        taken: whether the track took another box.
        faint: whether the box is one of low score.
    """
    if not same_class:
        return CLASS
    if limit is None:
        return SCORE
    if not np.isfinite(cost):
        return SCORE if faint else NO_PART
    if cost > limit:
        return COST
    return TAKEN if taken else WHOLE


def shorts(reasons: Sequence[MatchReason], count: int) -> np.ndarray:
    """``MatchReason.short`` for each of ``count`` boxes, str [N]; empty for boxes without track."""
    words = [""] * count
    for reason in reasons:
        words[reason.row] = reason.short()
    return np.array(words, dtype=np.str_)
