"""Boxes and embeddings of some frames of a source, into a cache of their own; and such caches made one.

They depend on their own frame alone, so the pieces of a video can be searched by several machines at once. A
run over all of it that is given the joined cache tracks what it would have found by itself.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..config import RunConfig
from ..detection.detectors import Detector, PrecomputedDetector
from ..io.open_source import open_source
from ..io.sources.base import Frame
from .cache_file import CacheReader, CacheWriter
from .find import Find
from .open_cache import open_cache
from .report import TrackingReport
from .run import Run
from .steps import batch_size

if TYPE_CHECKING:
    from ..model.part_encoder import PartEncoder

PathLike = str | os.PathLike[str]


def search_frames(
    source: PathLike,
    cache: PathLike,
    first: int,
    last: int | None,
    *,
    detector: Detector,
    encoder: PartEncoder | None,
    settings: RunConfig,
) -> int:
    """Search frames ``first`` to ``last`` of a source, and encode who is there.

    Args:
        source: whatever ``open_source`` takes and is not live.
        cache: file for the results. What it has already is not computed again.
        first: from 0; a multiple of what the detector takes at once, so that batches are as in a whole run.
        last: is left out; None: to the end.
        detector: loaded.
        encoder: loaded; None for none.
        settings: those of the run to come.

    Returns:
        How many frames there were.

    Raises:
        InputError: something that cannot be read or written, or a cache of something else.
    """
    reader = open_source(source)
    try:
        if isinstance(detector, PrecomputedDetector):
            detector.check_frames(reader)
        store = open_cache(cache, reader, detector, encoder, settings.detector)
    except BaseException:
        reader.close()
        raise
    every = settings.detector.every
    stage = Find(detector, encoder, store, batch_size(detector, encoder, settings), every, begun=first > 0)

    def window(max_frames: int | None) -> Iterable[Frame]:
        # Those before are decoded and let go: seeking in a video does not always end at the frame asked for.
        return islice(reader, first, last)

    report = TrackingReport(reader.name, detector.name, "", {}, {})
    Run(reader, [stage], read=window).go(report, None, None, None)
    return report.frames


def join_caches(pieces: Sequence[Path], out: Path, *, complete: bool) -> None:
    """One cache of the frames of several, in the order given. A piece without frames has no file.

    Args:
        pieces: caches of one source, made alike.
        out: the file to write.
        complete: whether they are all frames of the source.

    Raises:
        InputError: one is damaged, or the disk is full.
    """
    writer: CacheWriter | None = None
    facts: dict[str, Any] = {}
    notes: list[str] = []
    try:
        for path in pieces:
            if not path.exists():
                continue
            reader = CacheReader(path)
            try:
                notes += [note for note in reader.facts["notes"] if note not in notes]
                facts = reader.facts | {"complete": complete, "notes": notes}
                if writer is None:
                    writer = CacheWriter(out, facts)
                for row, entry in enumerate(reader.index):
                    writer.add(
                        int(entry["frame"]), float(entry["seconds"]), int(entry["picture"]), reader.read(row)
                    )
            finally:
                reader.close()
        if writer is not None:
            writer.finish(facts)
    finally:
        if writer is not None:
            writer.discard()
