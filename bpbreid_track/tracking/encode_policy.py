"""Which boxes are encoded, and embeddings of which only some rows were."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, Protocol

import numpy as np

from ..config import TrackerConfig
from ..embeddings import PartEmbeddings
from .evidence import MotionCues

if TYPE_CHECKING:
    import torch

# A pair is settled by its place alone if that says so much, and so much more than for any rival of the two.
_SURE = 7.0


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

    A box is settled by motion if its place speaks for one tracked person, and far less for any other pair of
    the two. All other boxes that anybody could claim are in doubt; so are those that may start a track, and
    those of people whose memory is ``wanting``, so that it stays fresh. A box of low score is in doubt only
    where it is one of several for a person whom no box of high score is sure of.

    Args:
        cues: what motion says about T tracks and N boxes.
        scores: [N] in [0, 1].
        confirmed, wanting: bool [T].
        config: thresholds.
    """
    high = scores >= config.high_score
    low = ~high & (scores >= config.low_score)
    place = np.where(cues.allowed & (confirmed & ~cues.lost)[:, None], cues.place, -np.inf)
    near: np.ndarray = place > 0
    sure: np.ndarray = _lone(place, high)
    near_low: np.ndarray = near & low & ~sure.any(axis=1, keepdims=True)
    open_low = near_low.any(axis=0) & ~_lone(np.where(near_low, place, -np.inf), low).any(axis=0)
    by_lost = (cues.allowed & (confirmed & cues.lost)[:, None]).any(axis=0)
    claimed: np.ndarray = near.any(axis=0) | by_lost | (scores >= config.birth_score)
    return open_low | (high & claimed & ~(sure & ~wanting[:, None]).any(axis=0))


def _lone(place: np.ndarray, boxes: np.ndarray) -> np.ndarray:
    """Pairs of ``place`` [T, N] that are sure by themselves, among ``boxes`` bool [N]: bool [T, N]."""
    if not place.size:
        return np.zeros(place.shape, bool)
    place = np.where(boxes, place, -np.inf)
    return (place > _SURE) & (place - _SURE > np.maximum(_rivals(place, 0), _rivals(place, 1)))


def _rivals(place: np.ndarray, axis: int) -> np.ndarray:
    """For each pair the best of the others in its column (axis 0) or row (axis 1), [T, N]."""
    if place.shape[axis] < 2:
        return np.full(place.shape, -np.inf)
    second, best = np.split(np.partition(place, -2, axis=axis).take([-2, -1], axis), 2, axis)
    return np.where(place == best, second, best)


def spread(embeddings: PartEmbeddings, rows: np.ndarray) -> PartEmbeddings:
    """N rows: ``embeddings`` in the mask ``rows`` bool [N], and others in which nothing is visible."""
    if rows.all():
        return embeddings
    count, parts, dim = len(rows), len(embeddings.part_names), embeddings.dim
    features = np.zeros((count, parts, dim), np.float32)
    visibility = np.zeros((count, parts), np.float32)
    features[rows], visibility[rows] = embeddings.numpy()
    return PartEmbeddings(features, visibility, embeddings.part_names)


def encode_rows(encoder: BoxEncoder, frame: np.ndarray, xyxy: np.ndarray, rows: np.ndarray) -> PartEmbeddings:
    """Embeddings of N boxes of which only ``rows`` bool [N] are encoded; in the others nothing is visible.

    Args:
        encoder: is given the boxes in ``rows``, possibly none.
        frame: uint8 [H, W, 3] BGR.
        xyxy: [N, 4] pixels.
    """
    return spread(encoder.encode(frame, np.asarray(xyxy)[rows]).to("cpu"), rows)
