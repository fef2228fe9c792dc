"""Frames in hindsight: each waits until it is known what comes after it, and where the camera turned to."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from ..tracking.camera_motion import CameraStep
from ..tracking.kalman import to_cxcywh, to_xyxy
from ..tracking.tracks import TICK
from .smoothing import Moment, boxes_at
from .tracklets import TrackedRows, concatenate

_ID_BITS = 32


@dataclass
class _Seen:
    """What the tracker said of a frame: M boxes.

    Attributes:
        time: seconds.
        first: how many boxes came before, in all frames.
        person: int64 [M], identity and view in one number: of where somebody stood, one view says nothing of
            another.
        cxcywh: float64 [M, 4], pixels.
        confidence: float64 [M].
        turn, shift: the camera since the frame before: from ``x + iy`` there to ``turn (x + iy) + shift``.
        looked: whether anybody knows what it did; if not, the next step tells of both.
    """

    time: float
    first: int
    person: np.ndarray
    cxcywh: np.ndarray
    confidence: np.ndarray
    turn: complex
    shift: complex
    looked: bool


class Hindsight:
    """Smooths frames that come one by one, see ``smoothing.boxes_at``.

    Lines are drawn as seen by the camera where it stands in the frame that is asked for: what it did is no
    doing of the people.

    Args:
        lag: half width of the widest window, seconds above 0.
    """

    def __init__(self, lag: float) -> None:
        self._lag = lag
        self._seen: deque[_Seen] = deque()
        self._given = 0  # of these
        self._boxes = self._views = 0

    @property
    def waiting(self) -> int:
        """Frames that were not given yet."""
        return len(self._seen) - self._given

    @property
    def is_ready(self) -> bool:
        """Whether nothing that comes can change the next frame any more."""
        return bool(self.waiting) and self._seen[-1].time - self._seen[self._given].time >= self._lag - TICK

    def add(
        self,
        time: float,
        ids: np.ndarray,
        xyxy: np.ndarray,
        confidence: np.ndarray,
        step: CameraStep | None = None,
    ) -> None:
        """Take in a frame.

        Args:
            time: seconds, increasing.
            ids: int64 [M], each once.
            xyxy: float [M, 4], pixels.
            confidence: float [M].
            step: of the camera since the last frame that had one; None: nobody looked at the picture.
        """
        self._views += step is not None and step.cut
        person = np.asarray(ids, np.int64) + (self._views << _ID_BITS)
        seen = _Seen(time, self._boxes, person, to_cxcywh(xyxy), confidence, 1.0, 0.0, step is not None)
        self._seen.append(seen)
        self._boxes += len(person)
        if step is not None and step.affine is not None:
            self._turn(step.affine)

    def next(self) -> Moment:
        """The frame that has waited longest. Rows of boxes are counted over all that were added."""
        now = self._seen[self._given]
        while self._seen[0].time < now.time - self._lag - TICK:
            self._seen.popleft()
            self._given -= 1
        near = [seen for seen in self._seen if seen.time <= now.time + self._lag + TICK]
        count = [len(seen.person) for seen in near]
        found = boxes_at(
            now.time,
            self._lag,
            np.repeat([seen.time for seen in near], count),
            np.concatenate([seen.person for seen in near]),
            _as_seen_from(near, self._given),
            np.concatenate([seen.confidence for seen in near]),
        )
        self._given += 1
        person = found.ids & ((1 << _ID_BITS) - 1)
        return replace(found, ids=person, before=found.before + near[0].first)

    def _turn(self, affine: np.ndarray) -> None:
        """Put a step down to the frames that it tells of, in equal parts."""
        parts = 1
        while parts < len(self._seen) and not self._seen[-1 - parts].looked:
            parts += 1
        turn, shift = complex(affine[0, 0], affine[1, 0]), complex(affine[0, 2], affine[1, 2])
        if not turn:  # all of the picture in one point
            return
        root = turn ** (1 / parts)
        share = shift / parts if abs(turn - 1) < 1e-9 else shift * (root - 1) / (turn - 1)
        for back in range(1, parts + 1):
            seen = self._seen[-back]
            seen.turn, seen.shift, seen.looked = root, share, True


def _as_seen_from(near: Sequence[_Seen], at: int) -> np.ndarray:
    """The boxes of all frames [R, 4] as the camera of frame ``at`` sees them."""
    boxes = np.concatenate([seen.cxcywh for seen in near])
    if all(seen.turn == 1 and not seen.shift for seen in near[1:]):
        return boxes
    turn, shift = np.ones(len(near), complex), np.zeros(len(near), complex)
    for row, seen in enumerate(near[1:], start=1):
        turn[row], shift[row] = seen.turn * turn[row - 1], seen.turn * shift[row - 1] + seen.shift
    turn = turn[at] / turn
    shift = shift[at] - turn * shift
    frame = np.repeat(np.arange(len(near)), [len(seen.person) for seen in near])
    place = (boxes[:, 0] + 1j * boxes[:, 1]) * turn[frame] + shift[frame]
    return np.column_stack([place.real, place.imag, boxes[:, 2:] * np.abs(turn)[frame, None]])


def smooth_run(
    rows: TrackedRows, times: np.ndarray, steps: Sequence[CameraStep | None], lag: float
) -> TrackedRows:
    """A whole run in hindsight.

    Args:
        rows: its boxes, sorted by frame; those without identity stay as they are.
        times: float64 [F], seconds of every frame.
        steps: F, what the camera did before every frame, see ``Hindsight.add``.
        lag: half width of the widest window, seconds; 0: ``rows`` as they are.

    Returns:
        The same boxes in the same order, smoothed, and in each frame those that were filled in behind them.
    """
    if not lag:
        return rows
    own = np.flatnonzero(rows.id >= 0)
    frames = np.arange(len(times))
    here = np.searchsorted(rows.frame[own], [frames, frames + 1]).T.tolist()
    hindsight, moments = Hindsight(lag), list[Moment]()
    for time, (first, last), step in zip(times.tolist(), here, steps, strict=True):
        mine = own[first:last]
        hindsight.add(time, rows.id[mine], rows.xyxy[mine], rows.confidence[mine].astype(np.float64), step)
        while hindsight.is_ready:
            moments.append(hindsight.next())
    moments += [hindsight.next() for _ in range(hindsight.waiting)]
    xyxy, filled = rows.xyxy.copy(), list[TrackedRows]()
    for frame, found in enumerate(moments):
        corners, new = to_xyxy(found.cxcywh), found.filled
        xyxy[own[found.before[~new]]] = corners[~new]
        count = int(new.sum())
        if count:
            filled.append(
                replace(
                    rows[own[found.before[new]]],
                    frame=np.full(count, frame),
                    time=np.full(count, times[frame]),
                    xyxy=corners[new],
                    confidence=found.confidence[new].astype(np.float32),
                    filled=np.ones(count, bool),
                )
            )
    return concatenate([replace(rows, xyxy=xyxy), *filled]).sorted()
