"""The detector through torch, OpenVINO and onnxruntime: the same boxes? the same tracks? how much faster?

    python benchmarks/detector.py --sequences MOT/ADL-Rundle-6 MOT/PETS09-S2L1-300 --weights yolo11n.pt

The runtimes take turns every eight frames, so that a busy machine slows all of them alike. Boxes are compared
with those of the first runtime, one to one, by overlap. HOTA is that of motion alone, and needs all frames.
"""

from __future__ import annotations

import argparse
import itertools
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import supervision as sv
import torch
from scipy.optimize import linear_sum_assignment

sys.path[:0] = [str(Path(__file__).resolve().parent.parent)]

from report import as_text, circumstances  # noqa: E402
from tracking import sequence_facts, write_frame  # noqa: E402

from bpbreid_track import PartTracker, TrackerConfig  # noqa: E402
from bpbreid_track.config import DetectorConfig  # noqa: E402
from bpbreid_track.detection.detectors import UltralyticsDetector  # noqa: E402
from bpbreid_track.evaluation import evaluate_tracks  # noqa: E402
from bpbreid_track.io.open_source import open_source  # noqa: E402
from bpbreid_track.pipeline.threads import batched  # noqa: E402

# Boxes overlapping less are two findings.
SAME = 0.5
# Frames at once, of which each takes as many at a time as it does in a run.
BATCH = 8
HEAD = ("sequence", "runtime", "ms", "ratio", "boxes", "mean IoU", "least IoU", "without partner", "HOTA")


class Comparison:
    """Boxes of two runtimes, frame by frame."""

    def __init__(self) -> None:
        self.overlaps: list[float] = []
        self.alone = 0

    def add(self, boxes: sv.Detections, others: sv.Detections) -> None:
        if not len(boxes) or not len(others):
            self.alone += len(boxes) + len(others)
            return
        overlaps = sv.box_iou_batch(boxes.xyxy, others.xyxy)
        pairs = overlaps[linear_sum_assignment(-overlaps)]
        same = pairs[pairs >= SAME]
        self.overlaps += same.tolist()
        self.alone += len(boxes) + len(others) - 2 * len(same)


def measure(folder: Path, arguments: argparse.Namespace) -> list[list[Any]]:
    """A line of the table for each runtime."""
    names = arguments.runtimes.split(",")
    detectors = {}
    for name in names:
        config = DetectorConfig(runtime=name, image_size=arguments.image_size or "auto")  # type: ignore[arg-type]
        detectors[name] = UltralyticsDetector(arguments.weights, config, "cpu")
        if detectors[name].runtime != name:
            raise SystemExit(f"{arguments.weights} does not run through {name} here")
    rate, length = sequence_facts(folder)
    seconds: dict[str, list[float]] = {name: [] for name in names}
    comparisons = {name: Comparison() for name in names}
    counts = dict.fromkeys(names, 0)
    trackers = {name: PartTracker(TrackerConfig(frame_rate=rate)) for name in names}
    with tempfile.TemporaryDirectory() as work:
        files = {name: (Path(work) / f"{name}.txt").open("w", encoding="utf-8") for name in names}
        source, searched = open_source(folder), 0
        chosen = itertools.islice(source, 0, None if arguments.frames is None else arguments.frames)
        for turn, frames in enumerate(batched(chosen, BATCH)):
            found = {}
            # Each of them comes first in turn.
            shift = turn % len(names)
            for name in names[shift:] + names[:shift]:
                start = time.perf_counter()
                found[name] = detectors[name](frames)
                seconds[name].append((time.perf_counter() - start) / len(frames))
            for name, all_boxes in found.items():
                for frame, boxes, expected in zip(frames, all_boxes, found[names[0]], strict=True):
                    comparisons[name].add(boxes, expected)
                    counts[name] += len(boxes)
                    out = trackers[name].update(boxes)
                    known = out.tracker_id >= 0
                    rows = out.tracker_id[known], out.xyxy[known], out.confidence[known]
                    write_frame(files[name], frame.index + 1, *rows)
            searched += len(frames)
        source.close()
        for file in files.values():
            file.close()
        lines = []
        for name in names:
            ratios = [first / own for first, own in zip(seconds[names[0]], seconds[name], strict=True)][1:]
            overlaps = comparisons[name].overlaps
            hota = "-"
            if searched == length:
                hota = f"{evaluate_tracks(folder / 'gt' / 'gt.txt', files[name].name).HOTA:.2f}"
            lines.append(
                [
                    folder.name,
                    name,
                    f"{1000 * statistics.median(seconds[name][1:]):.0f}",
                    f"{statistics.median(ratios):.2f}",
                    counts[name],
                    f"{np.mean(overlaps):.5f}",
                    f"{min(overlaps):.3f}",
                    comparisons[name].alone,
                    hota,
                ]
            )
    return lines


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--sequences", type=Path, nargs="+", required=True, help="MOTChallenge folders")
    parser.add_argument("--weights", type=Path, required=True, help="a .pt of Ultralytics")
    parser.add_argument("--runtimes", default="torch,openvino,onnx", help="the first one is the measure")
    parser.add_argument("--image-size", type=int, help="longer side of the input (automatic)")
    parser.add_argument("--frames", type=int, help="only so many of each sequence")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    cv2.setNumThreads(arguments.threads)
    packages = ["ultralytics", "openvino", "onnxruntime", "trackeval"]
    print(as_text(circumstances(packages, seed=None, config=vars(arguments))) + "\n")
    print(f"| {' | '.join(HEAD)} |\n|---|---|{'---:|' * (len(HEAD) - 2)}")
    for folder in arguments.sequences:
        for line in measure(folder, arguments):
            print(f"| {' | '.join(map(str, line))} |", flush=True)


if __name__ == "__main__":
    main()
