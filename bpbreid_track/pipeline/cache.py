"""``--cache``: detections and part embeddings of a video, computed once and read by every later run.

What a tracker's settings change comes after detection and encoding, and those two take nearly all the time. A
cache belongs to one source, detector, encoder, precision and version of this program, and refuses others.
"""

from __future__ import annotations

import os
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, overload

import numpy as np
import supervision as sv

from .._version import __version__
from ..config import DetectorConfig
from ..embeddings import PartEmbeddings
from ..errors import InputError, UsageError
from ..io.paths import check_writable
from ..io.sources.base import Frame, Source
from ..tracking.camera_motion import CameraStep
from . import fingerprint
from .cache_file import CacheReader, CacheWriter, damaged, take_up
from .cache_layout import Record
from .cached_camera import as_text, from_text
from .cached_networks import StoredDetector, StoredEncoder, described

if TYPE_CHECKING:
    from ..detection.detectors import Detector
    from ..model.encoder import Encoder

Found = tuple[sv.Detections, PartEmbeddings | None]


@dataclass(frozen=True)
class StoredFrame:
    """A frame of a cache, without its picture."""

    index: int
    timestamp: float
    detections: sv.Detections
    embeddings: PartEmbeddings | None


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
        steps = _steps(self._camera, self.path)
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
            blank = np.broadcast_to(np.uint8(0), (source.height, source.width, 3))
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
            out.append(_as_found(record, self._part_names))
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
        return _as_found(self._old.read(row), self._part_names)

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


class StoredFrames(Sequence[StoredFrame]):
    """The frames of a finished cache, in the order of the video; read anew at each access.

    Args:
        path: the file.

    Raises:
        InputError: it is missing, damaged or no cache.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self._file = CacheReader(Path(path))
        self._part_names = self._file.facts["part_names"]

    def __len__(self) -> int:
        return len(self._file.index)

    @overload
    def __getitem__(self, row: int) -> StoredFrame: ...
    @overload
    def __getitem__(self, row: slice) -> list[StoredFrame]: ...
    def __getitem__(self, row: int | slice) -> StoredFrame | list[StoredFrame]:
        if isinstance(row, slice):
            return [self[number] for number in range(*row.indices(len(self)))]
        entry = self._file.index[row]
        boxes, embeddings = _as_found(self._file.read(row), self._part_names)
        return StoredFrame(int(entry["frame"]), float(entry["seconds"]), boxes, embeddings)

    def camera(self) -> list[CameraStep]:
        """What the camera did before each frame; empty where nobody found out.

        Raises:
            InputError: the file is damaged.
        """
        return _steps(self._file.facts.get("camera", ""), self._file.path)

    def close(self) -> None:
        self._file.close()


def _steps(text: str, path: Path) -> list[CameraStep]:
    try:
        return from_text(text) if text else []
    except ValueError as error:
        raise damaged(path) from error


def open_cache(
    path: str | os.PathLike[str],
    source: Source,
    detector: Detector,
    encoder: Encoder | StoredEncoder | None,
    settings: DetectorConfig,
    others: Iterable[Path] = (),
    asked: dict[str, Any] | None = None,
) -> Cache:
    """The cache of a run.

    Args:
        path: the file.
        source: must not be live.
        detector: any detector, or the stand-in for one; weights and box files are told by their content.
        encoder: any encoder, or the stand-in for one; None for none.
        settings: of the detector. The batch size has no part in what it finds.
        others: paths that the run writes as well.
        asked: what detector and encoder were loaded by, see ``asked_for``; None: nobody knows.

    Raises:
        UsageError: a live source, or a path that is written by something else.
        InputError: as for ``Cache``.
    """
    if source.live:
        raise UsageError(f"{source.name}: a live source is never the same twice and cannot have a --cache")
    if os.path.realpath(path) in {os.path.realpath(other) for other in others}:
        raise UsageError(f"{path}: named for two outputs; give each its own path")
    files = list(getattr(source, "files", ()))
    identity: dict[str, dict[str, Any]] = {
        "program": {"version": __version__},
        "source": {
            "name": source.name,
            "size": [source.width, source.height],
            "frame count": source.frame_count,
            "content": fingerprint.of_media(files) if files else None,
            "frame numbers": _numbers(source.frame_numbers),
        },
        "detector": _found_by(detector, settings),
        "encoder": _encoded_by(encoder),
    }
    networks = None
    if (
        asked is not None
        and not isinstance(detector, StoredDetector)
        and not isinstance(encoder, StoredEncoder)
    ):
        networks = described(asked, detector, encoder, identity)
    return Cache(path, identity, networks)


def _found_by(detector: Detector, settings: DetectorConfig) -> dict[str, Any]:
    """How a cache tells detectors apart."""
    if isinstance(detector, StoredDetector):
        return detector.section
    found_by: dict[str, Any] = {"name": detector.name}
    if hasattr(detector, "files"):
        found_by["content"] = fingerprint.of_files(detector.files)
    # What runs the network moves boxes by fractions of a pixel; ``auto`` says not which it is.
    found_by |= settings.model_dump(mode="json", exclude={"batch_size", "classes"})
    if settings.classes:
        found_by["classes"] = list(settings.classes)
    return found_by | {"runtime": getattr(detector, "runtime", None)}


def _encoded_by(encoder: Encoder | StoredEncoder | None) -> dict[str, Any]:
    """How a cache tells encoders apart."""
    if encoder is None:
        return {"weights": None, "precision": None, "mirrored": None, "parts": None}
    if isinstance(encoder, StoredEncoder):
        return encoder.section
    return {
        "weights": fingerprint.of_encoder(encoder),
        "precision": getattr(encoder, "precision", None),
        "mirrored": getattr(encoder, "mirror", None),
        "parts": list(getattr(encoder, "part_names", ())),
    }


def _picture(image: np.ndarray) -> int:
    """A number by which pictures are told apart."""
    return zlib.crc32(np.ascontiguousarray(image[::_STEP, ::_STEP]).tobytes())


def _numbers(numbers: Sequence[int]) -> str | None:
    """The frame numbers in short; None for 1, 2, 3, ..."""
    if list(numbers) == list(range(1, len(numbers) + 1)):
        return None
    return f"{numbers[0]} to {numbers[-1]}, {zlib.crc32(str(list(numbers)).encode()):08x}"


def _words(value: Any) -> str:
    if isinstance(value, list):
        return " ".join(map(str, value))
    return "none" if value is None else str(value)


def _as_found(record: Record, part_names: Sequence[str]) -> Found:
    boxes = sv.Detections(
        xyxy=np.array(record.xyxy),
        confidence=np.array(record.confidence),
        class_id=np.array(record.class_id),
    )
    if not part_names:
        return boxes, None
    return boxes, PartEmbeddings(np.array(record.features), np.array(record.visibility), part_names)
