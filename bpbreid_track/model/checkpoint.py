"""Checkpoints: ours (safetensors with the configuration in its header), and the authors' files.

A file is told by its content, never by its name. Nothing that is read can run code, or take much more memory
than the file is large.
"""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import save
from torch import Tensor

from ..config import VectorInput, validated
from ..errors import InputError, one_line
from .authors_format import LoadReport, convert, is_authors
from .network import BPBReID, resized_places
from .options import ModelOptions
from .osnet import OsnetRuntime, is_osnet
from .runtimes import Runtime
from .safe_torch import is_safetensors, read_safetensors, read_torch, require_finite, state_dict_of

FORMAT = "bpbreid_track"
FORMAT_VERSION = 1
_LISTED = 8  # names in one message

log = logging.getLogger(__name__)


@dataclass
class Checkpoint:
    """A network read from a file, in eval mode, and what came with it."""

    network: BPBReID
    provenance: dict[str, Any]
    """How the weights were made: whatever ``save_checkpoint`` was given as ``extra``."""
    report: LoadReport


def save_checkpoint(
    network: BPBReID,
    path: str | os.PathLike[str],
    extra: Mapping[str, Any] | None = None,
    *,
    dtype: torch.dtype | None = None,
) -> None:
    """Write weights and options to ``path``; ``load_checkpoint`` reads them back.

    Args:
        network: use ``network.for_inference()`` to leave the identity classifiers out.
        path: by custom ``*.safetensors``.
        extra: JSON-able provenance: data, resolved training configuration, scores.
        dtype: floating type to store, such as ``torch.float16`` for half the size; None: as they are.

    Raises:
        InputError: the file cannot be written.
    """
    # Not save_file, which makes files that nobody but their owner can read.
    part = Path(path).with_name(f"{Path(path).stem}.{os.getpid()}.part{Path(path).suffix}")
    try:
        part.write_bytes(checkpoint_bytes(network, extra, dtype=dtype))
        part.replace(path)
    except (OSError, SafetensorError) as error:
        with suppress(OSError):
            part.unlink(missing_ok=True)
        raise InputError(f"{path}: cannot be written ({error})") from error


def checkpoint_bytes(
    network: BPBReID, extra: Mapping[str, Any] | None = None, *, dtype: torch.dtype | None = None
) -> bytes:
    """What ``save_checkpoint`` writes."""
    state = {}
    for key, value in network.state_dict().items():
        convertible = dtype is not None and value.is_floating_point()
        state[key] = value.to("cpu", dtype if convertible else value.dtype).contiguous()
    metadata = {
        "format": FORMAT,
        "format_version": str(FORMAT_VERSION),
        "options": network.options.model_dump_json(),
        "provenance": json.dumps(dict(extra or {}), sort_keys=True),
    }
    return _in_order(save(state, metadata))


def _in_order(data: bytes) -> bytes:
    """The bytes of a safetensors file with its metadata in order: the library shuffles them at each call."""
    size = int.from_bytes(data[:8], "little")
    header = json.loads(data[8 : 8 + size])
    header["__metadata__"] = dict(sorted(header["__metadata__"].items()))
    words = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode()
    words += b" " * (-len(words) % 8)
    return len(words).to_bytes(8, "little") + words + data[8 + size :]


def load_checkpoint(path: str | os.PathLike[str]) -> BPBReID:
    """The network in a file of ``save_checkpoint`` or in one of the authors' ``.pth`` / ``.pth.tar`` files.

    Returns:
        The network in eval mode on the CPU, float32, with the options the weights were trained with.

    Raises:
        InputError: one line that says what is wrong with the file.
    """
    return read_checkpoint(path).network


def open_weights(
    path: str | os.PathLike[str],
    device: str | torch.device = "auto",
    precision: str = "auto",
    stated: VectorInput | None = None,
) -> BPBReID | Runtime:
    """As ``load_checkpoint``, and of torchreid's OSNet files a network that gives one vector a crop.

    Args:
        path: the file.
        device: of a network of one vector; a ``BPBReID`` is on the CPU.
        precision: likewise.
        stated: what a network of one vector takes.

    Raises:
        InputError: one line that says what is wrong with the file.
        UsageError: a device or precision that is not to be had.
    """
    if is_safetensors(path):
        return load_checkpoint(path)
    document = read_torch(path)
    state = state_dict_of(document, path)
    if is_osnet(state):
        return OsnetRuntime(Path(path), state, device, precision, stated)
    return read_checkpoint(path, document).network


def read_checkpoint(path: str | os.PathLike[str], document: Any = None) -> Checkpoint:
    """As ``load_checkpoint``, with the provenance and a report on every tensor that was not used.

    Args:
        path: the file.
        document: what ``read_torch`` returned of it, where that has been done.
    """
    where = os.fspath(path)
    provenance: dict[str, Any] = {}
    if is_safetensors(path):
        tensors, metadata = read_safetensors(path)
        options, provenance = _header(metadata, tensors, where)
        state, report = tensors, LoadReport(FORMAT)
    else:
        document = read_torch(path) if document is None else document
        tensors = state_dict_of(document, path)
        if is_osnet(tensors):
            raise InputError(f"{where}: an OSNet, which knows no parts; it is for --encoder and Encoder.load")
        if not is_authors(tensors):
            some = ", ".join(sorted(tensors)[:3])
            raise InputError(
                f"{where}: tensors such as {some} are neither a BPBReID network's nor torchreid's OSNet; an "
                "ImageNet file belongs to the option for pretrained backbones, any other network is exported "
                "to .onnx first"
            )
        config = document.get("config") if isinstance(document, Mapping) else None
        try:
            options, state, report = convert(tensors, config, where)
        except InputError:
            raise
        except Exception as error:  # settings and tensors of any type and shape can stand in such a file
            reason = one_line(error)
            raise InputError(
                f"{where}: damaged, or settings that no such program writes ({reason})"
            ) from error
        if isinstance(document, Mapping):
            provenance = {
                key: document[key]
                for key in ("epoch", "rank1", "mAP")
                if isinstance(document.get(key), (int, float))
            }
    with torch.device("meta"):  # shapes without numbers: nothing is allocated for a file that does not fit
        expected = BPBReID(options).state_dict()
    if options.num_identities == 0:  # a file whose identity classifiers were taken out
        heads = [key for key in state if key.startswith(("identity.", "reduce."))]
        report.ignored += [key for key in heads if key not in expected]
        state = {key: value for key, value in state.items() if key not in report.ignored}
    _check_fit(expected, state, report, where)
    require_finite(state, where)
    network = BPBReID(options)
    _fill(network, state, report)
    for note in report.notes:
        log.warning("%s: %s", where, note)
    return Checkpoint(network.eval(), provenance, report)


