"""A few telling views of every identity, for a gallery."""

from __future__ import annotations

import cv2
import numpy as np

from ..embeddings import PartEmbeddings, part_distance
from ..tracking.tracks import TICK

# Sums of frame times are not exact; differences below this many seconds are none.

# Least time between two views of one identity, in seconds.
VIEW_SECONDS = 0.2


# Height of the picture beside the views of an identity, and quality of its JPEG.
_PICTURE_HEIGHT, _PICTURE_QUALITY = 256, 90


class BestPictures:
    """The most telling crop of each identity: the most parts show, and of those the tallest."""

    def __init__(self) -> None:
        self._best: dict[int, tuple[tuple[float, float], bytes]] = {}

    def add(self, ids: np.ndarray, image: np.ndarray, xyxy: np.ndarray, visibility: np.ndarray) -> None:
        """Take in the clear boxes of one frame.

        Args:
            ids: int64 [N].
            image: uint8 [H, W, 3] in BGR.
            xyxy: float [N, 4] pixels.
            visibility: [N, P] in [0, 1]; of a box of which nothing shows there is no picture.
        """
        height, width = image.shape[:2]
        corners = np.round(xyxy).astype(int).clip(0, [width, height, width, height])
        for identity, (left, top, right, bottom), seen in zip(ids.tolist(), corners, visibility, strict=True):
            worth = (float(np.sum(seen)), float(bottom - top))
            if right <= left or bottom <= top or not worth[0] or worth <= self._worth(identity):
                continue
            crop = image[top:bottom, left:right]
            if bottom - top > _PICTURE_HEIGHT:
                size = (max(1, round((right - left) * _PICTURE_HEIGHT / (bottom - top))), _PICTURE_HEIGHT)
                crop = cv2.resize(crop, size, interpolation=cv2.INTER_AREA)
            # A picture of its own and small, or it would keep the whole frame alive.
            _, data = cv2.imencode(".jpg", crop, [cv2.IMWRITE_JPEG_QUALITY, _PICTURE_QUALITY])
            self._best[identity] = worth, data.tobytes()

    def of(self, ids: list[int]) -> bytes | None:
        """The best picture of the identities ``ids`` together, a JPEG; None where there is none."""
        found = [self._best[identity] for identity in ids if identity in self._best]
        return max(found, key=lambda best: best[0])[1] if found else None

    def _worth(self, identity: int) -> tuple[float, float]:
        return self._best[identity][0] if identity in self._best else (0.0, 0.0)


class DiverseViews:
    """Keeps up to ``2 * count`` clear views of each identity, spread over time and appearance.

    Args:
        count: views that ``of`` gives of an identity.
        interval: seconds after a view in which the next ones of that identity are passed over.
    """

    def __init__(self, count: int, interval: float) -> None:
        self._count, self._interval = count, interval
        self._views: dict[int, list[PartEmbeddings]] = {}
        self._last: dict[int, float] = {}

    @property
    def ids(self) -> list[int]:
        """Identities with at least one view, ascending."""
        return sorted(self._views)

    def add(self, ids: np.ndarray, embeddings: PartEmbeddings, time: float) -> None:
        """Take in one clear view of each of ``ids`` [N] at ``time`` seconds; blank rows are passed over."""
        shown = embeddings.numpy().visibility.any(axis=1)
        for row in np.flatnonzero(shown):
            identity = int(ids[row])
            if time - self._last.get(identity, -np.inf) < self._interval - TICK:
                continue
            self._last[identity] = time
            views = self._views.setdefault(identity, [])
            # A row of its own, or it would keep those of the whole frame alive.
            views.append(embeddings[np.array([row])])
            if len(views) == 2 * self._count:
                kept = diverse_rows(PartEmbeddings.cat(views), self._count)
                views[:] = [views[n] for n in kept.tolist()]

    def of(self, ids: list[int]) -> PartEmbeddings:
        """The ``count`` most diverse views of the identities ``ids`` together.

        Raises:
            ValueError: there is no view of any of them.
        """
        views = PartEmbeddings.cat([view for identity in ids for view in self._views.get(identity, [])])
        return views[diverse_rows(views, self._count)]


def diverse_rows(embeddings: PartEmbeddings, count: int) -> np.ndarray:
    """Rows int64 [<= count], ascending, that lie far apart: the first, then always the farthest one.

    Views that share no part count as far apart, as neither tells what the other does.
    """
    if len(embeddings) <= count:
        return np.arange(len(embeddings))
    distances = part_distance(embeddings, embeddings).nan_to_num(posinf=2.0).numpy()
    chosen = [0]
    nearest = distances[0].copy()
    while len(chosen) < count:
        nearest[chosen] = -1.0
        chosen.append(int(nearest.argmax()))
        nearest = np.minimum(nearest, distances[chosen[-1]])
    return np.sort(np.array(chosen))
