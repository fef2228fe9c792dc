"""Who is who in a run, beyond the tracker: their mean appearance, their names, and what links them."""

from __future__ import annotations

import itertools
from collections.abc import Collection, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import supervision as sv

from ..config import RunConfig
from ..tracking.boxes import clear_boxes
from .appearance_stats import AppearanceSums
from .gallery import MIN_VIEWS, Gallery, Namer, names_of_all
from .hindsight import smooth_run
from .linking import Linked
from .settle import as_tracked, link_by_class
from .teams import TorsoSums, names_of_teams
from .track_history import TrackHistory
from .tracklets import TrackedRows, seen_together
from .view_selection import VIEW_SECONDS, BestPictures, DiverseViews

if TYPE_CHECKING:
    from ..embeddings import PartEmbeddings
    from ..io.sources.base import Frame
    from ..tracking.camera_motion import CameraStep

# How often tracks that have ended are forgotten where nothing is linked.
_CLEARING_SECONDS = 10.0


class IdentityManager:
    """Follows the identities of one run.

    Args:
        settings: of the run.
        history: where the boxes of all frames are kept for linking; None: nothing is linked.
        gallery: known people; None: nobody has a name.
        save: keep views of every identity for a gallery.
        joins: tracklets of one person are joined at the end.
        by_motion: numbers of the classes that are no people.

    Attributes:
        joins: as given.
        named: the identities that were given each name of the gallery.
        teams: the team of every identity that was seen clearly, once they are settled; None: none were asked
            for.
    """

    def __init__(
        self,
        settings: RunConfig,
        *,
        history: TrackHistory | None,
        gallery: Gallery | None,
        save: bool,
        joins: bool = True,
        by_motion: Collection[int] = (),
    ) -> None:
        self._settings = settings
        self._history, self._gallery = history, gallery
        self._namer = Namer(settings.gallery)
        self._views = DiverseViews(settings.gallery.save_views, VIEW_SECONDS)
        self._pictures = BestPictures()
        self._save = save
        self.joins, self._by_motion = joins, by_motion
        self._sums: AppearanceSums | None = None
        self._torsos: TorsoSums | None = None
        self._seen: dict[int, float] = {}  # when each identity was seen last
        self._next_clearing = 0.0
        self._identity: dict[int, int] = {}  # what linking made of the tracker's numbers
        self._name_of: dict[int, str] = {}  # the last word on each identity; named may hold earlier ones
        self.named: dict[str, set[int]] = {}
        self.teams: dict[int, str] | None = None

    def take(
        self,
        frame: Frame,
        detections: sv.Detections,
        embeddings: PartEmbeddings | None,
    ) -> sv.Detections:
        """Learn from one frame of the tracker what people look like, and name those who are known.

        Args:
            frame: the frame.
            detections: its boxes with ``tracker_id``; changed in place where a gallery gives names.
            embeddings: a row for each box; a row in which no part is visible tells nothing.

        Returns:
            ``detections``, with ``data["name"]`` where there is a gallery: "" for unknown people.
        """
        if embeddings is not None:
            self._take_views(frame, detections, embeddings.to("cpu"))
            self._forget(frame.timestamp, detections.tracker_id)
        if self._gallery is not None:
            detections.data["name"] = self._names(detections)
        return detections

    def record(self, frame: Frame, detections: sv.Detections, step: CameraStep | None) -> None:
        """Keep the boxes of a frame for ``link``; as ``TrackHistory.add``."""
        if self._history is not None:
            self._history.add(frame.index, frame.timestamp, detections, step)

    def _take_views(self, frame: Frame, detections: sv.Detections, embeddings: PartEmbeddings) -> None:
        config = self._settings.tracker
        assert detections.tracker_id is not None
        clear = clear_boxes(detections.xyxy, detections.confidence, config.max_cover, config.high_score)
        rows = np.flatnonzero(clear & (detections.tracker_id >= 0))
        if not len(rows):
            return
        ids, seen = detections.tracker_id[rows], embeddings[rows]
        if self._sums is None:
            self._sums = AppearanceSums(seen.part_names, seen.dim)
        self._sums.add(ids, *seen.numpy())
        if self._settings.teams:
            self._torsos = self._torsos or TorsoSums(seen.part_names)
            self._torsos.add(ids, *seen.numpy(), frame.image, detections.xyxy[rows])
        if self._save:
            self._views.add(ids, seen, frame.timestamp)
            self._pictures.add(ids, frame.image, detections.xyxy[rows], seen.numpy().visibility)

    def _forget(self, now: float, ids: np.ndarray | None) -> None:
        """Let go of tracks that the tracker has given up, so that a stream may run for ever.

        Where they will be linked, their mean appearance stays.
        """
        self._seen.update(dict.fromkeys([] if ids is None else ids.tolist(), now))
        if now < self._next_clearing:
            return
        self._next_clearing = now + _CLEARING_SECONDS
        config = self._settings.tracker
        oldest = now - max(config.lost_seconds, config.appearance_seconds) - _CLEARING_SECONDS
        self._seen = {identity: time for identity, time in self._seen.items() if time >= oldest}
        if self._history is None:
            self._namer.keep(self._seen)
        if self._sums is not None:
            (self._sums.keep if self._history is None else self._sums.settle)(self._seen)

    def _names(self, detections: sv.Detections) -> np.ndarray:
        assert self._gallery is not None
        names = np.full(len(detections), "", object)
        rows = np.flatnonzero(detections.tracker_id >= 0)
        if self._sums is None or not len(rows):
            return names
        ids = detections.tracker_id[rows]
        distances = self._gallery.distances(self._sums.whole(ids))
        distances[self._sums.views(ids) < MIN_VIEWS] = np.inf
        found = self._namer.update(ids, distances)
        for row, identity, name in zip(rows, ids.tolist(), found.tolist(), strict=True):
            self._name_of.pop(identity, None)
            if name >= 0:
                names[row] = self._name_of[identity] = self._gallery.names[name]
                self.named.setdefault(names[row], set()).add(identity)
        return names

    def link(self, rows: TrackedRows, times: np.ndarray, steps: Sequence[CameraStep | None]) -> Linked:
        """Join what belongs together, where that is wanted (``linking.link``), and smooth it.

        Args:
            rows: all boxes of the run.
            times, steps: of every frame, see ``hindsight.smooth_run``.
        """
        if self.joins:
            means = None if self._sums is None else self._sums.means()
            linked = link_by_class(rows, means, self._settings.link, self._by_motion)
        else:
            linked = as_tracked(rows)
        smoothed = smooth_run(linked.rows, times, steps, self._settings.smooth.lag_seconds)
        return replace(linked, rows=smoothed)

    def settle(self, linked: Linked) -> dict[int, str] | None:
        """Names of the identities of a linked run, by all that was seen of each; None without a gallery.

        Teams are settled too.
        """
        self._identity = linked.identity
        groups: dict[int, list[int]] = {}
        for before, after in linked.identity.items():
            groups.setdefault(after, []).append(before)
        if self._settings.teams:
            count = self._settings.teams
            self.teams = {} if self._torsos is None else names_of_teams(self._torsos, groups, count)
        if self._gallery is None:
            return None
        self.named, self._name_of = {}, {}
        if self._sums is None:
            return {}
        ids = np.array(sorted(groups), np.int64)
        distances = self._gallery.distances(self._sums.together([groups[i] for i in ids.tolist()]))
        views = np.array([self._sums.views(np.array(groups[i])).sum() for i in ids.tolist()])
        distances[views < MIN_VIEWS] = np.inf
        together = seen_together(linked.rows, ids)
        found = names_of_all(distances, together, self._settings.gallery.max_distance)
        names = {
            i: self._gallery.names[name] for i, name in zip(ids.tolist(), found, strict=True) if name >= 0
        }
        self._name_of = names
        for identity, name in names.items():
            self.named.setdefault(name, set()).add(identity)
        return names

    @property
    def settled(self) -> dict[int, int]:
        """The number of every identity after linking, by the one before; empty until ``settle``."""
        return dict(self._identity)

    def views(self) -> dict[str, PartEmbeddings]:
        """Views for a gallery, by the name of a person, or by number where there is none.

        A number that is somebody's name in the gallery already is followed by ``-2``: those are two people.
        """
        return {name: self._views.of(numbers) for name, numbers in self._people().items()}

    def pictures(self) -> dict[str, bytes]:
        """The best crop of each of the people of ``views``, a JPEG."""
        found = {name: self._pictures.of(numbers) for name, numbers in self._people().items()}
        return {name: picture for name, picture in found.items() if picture is not None}

    def _people(self) -> dict[str, list[int]]:
        """The tracker's numbers that have views, by the name of the person."""
        taken = set() if self._gallery is None else set(self._gallery.names)
        groups: dict[str, list[int]] = {}
        for number in self._views.ids:
            identity = self._identity.get(number, number)
            name = self._name_of.get(identity) or _free(f"{identity:05d}", taken)
            groups.setdefault(name, []).append(number)
        return groups


def _free(name: str, taken: set[str]) -> str:
    """``name``, or with the first ending that makes it nobody's yet."""
    if name not in taken:
        return name
    return next(longer for n in itertools.count(2) if (longer := f"{name}-{n}") not in taken)
