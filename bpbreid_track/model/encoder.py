"""``Encoder``: frames and boxes in, part embeddings out; batched, on any device, in any precision."""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from ..config import VectorInput
from ..embeddings import PartEmbeddings
from ..errors import InputError, UsageError, did_you_mean
from .crops import crop_source, normalise
from .find_weights import find_encoder_weights
from .host_crops import Regions
from .inference import exact_float32, inference_copy, resolve_device, resolve_precision
from .network import BPBReID
from .one_vector import ONE_VECTOR
from .openvino_copy import openvino_copy
from .part_encoder import PartEncoder, whole_crops
from .part_groups import mirrored_parts
from .runtimes import Runtime, is_exported, open_runtime

_RUNTIMES = ("auto", "torch", "openvino")
_TYPES = {"bf16": torch.bfloat16, "fp16": torch.float16}
# Batches are padded to powers of two, from this one on, where every new size is expensive: a compiled network
# is compiled anew, and cuDNN prepares its convolutions for over a second (torch 2.11, cuDNN 9, H200).
_SMALLEST_PADDED_BATCH = 16


class Attention(NamedTuple):
    """Where the network saw the K body parts in N boxes."""

    maps: Tensor
    """float32 [N, K, h, w] in [0, 1], coarse; zero for boxes without pixels."""
    visibility: Tensor
    """float32 [N, K] in [0, 1]."""


