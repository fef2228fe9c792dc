"""Part embeddings with visibility, and the visibility-masked part distance (Eq. 9).

``PartEmbeddings`` is the one type in which appearance travels between the encoder, the tracker, the
integrations and the evaluation. Letters used in all shapes: N boxes, P = 1 + K parts (row 0 is the
foreground, the whole visible person), D features.
"""

from __future__ import annotations

import json
import os
import zipfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from .errors import InputError, one_line

# Upper bound on the elements of one intermediate of part_distance (float32: 64 MiB).
_CHUNK_ELEMENTS = 1 << 24
# What a file of embeddings may inflate to unless its reader says otherwise.
MAX_MEGABYTES = 256.0
# Squared distances below this share of |a|^2 + |b|^2 have lost their digits to cancellation.
_CANCELLATION = 1e-4


class PartArrays(NamedTuple):
    """The numbers of a ``PartEmbeddings`` as numpy arrays (no copy where the tensors live on the CPU)."""

    features: np.ndarray
    visibility: np.ndarray


class PartEmbeddings:
    """Appearance of N boxes: one unit vector and one visibility per part.

    Args:
        features: float [N, P, D], stored as float32. Row 0 of the P axis is the foreground embedding, rows
            1..K the body parts. Encoders give unit L2 norm along D.
        visibility: [N, P] in [0, 1] (bool is taken as 0/1), stored as float32. 0/1 unless continuous
            visibility was asked for; a part of visibility 0 takes no part in any distance.
        part_names: P names, the first for the foreground.

    Raises:
        ValueError: shapes that do not fit each other.

    >>> emb = PartEmbeddings(torch.eye(3)[None], torch.tensor([[1, 1, 0]]), ["foreground", "head", "legs"])
    >>> len(emb), emb.features.shape, emb[0].visibility.tolist()
    (1, torch.Size([1, 3, 3]), [[1.0, 1.0, 0.0]])
    """

    __slots__ = ("features", "part_names", "visibility")

    features: Tensor
    visibility: Tensor
    part_names: tuple[str, ...]

    def __init__(self, features: Any, visibility: Any, part_names: Sequence[str]) -> None:
        self.features = torch.as_tensor(features).to(torch.float32)
        self.visibility = torch.as_tensor(visibility).to(device=self.features.device, dtype=torch.float32)
        self.part_names = tuple(part_names)
        shape = tuple(self.features.shape)
        if len(shape) != 3:
            raise ValueError(f"features: expected [N, P, D], got shape {list(shape)}")
        if tuple(self.visibility.shape) != shape[:2]:
            raise ValueError(
                f"visibility: expected {list(shape[:2])} to fit features {list(shape)}, "
                f"got {list(self.visibility.shape)}"
            )
        if len(self.part_names) != shape[1]:
            raise ValueError(
                f"part_names: expected {shape[1]} names (the foreground first), got {list(self.part_names)}"
            )

    @classmethod
    def empty(cls, part_names: Sequence[str], dim: int, device: Any = "cpu") -> PartEmbeddings:
        """Embeddings of no box at all: features [0, P, ``dim``]."""
        parts = len(part_names)
        return cls(
            torch.zeros(0, parts, dim, device=device), torch.zeros(0, parts, device=device), part_names
        )

    @classmethod
    def cat(cls, items: Iterable[PartEmbeddings]) -> PartEmbeddings:
        """Rows of several embeddings one below the other, on the device of the first.

        Raises:
            ValueError: nothing to join, or items that differ in their parts or in D.
        """
        parts = list(items)
        if not parts:
            raise ValueError("cat: expected at least one PartEmbeddings, got none")
        first = parts[0]
        for item in parts[1:]:
            if item.part_names != first.part_names or item.features.shape[2] != first.features.shape[2]:
                raise ValueError(
                    f"cat: expected parts {list(first.part_names)} with {first.features.shape[2]} features, "
                    f"got {list(item.part_names)} with {item.features.shape[2]}"
                )
        device = first.features.device
        return cls(
            torch.cat([item.features.to(device) for item in parts]),
            torch.cat([item.visibility.to(device) for item in parts]),
            first.part_names,
        )

    def __len__(self) -> int:
        return int(self.features.shape[0])

    def __getitem__(self, index: Any) -> PartEmbeddings:
        """Rows by int (one row is kept as N = 1), slice, boolean mask or index array."""
        if isinstance(index, (int, np.integer)):
            row = int(index)
            if not -len(self) <= row < len(self):
                raise IndexError(f"row {row} of {len(self)} embeddings")
            index = slice(row, row + 1 or None)
        elif not isinstance(index, slice):
            index = torch.as_tensor(np.asarray(index) if not isinstance(index, Tensor) else index)
            if index.dtype != torch.bool:
                index = index.long()
            elif tuple(index.shape) != (len(self),):
                raise IndexError(f"mask: expected shape [{len(self)}], got {list(index.shape)}")
            index = index.to(self.features.device)
        return PartEmbeddings(self.features[index], self.visibility[index], self.part_names)

    def __iter__(self) -> Iterator[PartEmbeddings]:
        return (self[row] for row in range(len(self)))

    def __repr__(self) -> str:
        n, p, d = self.features.shape
        return f"PartEmbeddings(N={n}, P={p}, D={d}, parts={list(self.part_names)}, device={self.device})"

    @property
    def device(self) -> torch.device:
        return self.features.device

    @property
    def dim(self) -> int:
        """D, the features of one part."""
        return int(self.features.shape[2])

    def to(self, device: Any) -> PartEmbeddings:
        """The same embeddings on another device (itself where nothing has to move)."""
        if torch.device(device) == self.device:
            return self
        return PartEmbeddings(self.features.to(device), self.visibility.to(device), self.part_names)

    def numpy(self) -> PartArrays:
        """``(features, visibility)`` as float32 arrays [N, P, D] and [N, P]."""
        return PartArrays(self.features.detach().cpu().numpy(), self.visibility.detach().cpu().numpy())

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write to ``path`` as .npz, whole or not at all; ``load`` reads it back bit for bit."""
        features, visibility = self.numpy()
        part = Path(path).with_name(f".{Path(path).name}.part")
        try:
            # A handle, because numpy appends .npz to a bare name that lacks it.
            with part.open("wb") as handle:
                np.savez(
                    handle, features=features, visibility=visibility, part_names=json.dumps(self.part_names)
                )
            part.replace(path)
        except BaseException:
            with suppress(OSError):
                part.unlink()
            raise

    @classmethod
    def load(cls, path: str | os.PathLike[str], *, max_megabytes: float = MAX_MEGABYTES) -> PartEmbeddings:
        """Read what ``save`` wrote. Never unpickles.

        Args:
            path: the file.
            max_megabytes: what it may come to once it is inflated; more is refused unread.

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
                return cls(torch.from_numpy(data["features"]), torch.from_numpy(data["visibility"]), names)
        except FileNotFoundError:
            raise InputError(f"{path}: no such file") from None
        except InputError:
            raise
        except Exception as error:  # zipfile, numpy and json raise whatever damage leads them to
            reason = one_line(error) or type(error).__name__
            raise InputError(
                f"{path}: not a PartEmbeddings .npz ({reason}); write one with PartEmbeddings.save"
            ) from error


