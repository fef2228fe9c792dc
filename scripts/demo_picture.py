"""Draws docs/demo.jpg, the first picture of the README, from the demo's footage, boxes and truth.

    python scripts/demo_picture.py [docs/demo.jpg]

Left the people are tracked by motion alone, right with parts, both from the boxes of det.txt. Each box
carries the identity that it was given; where the truth says that this person had another one before, the
frame of the box is red and both numbers stand there. Switches are those of the first six seconds, as
TrackEval counts them.
"""

from __future__ import annotations

import sys
import tempfile
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import supervision as sv
from scipy.optimize import linear_sum_assignment

from bpbreid_track import track_video
from bpbreid_track.config import DrawConfig
from bpbreid_track.evaluation import evaluate_tracks
from bpbreid_track.io.annotate import Painter
from bpbreid_track.io.demo.source import TRUTH, DemoSource, truth_until
from bpbreid_track.io.mot_format import MotRows, read_mot

PICTURE = Path(__file__).resolve().parent.parent / "docs" / "demo.jpg"
MOMENTS = (112, 142, 178)  # frames, from 1: before the motor car, behind it, after it
ROWS = slice(90, 320)  # of the frames, in pixels: sky and cobbles are left out
FRAME_RATE = 30000 / 1001
SCALE, BAND, GAP = 1.25, 40, 6
SAME_PERSON = 0.5  # overlap, as in the metrics
LAST = 180  # frame, up to which is tracked: six seconds
LONG = 10  # frames; a box that lies on two people for a moment is no former identity
JPEG = (cv2.IMWRITE_JPEG_QUALITY, 85)
WHITE, RED, INK = (255, 255, 255), (40, 40, 230), (30, 30, 30)
# Torch in fp32 gives the same identities on any CPU.
EXACT = {"encoder": {"runtime": "torch"}}


@dataclass(frozen=True)
class Tracked:
    """The demo, tracked in one way.

    Attributes:
        title: the way in words.
        rows: the tracks.
        switches: identity switches up to the last frame.
    """

    title: str
    rows: MotRows
    switches: int

    @property
    def caption(self) -> str:
        """What stands above the column."""
        plural = "" if self.switches == 1 else "es"
        return f"{self.title}: {self.switches or 'no'} identity switch{plural} in 6 s"


def track_demo(title: str, encoder: str) -> Tracked:
    """Track the demo's boxes with ``encoder``, "none" for motion alone."""
    with tempfile.TemporaryDirectory() as folder:
        truth, result = Path(folder) / "truth.txt", Path(folder) / "tracks.txt"
        track_video(
            "demo",
            tracks=result,
            encoder=encoder,
            config=EXACT,
            device="cpu",
            precision="fp32",
            max_frames=LAST,
        )
        truth.write_text(truth_until(LAST), encoding="utf-8")
        return Tracked(title, read_mot(result), evaluate_tracks(truth, result).IDSW)


def both_ways() -> list[Tracked]:
    """By motion alone and with parts."""
    return [track_demo("motion alone", "none"), track_demo("with parts", "default")]


def draw(ways: list[Tracked]) -> np.ndarray:
    """The picture, uint8 [H, W, 3] BGR: a column for each way, a row for each moment."""
    frames = {frame.index + 1: frame.image for frame in DemoSource() if frame.index + 1 in MOMENTS}
    columns = [_column(way, frames) for way in ways]
    gap = np.full((len(columns[0]), GAP, 3), 255, np.uint8)
    return np.hstack([columns[0], gap, columns[1]])


def _column(way: Tracked, frames: Mapping[int, np.ndarray]) -> np.ndarray:
    former = _former_identities(way.rows)
    painter = Painter(DrawConfig(overlay=("boxes", "labels")), FRAME_RATE)
    cells = []
    for moment in MOMENTS:
        here = way.rows.frame == moment
        identities = way.rows.id[here]
        boxes = (way.rows.xyxy[here] - [0, ROWS.start, 0, ROWS.start]) * SCALE
        before = [former.get((moment, int(identity))) for identity in identities]
        names = np.array(["" if number is None else f"was {number}" for number in before])
        image = cv2.resize(frames[moment][ROWS], None, fx=SCALE, fy=SCALE, interpolation=cv2.INTER_CUBIC)
        image = painter.paint(image, sv.Detections(boxes, tracker_id=identities, data={"name": names}))
        for box in boxes[names != ""].round().astype(int).tolist():
            cv2.rectangle(image, box[:2], box[2:], RED, 4)
        seconds = f"{(moment - 1) / FRAME_RATE:.1f} s"
        for colour, weight in ((INK, 4), (WHITE, 1)):
            cv2.putText(image, seconds, (8, 22), cv2.FONT_HERSHEY_SIMPLEX, 0.6, colour, weight, cv2.LINE_AA)
        cells += [image, np.full((GAP, image.shape[1], 3), 255, np.uint8)]
    band = np.full((BAND, cells[0].shape[1], 3), 255, np.uint8)
    cv2.putText(band, way.caption, (4, 27), cv2.FONT_HERSHEY_SIMPLEX, 0.8, INK, 2, cv2.LINE_AA)
    return np.vstack([band, *cells[:-1]])


def _former_identities(rows: MotRows) -> dict[tuple[int, int], int]:
    """For frame and identity: the first one that the same person had for long, where that was another."""
    truth = read_mot(TRUTH)
    held: Counter[tuple[int, int]] = Counter()  # person and identity, in frames; in the order of their coming
    former = {}
    for frame in np.unique(rows.frame):
        true = np.flatnonzero((truth.frame == frame) & (truth.confidence > 0))
        given = np.flatnonzero(rows.frame == frame)
        overlap = sv.box_iou_batch(truth.xyxy[true], rows.xyxy[given])
        for row, column in zip(*linear_sum_assignment(-overlap), strict=True):
            if overlap[row, column] >= SAME_PERSON:
                identity = int(rows.id[given[column]])
                person = int(truth.id[true[row]])
                was = (old for (who, old), frames in held.items() if who == person and frames >= LONG)
                if (first := next(was, identity)) != identity:
                    former[int(frame), identity] = first
                held[person, identity] += 1
    return former


if __name__ == "__main__":
    path = Path(sys.argv[1]) if len(sys.argv) > 1 else PICTURE
    ways = both_ways()
    cv2.imwrite(str(path), draw(ways), JPEG)
    print(*(way.caption for way in ways), sep="\n")
