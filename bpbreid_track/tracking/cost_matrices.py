"""What motion and parts say of all pairs of tracks and boxes in one frame.

Pure functions. T tracks, N boxes; a row is a track, a column a box.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from . import kalman
from .appearance_memory import PartMemory
from .boxes import iou
from .distance_calibration import DistanceScale, common_excess

if TYPE_CHECKING:
    from ..config import TrackerConfig
    from ..embeddings import PartEmbeddings
    from .tracks import Boxes, Tracks

# Nobody is elsewhere at once: the area that a runner may have reached grows with the square of time, and
# after about this long holds the whole territory.
_TURN_SECONDS = 1.0
# After a cut anybody may be in view, or not: even odds, wherever the box is.
_AFTER_CUT = 0.5
# Sums of frame times are not exact; differences below this many seconds are none.
TICK = 1e-6


@dataclass
class Place:
    """What motion says about all pairs, [T, N].

    Attributes:
        overlap: IoU of prediction and box.
        ratio: for lost tracks the log-likelihood ratio of the box's place, see ``motion_log_ratio``.
        distance: squared Mahalanobis distance of centre and height.
        allowed: bool, a sound box of the track's class.
        lost: bool [T], tracks without a match in the frame before.
    """

    overlap: np.ndarray
    ratio: np.ndarray
    distance: np.ndarray
    allowed: np.ndarray
    lost: np.ndarray


@dataclass
class PairCosts:
    """Costs of all pairs in one frame, [T, N]; inf forbids a pair.

    Attributes:
        motion: 1 - IoU.
        motion_scored: 1 - IoU * score.
        recovery: for lost tracks, minus the log-likelihood ratio of "the lost person" to "somebody else".
        appearance: what the part distance adds to the cost of overlap, 0 where no part can be compared or
            nothing overlaps; None without embeddings.
        distances: the part distance, Eq. 9; None without embeddings.
        lost: bool [T], tracks without a match in the frame before.
    """

    motion: np.ndarray
    motion_scored: np.ndarray
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


def motion_log_ratio(
    state: np.ndarray,
    cxcywh: np.ndarray,
    distance: np.ndarray,
    measurement: float,
    territory: float,
    elsewhere: np.ndarray,
) -> np.ndarray:
    """How much the place of a box speaks for a track, as a log-likelihood ratio.

    A person who was lost is expected around the predicted place, more loosely the longer ago that was: a
    normal density with the Kalman filter's variance. Anybody else may appear anywhere in a territory of so
    many square heights. Their ratio says by itself what hand-set limits say badly: that a box in the right
    place is worth much after a tenth of a second and little after ten. A wrong height speaks against a pair,
    a right one not for it. Some people do what nobody foresees, and may then be as far as a stranger: the
    density of the lost person is a mixture of both, so that a wrong place never counts for more than that.

    Args:
        state, cxcywh, measurement: as for ``mahalanobis``.
        distance: what that gives [T, N].
        territory: area in which strangers appear, in squares of the box's height.
        elsewhere: [T] probability in [0, 1) that the track comes back just anywhere.

    Returns:
        The log ratio [T, N], at least ``log(elsewhere)``.
    """
    variance = state[2, :, None, :2] + np.square(measurement * cxcywh[:, 3])[:, None]
    spread = variance.prod(axis=2) / np.maximum(cxcywh[:, 3], 1e-6) ** 4
    foreseen = math.log(territory / (2 * math.pi)) - 0.5 * (np.log(spread) + distance)
    with np.errstate(divide="ignore"):
        unforeseen = np.log(elsewhere)[:, None]
    return np.logaddexp(foreseen + np.log1p(-elsewhere)[:, None], unforeseen)


def place_of(
    tracks: Tracks,
    boxes: Boxes,
    lost: np.ndarray,
    now: float,
    config: TrackerConfig,
    measurement: float,
    *,
    appearance: bool,
) -> Place:
    """What motion says about all pairs.

    Args:
        tracks: predicted to this frame. Those that a cut has parted from their place (``placed``) overlap
            nothing, and no place speaks for or against them more than another.
        boxes: of this frame.
        lost: bool [T], as in ``Place``.
        now: time in seconds.
        config: settings.
        measurement: standard deviation of a detected centre or height, in heights.
        appearance: whether parts are known; without them no ratio is needed.
    """
    overlap = iou(kalman.to_xyxy(tracks.state[kalman.POSITION]), boxes.xyxy)
    distance = mahalanobis(tracks.state, boxes.cxcywh, measurement)
    overlap[~tracks.placed], distance[~tracks.placed] = 0.0, np.inf
    ratio = np.full(distance.shape, -np.inf)
    if appearance and lost.any():
        turned = -np.expm1(-np.square((now - tracks.seen[lost]) / _TURN_SECONDS))
        elsewhere = np.where(tracks.placed[lost], config.elsewhere * turned, _AFTER_CUT)
        known = tracks.state[:, lost], boxes.cxcywh, distance[lost]
        ratio[lost] = motion_log_ratio(*known, measurement, config.territory, elsewhere)
    allowed = np.broadcast_to(boxes.usable, distance.shape)
    if not config.class_agnostic:
        allowed = allowed & (tracks.classes[:, None] == boxes.classes)
    return Place(overlap=overlap, ratio=ratio, distance=distance, allowed=allowed, lost=lost)


def pair_costs(
    place: Place,
    scores: np.ndarray,
    away: np.ndarray,
    memory: PartMemory | None,
    scale: DistanceScale,
    embeddings: PartEmbeddings | None,
    config: TrackerConfig,
) -> PairCosts:
    """Costs of all pairs, from motion and, with ``embeddings``, from parts.

    Args:
        place: what motion says.
        scores: [N] of the boxes, in [0, 1].
        away: [T] seconds since the last match of each track.
        memory: of the T tracks; needed with ``embeddings``.
        scale: what part distances are worth.
        embeddings: of the N boxes; None without appearance.
        config: settings.
    """
    motion, motion_scored = 1 - place.overlap, 1 - place.overlap * scores
    appearance = distances = None
    comparable = np.zeros(motion.shape, bool)
    # Where parts cannot tell, overlap does.
    recovery = motion_scored - (1 - config.min_iou_lost) - config.recovery_evidence
    if embeddings is not None:
        assert memory is not None
        distances = memory.distances(embeddings)
        comparable = np.isfinite(distances)
        ratio = scale.log_ratio(distances)
        # However much two people look alike, a box that does not reach the person in sight is not theirs.
        reached = place.overlap > 0
        appearance = -config.appearance_weight * np.tanh(ratio / 2) * reached
        if config.common_excess and place.lost.any():
            excess = common_excess(distances, place.overlap, ~place.lost, scale.between_people)
            ratio = scale.log_ratio(distances - excess)
        together = place.ratio + config.appearance_trust * ratio
        recovery = np.where(comparable, -together, recovery)
    forbidden = ~place.allowed | ((place.distance > config.gate) & ~comparable)
    # After so long a prediction of the place is a guess: only the parts can speak for such a track.
    forbidden |= (away > config.lost_seconds + TICK)[:, None] & ~comparable
    for cost in (motion, motion_scored, recovery):
        cost[forbidden] = np.inf
    return PairCosts(motion, motion_scored, recovery, appearance, distances, place.lost)