@torch.no_grad()
def part_distance(a: PartEmbeddings, b: PartEmbeddings) -> Tensor:
    """Visibility-masked part distance of all pairs, Eq. 9 of the paper.

    The mean Euclidean distance over the parts that show in both; +inf where no part does. Continuous
    visibilities weigh part i by ``sqrt(v_a * v_b)``, which for 0/1 is the mask of the equation. For unit
    vectors every finite value lies in [0, 2]. Works through ``a`` in chunks, so that apart from the result no
    intermediate exceeds 64 MiB (or one row of ``a`` against all of ``b``, if that is more).

    Args:
        a: N rows.
        b: M rows with the same parts, moved to the device of ``a`` if need be.

    Returns:
        float32 [N, M] on the device of ``a``.

    Raises:
        ValueError: ``a`` and ``b`` differ in their parts or in D.

    >>> a = PartEmbeddings([[[1.0, 0.0], [0.0, 1.0]]], [[1, 0]], ["foreground", "head"])
    >>> b = PartEmbeddings([[[0.0, 1.0], [0.0, 1.0]]], [[1, 1]], ["foreground", "head"])
    >>> round(part_distance(a, b).item(), 4)
    1.4142
    """
    if a.part_names != b.part_names or a.dim != b.dim:
        raise ValueError(
            f"part_distance: expected the same parts and width, got {list(a.part_names)} x {a.dim} "
            f"and {list(b.part_names)} x {b.dim}"
        )
    b = b.to(a.device)
    rows, columns, parts = len(a), len(b), len(a.part_names)
    step = max(1, _CHUNK_ELEMENTS // max(1, columns * parts))
    if rows <= step:
        return masked_distance(a.features, a.visibility, b.features, b.visibility)
    out = torch.empty(rows, columns, device=a.device)
    for start in range(0, rows, step):
        rows_a = slice(start, start + step)
        out[rows_a] = masked_distance(a.features[rows_a], a.visibility[rows_a], b.features, b.visibility)
    return out


@torch.no_grad()
def paired_distance(a: PartEmbeddings, b: PartEmbeddings) -> Tensor:
    """Eq. 9 of each row of ``a`` with the same row of ``b``: float32 [N]; see ``part_distance``."""
    weight = (a.visibility * b.visibility).sqrt()
    total = ((a.features - b.features).norm(dim=-1) * weight).sum(-1)
    norm = weight.sum(-1)
    return torch.where(norm > 0, total / norm, torch.inf)


def masked_distance(
    features_a: Tensor, visibility_a: Tensor, features_b: Tensor, visibility_b: Tensor, *, refine: bool = True
) -> Tensor:
    """Eq. 9 on bare tensors, in one piece: [N, P, D], [N, P], [M, P, D], [M, P] -> [N, M].

    Args:
        refine: recompute pairs of nearly equal vectors without the cancellation of
            ``|a|^2 - 2ab + |b|^2``, which is off by up to 5e-4 near zero.
    """
    weights_a, weights_b = visibility_a.sqrt(), visibility_b.sqrt()
    distances = per_part_distance(features_a, features_b, refine=refine)  # [P, N, M]
    total = torch.einsum("pnm,np,mp->nm", distances, weights_a, weights_b)
    weight = weights_a @ weights_b.T
    return torch.where(weight > 0, total / weight, torch.inf)


def per_part_distance(features_a: Tensor, features_b: Tensor, *, refine: bool = True) -> Tensor:
    """Euclidean distance of every pair, part by part, visible or not: [N, P, D], [M, P, D] -> [P, N, M]."""
    square_a = features_a.square().sum(-1).T[:, :, None]  # [P, N, 1]
    square_b = features_b.square().sum(-1).T[:, None, :]  # [P, 1, M]
    scale = square_a + square_b
    products = features_a.transpose(0, 1) @ features_b.permute(1, 2, 0)
    squares = torch.sub(scale, products, alpha=2).clamp_(min=0)
    if refine:
        part, row, column = torch.nonzero(squares < _CANCELLATION * scale, as_tuple=True)
        for start in range(0, len(part), 1 << 16):
            p, n, m = (index[start : start + (1 << 16)] for index in (part, row, column))
            squares[p, n, m] = (features_a[n, p] - features_b[m, p]).square().sum(-1)
    return squares.sqrt_()
