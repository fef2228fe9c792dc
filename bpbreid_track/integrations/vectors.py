"""Part embeddings as one flat vector a box, the only form in which most hosts carry appearance.

``foreground`` and ``concat`` are for the *drop-in* level: the host compares them by its own cosine or
Euclidean distance, and no such distance knows what is hidden. ``parts`` is for the *exact* level: the same
numbers with the visibility behind them, packed so that an integration finds both again on the other side of
the host's hook.
"""

from __future__ import annotations

from typing import Any, Literal

import numpy as np

from ..embeddings import PartArrays, PartEmbeddings
from ..errors import UsageError, did_you_mean
from ..model.encoder import Encoder

Vector = Literal["foreground", "concat", "parts"]
VECTORS = ("foreground", "concat", "parts")


def flat_vectors(embeddings: PartEmbeddings, vector: Vector = "foreground") -> np.ndarray:
    """One vector a box.

    Args:
        embeddings: N boxes, P parts, D features.
        vector: ``foreground``: the whole visible person; ``concat``: all parts one behind the other, hidden
            ones zero; ``parts``: ``pack``.

    Returns:
        float32 [N, D], [N, P * D] or [N, P * D + P + 2]. Rows of the first two have unit L2 norm, or are zero
        where nothing shows.

    Raises:
        UsageError: another kind of vector.
    """
    features, visibility = embeddings.numpy()
    if vector == "parts":
        return pack(features, visibility)
    shown = features * np.sqrt(visibility)[..., None]
    if vector == "foreground":
        flat = shown[:, 0]
    elif vector == "concat":
        flat = shown.reshape(len(shown), shown.shape[1] * shown.shape[2])
    else:
        raise UsageError(f"vector {vector!r}{did_you_mean(str(vector), VECTORS)}")
    norm = np.linalg.norm(flat, axis=1, keepdims=True)
    return (flat / np.maximum(norm, 1e-12)).astype(np.float32)


def pack(features: np.ndarray, visibility: np.ndarray) -> np.ndarray:
    """[N, P, D] and [N, P] as float32 [N, P * D + P + 2]: features, visibility, P, 1.

    The last entry survives what hosts do to a vector: one that was scaled to unit length is scaled back by
    it, and a row in which nothing shows is still not zero, which some hosts refuse.
    """
    count, parts = visibility.shape
    shown = features * (visibility > 0)[..., None]
    tail = np.broadcast_to(np.array([parts, 1], np.float32), (count, 2))
    flat = shown.reshape(count, parts * shown.shape[2])  # -1 would be ambiguous without rows
    return np.concatenate((flat, visibility, tail), axis=1).astype(np.float32)


def unpack(vectors: Any) -> PartArrays:
    """What ``pack`` made of features [N, P, D] and visibility [N, P], whatever the length of the vectors.

    Raises:
        ValueError: vectors that do not come from ``pack``.
    """
    rows = np.asarray(vectors, np.float32)
    if rows.ndim != 2 or rows.shape[1] < 4 or not (rows[:, -1] > 0).all():
        raise ValueError(
            f"packed vectors: expected [N, P * D + P + 2] made by pack, got shape {list(rows.shape)}; "
            "give the host an encoder with vector='parts'"
        )
    rows = rows / rows[:, -1:]
    parts = round(float(rows[0, -2])) if len(rows) else 1
    dim, rest = divmod(rows.shape[1] - 2 - parts, max(1, parts))
    if parts < 1 or rest or (np.abs(rows[:, -2] - parts) > 0.01).any():
        raise ValueError(f"packed vectors: {rows.shape[1]} numbers do not hold {parts} parts")
    # What was exactly 0 or 1 before the host rescaled it is so again.
    visibility = np.clip(np.round(rows[:, parts * dim : -2], 5), 0, 1)
    return PartArrays(rows[:, : parts * dim].reshape(len(rows), parts, dim), visibility)


class FlatEncoder:
    """An ``Encoder`` that gives flat vectors; the base of the objects that hosts call.

    Args:
        encoder: a ready ``Encoder``, or whatever ``Encoder.load`` takes: ``default`` or a file.
        vector: as for ``flat_vectors``.
    """

    def __init__(self, encoder: Encoder | str = "default", vector: Vector = "foreground") -> None:
        if vector not in VECTORS:
            raise UsageError(f"vector {vector!r}{did_you_mean(str(vector), VECTORS)}")
        self.encoder = encoder if isinstance(encoder, Encoder) else Encoder.load(encoder)
        self.vector: Vector = vector
        self._random = np.random.default_rng(0)

    @property
    def width(self) -> int:
        """Numbers in a vector."""
        parts, dim = len(self.encoder.part_names), self.encoder.dim
        return {"foreground": dim, "concat": parts * dim, "parts": parts * dim + parts + 2}[self.vector]

    def boxes(self, frame: np.ndarray, xyxy: Any) -> np.ndarray:
        """Vectors float32 [N, ``width``] of boxes [N, 4] in pixels of a BGR frame uint8 [H, W, 3].

        Raises:
            ValueError: boxes of another shape, such as rows with scores, or a frame that is none.
        """
        return flat_vectors(self.encoder.encode(frame, xyxy), self.vector)

    def never_zero(self, vectors: np.ndarray) -> np.ndarray:
        """The vectors with rows in which nothing shows replaced by random unit vectors.

        For hosts that divide by the norm or refuse a zero. A random vector is near no other, so that such a
        box is left to the host's motion instead of agreeing with the next box in which nothing shows.
        """
        blank = ~vectors.any(axis=1)
        if blank.any():
            noise = self._random.normal(size=(int(blank.sum()), vectors.shape[1]))
            vectors = vectors.copy()
            vectors[blank] = noise / np.linalg.norm(noise, axis=1, keepdims=True)
        return vectors
