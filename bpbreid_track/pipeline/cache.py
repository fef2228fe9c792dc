"""``--cache``: detections and part embeddings of a video, computed once and read by every later run.

What a tracker's settings change comes after detection and encoding, and those two take nearly all the time. A
cache belongs to one source, detector, encoder, precision and version of this program, and refuses others.
"""

from __future__ import annotations

import os
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import supervision as sv

from ..embeddings import PartEmbeddings
from ..errors import InputError
from ..io.paths import check_writable
from ..io.sources.base import Frame, Source
from ..tracking.camera_motion import CameraStep
from .cache_file import CacheReader, CacheWriter, damaged, take_up
from .cache_layout import Record
from .cached_camera import as_text, from_text

Found = tuple[sv.Detections, PartEmbeddings | None]


_STEP = 16  # every so many pixels are looked at to tell pictures apart


class Cache:
    """Boxes and embeddings of one source: read where the file has them, else computed and kept.

    ``frames`` and ``through`` may run in two threads; ``close`` comes after both.

    Args:
        path: the file; it appears, or grows, when ``close`` is called. What a killed run has left of it is
            used.
        identity: what the results depend on, section by section; JSON-able.
        networks: what is kept of the networks for ``stored_networks``; None: what the file has.

    Attributes:
        read: frames that were read from the file.
        written: frames that were computed and added.
        steps: what the camera did before each frame of this run, for whoever finds out to fill in.

    Raises:
        InputError: the file is of another kind, damaged, made from something else, or cannot be written.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        identity: dict[str, dict[str, Any]],
        networks: dict[str, Any] | None = None,
    ) -> None:
        self.path = Path(path)
        self.read = self.written = 0
        self.steps: list[CameraStep] = []
        self._identity, self._networks = identity, networks
        self._writer: CacheWriter | None = None
        self._old: CacheReader | None = None
        self._row_of: dict[int, int] = {}
        self._complete, self._notes, self._camera = False, list[str](), ""
        self._part_names, self._dim = list[str](), 0
        self._handed_out: int | None = None  # frames of the source, once it has come to its end
        self._decoded = True
        check_writable(self.path)
        self._open()
        if take_up(self.path, self._old):
            self._open()
        if self._old is None:
            return
        facts = self._old.facts
        self._row_of = {int(frame): row for row, frame in enumerate(self._old.index["frame"])}
        self._complete, self._notes = facts["complete"], facts["notes"]
        self._part_names, self._dim = facts["part_names"], facts["dim"]
        self._camera = facts.get("camera", "")
        if self._networks is None:
            self._networks = facts.get("networks")

    def camera(self, max_frames: int | None) -> list[CameraStep] | None:
        """What the camera does before each frame; None where the file does not know it of all.

        Args:
            max_frames: how many will be asked for; None for all.

        Raises:
            InputError: the file is damaged.
        """
        # A source without files is known by its pictures alone, so they are looked at again.
        if self._identity["source"]["content"] is None:
            return None
        steps = steps_of(self._camera, self.path)
        wanted = len(self._row_of) if self._complete else np.inf
        return steps if steps and len(steps) >= min(wanted, max_frames or np.inf) else None

    def frames(self, source: Source, max_frames: int | None, *, pictures: bool) -> Iterator[Frame]:
        """The frames of ``source``.

        Args:
            source: read from its beginning.
            max_frames: how many will be asked for; None for all.
            pictures: whether anybody looks at them. If not, and the file has all frames, nothing is decoded
                and the images are blank.
        """
        stored = len(self._row_of)
        if self._old is not None and not pictures and (self._complete or stored >= (max_frames or np.inf)):
            self._decoded = False
            source.notes.extend(note for note in self._notes if note not in source.notes)
            # Contiguous, or whoever wants it so would copy it in every frame.
            blank = np.zeros((source.height, source.width, 3), np.uint8)
            blank.flags.writeable = False
            for entry in self._old.index:
                yield Frame(int(entry["frame"]), float(entry["seconds"]), blank)
            return
        count = 0
        for frame in source:
            yield frame
            count += 1
        self._handed_out = count
        self._notes = list(source.notes)

    def through(
        self, frames: Sequence[Frame], compute: Callable[[Sequence[Frame]], Iterable[Found]]
    ) -> list[Found]:
        """Boxes and embeddings of each of ``frames``; ``compute`` is asked for those not in the file.

        Raises:
            InputError: a frame is not the picture the file was made from, or the file is damaged.
        """
        new = [frame for frame in frames if frame.index not in self._row_of]
        computed = compute(new) if new else ()
        fresh = {frame.index: found for frame, found in zip(new, computed, strict=True)}
        out: list[Found] = []
        for frame in frames:
            row = self._row_of.get(frame.index)
            if row is not None:
                out.append(self._stored(frame, row))
                self.read += 1
                continue
            # Handed on as it will be read next time, so that both runs see the same numbers.
            known = self._part_names
            record = self._as_record(*fresh[frame.index])
            if self._writer is None:
                self._writer = CacheWriter(self.path, self._facts(), self._old)
            elif self._part_names != known:
                self._writer.describe(self._facts())
            self._writer.add(frame.index, frame.timestamp, _picture(frame.image), record)
            self.written += 1
            out.append(as_found(record, self._part_names))
        return out

    def close(self) -> None:
        """Put the file in place if there is anything new in it. May be called twice."""
        complete = self._complete or self._handed_out == self.read + self.written
        before = self._camera
        if self.steps and len(self.steps) == len(self._row_of) + self.written:
            self._camera = as_text(self.steps)
        learnt = complete != self._complete or self._camera != before
        if self._writer is None and learnt and self._old is not None:
            self._writer = CacheWriter(self.path, self._facts(), self._old)
        if self._old is not None:  # before it is replaced, which Windows forbids for a mapped file
            self._old.close()
            self._old = None
        if self._writer is not None:
            writer, self._writer = self._writer, None
            self._complete = complete
            writer.finish(self._facts())

    def _facts(self) -> dict[str, Any]:
        return {
            "made_from": self._identity,
            "complete": self._complete,
            "notes": self._notes,
            "networks": self._networks,
            "part_names": self._part_names,
            "parts": len(self._part_names),
            "dim": self._dim,
            "camera": self._camera,
        }

    def _open(self) -> None:
        if self._old is not None:
            self._old.close()
            self._old = None
        if self.path.exists():
            self._old = CacheReader(self.path)
            self._refuse_others()

    def _refuse_others(self) -> None:
        assert self._old is not None
        theirs: dict[str, dict[str, Any]] = self._old.facts["made_from"]
        differences = [
            f"{section} {key} ({_words(theirs.get(section, {}).get(key))} there, {_words(value)} now)"
            for section, values in self._identity.items()
            for key, value in values.items()
            if theirs.get(section, {}).get(key) != value
        ]
        if differences:
            self._old.close()
            raise InputError(
                f"{self.path}: this cache was made with another {', '.join(differences)}; "
                "delete the file or choose another name"
            )

    def _stored(self, frame: Frame, row: int) -> Found:
        assert self._old is not None
        if self._decoded and _picture(frame.image) != self._old.index["picture"][row]:
            raise InputError(
                f"{self.path}: frame {frame.index + 1} is not the picture this cache was made from; "
                "delete the file or choose another name"
            )
        return as_found(self._old.read(row), self._part_names)

    def _as_record(self, boxes: sv.Detections, embeddings: PartEmbeddings | None) -> Record:
        if boxes.mask is not None or boxes.data:
            what = "masks" if boxes.mask is not None else ", ".join(map(repr, boxes.data))
            raise InputError(f"--cache keeps boxes, scores and classes; this detector also gives {what}")
        count = len(boxes)
        score = np.ones(count) if boxes.confidence is None else boxes.confidence
        kind = np.zeros(count) if boxes.class_id is None else boxes.class_id
        if embeddings is None:
            features, visibility = np.zeros((count, 0, 0)), np.zeros((count, 0))
        else:
            features, visibility = embeddings.numpy()
            self._part_names, self._dim = list(embeddings.part_names), embeddings.dim
        return Record(
            np.asarray(kind, np.int64),
            np.asarray(boxes.xyxy, np.float32).reshape(-1, 4),
            np.asarray(score, np.float32),
            np.asarray(visibility, np.float32),
            np.asarray(features, np.float32),
        )


def steps_of(text: str, path: Path) -> list[CameraStep]:
    """The steps that the cache ``path`` keeps as ``text``; none where that is empty."""
    try:
        return from_text(text) if text else []
    except ValueError as error:
        raise damaged(path) from error


def _picture(image: np.ndarray) -> int:
    """A number by which pictures are told apart."""
    return zlib.crc32(np.ascontiguousarray(image[::_STEP, ::_STEP]).tobytes())


def _words(value: Any) -> str:
    if isinstance(value, list):
        return " ".join(map(str, value))
    return "none" if value is None else str(value)


def as_found(record: Record, part_names: Sequence[str]) -> Found:
    boxes = sv.Detections(
        xyxy=np.array(record.xyxy),
        confidence=np.array(record.confidence),
        class_id=np.array(record.class_id),
    )
    if not part_names:
        return boxes, None
    return boxes, PartEmbeddings(np.array(record.features), np.array(record.visibility), part_names)
