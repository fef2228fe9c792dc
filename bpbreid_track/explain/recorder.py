"""``ReasonRecorder``: notes why each box has the track it has, from what the association tells.

A tracker that carries one (``tracker.recorder = ReasonRecorder(tracker.config)``) shows it every frame; a
tracker without one computes nothing of this. Costs, limits and rounds are read off the trace.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ..tracking import kalman
from ..tracking.boxes import iou
from ..tracking.observer import AssociatedFrame
from ..tracking.rounds import NEW
from .reasons import BIRTH, MatchReason, Rival, ruled_out, shared_part_distances

if TYPE_CHECKING:
    from ..config import TrackerConfig
    from ..tracking.tracks import Tracks

# Tracks named for a box that they did not get: so many of the nearest in appearance, and in position.
_NAMED = 5


class ReasonRecorder:
    """Collects the reasons of a frame while the tracker goes through it: ``look``, ``name``, ``take``."""

    def __init__(self, config: TrackerConfig) -> None:
        self._config = config
        self._drafts: list[dict[str, Any]] = []
        self._reasons: list[MatchReason] = []
        self._forgotten: list[int] = []
        self._living: dict[int, int] = {}

    def look(self, frame: AssociatedFrame) -> None:
        """Take in a frame after the association, while tracks and memory are still as it saw them."""
        draft, trace = _Draft(self._config, frame), frame.trace
        self._drafts = [
            draft.match(int(track), int(box), bool(by_appearance))
            for track, box, by_appearance in zip(trace.tracks, trace.boxes, trace.by_appearance, strict=True)
        ]
        self._drafts += [draft.birth(int(box)) for box in frame.born]

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


class _Draft:
    """One frame in the words of ``MatchReason``, but for identities, which are not known yet."""

    def __init__(self, config: TrackerConfig, frame: AssociatedFrame) -> None:
        self._config, self._frame = config, frame
        self._cost = frame.trace.cost()
        self._lost = np.where(frame.evidence.lost, frame.now - frame.tracks.seen, 0.0)
        # Of a track that may be anywhere, as after a cut, nothing overlaps.
        self._overlap = iou(kalman.to_xyxy(frame.tracks.state[kalman.POSITION]), frame.boxes.xyxy)
        self._overlap[~frame.tracks.has_position] = 0.0
        taken = zip(frame.trace.tracks.tolist(), frame.trace.boxes.tolist(), strict=True)
        self._box_of: dict[int, int] = dict(taken)

    def match(self, track: int, row: int, by_appearance: bool) -> dict[str, Any]:
        """The ``MatchReason`` of a pair."""
        which = self._frame.trace.round_of(track, row)
        assert which is not None
        others = np.delete(np.arange(len(self._frame.tracks)), track)
        others = others[np.isfinite(self._cost[others, row])]
        second = int(others[self._cost[others, row].argmin()]) if len(others) else None
        return {
            "row": row,
            "track": int(self._frame.tracks.numbers[track]),
            "round": which.name,
            **self._pair(track, row),
            "limit": which.limit,
            "visible": self._visible(row),
            "by_appearance": by_appearance,
            "runner_up": None if second is None else self._rival(second, row),
            "closest": self._closest(row) if which.name == NEW else (),
        }

    def birth(self, row: int) -> dict[str, Any]:
        """The same for a box that starts a track."""
        return {
            "row": row,
            "round": BIRTH,
            "lost": 0.0,
            "motion": None,
            "place": None,
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

    def _pair(self, track: int, row: int) -> dict[str, Any]:
        frame, evidence = self._frame, self._frame.evidence
        distance = np.inf if evidence.distances is None else float(evidence.distances[track, row])
        cost = float(self._cost[track, row])
        parts: dict[str, float] = {}
        if frame.memory is not None and frame.embeddings is not None and np.isfinite(distance):
            parts = shared_part_distances(frame.memory, frame.embeddings, track, row)
        return {
            "lost": round(float(self._lost[track]), 4),
            "motion": round(float(1 - self._overlap[track, row]), 4),
            "distance": round(distance, 4) if np.isfinite(distance) else None,
            "parts": parts,
            "place": round(float(frame.cues.place[track, row]), 4),
            "appearance": round(float(evidence.parts[track, row]), 4)
            if evidence.parts is not None and np.isfinite(distance)
            else None,
            "cost": round(cost, 4) if np.isfinite(cost) else None,
        }

    def _visible(self, row: int) -> tuple[str, ...]:
        embeddings = self._frame.embeddings
        if embeddings is None:
            return ()
        shown = embeddings.numpy().visibility[row] > 0
        return tuple(name for name, is_shown in zip(embeddings.part_names, shown, strict=True) if is_shown)

    def _rival(self, track: int, row: int) -> Rival:
        frame, tracks = self._frame, self._frame.tracks
        pair, which = self._pair(track, row), frame.trace.round_of(track, row)
        limit = None if which is None else which.limit
        reason = ruled_out(
            same_class=self._config.class_agnostic or tracks.classes[track] == frame.boxes.classes[row],
            cost=float(self._cost[track, row]),
            limit=limit,
            taken=track in self._box_of,
            faint=bool(frame.boxes.scores[row] < self._config.high_score),
        )
        return Rival(
            track=int(tracks.numbers[track]),
            identity=int(tracks.ids[track]) or None,
            **pair,
            limit=limit,
            ruled_out=reason,
            box=self._box_of.get(track),
        )

    def _closest(self, row: int) -> tuple[Rival, ...]:
        """The confirmed tracks that were not seen in this frame, or might have had this box."""
        frame = self._frame
        unseen = np.ones(len(frame.tracks), bool)
        unseen[list(self._box_of)] = False
        rows = np.flatnonzero((frame.tracks.ids > 0) & (unseen | np.isfinite(self._cost[:, row])))
        by_position = np.argsort(-frame.cues.place[rows, row], kind="stable")
        chosen = set(rows[by_position[:_NAMED]].tolist())
        if frame.evidence.distances is not None:
            by_parts = np.argsort(frame.evidence.distances[rows, row], kind="stable")
            chosen |= set(rows[by_parts[:_NAMED]].tolist())
        rivals = [self._rival(int(track), row) for track in chosen]
        return tuple(sorted(rivals, key=lambda r: (r.distance is None, r.distance or r.motion, r.track)))
