"""Files of part embeddings: what they hold, written whole or not at all, and read without trust.

``PartEmbeddings.save`` and ``load`` are the way in; here are only arrays and names.
"""

from __future__ import annotations

import json
import os
import zipfile
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TypeVar

import numpy as np

from .errors import InputError, one_line

# What a file may inflate to unless its reader says otherwise.
MAX_MEGABYTES = 256.0

Made = TypeVar("Made")
PathLike = str | os.PathLike[str]


def write_embeddings(
    path: PathLike, features: np.ndarray, visibility: np.ndarray, part_names: Sequence[str], made_by: str
) -> None:
    """Write an .npz to ``path``, whole or not at all.

    Args:
        path: the file.
        features: float32 [N, P, D].
        visibility: float32 [N, P].
        part_names: P names.
        made_by: fingerprint of the encoder, which ``maker_of`` gives back; may be empty.
    """
    words = {"part_names": json.dumps(part_names)} | ({"made_by": made_by} if made_by else {})
    part = Path(path).with_name(f".{Path(path).name}.part")
    try:
        # A handle, because numpy appends .npz to a bare name that lacks it.
        with part.open("wb") as handle:
            np.savez(handle, features=features, visibility=visibility, **words)  # type: ignore[arg-type]
        part.replace(path)
    except BaseException:
        with suppress(OSError):
            part.unlink()
        raise


def read_embeddings(
    path: PathLike, max_megabytes: float, make: Callable[[np.ndarray, np.ndarray, Sequence[str]], Made]
) -> Made:
    """What ``make`` makes of features, visibility and part names of a file. Never unpickles.

    Args:
        path: the file.
        max_megabytes: what it may come to once it is inflated; more is refused unread.
        make: may refuse them as well.

    Raises:
        InputError: the file is not such a file, is damaged, or would inflate to more.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            megabytes = sum(entry.file_size for entry in archive.infolist()) / 1e6
        if megabytes > max_megabytes:
            raise InputError(
                f"{path}: would inflate to {megabytes:.0f} MB, refused above {max_megabytes:g} MB"
            )
        with np.load(path, allow_pickle=False) as data:
            names = json.loads(str(data["part_names"]))
            features, visibility = data["features"], data["visibility"]
            return make(features.astype(np.float32), visibility.astype(np.float32), names)
    except FileNotFoundError:
        raise InputError(f"{path}: no such file") from None
    except InputError:
        raise
    except Exception as error:  # zipfile, numpy and json raise whatever damage leads them to
        reason = one_line(error) or type(error).__name__
        raise InputError(
            f"{path}: not a PartEmbeddings .npz ({reason}); write one with PartEmbeddings.save"
        ) from error


def maker_of(path: PathLike) -> str:
    """``made_by`` of a file that was read; empty where it does not say."""
    with np.load(path, allow_pickle=False) as data:
        return str(data["made_by"]) if "made_by" in data else ""