class Encoder(PartEncoder):
    """Turns person boxes into ``PartEmbeddings``.

    A network given as a module is copied when the encoder is made (eval mode, BatchNorms folded, weights in
    the precision's type); ``encoder.network`` stays as it was given, and later changes to it are not seen.
    Encoders can be copied and pickled; a copy opens anew what is run by OpenVINO or from an exported file.

    Args:
        network: a ``BPBReID``, or an exported network (``open_runtime``).
        device: ``cpu``, ``cuda``, ``cuda:1``, ``mps``; ``auto`` is where the network's weights are.
        precision: ``fp32`` (exact: no TF32), ``bf16``, ``fp16``; ``auto`` is bf16 or fp16 on CUDA, bf16 on
            CPUs with AMX, else fp32. An exported network has its own.
        batch_size: most crops in one pass of the network. On a CPU passes are smaller, which is faster.
        compile: run the network through ``torch.compile``. Batches are then padded to few sizes, so that a
            changing number of people does not compile anew. No effect on exported networks.
        mirror: average with the mirrored crops, ``ModelOptions.mirror``; None is as the network says.

    Attributes:
        network: what was given.
        part_names: P names, the foreground first.
        dim: D, the width of one part.
        input_size: (h, w) of a crop as the network sees it.
        device: where images are taken to and where results stay.
        precision: ``fp32``, ``bf16``, ``fp16`` or ``int8``.
        mirror: whether embeddings are averages with those of the mirrored crops.
        runtime: ``torch`` or ``openvino``, what runs a network that was given as a module.

    Raises:
        UsageError: a device or precision that is not to be had.
        ValueError: to be mirrored, but a left part has no right one.

    >>> from bpbreid_track.model.network import BPBReID
    >>> encoder = Encoder(BPBReID(ModelOptions(part_names=("upper", "lower"), input_size=(64, 32))))
    >>> frame = np.zeros((120, 80, 3), np.uint8)
    >>> encoder.encode(frame, [[10, 10, 40, 100], [0, 0, 0, 0]]).features.shape
    torch.Size([2, 3, 512])
    """

    def __init__(
        self,
        network: BPBReID | Runtime,
        *,
        device: str | torch.device = "auto",
        precision: str = "auto",
        batch_size: int = 64,
        compile: bool = False,
        mirror: bool | None = None,
    ) -> None:
        if batch_size < 1:
            raise ValueError(f"batch_size: expected at least 1, got {batch_size}")
        self.network = network
        self.batch_size = batch_size
        self.device: torch.device
        self.precision: str
        self._forward: Callable[[Tensor], tuple[Tensor, Tensor]]
        self._copy: BPBReID | None = None
        self._weights: Path | None = None
        self.runtime = "torch"
        self._padded = False
        if isinstance(network, BPBReID):
            home = next(network.parameters()).device
            self.device = home if str(device) == "auto" else resolve_device(device)
            self.precision = resolve_precision(precision, self.device)
            self._copy = inference_copy(network, self.device, self.precision)
            self._padded = compile or self.device.type == "cuda"
            embed = self._copy.embed_tensors
            self._forward = torch.compile(embed) if compile else embed
            self.dim = network.dim
        else:
            self.device, self.precision, self.dim = network.device, network.precision, network.dim
            self._forward = network.run
        options = network.options
        self.options = options
        self.part_names: tuple[str, ...] = options.row_names
        self.input_size: tuple[int, int] = options.input_size
        self.mirror: bool = options.mirror if mirror is None else mirror
        self._mirrored_rows = list(mirrored_parts(self.part_names)) if self.mirror else []

    @classmethod
    def load(
        cls,
        source: str | os.PathLike[str] = "default",
        *,
        device: str | torch.device = "auto",
        precision: str = "auto",
        batch_size: int = 64,
        compile: bool = False,
        mirror: bool | None = None,
        runtime: str = "torch",
        input: VectorInput | None = None,
    ) -> Encoder:
        """An encoder from a file or from the weights that come with the package.

        Args:
            source: ``default`` or another bundled name; our ``.safetensors``; a ``.pth`` or ``.pth.tar`` of
                the authors' program; an exported ``.onnx``, OpenVINO ``.xml`` or TorchScript ``.ts``; other
                people's networks of one vector a crop: ``.onnx``, ``.xml``, torchreid's OSNet ``.pth``.
            device: as for the constructor, except that ``auto`` is the best device of the machine.
            precision: as for the constructor.
            batch_size: as for the constructor.
            compile: as for the constructor.
            mirror: as for the constructor.
            runtime: what runs a checkpoint on a CPU: ``torch``; ``openvino``, exported on first use; ``auto``
                for OpenVINO where it is installed, in fp32 and bf16. Where OpenVINO fails a warning says so,
                and torch does it.
            input: size, colours and values that somebody else's network takes, where its file does not say so
                and it is not what ``VectorInput`` says.

        Raises:
            InputError: no such file, or not one of these; the message says the mend.
            UsageError: ``input`` for a network that says itself what it takes, or against what its file says.
        """
        path = find_encoder_weights(source)
        if is_exported(path):
            network: BPBReID | Runtime = open_runtime(path, device=device, precision=precision, stated=input)
        else:
            from .checkpoint import open_weights

            resolved = resolve_device(device)
            resolve_precision(precision, resolved)  # wrong usage shows before a large file is read
            network, device = open_weights(path, resolved, precision, input), resolved
        if input is not None and input != VectorInput() and network.options.part_names != ONE_VECTOR:
            raise UsageError(f"encoder.input: {path} says itself what it takes; leave the setting out")
        encoder = cls(
            network,
            device=device,
            precision=precision,
            batch_size=batch_size,
            compile=compile,
            mirror=mirror,
        )
        if isinstance(network, BPBReID) and not compile and encoder._may_run_through_openvino(runtime):
            encoder._run_through_openvino(path.absolute(), precision)
        return encoder

    def _run_through_openvino(self, weights: Path, precision: str) -> None:
        """Let OpenVINO run the network of ``weights``; torch, with a warning, where that fails."""
        assert isinstance(self.network, BPBReID)
        assert self._copy is not None
        self._weights = weights
        opened = openvino_copy(self.network, weights, precision)
        self.runtime = "torch" if opened is None else "openvino"
        self.precision = self.precision if opened is None else opened.precision
        self._forward = self._copy.embed_tensors if opened is None else opened.run

    def __getstate__(self) -> dict[str, Any]:
        left_out = {"_forward"} if self.runtime == "openvino" else set[str]()
        return {name: value for name, value in vars(self).items() if name not in left_out}

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state)
        # The export lies in a cache folder, which may be gone or on another machine.
        if self.runtime == "openvino" and self._weights is not None:
            self._run_through_openvino(self._weights, self.precision)

    def _may_run_through_openvino(self, wanted: str) -> bool:
        if wanted not in _RUNTIMES:
            raise UsageError(f"unknown runtime {wanted!r}{did_you_mean(wanted, _RUNTIMES)}")
        possible = self.device.type == "cpu" and self.precision in {"fp32", "bf16"}
        installed = importlib.util.find_spec("openvino") is not None
        if wanted == "openvino" and not possible:
            raise UsageError(
                f"encoder.runtime openvino: runs on a CPU in fp32 or bf16, not on {self.device} in "
                f"{self.precision}"
            )
        if wanted == "openvino" and not installed:
            raise InputError("encoder.runtime openvino: openvino not installed; pip install openvino")
        return wanted != "torch" and possible and installed

    def _made_of(self) -> str:
        return self.network.path.name if isinstance(self.network, Runtime) else super()._made_of()

    def attend(self, frame: np.ndarray, xyxy: Any) -> Attention:
        """Where in the boxes of a frame the network sees each part; arguments as for ``encode``.

        Raises:
            ValueError: frame or boxes of another type or shape.
            UsageError: an exported network, which gives no maps.
        """
        return self._attend([frame], [xyxy], ["frame"])

    def attend_crops(self, crops: Sequence[np.ndarray]) -> Attention:
        """As ``attend``, on N ready crops uint8 [h, w, 3] in BGR."""
        return self._attend(crops, *whole_crops(crops))

    def _encode(self, images: Sequence[Any], boxes: Sequence[Any], names: list[str]) -> list[PartEmbeddings]:
        regions = Regions(images, boxes, names)
        out = self._blank(regions.total)
        for rows, crops in self._cut(regions):
            features, visibility = self._run(crops)
            out.features[rows] = features
            out.visibility[rows] = visibility
        return regions.split(out)

    @torch.no_grad()
    def _attend(self, images: Sequence[Any], boxes: Sequence[Any], names: list[str]) -> Attention:
        if self._copy is None:
            raise UsageError("attention maps: exported networks give none; load the checkpoint instead")
        regions = Regions(images, boxes, names)
        parts = self.options.num_parts
        maps = torch.zeros(regions.total, parts, 1, 1, device=self.device)
        visibility = torch.zeros(regions.total, parts, device=self.device)
        for rows, crops in self._cut(regions):
            with self._exactly():
                outputs = self._copy(self._ready(crops))
            found = outputs.attention["parts"].float()
            if maps.shape[2:] != found.shape[2:]:
                maps = maps.expand(-1, -1, *found.shape[2:]).clone()
            maps[rows] = found
            visibility[rows] = outputs.visibility["parts"].float()
        return Attention(maps, visibility)

    def _cut(self, regions: Regions) -> Iterator[tuple[Tensor, Tensor]]:
        """Pass by pass: the rows of the result on the device, and their crops uint8 RGB [M, h, w, 3]."""
        count = len(regions.rows)
        if not count:
            return
        rows = torch.from_numpy(regions.rows).to(self.device)
        source = crop_source(regions.images, self.device, self.options.source_size)
        size = self._pass_size()
        for start in range(0, count, size):
            batch = slice(start, start + size)
            yield rows[batch], source.cut(regions.index[batch], regions.boxes[batch], self.input_size)

    def _ready(self, crops: Tensor) -> Tensor:
        images = normalise(crops, self.options.mean, self.options.std)
        return images.to(_TYPES.get(self.precision, torch.float32)) if self._copy is not None else images

    @torch.no_grad()
    def _run(self, crops: Tensor) -> tuple[Tensor, Tensor]:
        """uint8 RGB [M, h, w, 3] of the input size -> float32 features [M, P, D], visibility [M, P]."""
        count = len(crops)
        if self._padded:
            size = padded_size(count, self._pass_size())
            crops = torch.cat([crops, crops.new_zeros(size - count, *crops.shape[1:])])
        images = self._ready(crops)
        with self._exactly():
            if not self.mirror:
                features, visibility = self._forward(images)
            else:
                features, visibility, other = self._forward_both(images)
                features = F.normalize(features + other[:, self._mirrored_rows], dim=-1)
        return features[:count], visibility[:count]

    def _forward_both(self, images: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Features and visibility of images, and features of their mirror images."""
        if isinstance(self.network, BPBReID) and self.runtime == "torch":  # passes as large as the caches
            return *self._forward(images), self._forward(images.flip(-1))[0]
        features, visibility = self._forward(torch.cat([images, images.flip(-1)]))
        count = len(images)
        return features[:count], visibility[:count], features[count:]

    def _exactly(self) -> AbstractContextManager[None]:
        return exact_float32() if self.precision == "fp32" else nullcontext()

    def _pass_size(self) -> int:
        if self.device.type != "cpu" or not isinstance(self.network, BPBReID):
            return self.batch_size
        return self._cpu_pass_size()

    def _blank(self, count: int) -> PartEmbeddings:
        """``count`` rows in which nothing is visible."""
        parts = len(self.part_names)
        return PartEmbeddings(
            torch.zeros(count, parts, self.dim, device=self.device),
            torch.zeros(count, parts, device=self.device),
            self.part_names,
        )


def padded_size(count: int, largest: int) -> int:
    """The size of batch in which ``count`` crops are encoded where few sizes are to occur.

    A power of two from 16 on, or ``largest`` where that is less: a batch is never padded beyond it.

    >>> [padded_size(count, 64) for count in (1, 16, 17, 64)], padded_size(40, 50)
    ([16, 16, 32, 64], 50)
    """
    size = max(_SMALLEST_PADDED_BATCH, 1 << (count - 1).bit_length())
    return max(count, min(size, largest))
