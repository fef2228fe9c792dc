"""What every detector does before and behind its network: sizes of inputs, batches, boxes inside pictures."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import supervision as sv

from ..config import DetectorConfig
from ..machine import cpu_threads
from ..model.openvino_streams import stream_count

if TYPE_CHECKING:
    from ..io.sources.base import Frame


def automatic_image_size(height: int, width: int, *, is_pose: bool) -> int:
    """Longer side of the network's input: 960 pixels, 1280 for pose networks, at most twice the frame's own.

    A pose network learned from persons large enough to have keypoints and misses small ones: enlarging a
    small frame pays. Share of the persons found (IoU 0.5, score from 0.1; in brackets score from 0.5):

    ======================================  ===========  ===========  ===========  ===========
    input                                   640          960          1280         1920
    ======================================  ===========  ===========  ===========  ===========
    yolo11n-pose, PETS09-S2L1 (768x576)     .09 (.01)    .71 (.38)    .95 (.80)    .98 (.94)
    yolo11n, PETS09-S2L1                    .91 (.88)    .93 (.89)    .95 (.91)    .95 (.91)
    yolo11n-pose, ADL-Rundle-6 (1920x1080)  .55 (.41)    .74 (.56)    .76 (.67)    .76 (.73)
    yolo11n, ADL-Rundle-6                   .72 (.62)    .73 (.67)    .76 (.67)    .74 (.69)
    ======================================  ===========  ===========  ===========  ===========

    Time on a CPU grows with the area: 960 costs twice 640, 1280 nearly four times, 1920 ten times.
    (Measured on 20 frames of PETS09-S2L1 1-300 and 14 of ADL-Rundle-6.)

    Args:
        height: of the frame in pixels.
        width: of the frame in pixels.
        is_pose: whether the network was trained for keypoints.

    Returns:
        Pixels, a multiple of 32.
    """
    wanted = min(1280 if is_pose else 960, 2 * max(height, width))
    return -(-wanted // 32) * 32


def side_by_side(config: DetectorConfig) -> int:
    """Pictures that OpenVINO computes at once on this CPU."""
    threads, wanted = cpu_threads(), config.batch_size
    return stream_count(threads if wanted == "auto" else min(threads, wanted))


def clipped(
    xyxy: np.ndarray, confidence: np.ndarray, class_id: np.ndarray, shape: tuple[int, ...]
) -> sv.Detections:
    """Boxes clipped to an image of ``shape`` (H, W, ...), without those of which nothing is left."""
    height, width = shape[:2]
    inside = np.clip(xyxy, 0, [width, height, width, height]).astype(np.float32).reshape(-1, 4)
    keep = (inside[:, 2] > inside[:, 0]) & (inside[:, 3] > inside[:, 1])
    return sv.Detections(
        xyxy=inside[keep], confidence=np.asarray(confidence, np.float32)[keep], class_id=class_id[keep]
    )


def batches_of_one_shape(frames: Sequence[Frame], size: int) -> list[list[Frame]]:
    """Runs of at most ``size`` consecutive frames of equal shape: padding then depends on no neighbour."""
    batches: list[list[Frame]] = []
    for frame in frames:
        if batches and len(batches[-1]) < size and batches[-1][0].image.shape == frame.image.shape:
            batches[-1].append(frame)
        else:
            batches.append([frame])
    return batches
