"""A video painted from tracks that exist: no detector, no encoder, no tracker."""

from __future__ import annotations

import os
from collections.abc import Sequence

import numpy as np
import supervision as sv

from ..config import RunConfig
from ..io.sources.base import Frame, Source
from ..tracking.camera_motion import CameraStep
from .counting import Regions
from .interrupts import Interrupts
from .outputs import Outputs
from .progress import ProgressView
from .report import TrackingReport
from .run import Run
from .steps import replay_stages

PathLike = str | os.PathLike[str]


class TrackRowsByFrame:
    """Boxes of a track file, handed out frame by frame.

    Args:
        frame: int64 [R], from 1.
        ids: int64 [R].
        ltwh: float64 [R, 4] pixels.
        confidence: float32 [R].
        names: str [R]; all empty: nobody has a name.
        teams: str [R]; all empty: there are none.
        filled: bool [R].

    Attributes:
        last: number of the last frame that was asked for, from 1.
    """

    def __init__(
        self,
        frame: np.ndarray,
        ids: np.ndarray,
        ltwh: np.ndarray,
        confidence: np.ndarray,
        names: Sequence[str],
        teams: Sequence[str],
        filled: Sequence[bool],
    ) -> None:
        self.last = 0
        order = np.argsort(frame, kind="stable")
        self._frame, self._id = frame[order], ids[order]
        self._xyxy = np.hstack([ltwh[:, :2], ltwh[:, :2] + ltwh[:, 2:]])[order].astype(np.float32)
        self._confidence = confidence[order]
        texts = {"name": names, "team": teams}
        self._texts = {column: np.array(text, object)[order] for column, text in texts.items() if any(text)}
        self._filled = np.array(filled, bool)[order]

    def replay(self, frame: Frame) -> sv.Detections:
        """The boxes of ``frame``, with ``tracker_id`` and ``data``: ``filled``, and the texts there are."""
        self.last = frame.index + 1
        low, high = np.searchsorted(self._frame, [frame.index + 1, frame.index + 2])
        data = {"filled": self._filled[low:high]}
        data |= {column: texts[low:high] for column, texts in self._texts.items()}
        return sv.Detections(
            xyxy=self._xyxy[low:high],
            confidence=self._confidence[low:high],
            tracker_id=self._id[low:high],
            data=data,
        )

    def moment(self, frame: Frame) -> tuple[float, CameraStep | None]:
        """Its time in seconds; nobody looked at the camera."""
        return frame.timestamp, None


def repaint(
    source: Source, tracks: TrackRowsByFrame, out: PathLike, *, progress: bool = False
) -> TrackingReport:
    """Paint ``tracks`` on the frames of ``source``, as a run with the usual settings does.

    Args:
        source: closed at the end.
        tracks: boxes of its frames.
        out: video to write.
        progress: show progress on stderr.

    Returns:
        How many frames were written; ``interrupted`` as for ``track_video``.

    Raises:
        InputError: the source cannot be read, or the video not be written.
    """
    settings, outputs = RunConfig(), Outputs(out, None, None)
    outputs.open(source)
    stages = replay_stages(source, tracks, None, settings, outputs, Regions())
    run = Run(source, stages, interrupts=Interrupts())
    report = TrackingReport(source.name, "", "", settings.model_dump(mode="json"), {"video": os.fspath(out)})
    view = ProgressView(source.frame_count, label="writing") if progress else None
    run.go(report, None, None, view)
    return report
