"""A long video in pieces: each is searched by whoever is free, and one worker then tracks all of it.

Nearly all time goes into boxes and embeddings, which know nothing of other frames. So nothing has to overlap
or be joined: identities are those of one run.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

from ..errors import InputError
from ..io.open_source import open_source
from ..pipeline.steps import GPU_BATCH
from .order import Order
from .plan import Job


@dataclass(frozen=True)
class Piece:
    """Some frames of a video.

    Attributes:
        job: the video.
        first: its first frame, from 0.
        last: the first frame of the next piece; None for the last piece, which ends with the video.
    """

    job: Job
    first: int
    last: int | None

    def path(self, out_dir: Path) -> Path:
        """The cache of its boxes and embeddings."""
        return folder_of(self.job, out_dir) / f"{self.first:08d}.cache"


def folder_of(job: Job, out_dir: Path) -> Path:
    """Where the pieces of a video lie until it is tracked."""
    return out_dir / f".{job.name}.pieces"


def cut(job: Job, order: Order) -> list[Piece]:
    """The pieces of a video; none where it is too short for two, cannot be opened or counted, or lies at an
    address, from which every worker would have to fetch all of it.

    What is wrong with it is said by the worker that then tracks it whole.
    """
    if order.piece_minutes is None or job.asked.why or job.asked.stored:
        return []
    try:
        source = open_source(job.asked.key)
    except InputError:
        return []
    try:
        known = [count for count in (source.frame_count, order.max_frames) if count is not None]
        rate = float(source.frame_rate)
    finally:
        source.close()
    detector = order.config.detector
    step = detector.every * math.lcm(GPU_BATCH, 1 if detector.batch_size == "auto" else detector.batch_size)
    length = max(1, round(60 * order.piece_minutes * rate / step)) * step
    starts = list(range(0, min(known, default=0), length))
    if len(starts) < 2:
        return []
    return [Piece(job, a, b) for a, b in zip(starts, [*starts[1:], order.max_frames], strict=True)]
