"""Part embeddings with visibility, and the visibility-masked part distance (Eq. 9).

``PartEmbeddings`` is the one type in which appearance travels between the encoder, the tracker, the
integrations and the evaluation. Letters used in all shapes: N boxes, P = 1 + K parts (row 0 is the
foreground, the whole visible person), D features.

Embeddings made of numpy arrays stay arrays until somebody asks for tensors: torch is loaded no sooner.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from .embedding_files import MAX_MEGABYTES, read_embeddings, write_embeddings

if TYPE_CHECKING:
    import torch
    from torch import Tensor

# Upper bound on the elements of one intermediate of part_distance (float32: 64 MiB).
_CHUNK_ELEMENTS = 1 << 24
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

    >>> import torch
    >>> emb = PartEmbeddings(torch.eye(3)[None], torch.tensor([[1, 1, 0]]), ["foreground", "head", "legs"])
    >>> len(emb), emb.features.shape, emb[0].visibility.tolist()
    (1, torch.Size([1, 3, 3]), [[1.0, 1.0, 0.0]])
    """

    __slots__ = ("_features", "_visibility", "part_names")

    part_names: tuple[str, ...]

    def __init__(self, features: Any, visibility: Any, part_names: Sequence[str]) -> None:
        # Both are arrays, or both tensors.
        self._features: Any
        self._visibility: Any
        if isinstance(features, np.ndarray) and isinstance(visibility, np.ndarray):
            self._features = np.asarray(features, np.float32)
            self._visibility = np.asarray(visibility, np.float32)
        else:
            import torch

            self._features = torch.as_tensor(features).to(torch.float32)
            self._visibility = torch.as_tensor(visibility).to(
                device=self._features.device, dtype=torch.float32
            )
        self.part_names = tuple(part_names)
        shape = tuple(self._features.shape)
        if len(shape) != 3:
            raise ValueError(f"features: expected [N, P, D], got shape {list(shape)}")
        if tuple(self._visibility.shape) != shape[:2]:
            raise ValueError(
                f"visibility: expected {list(shape[:2])} to fit features {list(shape)}, "
                f"got {list(self._visibility.shape)}"
            )
        if len(self.part_names) != shape[1]:
            raise ValueError(
                f"part_names: expected {shape[1]} names (the foreground first), got {list(self.part_names)}"
            )

    @classmethod
    def empty(cls, part_names: Sequence[str], dim: int, device: Any = "cpu") -> PartEmbeddings:
        """Embeddings of no box at all: features [0, P, ``dim``]."""
        parts = len(part_names)
        none = cls(np.zeros((0, parts, dim), np.float32), np.zeros((0, parts), np.float32), part_names)
        return none.to(device)

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
            if item.part_names != first.part_names or item.dim != first.dim:
                raise ValueError(
                    f"cat: expected parts {list(first.part_names)} with {first.dim} features, "
                    f"got {list(item.part_names)} with {item.dim}"
                )
        if all(item._in_numpy for item in parts):
            return cls(
                np.concatenate([item._features for item in parts]),
                np.concatenate([item._visibility for item in parts]),
                first.part_names,
            )
        import torch

        device = first.device
        return cls(
            torch.cat([item.features.to(device) for item in parts]),
            torch.cat([item.visibility.to(device) for item in parts]),
            first.part_names,
        )

    def __len__(self) -> int:
        return int(self._features.shape[0])

    def __getitem__(self, index: Any) -> PartEmbeddings:
        """Rows by int (one row is kept as N = 1), slice, boolean mask or index array.

        Raises:
            IndexError: no such row, or no such index: a tuple, fractions, a mask of another length.
        """
        if isinstance(index, (int, np.integer)) and not isinstance(index, bool):
            row = int(index)
            if not -len(self) <= row < len(self):
                raise IndexError(f"row {row} of {len(self)} embeddings")
            index = slice(row, row + 1 or None)
        elif not isinstance(index, slice):
            index = self._rows(index)
        if not self._in_numpy and (not isinstance(index, slice) or (index.step or 1) < 0):
            import torch

            # Tensors know no negative step.
            rows = np.arange(len(self))[index].copy() if isinstance(index, slice) else index
            index = torch.from_numpy(rows).to(self.device)
        return PartEmbeddings(self._features[index], self._visibility[index], self.part_names)

    def _rows(self, index: Any) -> np.ndarray:
        """Rows or a mask, bool [N] or int64 [M], of what is no single row and no slice."""
        rows = np.asarray(index.cpu() if hasattr(index, "cpu") else index)
        if isinstance(index, tuple) or rows.ndim != 1 or (rows.size and rows.dtype.kind not in "biu"):
            raise IndexError(f"index: expected rows as integers [M] or a mask [N], got {index!r:.60}")
        if rows.dtype != bool:
            return rows.astype(np.int64)
        if len(rows) != len(self):
            raise IndexError(f"mask: expected shape [{len(self)}], got {list(rows.shape)}")
        return rows

    def __iter__(self) -> Iterator[PartEmbeddings]:
        return (self[row] for row in range(len(self)))

    def __repr__(self) -> str:
        n, p, d = self._features.shape
        return f"PartEmbeddings(N={n}, P={p}, D={d}, parts={list(self.part_names)}, device={self.device})"

    @property
    def _in_numpy(self) -> bool:
        return isinstance(self._features, np.ndarray)

    @property
    def features(self) -> Tensor:
        """float32 [N, P, D]."""
        self._as_tensors()
        found: Tensor = self._features
        return found

    @property
    def visibility(self) -> Tensor:
        """float32 [N, P], on the device of the features."""
        self._as_tensors()
        found: Tensor = self._visibility
        return found

    def _as_tensors(self) -> None:
        if self._in_numpy:
            import torch

            # The arrays may be somebody's who writes on; memory is shared where torch can share it: not of
            # arrays that are read-only or run backwards.
            self._visibility, self._features = (
                torch.from_numpy(np.require(array, requirements=["C", "W"]))
                for array in (self._visibility, self._features)
            )

    @property
    def device(self) -> torch.device:
        """Where the features lie."""
        return self.features.device

    @property
    def dim(self) -> int:
        """D, the features of one part."""
        return int(self._features.shape[2])

    def to(self, device: Any) -> PartEmbeddings:
        """The same embeddings on another device (itself where nothing has to move)."""
        if self._in_numpy and str(device) == "cpu":
            return self
        import torch

        if torch.device(device) == self.device:
            return self
        return PartEmbeddings(self.features.to(device), self.visibility.to(device), self.part_names)

    def numpy(self) -> PartArrays:
        """``(features, visibility)`` as float32 arrays [N, P, D] and [N, P]."""
        if self._in_numpy:
            return PartArrays(self._features, self._visibility)
        return PartArrays(self.features.detach().cpu().numpy(), self.visibility.detach().cpu().numpy())

    def save(self, path: str | os.PathLike[str], *, made_by: str = "") -> None:
        """Write to ``path`` as .npz, whole or not at all; ``load`` reads it back bit for bit.

        Args:
            path: the file.
            made_by: fingerprint of the encoder, which ``maker_of`` gives back.
        """
        write_embeddings(path, *self.numpy(), self.part_names, made_by)

    @classmethod
    def load(cls, path: str | os.PathLike[str], *, max_megabytes: float = MAX_MEGABYTES) -> PartEmbeddings:
        """Read what ``save`` wrote. Never unpickles.

        Args:
            path: the file.
            max_megabytes: what it may come to once it is inflated; more is refused unread.

        Raises:
            InputError: the file is not such a file, is damaged, or would inflate to more.
        """
        return read_embeddings(path, max_megabytes, cls)


