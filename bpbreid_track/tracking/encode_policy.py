"""Which boxes are encoded, and embeddings of which only some rows were."""

from __future__ import annotations

from typing import Any, Literal, Protocol

import numpy as np
import torch

from ..config import TrackerConfig
from ..embeddings import PartEmbeddings
from .cost_matrices import MotionCues

# Overlaps below the first are those of neighbours; from the second on no appearance would undo a lone match.
_NEAR, _SURE = 0.18, 0.45


class BoxEncoder(Protocol):
    """What the tracker needs of an encoder; ``Encoder`` is one."""

    @property
    def device(self) -> torch.device:
        """Where it computes."""

    def encode(self, frame: np.ndarray, xyxy: np.ndarray, /) -> Any:
        """``PartEmbeddings`` of boxes float [N, 4] in a frame uint8 [H, W, 3] BGR, in their order."""


def resolve_encode(encode: str, encoder: BoxEncoder | None) -> Literal["all", "ambiguous"]:
    """What ``TrackerConfig.encode`` comes to for an encoder; the only place where ``auto`` is decided.

    An embedding costs little on a GPU and milliseconds on a CPU, so there only boxes in doubt get one.

    Args:
        encode: ``auto``, ``all`` or ``ambiguous``.
        encoder: the one that will be asked; None where embeddings come from elsewhere and cost nothing here.
    """
    if encode == "auto":
        return "ambiguous" if encoder is not None and encoder.device.type == "cpu" else "all"
    return "ambiguous" if encode == "ambiguous" else "all"


def in_doubt(
    cues: MotionCues, scores: np.ndarray, confirmed: np.ndarray, wanting: np.ndarray, config: TrackerConfig
) -> np.ndarray:
    """Which boxes must be encoded before they can be settled: bool [N].

    A box is settled by motion if it overlaps one tracked person well, nobody else, and that person no other
    box. All other boxes that anybody could claim are in doubt; so are those that may start a track, and those
    of people whose memory is ``wanting``, so that it stays fresh. A box of low score is in doubt only where
    it is one of several for a person whom no box of high score is sure of.

    Args:
        cues: what motion says about T tracks and N boxes.
        scores: [N] in [0, 1].
        confirmed, wanting: bool [T].
        config: thresholds.
    """
    high = scores >= config.high_score
    low = ~high & (scores >= config.low_score)
    near = (cues.overlap >= _NEAR) & (confirmed & ~cues.lost)[:, None]
    sure = _lone(near & high) & (cues.overlap * scores >= _SURE)
    near_low = near & low & ~sure.any(axis=1)[:, None]
    open_low = near_low.any(axis=0) & ~_lone(near_low).any(axis=0)
    by_lost = (cues.allowed & (confirmed & cues.lost)[:, None]).any(axis=0)
    claimed = near.any(axis=0) | by_lost | (scores >= config.birth_score)
    return open_low | (high & claimed & ~(sure & ~wanting[:, None]).any(axis=0))


def _lone(pairs: np.ndarray) -> np.ndarray:
    """Those of ``pairs`` bool [T, N] whose track and box are in no other pair."""
    return pairs & (pairs.sum(axis=0) == 1) & (pairs.sum(axis=1) == 1)[:, None]


def hide(embeddings: PartEmbeddings, rows: np.ndarray) -> PartEmbeddings:
    """The same embeddings with nothing visible in ``rows``, bool [N]."""
    if not rows.any():
        return embeddings
    visibility = embeddings.visibility.masked_fill(torch.from_numpy(rows)[:, None], 0)
    return PartEmbeddings(embeddings.features, visibility, embeddings.part_names)


def spread(embeddings: PartEmbeddings, rows: np.ndarray) -> PartEmbeddings:
    """N rows: ``embeddings`` in the mask ``rows`` bool [N], and others in which nothing is visible."""
    if rows.all():
        return embeddings
    count, parts, dim = len(rows), len(embeddings.part_names), embeddings.dim
    index = torch.from_numpy(np.flatnonzero(rows))
    features = torch.zeros(count, parts, dim).index_copy_(0, index, embeddings.features)
    visibility = torch.zeros(count, parts).index_copy_(0, index, embeddings.visibility)
    return PartEmbeddings(features, visibility, embeddings.part_names)


def encode_rows(encoder: BoxEncoder, frame: np.ndarray, xyxy: np.ndarray, rows: np.ndarray) -> PartEmbeddings:
    """Embeddings of N boxes of which only ``rows`` bool [N] are encoded; in the others nothing is visible.

    Args:
        encoder: is given the boxes in ``rows``, possibly none.
        frame: uint8 [H, W, 3] BGR.
        xyxy: [N, 4] pixels.
    """
    return spread(encoder.encode(frame, np.asarray(xyxy)[rows]).to("cpu"), rows)
