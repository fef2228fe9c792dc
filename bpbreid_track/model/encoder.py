"""``Encoder``: frames and boxes in, part embeddings out; batched, on any device, in any precision."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, overload

import numpy as np
import torch
from torch import Tensor

from ..embeddings import PartEmbeddings
from ..errors import InputError, did_you_mean
from .crops import CropSource, check_boxes, check_image, normalise, pixel_boxes
from .inference import exact_float32, inference_copy, resolve_device, resolve_precision
from .network import BPBReID
from .options import ModelOptions
from .runtimes import Runtime, is_exported, open_runtime

_WEIGHTS = Path(__file__).resolve().parent.parent / "weights"
# On a CPU feature maps of more images than this for each thread leave the caches: ResNet-50 in bf16 does 8 images
# a pass a third faster than 32.
_IMAGES_PER_THREAD = 4
_SMALLEST_CPU_PASS = 8
# Smallest batch a compiled network sees; larger ones are padded to the next power of two.
_SMALLEST_COMPILED_BATCH = 8


class Encoder:
    """Turns person boxes into ``PartEmbeddings``.

    A network given as a module is copied when the encoder is made (eval mode, BatchNorms folded, weights in
    the precision's type); ``encoder.network`` stays as it was given, and later changes to it are not seen.

    Args:
        network: a ``BPBReID``, or an exported network (``open_runtime``).
        device: ``cpu``, ``cuda``, ``cuda:1``, ``mps``; ``auto`` is where the network's weights are.
        precision: ``fp32`` (exact: no TF32), ``bf16``, ``fp16``; ``auto`` is bf16 or fp16 on CUDA, bf16 on
            CPUs with instructions for it, else fp32. An exported network has its own.
        batch_size: most crops in one pass of the network. On a CPU passes are smaller, which is faster.
        compile: run the network through ``torch.compile``. Batches are then padded to few sizes, so that a
            changing number of people does not compile anew. No effect on exported networks.

    Attributes:
        network: what was given.
        part_names: P names, the foreground first.
        dim: D, the width of one part.
        input_size: (h, w) of a crop as the network sees it.
        device: where images are taken to and where results stay.
        precision: ``fp32``, ``bf16``, ``fp16`` or ``int8``.

    Raises:
        UsageError: a device or precision that is not to be had.

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
    ) -> None:
        if batch_size < 1:
            raise ValueError(f"batch_size: expected at least 1, got {batch_size}")
        self.network = network
        self.batch_size = batch_size
        self.device: torch.device
        self.precision: str
        self._forward: Callable[[Tensor], tuple[Tensor, Tensor]]
        self._padded = compile and isinstance(network, BPBReID)
        if isinstance(network, BPBReID):
            home = next(network.parameters()).device
            self.device = home if str(device) == "auto" else resolve_device(device)
            self.precision = resolve_precision(precision, self.device)
            copy = inference_copy(network, self.device, self.precision)
            self._forward = torch.compile(copy.embed_tensors) if compile else copy.embed_tensors
            self.dim = network.dim
        else:
            self.device, self.precision, self.dim = network.device, network.precision, network.dim
            self._forward = network.run
        options = network.options
        self.options: ModelOptions = options
        self.part_names: tuple[str, ...] = options.row_names
        self.input_size: tuple[int, int] = options.input_size

    @classmethod
    def load(
        cls,
        source: str | os.PathLike[str] = "default",
        *,
        device: str | torch.device = "auto",
        precision: str = "auto",
        batch_size: int = 64,
        compile: bool = False,
    ) -> Encoder:
        """An encoder from a file or from the weights that come with the package.

        Args:
            source: ``default`` or another bundled name; our ``.safetensors``; a ``.pth`` or ``.pth.tar`` of
                the authors' program; an exported ``.onnx``, OpenVINO ``.xml`` or TorchScript ``.ts``.
            device: as for the constructor, except that ``auto`` is the best device of the machine.
            precision: as for the constructor.
            batch_size: as for the constructor.
            compile: as for the constructor.

        Raises:
            InputError: no such file, or not one of these; the message says the mend.
        """
        path = find_weights(source)
        if is_exported(path):
            network: BPBReID | Runtime = open_runtime(path, device=device, precision=precision)
        else:
            from .checkpoint import load_checkpoint

            resolved = resolve_device(device)
            resolve_precision(precision, resolved)  # wrong usage shows before a large file is read
            network, device = load_checkpoint(path), resolved
        return cls(network, device=device, precision=precision, batch_size=batch_size, compile=compile)

    def __repr__(self) -> str:
        height, width = self.input_size
        return (
            f"Encoder({self.options.backbone}, {height}x{width}, parts={list(self.part_names)}, "
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
        whole = [[[0, 0, crop.shape[1], crop.shape[0]]] if np.ndim(crop) > 1 else [] for crop in crops]
        rows = self._encode(crops, whole, [f"crops[{index}]" for index in range(len(crops))])
        return PartEmbeddings.cat(rows) if rows else self._blank(0)

    def _encode(self, images: Sequence[Any], boxes: Sequence[Any], names: list[str]) -> list[PartEmbeddings]:
        frames = [check_image(image, name) for image, name in zip(images, names, strict=True)]
        pixels, usable, counts = [], [], []
        for frame, xyxy, name in zip(frames, boxes, names, strict=True):
            found, good = pixel_boxes(check_boxes(xyxy, f"boxes of {name}"), *frame.shape[:2])
            pixels.append(found)
            usable.append(good)
            counts.append(len(found))
        if not frames:
            return []
        rows = np.flatnonzero(np.concatenate(usable))
        index = np.repeat(np.arange(len(frames)), counts)[rows]
        out = self._blank(sum(counts))
        if len(rows):
            where = torch.from_numpy(rows).to(self.device)
            source = CropSource(frames, self.device)
            chosen = np.concatenate(pixels)[rows]
            for batch in _batches(len(rows), self._pass_size()):
                features, visibility = self._run(source.cut(index[batch], chosen[batch], self.input_size))
                out.features[where[batch]] = features
                out.visibility[where[batch]] = visibility
        ends = np.cumsum(counts)
        return [out[end - count : end] for end, count in zip(ends.tolist(), counts, strict=True)]

    @torch.no_grad()
    def _run(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """uint8 RGB [M, h, w, 3] of the input size -> float32 features [M, P, D], visibility [M, P]."""
        count = len(images)
        if self._padded:
            size = max(_SMALLEST_COMPILED_BATCH, 1 << (count - 1).bit_length())
            images = torch.cat([images, images.new_zeros(size - count, *images.shape[1:])])
        ready = normalise(images, self.options.mean, self.options.std)
        if self.precision == "fp32":
            with exact_float32():
                features, visibility = self._forward(ready)
        else:
            features, visibility = self._forward(ready.to(self._input_type))
        return features[:count], visibility[:count]

    def _pass_size(self) -> int:
        if self.device.type != "cpu" or not isinstance(self.network, BPBReID):
            return self.batch_size
        return min(self.batch_size, max(_SMALLEST_CPU_PASS, _IMAGES_PER_THREAD * torch.get_num_threads()))

    @property
    def _input_type(self) -> torch.dtype:
        return {"bf16": torch.bfloat16, "fp16": torch.float16}.get(self.precision, torch.float32)

    def _blank(self, count: int) -> PartEmbeddings:
        """``count`` rows in which nothing is visible."""
        parts = len(self.part_names)
        return PartEmbeddings(
            torch.zeros(count, parts, self.dim, device=self.device),
            torch.zeros(count, parts, device=self.device),
            self.part_names,
        )


def _batches(count: int, size: int) -> Iterator[slice]:
    return (slice(start, min(start + size, count)) for start in range(0, count, size))


def find_weights(source: str | os.PathLike[str]) -> Path:
    """The file behind the name of bundled weights or a path.

    Raises:
        InputError: neither; the message names what is bundled.
    """
    text = os.fspath(source)
    bundled = {path.stem: path for path in sorted(_WEIGHTS.glob("*.safetensors"))}
    if text in bundled:
        return bundled[text]
    path = Path(text)
    if path.is_file():
        return path
    if text == "default":
        raise InputError(
            "encoder 'default': this version bundles no weights; name a file (.safetensors, .pth, .onnx or "
            ".xml), or track without appearance (encoder 'none')"
        )
    if path.suffix or len(path.parts) > 1:
        raise InputError(f"{text}: no such file")
    known = did_you_mean(text, bundled) if bundled else ""
    raise InputError(f"encoder {text!r}: neither a file nor bundled weights{known}")
