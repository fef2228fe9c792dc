"""How well the demo was tracked: with parts, and by motion alone from the same boxes."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import InputError

if TYPE_CHECKING:
    import supervision as sv

    from ..config import RunConfig
    from ..io.sources.base import Frame


class DemoScore:
    """Keeps the tracks of a run of the demo and compares them with its truth.

    Args:
        tracks: where the user wants the tracks; the truth is written beside them.
        settings: of the run.
        encoder: as the user named it; "none": there is nothing to compare.
        detector: as the user named it.
    """

    def __init__(self, tracks: Path | None, settings: RunConfig, encoder: str, detector: str) -> None:
        from ..io.sinks.tracks import MotSink

        self._settings = settings
        self._parts = encoder != "none"
        self._own_boxes = detector == "auto"
        self._folder = tempfile.TemporaryDirectory(prefix="bpbreid-demo-")
        self._home = Path(self._folder.name)
        self._result = self._home / "result.txt"
        self._sink = MotSink(self._result)
        self._frames = 0
        self._kept = None if tracks is None else tracks.with_name(f"{tracks.stem}_truth.txt")

    def add(self, frame: Frame, detections: sv.Detections) -> None:
        """The tracks of one frame."""
        self._sink.write(frame, detections)
        self._frames += 1

    def rows(self) -> Iterator[tuple[str, str]]:
        """Lines for the summary. By motion alone the demo is tracked again, where its own boxes served."""
        from ..io.demo.source import truth_until
        from ..io.part_file import write_whole

        truth = self._kept or self._home / "truth.txt"
        write_whole(truth, truth_until(self._frames).encode())
        if self._kept is not None:
            yield "truth", str(truth)
        yield "with parts" if self._parts else "motion alone", _score(truth, self._result)
        if self._parts and self._own_boxes:
            yield "motion alone", _score(truth, self._by_motion())

    def _by_motion(self) -> Path:
        from ..pipeline.api import track_video

        tracks = self._home / "motion.txt"
        track_video("demo", tracks=tracks, encoder=None, config=self._settings, max_frames=self._frames)
        return tracks

    def __enter__(self) -> DemoScore:
        return self

    def __exit__(self, *_: object) -> None:
        self._sink.close()
        self._folder.cleanup()


def _score(truth: Path, result: Path) -> str:
    from ..evaluation import evaluate_tracks
    from ..io.mot_format import read_mot

    identities, true = len(set(read_mot(result).id)), read_mot(truth)
    people = len(set(true.id[true.confidence > 0]))
    try:
        metrics = evaluate_tracks(truth, result)
    except InputError as error:
        return f"{identities} identities; {error}"
    return (
        f"{identities} identities, {metrics.IDSW} switches among {people} people; "
        f"IDF1 {metrics.IDF1:.1f}, HOTA {metrics.HOTA:.1f}"
    )
