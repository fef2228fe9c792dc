"""A detector that OpenVINO alone runs: without torch and Ultralytics, which take 0.7 GiB and two seconds."""

from __future__ import annotations

import importlib
import logging
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import supervision as sv

from ..config import DetectorConfig
from ..errors import one_line
from ..frames import check_image
from ..machine import cpu_threads, is_cpu
from ..quick_precision import Precision, quickest_precision
from .classes import Kept, kept_classes
from .exported import Facts, exported_file, read_facts, write_facts
from .network_detector import NetworkDetector
from .pictures import automatic_image_size, clipped, side_by_side
from .runtime_choice import choose_runtime, in_words
from .sized_network import SizedNetwork
from .yolo_boxes import as_input, candidates, in_picture, letterbox_of, suppress

logger = logging.getLogger(__name__)

_COLUMNS = ("xyxy", "confidence", "class_id")


class ExportedDetector(NetworkDetector):
    """Finds what ``UltralyticsDetector`` finds through OpenVINO.

    On the photograph of ``remember`` its boxes were the same to the last bit.

    Args:
        weights: the ``.pt`` it came from.
        network: the ``.xml``.
        facts: of the network.
        precision: what to compute in.
        config: thresholds, input size, batch size.
        description: what is used, in words.

    ``batch_size`` is by default as many as the threads search side by side.

    Raises:
        UsageError: a class that the network does not know.
        RuntimeError: OpenVINO cannot read the network.
    """

    runtime = "openvino"

    def __init__(
        self,
        weights: Path,
        network: Path,
        facts: Facts,
        precision: Precision,
        config: DetectorConfig,
        description: str,
    ) -> None:
        self._arguments = (weights.absolute(), network, facts, precision, config, description)
        self.name, self.files, self._config, self._facts = weights.name, (weights,), config, facts
        pictures = side_by_side(config)
        self.batch_size = pictures if config.batch_size == "auto" else config.batch_size
        openvino = importlib.import_module("openvino")
        self._network = SizedNetwork(openvino, network, precision, cpu_threads(), pictures)
        self.precision = self._network.precision
        self.description = in_words(description, "openvino", self.precision)
        is_pose = facts.task == "pose"
        self._kept = kept_classes(config.classes, facts.names, str(weights), is_pose=is_pose)

    def __reduce__(self) -> tuple[type[ExportedDetector], tuple[Any, ...]]:
        return type(self), self._arguments  # a copy opens the file anew

    def image_size(self, height: int, width: int) -> int:
        """Longer side in pixels of the network's input for frames of this size."""
        size, stride = self._config.image_size, self._facts.stride
        if size == "auto":
            size = automatic_image_size(height, width, is_pose=self._facts.task == "pose")
        return -(-size // stride) * stride

    def find(self, images: Sequence[np.ndarray], image_size: int | None = None) -> list[sv.Detections]:
        """See ``NetworkDetector``; ValueError for pictures of another type or shape."""
        images = [check_image(image, f"image {number}") for number, image in enumerate(images)]
        height, width = images[0].shape[:2]
        longer = image_size or self.image_size(height, width)
        letterbox = letterbox_of(height, width, longer, self._facts.stride)
        config, suppressed, classes = self._config, self._facts.suppressed, len(self._facts.names)
        boxes = []
        for output in self._network(as_input(images, letterbox))[0]:
            rows = candidates(output, classes, config.confidence, self.classes, suppressed=suppressed)
            if not suppressed:
                rows = suppress(rows, config.iou)
            rows = rows[: config.max_detections]
            xyxy = in_picture(rows[:, :4], letterbox, height, width)
            boxes.append(clipped(xyxy, rows[:, 4], self._kept.numbered(rows[:, 5]), images[0].shape))
        return boxes


def open_exported(
    weights: Path, config: DetectorConfig, device: str, description: str
) -> ExportedDetector | None:
    """The detector that OpenVINO alone runs; None where Ultralytics has to, if only this first time.

    Args:
        weights: any detector's.
        config: thresholds, input size, batch size, runtime.
        device: as in ``load_detector``.
        description: what is used, in words.

    Raises:
        InputError: the runtime asked for is not installed.
        UsageError: it was asked for on a GPU or for other weights, or a class that the network does not know.
    """
    if not is_cpu(device) or not weights.is_file():
        return None
    if choose_runtime(config.runtime, weights, "cpu") != "openvino":
        return None
    try:
        network = exported_file("openvino", weights, config.max_detections)
        facts = read_facts(network) if network.is_file() else None
        precision = None if facts is None else facts.precision.get(quickest_precision())
        if facts is None or precision is None:
            return None
        return ExportedDetector(weights, network, facts, precision, config, description)
    except (OSError, RuntimeError, ImportError) as error:  # Ultralytics looks at it again, and says so
        logger.info("%s: %s", weights, one_line(error))
        return None


def remember(
    weights: Path,
    known: Callable[[], Facts],
    config: DetectorConfig,
    picture: np.ndarray,
    size: int,
    expected: sv.Detections,
) -> None:
    """Keep the facts of exported weights for ``open_exported``, if they give the same boxes its way.

    Args:
        weights: the ``.pt``; its export is there.
        known: gives the facts, with one precision, that of ``expected``.
        config: thresholds that ``expected`` was found with: low ones, and all classes.
        picture: uint8 [H, W, 3] BGR.
        size: longer side of the network's input for it.
        expected: boxes in it that Ultralytics found through OpenVINO; without one nothing is kept.
    """
    network = exported_file("openvino", weights, config.max_detections)
    try:
        facts = known()
        (precision,) = facts.precision.values()
        own = ExportedDetector(weights, network, facts, precision, config, weights.name)
        own._kept = Kept(None, None)
        (found,) = own.find([picture], size)
        pairs = ((getattr(boxes, name) for boxes in (found, expected)) for name in _COLUMNS)
        if len(expected) and all(np.array_equal(*pair) for pair in pairs):
            write_facts(network, facts)
        else:
            logger.info(
                "%s is run by way of Ultralytics, which finds other boxes, or none to compare", weights
            )
    except Exception as error:  # a network of another kind may fail anywhere; Ultralytics runs it
        logger.info("%s is run by way of Ultralytics: %s", weights, one_line(error))
