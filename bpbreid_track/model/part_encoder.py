"""What every encoder of parts is to those who use it: frames and boxes in, part embeddings out."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, overload

import numpy as np

from ..embeddings import PartEmbeddings
from ..machine import cpu_threads
from .options import ModelOptions

# On a CPU the feature maps of more images than this for each thread leave the caches: ResNet-50 in bf16 on
# one thread is a third faster with 8 images a pass than with 32.
_IMAGES_PER_THREAD = 4
_SMALLEST_CPU_PASS = 8


@dataclass(frozen=True)
class NamedDevice:
    """Where something runs, as ``torch.device`` says it, without torch."""

    name: str

    @property
    def type(self) -> str:
        return self.name.partition(":")[0]

    def __str__(self) -> str:
        return self.name


class PartEncoder(ABC):
    """An encoder, whatever runs it.

    Attributes:
        part_names: P names, the foreground first.
        dim: D, the width of one part.
        input_size: (h, w) of a crop as the network sees it.
        device: where it computes; has a ``type`` such as ``cpu``.
        precision: ``fp32``, ``bf16``, ``fp16`` or ``int8``.
        mirror: whether embeddings are averages with those of the mirrored crops.
        runtime: ``torch`` or ``openvino``.
        batch_size: most crops in one pass of the network.
        options: of the network.
    """

    part_names: tuple[str, ...]
    dim: int
    input_size: tuple[int, int]
    device: Any
    precision: str
    mirror: bool
    runtime: str
    batch_size: int
    options: ModelOptions

    def __repr__(self) -> str:
        height, width = self.input_size
        return (
            f"{type(self).__name__}({self._made_of()}, {height}x{width}, parts={list(self.part_names)}, "
            f"dim={self.dim}, device={self.device}, precision={self.precision})"
        )

    @overload
    def encode(self, frame: np.ndarray, xyxy: Any) -> PartEmbeddings: ...
    @overload
    def encode(self, frame: Sequence[np.ndarray], xyxy: Sequence[Any]) -> list[PartEmbeddings]: ...
    def encode(self, frame: Any, xyxy: Any) -> PartEmbeddings | list[PartEmbeddings]:
        """Embeddings of the boxes of one frame, or of several frames in common batches.

        Args:
            frame: uint8 [H, W, 3] in BGR; or a list of F such frames, of any sizes.
            xyxy: [N, 4] pixels, any float or integer type; or a list of F such arrays. Boxes are rounded to
                whole pixels and clipped to the frame.

        Returns:
            Row i belongs to box i, on the encoder's device. A box with NaN or infinity, without area, or
            outside the frame has zero features and zero visibility. For lists, a list of F.

        Raises:
            ValueError: frames or boxes of another type or shape.
        """
        if isinstance(frame, np.ndarray):
            return self._encode([frame], [xyxy], ["frame"])[0]
        if not isinstance(frame, (list, tuple)):
            raise ValueError(f"frame: expected a numpy array or a list of them, got {type(frame).__name__}")
        if len(frame) != len(xyxy):
            raise ValueError(f"xyxy: expected boxes for each of the {len(frame)} frames, got {len(xyxy)}")
        return self._encode(frame, xyxy, [f"frame[{index}]" for index in range(len(frame))])

    def encode_crops(self, crops: Sequence[np.ndarray]) -> PartEmbeddings:
        """Embeddings of ready crops.

        Args:
            crops: N arrays uint8 [h, w, 3] in BGR, of any sizes.

        Returns:
            Row i belongs to crop i, on the encoder's device; an empty crop has zero features and visibility.

        Raises:
            ValueError: crops of another type or shape.
        """
        rows = self._encode(crops, *whole_crops(crops))
        return (
            PartEmbeddings.cat(rows) if rows else PartEmbeddings.empty(self.part_names, self.dim, self.device)
        )

    def _made_of(self) -> str:
        """What the network is, in a word."""
        return self.options.backbone

    @abstractmethod
    def _encode(self, images: Sequence[Any], boxes: Sequence[Any], names: list[str]) -> list[PartEmbeddings]:
        """Embeddings of the boxes of each image, called by its name in messages."""

    def _cpu_pass_size(self) -> int:
        """Crops in one pass of a network on the CPU."""
        return min(self.batch_size, max(_SMALLEST_CPU_PASS, _IMAGES_PER_THREAD * cpu_threads()))


def whole_crops(crops: Sequence[Any]) -> tuple[list[Any], list[str]]:
    """A box around each crop, and the crops' names for messages."""
    boxes = [[[0, 0, crop.shape[1], crop.shape[0]]] if np.ndim(crop) > 1 else [] for crop in crops]
    return boxes, [f"crops[{index}]" for index in range(len(crops))]
