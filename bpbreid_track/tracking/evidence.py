"""What place and parts say of all pairs of tracks and boxes in one frame, on one scale.

Every number is a natural logarithm of how much likelier a box is the tracked person than somebody else.
Evidence of different kinds adds up, and above 0 a pair is likelier than not. T tracks, N boxes; a row is a
track, a column a box.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from .appearance_memory import AppearanceMemory
from .distance_calibration import DistanceCalibration
from .place import ERROR_SECONDS, place_log_ratio
from .tracks import TICK

if TYPE_CHECKING:
    from ..config import TrackerConfig
    from ..embeddings import PartEmbeddings
    from .tracks import Boxes, Tracks

# Log odds against a lost person being back in just this frame, where motion alone decides, or was decided a
# moment ago; else see ``against_return``.
ABSENT = 2.5
# Of people out of sight for ``a`` seconds ``RETURNS / (a + _SOON)`` a second come back, and ``_NEW`` new ones
# come. Measured against the truth of nine sequences (``docs/decisions.md``): 0.27 to 1.5, median 0.65, for
# absences of 0.1 to 10 s, and 0.2 to 1.5 new ones, median 1.1.
RETURNS, _SOON, _NEW = 0.65, 0.1, 1.0
# Log odds against a box of low score being anybody, beyond what its score says itself.
FAINT = 1.0
# Log odds a second against a lost person still being alone at the expected place.
REPLACED = 1.0
_LEAST_SCORE = 0.01
# What the parts must say before a box of low score continues somebody who was lost or scored low of late.
FAINT_RETURN = 8.0
# Share of the people who are found where no prediction leads to, after seconds without a match: the area that
# a runner may have reached grows with the square of time.
ELSEWHERE, _ELSEWHERE_SECONDS = 0.02, 1.0
# After a cut anybody may be in view, or not, wherever the box is.
_AFTER_CUT = math.log(0.5)


@dataclass
class MotionCues:
    """What motion says about all pairs, [T, N].

    Attributes:
        place: log-likelihood ratio of the box's place, see ``place_log_ratio``.
        allowed: bool, a sound box of the track's class.
        lost: bool [T], tracks without a match in the frame before.
    """

    place: np.ndarray
    allowed: np.ndarray
    lost: np.ndarray


@dataclass
class Evidence:
    """Log-likelihood ratios of all pairs in one frame, [T, N]; -inf forbids a pair.

    Attributes:
        total: place, parts and the odds of track and box together.
        by_place: the same without parts.
        parts: what the part distance says, 0 where no part can be compared; None without embeddings.
        distances: the part distance, Eq. 9; None without embeddings.
        lost: bool [T], tracks without a match in the frame before.
    """

    total: np.ndarray
    by_place: np.ndarray
    parts: np.ndarray | None
    distances: np.ndarray | None
    lost: np.ndarray


def motion_cues(
    tracks: Tracks,
    boxes: Boxes,
    lost: np.ndarray,
    config: TrackerConfig,
    measurement: np.ndarray,
    picture: float,
) -> MotionCues:
    """What motion says about all pairs.

    Args:
        tracks: predicted to this frame. After a cut a track has no position (``has_position``): every
            place is as likely.
        boxes: of this frame.
        lost: bool [T], as in ``MotionCues``.
        config: settings.
        measurement: [4] standard deviation of a detected centre, width and height, in heights.
        picture: its area in square pixels.
    """
    place = place_log_ratio(tracks.state, boxes.cxcywh, measurement, picture)
    place[~tracks.has_position] = _AFTER_CUT
    allowed = np.broadcast_to(boxes.usable, place.shape)
    if not config.class_agnostic:
        allowed = allowed & (tracks.classes[:, None] == boxes.classes)
    return MotionCues(place, allowed, lost)


def against_return(away: np.ndarray) -> np.ndarray:
    """Log odds, above 0, that whoever appears is somebody new and not the lost person, float64 [T].

    ``log(new people a second / returns a second)``, so that it does not depend on the frame rate. What hid a
    person a moment ago still hides a part of them, and a box of what shows is no return: as long as errors of
    a detector persist more has to speak for one.

    Args:
        away: float64 [T], seconds since each person was last seen.
    """
    odds: np.ndarray = np.log(_NEW * (away + _SOON) / RETURNS)
    return np.maximum(odds, ABSENT * np.exp(-away / ERROR_SECONDS))


def weigh(
    cues: MotionCues,
    scores: np.ndarray,
    mean_scores: np.ndarray,
    away: np.ndarray,
    memory: AppearanceMemory | None,
    scale: DistanceCalibration,
    embeddings: PartEmbeddings | None,
    config: TrackerConfig,
) -> Evidence:
    """Evidence of all pairs, from motion and, with ``embeddings``, from parts.

    Args:
        cues: what motion says.
        scores: [N] of the boxes, in [0, 1].
        mean_scores: [T] mean score of each track's boxes of late.
        away: [T] seconds since the last match of each track.
        memory: of the T tracks; needed with ``embeddings``.
        scale: what part distances are worth.
        embeddings: of the N boxes; None without appearance.
        config: settings.
    """
    faint = scores < config.high_score
    absent = ABSENT if embeddings is None else against_return(away)
    odds = np.log(np.maximum(scores, _LEAST_SCORE)) - FAINT * faint - (absent * cues.lost)[:, None]
    by_place = cues.place + odds
    by_place[~cues.allowed] = -np.inf
    # A place alone does not say that a box of low score is somebody who was lost, or who scored low of late.
    unsure = faint & (cues.lost | (mean_scores < config.high_score))[:, None]
    # After lost_seconds the predicted place is a guess, and only parts can bring a track back.
    only_parts = unsure | (cues.lost & (away > config.lost_seconds + TICK))[:, None]
    # By place alone, others may be where somebody was expected: more likely by the second.
    replaced = REPLACED * (cues.lost * np.minimum(away, config.lost_seconds))[:, None]
    if embeddings is None:
        by_place -= replaced
        by_place[only_parts] = -np.inf
        return Evidence(by_place, by_place, None, None, cues.lost)
    assert memory is not None
    distances = memory.distances(embeddings)
    parts = scale.log_ratio(distances)
    elsewhere = ELSEWHERE * -np.expm1(-np.square(away / _ELSEWHERE_SECONDS))
    # How little a place can say against somebody whose parts are known.
    least = np.log(np.maximum(elsewhere, 1e-300))
    comparable = np.isfinite(distances)
    total = np.where(comparable, np.maximum(by_place, least[:, None] + odds), by_place - replaced)
    total += parts
    total[~cues.allowed] = -np.inf
    total[only_parts & ~comparable] = -np.inf
    total[unsure & (parts < FAINT_RETURN)] = -np.inf
    by_place[only_parts] = -np.inf
    return Evidence(total, by_place, parts, distances, cues.lost)
