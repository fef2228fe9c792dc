"""A detector's network through OpenVINO, compiled for the size of its pictures."""

from __future__ import annotations

import threading
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import InputError, one_line
from ..model.openvino_streams import OpenVinoStreams, openvino_core
from ..quick_precision import Precision
from .exact_head import split_at_head

# A video has one size. Who sends more than these has pictures of all sizes, and compiling takes half a
# second.
_MOST_SIZES = 4


class SizedNetwork:
    """The network of a file, compiled when a size of picture first comes.

    Compiled for one size it takes 0.85 of the time of one for all sizes, since layers then write where the
    next one reads, and less memory. The one before it is given up; the fifth size brings a network for all.

    Args:
        openvino: the package.
        path: an ``.xml`` that takes float [N, 3, H, W].
        precision: ``bf16`` for all but the end of the head, where ``split_at_head`` knows it; else ``fp32``.
        threads: of all pictures together.
        pictures: side by side.

    Attributes:
        precision: what it computes in.

    Raises:
        RuntimeError: OpenVINO cannot read the file.
    """

    def __init__(self, openvino: Any, path: Path, precision: Precision, threads: int, pictures: int) -> None:
        self._openvino, self._path = openvino, path
        self._threads, self._pictures = threads, pictures
        self._core = openvino_core(openvino)
        model = self._core.read_model(path)
        known = precision == "bf16" and split_at_head(openvino, model) is not None
        self.precision: Precision = "bf16" if known else "fp32"
        self._size: tuple[int, ...] | None = None
        self._sizes = 0
        self._network: OpenVinoStreams | None = None
        self._in_use = threading.Lock()

    def __call__(self, images: np.ndarray) -> list[np.ndarray]:
        """All outputs for float32 [N, 3, H, W], each [N, ...]; threads take turns."""
        with self._in_use:
            return self._for(images.shape[1:])(images)

    def _for(self, size: tuple[int, ...]) -> OpenVinoStreams:
        known = size == self._size or self._sizes > _MOST_SIZES
        if self._network is None or not known:
            self._size, self._sizes = size, self._sizes + 1
            self._network = None  # its memory goes before that of the next comes
            if self._sizes <= _MOST_SIZES:
                # What cannot be made for this size may still take it, or says why it does not.
                with suppress(RuntimeError):
                    self._network = self._compiled(size)
            try:
                self._network = self._network or self._compiled(None)
            except RuntimeError as error:
                mend = f"delete the folder {self._path.parent}"
                raise InputError(
                    f"{self._path}: OpenVINO cannot run it ({one_line(error)}); {mend}"
                ) from error
        return self._network

    def _compiled(self, size: tuple[int, ...] | None) -> OpenVinoStreams:
        model = self._core.read_model(self._path)
        if size is not None:
            model.reshape([1, *size])
        steps: list[tuple[Any, str]] = [(model, "fp32")]
        if self.precision == "bf16":
            halves = split_at_head(self._openvino, model)
            assert halves is not None
            steps = [(halves[0], "bf16"), (halves[1], "fp32")]
        return OpenVinoStreams(self._core, steps, self._threads, self._pictures)