def require_embeddings(name: str, value: object) -> None:
    """Raise TypeError where ``value``, called ``name``, is no PartEmbeddings, such as a bare array."""
    if not isinstance(value, PartEmbeddings):
        raise TypeError(
            f"{name}: expected PartEmbeddings, got {type(value).__name__}; "
            "PartEmbeddings(features, visibility, part_names) makes them of arrays"
        )


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
        TypeError: one of them is no PartEmbeddings.
        ValueError: ``a`` and ``b`` differ in their parts or in D.

    >>> a = PartEmbeddings([[[1.0, 0.0], [0.0, 1.0]]], [[1, 0]], ["foreground", "head"])
    >>> b = PartEmbeddings([[[0.0, 1.0], [0.0, 1.0]]], [[1, 1]], ["foreground", "head"])
    >>> round(part_distance(a, b).item(), 4)
    1.4142
    """
    require_embeddings("a", a)
    require_embeddings("b", b)
    if a.part_names != b.part_names or a.dim != b.dim:
        raise ValueError(
            f"part_distance: expected the same parts and width, got {list(a.part_names)} x {a.dim} "
            f"and {list(b.part_names)} x {b.dim}"
        )
    import torch

    b = b.to(a.device)
    rows, columns, parts = len(a), len(b), len(a.part_names)
    step = max(1, _CHUNK_ELEMENTS // max(1, columns * parts))
    with torch.no_grad():
        if rows <= step:
            return masked_distance(a.features, a.visibility, b.features, b.visibility)
        out = torch.empty(rows, columns, device=a.device)
        for start in range(0, rows, step):
            rows_a = slice(start, start + step)
            out[rows_a] = masked_distance(a.features[rows_a], a.visibility[rows_a], b.features, b.visibility)
        return out


def paired_distance(a: PartEmbeddings, b: PartEmbeddings) -> Tensor:
    """Eq. 9 of each row of ``a`` with the same row of ``b``: float32 [N]; see ``part_distance``."""
    import torch

    with torch.no_grad():
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
    import torch

    weights_a, weights_b = visibility_a.sqrt(), visibility_b.sqrt()
    distances = per_part_distance(features_a, features_b, refine=refine)  # [P, N, M]
    total = torch.einsum("pnm,np,mp->nm", distances, weights_a, weights_b)
    weight = weights_a @ weights_b.T
    return torch.where(weight > 0, total / weight, torch.inf)


def masked_distance_of_arrays(
    features_a: np.ndarray, visibility_a: np.ndarray, features_b: np.ndarray, visibility_b: np.ndarray
) -> np.ndarray:
    """Eq. 9 as ``masked_distance`` without ``refine``, in numpy, on float32 arrays: [N, M].

    The tracker's, whose few rows torch would not make faster, and which may run where torch is not loaded.
    """
    weights_a, weights_b = np.sqrt(visibility_a), np.sqrt(visibility_b)
    parts_a, parts_b = features_a.swapaxes(0, 1), features_b.swapaxes(0, 1)
    distances = parts_a @ parts_b.swapaxes(1, 2)  # [P, N, M]
    distances *= -2
    distances += np.einsum("pnd,pnd->pn", parts_a, parts_a)[:, :, None]
    distances += np.einsum("pmd,pmd->pm", parts_b, parts_b)[:, None]
    np.sqrt(np.maximum(distances, 0, out=distances), out=distances)
    distances *= weights_a.T[:, :, None]
    distances *= weights_b.T[:, None]
    total = distances.sum(axis=0)
    weight = weights_a @ weights_b.T
    return np.divide(total, weight, out=np.full_like(total, np.inf), where=weight > 0)


def per_part_distance(features_a: Tensor, features_b: Tensor, *, refine: bool = True) -> Tensor:
    """Euclidean distance of every pair, part by part, visible or not: [N, P, D], [M, P, D] -> [P, N, M]."""
    import torch

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
