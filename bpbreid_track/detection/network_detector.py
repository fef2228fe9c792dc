"""What detectors with a network have in common, whatever runs it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import supervision as sv

from .classes import Kept
from .pictures import batches_of_one_shape
from .runtime_choice import Runtime

if TYPE_CHECKING:
    from ..io.sources.base import Frame


class NetworkDetector(ABC):
    """Frames in, boxes of the classes that are kept out.

    Attributes:
        name: file name of the weights.
        description: the same with the place they came from, and what runs them on a CPU.
        files: the weights.
        batch_size: frames a pass.
        runtime: what runs the network: ``torch``, ``openvino`` or ``onnx``.
        precision: what it computes in: ``fp32``; ``bf16`` through OpenVINO on CPUs with AMX, for all but the
            end of the head; ``fp16`` on CUDA.
    """

    name: str
    description: str
    files: tuple[Path, ...]
    batch_size: int
    runtime: Runtime
    precision: str
    _kept: Kept

    @property
    def classes(self) -> list[int] | None:
        """Class ids that are kept; None for a network without a class "person", where all are."""
        return self._kept.wanted

    @property
    def class_names(self) -> Mapping[int, str]:
        """Names by number of the classes that were asked for; empty where none were."""
        return self._kept.names

    @property
    def by_motion(self) -> frozenset[int]:
        """Numbers of those that are no people."""
        return self._kept.by_motion

    def __call__(self, frames: Sequence[Frame]) -> list[sv.Detections]:
        """See ``Detector``."""
        found: list[sv.Detections] = []
        for batch in batches_of_one_shape(frames, self.batch_size):
            found += self.find([frame.image for frame in batch])
        return found

    @abstractmethod
    def find(self, images: Sequence[np.ndarray], image_size: int | None = None) -> list[sv.Detections]:
        """Boxes of pictures uint8 [H, W, 3] BGR of one size, see ``Detector``.

        Args:
            images: at least one.
            image_size: longer side of the network's input, a multiple of its stride; None: as for videos.
        """
