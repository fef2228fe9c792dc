"""``ReasonRecorder``: looks over the tracker's shoulder and notes why each box has the track it has.

A tracker that carries one (``tracker.recorder = ReasonRecorder(tracker.config)``) shows it every frame; a
tracker without one computes nothing of this.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from .reasons import (
    BIRTH,
    HIGH,
    LOST,
    LOW,
    NEW,
    MatchReason,
    Pairs,
    Rival,
    pairs_of,
    ruled_out,
    shared_part_distances,
)

if TYPE_CHECKING:
    from ..config import TrackerConfig
    from ..embeddings import PartEmbeddings
    from ..tracking.appearance_memory import PartMemory
    from ..tracking.cost_matrices import PairCosts, Place
    from ..tracking.tracks import Boxes, Tracks

# Tracks named for a box that they did not get: so many of the nearest in looks, and in place.
_NAMED = 5


class ReasonRecorder:
    """Collects the reasons of a frame while the tracker goes through it: ``look``, ``name``, ``take``."""

    def __init__(self, config: TrackerConfig) -> None:
        self._config = config
        self._drafts: list[dict[str, Any]] = []
        self._reasons: list[MatchReason] = []
        self._forgotten: list[int] = []
        self._living: dict[int, int] = {}

    def look(
        self,
        tracks: Tracks,
        memory: PartMemory | None,
        boxes: Boxes,
        embeddings: PartEmbeddings | None,
        place: Place,
        costs: PairCosts,
        now: float,
        matches: tuple[np.ndarray, np.ndarray],
        born: np.ndarray,
    ) -> None:
        """Take in a frame after the association, while tracks and memory are still as it saw them.

        Args:
            place, costs: of all pairs.
            now: time of the frame in seconds.
            matches: rows of tracks, and rows of the boxes they took.
            born: rows of the boxes that start tracks, in the order in which these are appended.
        """
        pairs = pairs_of(tracks, boxes, place, costs, now, self._config)
        frame = _Frame(self._config, tracks, memory, boxes, embeddings, pairs, matches)
        self._drafts = [frame.match(int(row), int(column)) for row, column in zip(*matches, strict=True)]
        self._drafts += [frame.birth(int(column)) for column in born]

    def name(self, tracks: Tracks, identities: np.ndarray) -> None:
        """Finish the frame.

        Args:
            tracks: all that live on, the new ones at the end.
            identities: int [N], what each box was given; -1 for none.
        """
        births = [draft for draft in self._drafts if draft["round"] == BIRTH]
        for draft, number in zip(births, tracks.numbers[len(tracks) - len(births) :], strict=True):
            draft["track"] = int(number)
        given = [int(identities[draft["row"]]) for draft in self._drafts]
        self._reasons = [
            MatchReason(**draft, identity=identity if identity > 0 else None)
            for draft, identity in sorted(zip(self._drafts, given, strict=True), key=lambda p: p[0]["row"])
        ]
        living = dict(zip(tracks.numbers.tolist(), tracks.ids.tolist(), strict=True))
        named = set(living.values())
        self._forgotten = [i for i in self._living.values() if i > 0 and i not in named]
        self._living = living

    def take(self) -> tuple[list[MatchReason], list[int]]:
        """Reasons for the boxes of the last frame, by row, and the identities it gave up waiting for."""
        return self._reasons, self._forgotten


class _Frame:
    """One frame as the association saw it."""

    def __init__(
        self,
        config: TrackerConfig,
        tracks: Tracks,
        memory: PartMemory | None,
        boxes: Boxes,
        embeddings: PartEmbeddings | None,
        pairs: Pairs,
        matches: tuple[np.ndarray, np.ndarray],
    ) -> None:
        self._config, self._tracks, self._memory = config, tracks, memory
        self._boxes, self._embeddings, self._pairs = boxes, embeddings, pairs
        self._box_of = dict(zip(matches[0].tolist(), matches[1].tolist(), strict=True))

    def match(self, track: int, row: int) -> dict[str, Any]:
        """The ``MatchReason`` of a pair, but for the identity."""
        which = self._round(track, row)
        others = np.delete(np.arange(len(self._tracks)), track)
        others = others[np.isfinite(self._pairs.cost[others, row])]
        second = int(others[self._pairs.cost[others, row].argmin()]) if len(others) else None
        return {
            "row": row,
            "track": int(self._tracks.numbers[track]),
            "round": which,
            **self._pair(track, row),
            "limit": self._limit(track, row),
            "visible": self._visible(row),
            "by_appearance": bool(self._pairs.needed[track, row]),
            "runner_up": None if second is None else self._rival(second, row),
            "closest": self._closest(row) if which == NEW else (),
        }

    def birth(self, row: int) -> dict[str, Any]:
        """The same for a box that starts a track."""
        return {
            "row": row,
            "round": BIRTH,
            "lost": 0.0,
            "motion": None,
            "distance": None,
            "parts": {},
            "appearance": None,
            "cost": None,
            "limit": None,
            "visible": self._visible(row),
            "by_appearance": False,
            "runner_up": None,
            "closest": self._closest(row),
        }

    def _round(self, track: int, row: int) -> str:
        if not self._tracks.ids[track] > 0:
            return NEW
        if self._pairs.lost[track]:
            return LOST
        return HIGH if self._boxes.scores[row] >= self._config.high_score else LOW

    def _limit(self, track: int, row: int) -> float:
        config = self._config
        limits = {
            HIGH: 1 - config.min_iou,
            LOW: 1 - config.min_iou_low,
            LOST: -config.recovery_evidence,
            NEW: 1 - config.min_iou_new,
        }
        return limits[self._round(track, row)]

    def _pair(self, track: int, row: int) -> dict[str, Any]:
        pairs = self._pairs
        distance = np.inf if pairs.distance is None else float(pairs.distance[track, row])
        cost = float(pairs.cost[track, row])
        parts: dict[str, float] = {}
        if self._memory is not None and self._embeddings is not None and np.isfinite(distance):
            parts = shared_part_distances(self._memory, self._embeddings, track, row)
        return {
            "lost": round(float(pairs.lost[track]), 4),
            "motion": round(float(pairs.motion[track, row]), 4),
            "distance": round(distance, 4) if np.isfinite(distance) else None,
            "parts": parts,
            "appearance": round(float(pairs.appearance[track, row]), 4)
            if pairs.appearance is not None and np.isfinite(distance)
            else None,
            "cost": round(cost, 4) if np.isfinite(cost) else None,
        }

    def _visible(self, row: int) -> tuple[str, ...]:
        if self._embeddings is None:
            return ()
        shown = self._embeddings.numpy().visibility[row] > 0
        return tuple(
            name for name, is_shown in zip(self._embeddings.part_names, shown, strict=True) if is_shown
        )

    def _rival(self, track: int, row: int) -> Rival:
        config, pairs, tracks = self._config, self._pairs, self._tracks
        pair, limit = self._pair(track, row), self._limit(track, row)
        in_sight = bool(tracks.ids[track] > 0 and not pairs.lost[track])
        reason = ruled_out(
            same_class=config.class_agnostic or tracks.classes[track] == self._boxes.classes[row],
            gate=float(pairs.gate[track, row]),
            widest=config.gate if pair["distance"] is None else np.inf,
            cost=float(pairs.cost[track, row]),
            limit=limit,
            # Boxes of low score go to confirmed tracks that were seen in the last frame, or to nobody.
            high=in_sight or bool(self._boxes.scores[row] >= config.high_score),
            taken=track in self._box_of,
            in_sight=in_sight,
        )
        identity = int(tracks.ids[track])
        return Rival(
            track=int(tracks.numbers[track]),
            identity=identity or None,
            **pair,
            limit=limit,
            ruled_out=reason,
            box=self._box_of.get(track),
        )

    def _closest(self, row: int) -> tuple[Rival, ...]:
        """The confirmed tracks that were not seen in this frame, or might have had this box."""
        pairs = self._pairs
        unseen = np.ones(len(self._tracks), bool)
        unseen[list(self._box_of)] = False
        rows = np.flatnonzero((self._tracks.ids > 0) & (unseen | np.isfinite(pairs.cost[:, row])))
        chosen = set(rows[np.argsort(pairs.gate[rows, row], kind="stable")[:_NAMED]].tolist())
        if pairs.distance is not None:
            alike = rows[np.argsort(pairs.distance[rows, row], kind="stable")[:_NAMED]]
            chosen |= set(alike.tolist())
        rivals = [self._rival(int(track), row) for track in chosen]
        return tuple(sorted(rivals, key=lambda r: (r.distance is None, r.distance or r.motion, r.track)))
