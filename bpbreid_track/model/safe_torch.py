"""Reading torch files from strangers: tensors and plain values come out, code never runs.

``torch.load`` is only ever called with ``weights_only=True``. Checkpoints of the field also carry yacs'
CfgNode and numpy's numbers: stand-ins below read them as plain values. Any other name refuses the file.
"""

from __future__ import annotations

import io
import os
import re
import struct
import threading
import warnings
import zipfile
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ..errors import InputError, one_line

# Of one file at most; the authors' checkpoints have some ten thousand.
_INSTRUCTIONS = 1 << 21


class _NumpyArray:
    """Stands in for numpy.ndarray and its constructor: an array says nothing about weights."""

    def __init__(self, *_: Any) -> None:
        pass

    def __setstate__(self, state: Any) -> None:
        pass


class _NumpyType:
    """Stands in for numpy.dtype: remembers the code, such as ``f8``."""

    def __init__(self, code: Any = "", *_: Any) -> None:
        self.code = code.decode() if isinstance(code, bytes) else str(code)
        self.order = "<"

    def __setstate__(self, state: Any) -> None:
        if isinstance(state, tuple) and len(state) > 1 and state[1] in (">", b">"):
            self.order = ">"


def _numpy_scalar(kind: Any, raw: Any = b"") -> float | int | bool | None:
    """Stands in for numpy's scalar constructor; None for anything but a plain number."""
    formats = {"f2": "e", "f4": "f", "f8": "d", "i1": "b", "i2": "h", "i4": "i", "i8": "q", "b1": "?"}
    formats |= {"u1": "B", "u2": "H", "u4": "I", "u8": "Q"}
    code = formats.get(kind.code) if isinstance(kind, _NumpyType) else None
    raw = raw.encode("latin1") if isinstance(raw, str) else raw
    if code is None or not isinstance(raw, bytes) or len(raw) != struct.calcsize("=" + code):
        return None
    return struct.unpack(kind.order + code, raw)[0]


_STAND_INS: list[Callable[..., Any] | tuple[Callable[..., Any], str]] = [
    # A plain mapping: the unpickler fills no other kind of dict, and CfgNode's inner flags are of no use.
    (OrderedDict, "yacs.config.CfgNode"),
    (_NumpyType, "numpy.dtype"),
    (_NumpyArray, "numpy.ndarray"),
    *((_numpy_scalar, f"numpy.{core}.multiarray.scalar") for core in ("core", "_core")),
    *((_NumpyArray, f"numpy.{core}.multiarray._reconstruct") for core in ("core", "_core")),
]

_READING = threading.Lock()


@contextmanager
def _nothing_but_stand_ins() -> Iterator[None]:
    """Let torch know the stand-ins alone.

    Its list of further names belongs to the whole process, and libraries add to it for good: Ultralytics
    adds ``getattr`` and its own classes with the first detector. Here they are set aside, and given back.
    """
    with _READING:
        theirs = torch.serialization.get_safe_globals()
        torch.serialization.clear_safe_globals()
        torch.serialization.add_safe_globals(_STAND_INS)
        try:
            yield
        finally:
            meanwhile = set(torch.serialization.get_safe_globals()) - set(_STAND_INS)
            torch.serialization.clear_safe_globals()
            torch.serialization.add_safe_globals([*theirs, *meanwhile])


def read_torch(path: str | os.PathLike[str]) -> Any:
    """What a file of ``torch.save`` holds, zip or legacy format, with tensors on the CPU.

    Raises:
        InputError: no such file; damaged; not a torch file; it would take far more memory than it is large;
            or it asks for anything beyond tensors and plain values, in which case nothing of it was run.
    """
    if not Path(path).is_file():
        raise InputError(f"{path}: no such file")
    try:
        # What torch would warn about (old pickles, TorchScript) is an error below, in one line.
        with _nothing_but_stand_ins(), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with _Counted(open(path, "rb", buffering=0)) as handle:  # given a name, torch goes by its ending
                _check_archive(handle)
                handle.seek(0)
                document = torch.load(handle, map_location="cpu", weights_only=True)
        _require_whole(document)
    except _TooLargeError as error:
        raise InputError(f"{path}: refused: {error}") from None
    except Exception as error:  # a damaged pickle can raise anything at all
        raise InputError(f"{path}: {_reason(str(error))}") from error
    return document


class _TooLargeError(Exception):
    """Reading on would take far more memory than the file is large."""


class _Counted(io.BufferedReader):
    """A file that gives out so many pickle instructions and no more: each may make an object of 64 bytes."""

    _left = _INSTRUCTIONS

    def read(self, size: int | None = -1, /) -> bytes:
        if size == 1:
            self._left -= 1
            if self._left < 0:
                raise _TooLargeError("millions of pickle instructions, where weights need thousands")
        return super().read(size)


