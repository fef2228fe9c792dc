"""What motion and parts say of all pairs of tracks and boxes in one frame.

Pure functions. T tracks, N boxes; a row is a track, a column a box.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from . import kalman
from .appearance_memory import AppearanceMemory
from .boxes import iou
from .distance_calibration import DistanceCalibration, score_normalization
from .rounds import MIN_IOU_LOST, RECOVERY_LLR
from .tracks import TICK

if TYPE_CHECKING:
    from ..config import TrackerConfig
    from ..embeddings import PartEmbeddings
    from .tracks import Boxes, Tracks

# Time constant tau of the outlier weight, eps * (1 - exp(-(t / tau)^2)), in seconds: the area that a runner
# may have reached grows with the square of time.
_OUTLIER_SECONDS = 1.0
# Outlier weight eps: probability that a person lost for seconds comes back where no prediction leads to.
OUTLIER_PROBABILITY = 0.05
# Outlier weight after a cut: anybody may be in view, or not, wherever the box is.
_AFTER_CUT = 0.5
# Largest squared Mahalanobis distance (centre, height) of a pair in which no part can be compared.
GATE = 16.0
# Share of the parts' log-likelihood ratio that counts for lost tracks: parts of one view err together.
APPEARANCE_LLR_SCALE = 0.6


@dataclass
class MotionCues:
    """What motion says about all pairs, [T, N].

    Attributes:
        overlap: IoU of prediction and box.
        log_ratio: for lost tracks the log-likelihood ratio of the box's position, see
            ``position_log_ratio``.
        mahalanobis: squared Mahalanobis distance of centre and height.
        allowed: bool, a sound box of the track's class.
        lost: bool [T], tracks without a match in the frame before.
    """

    overlap: np.ndarray
    log_ratio: np.ndarray
    mahalanobis: np.ndarray
    allowed: np.ndarray
    lost: np.ndarray


@dataclass
class PairCosts:
    """Costs of all pairs in one frame, [T, N]; inf forbids a pair.

    Attributes:
        iou_distance: 1 - IoU.
        scored_iou_distance: 1 - IoU * score.
        recovery: for lost tracks, minus the log-likelihood ratio of "the lost person" to "somebody else".
        appearance: what the part distance adds to the cost of overlap, 0 where no part can be compared or
            nothing overlaps; None without embeddings.
        distances: the part distance, Eq. 9; None without embeddings.
        lost: bool [T], tracks without a match in the frame before.
    """

    iou_distance: np.ndarray
    scored_iou_distance: np.ndarray
    recovery: np.ndarray
    appearance: np.ndarray | None
    distances: np.ndarray | None
    lost: np.ndarray


def mahalanobis(state: np.ndarray, cxcywh: np.ndarray, measurement: float) -> np.ndarray:
    """Squared Mahalanobis distance [T, N] of centre and height, by the spread of track and box together.

    Args:
        state: [5, T, 4] of the Kalman filter.
        cxcywh: [N, 4] centre, width and height of the boxes in pixels.
        measurement: standard deviation of a detected centre or height, in heights.
    """
    position, _, variance, _, _ = state
    measured = np.square(measurement * cxcywh[:, 3])
    out = np.zeros((len(position), len(measured)))
    for number in (0, 1, 3):
        distance = position[:, number, None] - cxcywh[:, number]
        distance *= distance
        distance /= variance[:, number, None] + measured
        out += distance
    return out


def position_log_ratio(
    state: np.ndarray,
    cxcywh: np.ndarray,
    distance: np.ndarray,
    measurement: float,
    clutter_area: float,
    outlier: np.ndarray,
) -> np.ndarray:
    """Log-likelihood ratio of a box's position: the lost person against somebody else.

    ``log((1 - eps) * A * N(c; c_k, S) + eps)`` with the box's centre c, the predicted centre c_k, its
    covariance S and the clutter area A. The height enters the distance, not the normaliser of N. The Kalman
    filter's S grows with time, so the right position is worth much after a tenth of a second and little after
    ten. The outlier weight eps is the share of people who come back where no prediction leads to; it bounds
    what a wrong position can say against a pair.

    Args:
        state, cxcywh, measurement: as for ``mahalanobis``.
        distance: what that gives [T, N].
        clutter_area: A, the area in which strangers appear, in squares of the box's height.
        outlier: eps, [T] in [0, 1).

    Returns:
        The log ratio [T, N], at least ``log(outlier)``.
    """
    variance = state[2, :, None, :2] + np.square(measurement * cxcywh[:, 3])[:, None]
    spread = variance.prod(axis=2) / np.maximum(cxcywh[:, 3], 1e-6) ** 4
    foreseen = math.log(clutter_area / (2 * math.pi)) - 0.5 * (np.log(spread) + distance)
    with np.errstate(divide="ignore"):
        unforeseen = np.log(outlier)[:, None]
    return np.logaddexp(foreseen + np.log1p(-outlier)[:, None], unforeseen)


def motion_cues(
    tracks: Tracks,
    boxes: Boxes,
    lost: np.ndarray,
    now: float,
    config: TrackerConfig,
    measurement: float,
    *,
    appearance: bool,
) -> MotionCues:
    """What motion says about all pairs.

    Args:
        tracks: predicted to this frame. After a cut a track has no position (``has_position``): it
            overlaps nothing, and every position is as likely.
        boxes: of this frame.
        lost: bool [T], as in ``MotionCues``.
        now: time in seconds.
        config: settings.
        measurement: standard deviation of a detected centre or height, in heights.
        appearance: whether parts are known; without them no ratio is needed.
    """
    overlap = iou(kalman.to_xyxy(tracks.state[kalman.POSITION]), boxes.xyxy)
    distance = mahalanobis(tracks.state, boxes.cxcywh, measurement)
    overlap[~tracks.has_position], distance[~tracks.has_position] = 0.0, np.inf
    ratio = np.full(distance.shape, -np.inf)
    if appearance and lost.any():
        turned = -np.expm1(-np.square((now - tracks.seen[lost]) / _OUTLIER_SECONDS))
        outlier = np.where(tracks.has_position[lost], OUTLIER_PROBABILITY * turned, _AFTER_CUT)
        known = tracks.state[:, lost], boxes.cxcywh, distance[lost]
        ratio[lost] = position_log_ratio(*known, measurement, config.clutter_area, outlier)
    allowed = np.broadcast_to(boxes.usable, distance.shape)
    if not config.class_agnostic:
        allowed = allowed & (tracks.classes[:, None] == boxes.classes)
    return MotionCues(overlap, ratio, distance, allowed, lost)


def pair_costs(
    cues: MotionCues,
    scores: np.ndarray,
    away: np.ndarray,
    memory: AppearanceMemory | None,
    scale: DistanceCalibration,
    embeddings: PartEmbeddings | None,
    config: TrackerConfig,
) -> PairCosts:
    """Costs of all pairs, from motion and, with ``embeddings``, from parts.

    Args:
        cues: what motion says.
        scores: [N] of the boxes, in [0, 1].
        away: [T] seconds since the last match of each track.
        memory: of the T tracks; needed with ``embeddings``.
        scale: what part distances are worth.
        embeddings: of the N boxes; None without appearance.
        config: settings.
    """
    iou_distance, scored_iou_distance = 1 - cues.overlap, 1 - cues.overlap * scores
    appearance = distances = None
    comparable = np.zeros(iou_distance.shape, bool)
    # Where parts cannot tell, overlap does.
    recovery = scored_iou_distance - (1 - MIN_IOU_LOST) - RECOVERY_LLR
    if embeddings is not None:
        assert memory is not None
        distances = memory.distances(embeddings)
        comparable = np.isfinite(distances)
        ratio = scale.log_ratio(distances)
        # However alike two people are, a box that does not overlap the person in sight is not theirs.
        overlapping = cues.overlap > 0
        appearance = -config.appearance_weight * np.tanh(ratio / 2) * overlapping
        if cues.lost.any():
            excess = score_normalization(distances, cues.overlap, ~cues.lost, scale.between_people)
            ratio = scale.log_ratio(distances - excess)
        together = cues.log_ratio + APPEARANCE_LLR_SCALE * ratio
        recovery = np.where(comparable, -together, recovery)
    forbidden = ~cues.allowed | ((cues.mahalanobis > GATE) & ~comparable)
    # After lost_seconds the predicted position is a guess, and only parts can bring a track back.
    forbidden |= (cues.lost & (away > config.lost_seconds + TICK))[:, None] & ~comparable
    for cost in (iou_distance, scored_iou_distance, recovery):
        cost[forbidden] = np.inf
    return PairCosts(iou_distance, scored_iou_distance, recovery, appearance, distances, cues.lost)
