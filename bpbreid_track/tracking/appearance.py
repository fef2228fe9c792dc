"""What the tracker knows of people's looks: the parts of each track, and what a part distance is worth."""

from __future__ import annotations

import numpy as np

from ..config import TrackerConfig
from ..embeddings import PartEmbeddings, require_embeddings
from .appearance_memory import FORGET_SECONDS, MEAN_SECONDS, AppearanceMemory
from .association import Trace
from .boxes import clear_boxes
from .distance_calibration import DistanceCalibration
from .evidence import Evidence, MotionCues
from .tracks import TICK, Boxes

# With fewer embeddings than this a track is still wanting more.
_FIRST_EMBEDDINGS = 10
# A pair whose place says this much is an example of one person.
_SURE = 2.0


class Appearance:
    """The memory of a tracker's T tracks, and the scale of its part distances.

    Attributes:
        memory: row t is track t; None before the first embeddings, and always for motion alone.
        calibration: what part distances are worth.
    """

    def __init__(self) -> None:
        self.memory: AppearanceMemory | None = None
        self.calibration = DistanceCalibration()

    def admit(
        self, embeddings: PartEmbeddings | None, wanted: np.ndarray, tracks: int, now: float
    ) -> PartEmbeddings | None:
        """The embeddings of N boxes, checked, on the CPU, with nothing visible in boxes not ``wanted``.

        Nor does a part show whose vector is not finite, or whose visibility is none: it would stay in a
        track's mean for good. Visibilities beyond [0, 1] count as the nearer end.

        The first ones say which parts there are; ``tracks`` that were there before get empty rows.

        Raises:
            TypeError: they are no PartEmbeddings.
            ValueError: they do not fit the boxes, or those before them.
        """
        if embeddings is None:
            return None
        require_embeddings("embeddings", embeddings)
        if len(embeddings) != len(wanted):
            raise ValueError(f"embeddings: expected {len(wanted)} rows, one a box, got {len(embeddings)}")
        if self.memory is None:
            self.memory = AppearanceMemory(embeddings.part_names, embeddings.dim)
            self.memory.add(*self._unseen(tracks), now)
        names, dim = self.memory.part_names, self.memory.features.shape[2]
        if (names, dim) != (embeddings.part_names, embeddings.dim):
            raise ValueError(
                f"embeddings: expected parts {list(names)} with {dim} features as before, got "
                f"{list(embeddings.part_names)} with {embeddings.dim}; reset() the tracker to change encoders"
            )
        features, visibility = embeddings.numpy()
        sound = np.isfinite(features).all(axis=2)
        shown = np.where(sound & wanted[:, None] & (visibility > 0), np.minimum(visibility, 1), np.float32(0))
        if not sound.all():
            features = np.where(sound[..., None], features, np.float32(0))
        return PartEmbeddings(features, shown, names)

    def wanting(self, tracks: int, now: float, refresh_seconds: float) -> np.ndarray:
        """Which tracks should be encoded for the memory's sake: too few views, or none of late. bool [T]."""
        if self.memory is None:
            return np.ones(tracks, bool)
        stale: np.ndarray = now - self.memory.learned > refresh_seconds - TICK
        return stale | (self.memory.counts.max(axis=1, initial=0) < _FIRST_EMBEDDINGS)

    def learn(
        self,
        trace: Trace,
        boxes: Boxes,
        embeddings: PartEmbeddings,
        cues: MotionCues,
        evidence: Evidence,
        config: TrackerConfig,
        now: float,
        elapsed: float,
    ) -> None:
        """Take in the matches of a frame whose boxes show a person clearly."""
        assert self.memory is not None
        assert evidence.distances is not None
        features, visibility = embeddings.numpy()
        rows, columns = trace.tracks, trace.boxes
        clear = clear_boxes(boxes.xyxy, boxes.scores, config.max_cover, config.high_score)[columns]
        clear &= (visibility[columns] > 0).any(axis=1)
        rows, columns = rows[clear], columns[clear]
        if not len(rows):
            return
        sure = cues.place[rows, columns] > _SURE
        block = evidence.distances[rows[sure][:, None], columns[sure]]
        off_diagonal = ~np.eye(len(block), dtype=bool)
        self.calibration.learn(np.diagonal(block), block[off_diagonal], elapsed)
        self.memory.learn(
            rows,
            features[columns],
            visibility[columns],
            now,
            mean_seconds=MEAN_SECONDS,
            forget_seconds=FORGET_SECONDS,
        )

    def keep(self, rows: np.ndarray) -> None:
        """Drop all tracks outside the mask ``rows``."""
        if self.memory is not None:
            self.memory.keep(rows)

    def add(self, born: np.ndarray, embeddings: PartEmbeddings | None, now: float) -> None:
        """Append a track for each of the boxes ``born``, int [M] rows of ``embeddings``."""
        if self.memory is None:
            return
        if embeddings is None:
            self.memory.add(*self._unseen(len(born)), now)
        else:
            features, visibility = embeddings.numpy()
            self.memory.add(features[born], visibility[born], now)

    def _unseen(self, count: int) -> tuple[np.ndarray, np.ndarray]:
        """Features and visibility of ``count`` tracks of which no part was ever seen."""
        assert self.memory is not None
        shape = (count, *self.memory.features.shape[1:])
        return np.zeros(shape, np.float32), np.zeros(shape[:2], np.float32)