def _check_archive(handle: io.BufferedReader) -> None:
    """Raise where a zip archive would grow when it is unpacked: ``torch.save`` compresses nothing."""
    if not zipfile.is_zipfile(handle):
        return
    with zipfile.ZipFile(handle) as archive:
        for entry in archive.infolist():
            if "/code/" in entry.filename:
                raise ValueError("TorchScript")
            if entry.compress_type != zipfile.ZIP_STORED or entry.file_size > entry.compress_size:
                raise _TooLargeError(f"its entry {entry.filename} is compressed, which torch.save never does")
            if entry.filename.endswith(".pkl") and entry.file_size > _INSTRUCTIONS:
                raise _TooLargeError(
                    f"its entry {entry.filename} has {entry.file_size} bytes of instructions"
                )


def _require_whole(document: Any) -> None:
    """Raise for tensors that are larger than what is stored of them."""
    waiting, seen = [document], set[int]()
    while waiting:
        item = waiting.pop()
        if isinstance(item, Tensor):
            plain = item.layout == torch.strided and item.device.type == "cpu" and not item.is_quantized
            if not plain or item.numel() * item.element_size() > item.untyped_storage().nbytes():
                raise _TooLargeError(
                    f"a tensor {list(item.shape)} that is not stored whole; save it with .clone()"
                )
        elif isinstance(item, (Mapping, list, tuple, set)) and id(item) not in seen:
            seen.add(id(item))
            waiting.extend(item.values() if isinstance(item, Mapping) else item)


def _reason(message: str) -> str:
    named = re.search(r"GLOBAL ([\w.]+)", message)
    if named or re.search(r"unrecognized function|Can only (create|build)", message):
        what = named[1].rstrip(".") if named else "an object that is not a tensor"
        return (
            f"refused: it asks for {what}, which weights do not need, and none of its code was run; "
            "if you trust its maker, ask for the bare state dict"
        )
    if "Unsupported operand" in message:
        return (
            "refused: pickle instructions beyond tensors and plain values, and none of them was run; "
            "if you trust its maker, ask for a file of torch.save with its default protocol"
        )
    if "TorchScript" in message:
        return (
            "a TorchScript program, not a checkpoint, and nothing of it was run; give the checkpoint it was "
            "exported from, or, if you trust its maker, rename it to .ts"
        )
    return "damaged, or not a torch checkpoint; fetch or copy it again"


def read_state_dict(path: str | os.PathLike[str]) -> dict[str, Tensor]:
    """The state dict in a file, bare or under ``state_dict``, in safetensors or torch format.

    A ``module.`` prefix (DataParallel) is taken off.

    Raises:
        InputError: as ``read_torch``, or there is no state dict in it.
    """
    if is_safetensors(path):
        return read_safetensors(path)[0]
    return state_dict_of(read_torch(path), path)


def state_dict_of(document: Any, path: str | os.PathLike[str]) -> dict[str, Tensor]:
    """The state dict in what ``read_torch`` returned."""
    state = document
    if isinstance(document, Mapping) and isinstance(document.get("state_dict"), Mapping):
        state = document["state_dict"]
    tensors: dict[str, Tensor] = {}
    if isinstance(state, Mapping):
        tensors = {
            key: value for key, value in state.items() if isinstance(key, str) and isinstance(value, Tensor)
        }
    if not tensors:
        raise InputError(f"{path}: holds no state dict; expected tensors by name, or under 'state_dict'")
    return {key.removeprefix("module."): value for key, value in tensors.items()}


def require_finite(state: Mapping[str, Tensor], path: str | os.PathLike[str]) -> None:
    """Refuse weights that make every embedding NaN, as those of a training that diverged.

    Raises:
        InputError: a tensor holds a NaN or an infinity; names it.
    """
    bad = [
        key
        for key, value in state.items()
        if value.is_floating_point() and not value.to(torch.float32).isfinite().all()
    ]
    if bad:
        raise InputError(
            f"{path}: {len(bad)} of {len(state)} tensors hold NaN or infinity, such as {min(bad)}; the "
            "training diverged or the file is damaged: take an earlier checkpoint"
        )


def is_safetensors(path: str | os.PathLike[str]) -> bool:
    """Whether the file begins like safetensors: the length of a JSON header, then the header.

    Raises:
        InputError: no such file, or it cannot be read.
    """
    try:
        with open(path, "rb") as handle:
            start = handle.read(9)
    except FileNotFoundError:
        raise InputError(f"{path}: no such file") from None
    except OSError as error:
        raise InputError(f"{path}: {error.strerror}") from error
    return len(start) == 9 and start[8:] == b"{" and struct.unpack("<Q", start[:8])[0] < 1 << 32


def read_safetensors(path: str | os.PathLike[str]) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Tensors and header metadata of a safetensors file.

    Raises:
        InputError: damaged.
    """
    from safetensors import safe_open

    try:
        with safe_open(os.fspath(path), framework="pt", device="cpu") as handle:
            return {key: handle.get_tensor(key) for key in handle.keys()}, handle.metadata() or {}  # noqa: SIM118
    except Exception as error:  # SafetensorError, and whatever an unknown type or shape leads torch to
        reason = one_line(error)
        raise InputError(f"{path}: damaged, or not safetensors; fetch or copy it again ({reason})") from error