def load_weights(network: BPBReID, path: str | os.PathLike[str]) -> LoadReport:
    """Start a network from a checkpoint of the same shape, for instance to go on training on other people.

    Identity classifiers of another number of identities, and heads that the file was stripped of, keep their
    present weights and are named in the report. Weights of places are resized where the file's are of another
    size of input; all else must fit.

    Raises:
        InputError: another number of parts or another width, saying what was expected and found.
    """
    source = read_checkpoint(path)
    for what, expected, found in (
        ("the backbone", network.options.backbone, source.network.options.backbone),
        ("K, the number of parts,", network.options.num_parts, source.network.options.num_parts),
        ("D, the width of an embedding,", network.dim, source.network.dim),
    ):
        if expected != found:
            raise InputError(f"{os.fspath(path)}: {what} does not fit: expected {expected}, found {found}")
    state, target = source.network.state_dict(), network.state_dict()
    report = replace(
        source.report, ignored=[*source.report.ignored, *(key for key in state if key not in target)]
    )
    for key in [key for key in target if key.startswith(("identity.", "reduce."))]:
        if key not in state:
            report.kept.append(key)
        elif key.endswith("classifier.weight") and state[key].shape[0] != target[key].shape[0]:
            report.kept.append(key)
            report.notes.append(
                f"{key} keeps its present weights: expected {target[key].shape[0]} identities, "
                f"found {state[key].shape[0]}"
            )
    taken = {key: state[key] for key in target if key in state and key not in report.kept}
    _fit_places(target, taken, report)
    _check_fit(target, taken, report, os.fspath(path))
    _fill(network, taken, report)
    return report


def _fit_places(target: Mapping[str, Tensor], taken: dict[str, Tensor], report: LoadReport) -> None:
    """Resize ``ModelOptions.place_weights`` to as many places as there are: shares of the picture."""
    key = "place_weights"
    if key not in taken or taken[key].shape[1:] == target[key].shape[1:]:
        return
    found, wanted = taken[key].shape[1:], target[key].shape[1:]
    taken[key] = resized_places(taken[key], wanted)
    report.notes.append(f"{key} resized from {found[0]}x{found[1]} to {wanted[0]}x{wanted[1]} places")


def _header(
    metadata: Mapping[str, str], tensors: Mapping[str, Tensor], where: str
) -> tuple[ModelOptions, dict[str, Any]]:
    if metadata.get("format") != FORMAT:
        raise InputError(
            f"{where}: safetensors, but without this program's configuration in its header "
            f"(tensors such as {', '.join(sorted(tensors)[:3])}); write checkpoints with save_checkpoint"
        )
    try:
        version = int(metadata["format_version"])
        values, provenance = json.loads(metadata["options"]), json.loads(metadata["provenance"])
    except (KeyError, ValueError, RecursionError) as error:
        raise InputError(f"{where}: damaged header ({error}); fetch or copy it again") from error
    if not isinstance(provenance, dict):
        raise InputError(f"{where}: damaged header (provenance is no object); fetch or copy it again")
    if version > FORMAT_VERSION:
        raise InputError(
            f"{where}: format version {version}, this program reads up to {FORMAT_VERSION}; upgrade it"
        )
    return validated(ModelOptions, values, where), provenance


def _check_fit(
    expected: Mapping[str, Tensor], state: Mapping[str, Tensor], report: LoadReport, where: str
) -> None:
    """Raise InputError where ``state`` is not what ``expected`` has, by names and shapes."""
    wrong = [
        f"{key}: expected {list(expected[key].shape)}, found {list(value.shape)}"
        for key, value in state.items()
        if key in expected and expected[key].shape != value.shape
    ]
    absent = [key for key in expected if key not in state and key not in report.kept]
    # Counters of batches seen change no result; files from old programs lack them.
    report.kept += [key for key in absent if key.endswith("num_batches_tracked")]
    missing = [key for key in absent if key not in report.kept]
    surplus = [key for key in state if key not in expected]
    for what, names in (("of another shape", wrong), ("missing", missing), ("not known", surplus)):
        if names:
            shown = "; ".join(names[:_LISTED])
            more = f" and {len(names) - _LISTED} more" if len(names) > _LISTED else ""
            raise InputError(f"{where}: {len(names)} of {len(state)} tensors {what}: {shown}{more}")


def _fill(network: BPBReID, state: Mapping[str, Tensor], report: LoadReport) -> None:
    """Load ``state``, which fits, into ``network`` and count in ``report``."""
    network.load_state_dict(dict(state), strict=False)
    report.loaded = len(state)
