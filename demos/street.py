"""What all demos begin with: frames and person boxes, by default those of the demo."""

from __future__ import annotations

import argparse
import itertools
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
import supervision as sv

from bpbreid_track.detection.detectors import load_detector
from bpbreid_track.io.open_source import open_source
from bpbreid_track.io.sources.base import Frame


class IdentityManager(NamedTuple):
    """One frame and its boxes."""

    frame: Frame
    detections: sv.Detections

    @property
    def table(self) -> np.ndarray:
        """float32 [N, 6]: x1, y1, x2, y2, score, class 0."""
        scores = self.detections.confidence
        return np.column_stack([self.detections.xyxy, scores, np.zeros(len(self.detections))]).astype(
            np.float32
        )


def arguments(
    description: str | None, levels: Sequence[str] = ("exact", "drop-in"), argv: Sequence[str] | None = None
) -> argparse.Namespace:
    """The options that all demos have."""
    parser = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "source", nargs="?", default="demo", help="video, image folder, MOTChallenge sequence"
    )
    parser.add_argument("--boxes", default="auto", help="detector weights, or boxes in a det.txt")
    parser.add_argument("--frames", type=int, default=60, help="frames to track")
    parser.add_argument("--encoder", default="default", help="our encoder's weights")
    if levels:
        parser.add_argument("--level", choices=levels, default=levels[0])
    return parser.parse_args(argv)


def people(options: argparse.Namespace) -> Iterator[IdentityManager]:
    """Frames with boxes."""
    with open_source(options.source) as source:
        own = options.boxes == "auto" and source.boxes
        detector = load_detector(str(own or options.boxes))
        for frame in itertools.islice(source, options.frames):
            yield IdentityManager(frame, detector([frame])[0])
