"""Stages that give boxes their identities: by tracking, or as settled before."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import supervision as sv

from ..explain.reasons import shorts
from ..explain.recorder import ReasonRecorder
from ..identities.identity_manager import IdentityManager
from ..io.annotate import WHY
from ..tracking.camera_motion import CameraStep
from ..tracking.encode_policy import encode_rows, resolve_encode, spread
from ..tracking.other_classes import OtherClasses
from ..tracking.tracker import PartTracker
from .replay import Settled
from .report import TrackingReport
from .stage import FrameStage, Item
from .threads import Stopwatch

if TYPE_CHECKING:
    from ..model.part_encoder import PartEncoder


class Associate(FrameStage):
    """Identities of the boxes; encodes those in doubt, once the tracker knows which these are.

    Args:
        tracker: of this run.
        encoder: None where embeddings come with the frames, or not at all.
        use_timestamps: go by the time of the frames, not by ``tracker.frame_rate``.
        identities: follows who is who beyond the tracker, if anybody asks.
        recorder: of reasons, if anybody asks.
        others: tracks what is no person; None: everything is one. It comes last in ``detections`` then.
        steps: where what the camera did is kept; None: nowhere.
    """

    name = "associate"

    def __init__(
        self,
        tracker: PartTracker,
        encoder: PartEncoder | None,
        use_timestamps: bool,
        identities: IdentityManager | None,
        recorder: ReasonRecorder | None,
        others: OtherClasses | None = None,
        steps: list[CameraStep] | None = None,
    ) -> None:
        self._tracker, self._encoder = tracker, encoder
        self._use_timestamps = use_timestamps
        self._count = 0
        self._identities, self._others, self._steps = identities, others, steps
        self._recorder = tracker.recorder = recorder
        self._encode = resolve_encode(tracker.config.encode, encoder)
        self.watches = {"encode": Stopwatch(), "associate": Stopwatch()}

    def step(self, item: Item) -> None:
        frame, tracker, watch = item.frame, self._tracker, self.watches["associate"]
        self._count += 1
        item.time = frame.timestamp if self._use_timestamps else self._count / tracker.config.frame_rate
        if not item.searched:  # nothing for the tracker, whose time passes all the same
            item.detections.tracker_id = np.zeros(0, np.int64)
            if self._identities is not None:
                self._identities.take(frame, item.detections, None)
            return
        people, embeddings = item.detections, item.embeddings
        rest: sv.Detections | None = None
        if self._others is not None:
            rows = self._others.people(people)
            people, rest = people[rows], people[~rows]
            embeddings = None if embeddings is None else embeddings[rows]
        with watch.measure(0):
            found = tracker.candidates(people, frame.image, timestamp=item.time, encode=self._encode)
        item.step = tracker.camera_step
        if self._steps is not None:
            self._steps.append(item.step)
        if self._encoder is not None and embeddings is None:
            with self.watches["encode"].measure():
                embeddings = encode_rows(self._encoder, frame.image, people.xyxy, found.wanted)
        with watch.measure():
            item.detections, embeddings = tracker.associate(found, embeddings), tracker.embeddings
            item.tracks = tracker.track_numbers
            if self._others is not None and rest is not None:
                item.detections = self._others.add(item.detections, rest, frame.image, item.time)
                item.tracks = np.concatenate([item.tracks, self._others.track_numbers])
                if embeddings is not None:
                    embeddings = spread(embeddings, np.arange(len(item.detections)) < len(people))
            if self._identities is not None:
                item.detections = self._identities.take(frame, item.detections, embeddings)
            if self._recorder is not None:
                item.reasons = self._recorder.take()
                item.detections.data[WHY] = shorts(item.reasons[0], len(item.detections))

    def report(self, report: TrackingReport) -> None:
        stats = self._tracker.stats
        report.identities = stats.identities
        report.matches_motion = stats.matches_motion
        report.matches_appearance = stats.matches_appearance
        report.encoded = stats.encoded
        if self._others is not None:
            others = self._others.tracker.stats
            report.identities += others.identities
            report.matches_motion += others.matches_motion


class Replay(FrameStage):
    """Boxes and identities that are settled already."""

    name = "associate"

    def __init__(self, recorded: Settled) -> None:
        super().__init__()
        self._recorded = recorded

    def step(self, item: Item) -> None:
        item.detections = self._recorded.replay(item.frame)
        item.time, item.step = self._recorded.moment(item.frame)
