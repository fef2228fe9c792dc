"""Person detectors: frames in, boxes out. Ultralytics networks, or boxes read from a MOTChallenge file."""

from __future__ import annotations

import functools
import logging
import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import supervision as sv

from ..config import PERSON_NAME, DetectorConfig
from ..errors import InputError, UsageError
from .box_files import BOX_SUFFIXES, check_against, read_boxes
from .classes import PERSON, Classes, choose_classes
from .weights import find_detector_weights, import_ultralytics, safe_loading

if TYPE_CHECKING:
    from ..io.sources.base import Frame, Source

logger = logging.getLogger(__name__)

_BOX_TASKS = {"detect", "segment", "pose"}
# Longer side of the input on which a runtime is held against torch.
_COMPARED_AT = 320


class Detector(Protocol):
    """Anything that finds persons.

    One made from files may also have ``files``, their paths: ``--cache`` tells detectors by what is in them.
    One that finds more than people may have ``by_motion``, numbers of the classes that are none, and
    ``class_names``, names by number.

    Attributes:
        name: short, for progress lines and file headers.
    """

    name: str

    def __call__(self, frames: Sequence[Frame]) -> list[sv.Detections]:
        """Boxes of each frame, in the order of ``frames``.

        Args:
            frames: any number of frames, images uint8 [H, W, 3] BGR.

        Returns:
            For each frame ``xyxy`` float32 [N, 4] in pixels clipped to the image, ``confidence`` float32 [N]
            and ``class_id`` int [N], 0 = person; equal input gives equal rows in equal order.
        """
        ...


def load_detector(
    name: str = "auto", config: DetectorConfig | None = None, device: str = "auto"
) -> UltralyticsDetector | PrecomputedDetector:
    """A detector by name, weights file or box file.

    Args:
        name: ``auto``; the name of published Ultralytics weights (``yolo11m.pt``); the path of weights in any
            format that Ultralytics reads (.pt, .onnx, an OpenVINO folder ...); or a MOTChallenge det.txt.
        config: thresholds, input size, batch size.
        device: ``auto``, ``cpu``, ``cuda``, ``cuda:1``, ``mps``. Box files need none.

    Weights are programs in disguise: a .pt is a pickle. Load only weights you trust. Ultralytics is told to
    unpickle only its own and torch's classes (``ULTRALYTICS_SAFE_LOAD=false`` in the environment lifts that
    for weights with classes of their own).
    See ``weights.find_detector_weights`` for where names are looked up.

    Raises:
        InputError: weights that are not to be had or not a detector, a malformed box file.
        UsageError: a device that this machine lacks.
    """
    if not name:
        raise UsageError("the detector's name is empty; give 'auto', weights or a det.txt")
    if Path(name).suffix.lower() in BOX_SUFFIXES:
        return PrecomputedDetector(name, config)
    found = find_detector_weights(name)
    return UltralyticsDetector(found.path, config, device, description=found.description)


class PrecomputedDetector:
    """Boxes from a MOTChallenge file, ``frame,id,left,top,width,height,confidence,...`` with frames from 1.

    Frames that the file does not mention have no boxes. A file without scores (-1 throughout) is taken at
    confidence 1, and of equal boxes of a frame one is taken.

    Args:
        path: the file.
        config: boxes scoring below ``config.confidence`` are dropped, and all but the best
            ``config.max_detections`` of a frame.

    Raises:
        InputError: unreadable file, or one whose boxes all score below the threshold or are no pixels.
        UsageError: classes are asked for besides people.
    """

    def __init__(self, path: str | Path, config: DetectorConfig | None = None) -> None:
        self.name = Path(path).name
        self.description = str(path)
        self.files = (Path(path),)
        config = config or DetectorConfig()
        others = [name for name in config.classes if name.casefold() not in {PERSON_NAME, str(PERSON)}]
        if others:
            raise UsageError(
                f"detector.classes: {path} says nothing of classes, its boxes are people; leave "
                f"{others[0]!r} out, or give a network"
            )
        self._boxes = read_boxes(path, config.confidence)
        self._most = config.max_detections

    def check_frames(self, source: Source) -> None:
        """Tell boxes of other pictures before they are tracked on these.

        Raises:
            InputError: frames are numbered otherwise in the file than in ``source``, so that none has a box,
                or all boxes lie beside its pictures.
        """
        check_against(self._boxes, self.description, source)

    def __call__(self, frames: Sequence[Frame]) -> list[sv.Detections]:
        return [self._detect(frame) for frame in frames]

    def _detect(self, frame: Frame) -> sv.Detections:
        start, stop = np.searchsorted(self._boxes.frame, [frame.index + 1, frame.index + 2])
        xyxy, confidence = self._boxes.xyxy[start:stop], self._boxes.confidence[start:stop]
        if len(xyxy) > self._most:
            best = np.sort(np.argsort(-confidence, kind="stable")[: self._most])
            xyxy, confidence = xyxy[best], confidence[best]
        return _clipped(xyxy, confidence, np.full(len(xyxy), PERSON), frame.image.shape)


class UltralyticsDetector:
    """A network that Ultralytics runs. It finds ``config.classes``, or persons where the network knows them.

    Args:
        weights: file or folder. Trust it: see ``load_detector``.
        config: thresholds, input size, batch size.
        device: as in ``load_detector``. Half precision on CUDA.
        description: what is used, in words; by default the file's name.

    Attributes:
        name: file name of the weights.
        description: the same with the place they came from.
        batch_size: frames a pass: 8 on a GPU; on a CPU through OpenVINO as many as its threads search side by
            side; else 1.
        runtime: what runs the network: ``torch``, ``openvino`` or ``onnx``. What cannot be exported, or finds
            other boxes then, is run by torch, and a warning says why. ``torch`` too for weights in another
            format than .pt, which Ultralytics runs by what they are for.
        precision: what the network computes in: ``bf16`` through OpenVINO on CPUs with AMX, for all but the
            end of the head; else ``fp32``, and ``fp16`` on CUDA.
        classes: class ids that are kept; None for a network without a class "person", where all are.
        class_names: names by number of the classes that were asked for; empty where none were.
        by_motion: numbers of those that are no people.

    Raises:
        InputError: the weights cannot be loaded or are not a detector's; a runtime that is not installed.
        UsageError: a device that this machine lacks, a runtime that does not fit device or weights, or a
            class that the network does not know.
    """

    def __init__(
        self,
        weights: str | Path,
        config: DetectorConfig | None = None,
        device: str = "auto",
        description: str | None = None,
    ) -> None:
        from .runtimes import choose_runtime

        self.name = Path(weights).name
        self.description = description or self.name
        self.files = (Path(weights),)
        self._config = config = config or DetectorConfig()
        self._device = _ultralytics_device(device)
        self.runtime = choose_runtime(config.runtime, Path(weights), self._device)
        on_gpu = self._device.startswith("cuda")
        self.precision = "fp16" if on_gpu else "fp32"
        self.batch_size = config.batch_size if config.batch_size != "auto" else (8 if on_gpu else 1)
        self._precision = _half_precision() if on_gpu else {}
        self._model = _load_model(Path(weights))
        self._is_pose = self._model.task == "pose"
        self._asked: Classes | None = None
        self.classes: list[int] | None = None
        self.classes = self._check_and_find_person(str(weights))
        if config.classes:
            self._asked = choose_classes(config.classes, self._model.names, str(weights))
            self.classes = self._asked.wanted
        self.class_names = {} if self._asked is None else self._asked.names
        self.by_motion = frozenset[int]() if self._asked is None else self._asked.by_motion
        if self.runtime != "torch":
            self._leave_torch(Path(weights))

    def _leave_torch(self, weights: Path) -> None:
        import torch

        from ..model.openvino_streams import stream_count
        from .runtimes import RUNTIME_NAMES, run_by

        network, wanted = self._model.predictor.model.model, self._config.batch_size
        threads = torch.get_num_threads()
        pictures = stream_count(threads if wanted == "auto" else min(threads, wanted))
        most = self._config.max_detections
        # Runtimes are compared on a small picture: what large ones take of memory never comes back.
        predict = functools.partial(self._predict, image_size=_COMPARED_AT)
        self.runtime, self.precision = run_by(self.runtime, network, weights, most, predict, pictures)
        self.description += f" ({RUNTIME_NAMES[self.runtime]}{', bf16' if self.precision == 'bf16' else ''})"
        if self.runtime == "openvino" and wanted == "auto":
            self.batch_size = pictures

    def __call__(self, frames: Sequence[Frame]) -> list[sv.Detections]:
        found: list[sv.Detections] = []
        for batch in _batches_of_one_shape(frames, self.batch_size):
            found += self._predict([frame.image for frame in batch])
        return found

    def image_size(self, height: int, width: int) -> int:
        """Longer side in pixels of the network's input for frames of this size."""
        if self._config.image_size != "auto":
            return self._config.image_size
        return automatic_image_size(height, width, is_pose=self._is_pose)

    def _predict(self, images: list[np.ndarray], image_size: int | None = None) -> list[sv.Detections]:
        import torch

        threads = torch.get_num_threads()
        results = self._model.predict(
            images,
            imgsz=image_size or self.image_size(*images[0].shape[:2]),
            conf=self._config.confidence,
            iou=self._config.iou,
            max_det=self._config.max_detections,
            classes=self.classes,
            device=self._device,
            verbose=False,
            **self._precision,
        )
        # On a CPU Ultralytics sets one thread less than there are cores, for the whole process.
        torch.set_num_threads(threads)
        return [self._detections(result, image) for result, image in zip(results, images, strict=True)]

    def _detections(self, result: Any, image: np.ndarray) -> sv.Detections:
        boxes = result.boxes.cpu().numpy()
        class_id = boxes.cls.astype(int)
        if self._asked is not None:
            class_id = np.array([self._asked.number[number] for number in class_id.tolist()], int)
        elif self.classes is not None:
            class_id = np.full(len(class_id), PERSON)
        return _clipped(boxes.xyxy, boxes.conf, class_id, image.shape)

    def _check_and_find_person(self, weights: str) -> list[int] | None:
        """Run the network once, so that weights that do not work are told from a video that does not."""
        try:
            if self._model.task not in _BOX_TASKS:
                raise InputError(f"{weights}: a model for {self._model.task!r}, which finds no boxes")
            self._predict([np.zeros((64, 64, 3), np.uint8)])
            names: dict[int, str] = dict(self._model.names)
        except InputError:
            raise
        except Exception as error:
            raise _not_loadable(weights, error) from error
        persons = [number for number, label in names.items() if str(label).casefold() == "person"]
        if persons or self._is_pose:
            return persons or [0]
        if not self._config.classes:
            logger.warning(
                "%s knows no class 'person': all of %s are tracked", weights, ", ".join(names.values())
            )
        return None


def automatic_image_size(height: int, width: int, *, is_pose: bool) -> int:
    """Longer side of the network's input: 960 pixels, 1280 for pose networks, at most twice the frame's own.

    A pose network learned from persons large enough to have keypoints and misses small ones: enlarging a
    small frame pays. Share of the persons found (IoU 0.5, score from 0.1; in brackets score from 0.5):

    ======================================  ===========  ===========  ===========  ===========
    input                                   640          960          1280         1920
    ======================================  ===========  ===========  ===========  ===========
    yolo11n-pose, PETS09-S2L1 (768x576)     .09 (.01)    .71 (.38)    .95 (.80)    .98 (.94)
    yolo11n, PETS09-S2L1                    .91 (.88)    .93 (.89)    .95 (.91)    .95 (.91)
    yolo11n-pose, ADL-Rundle-6 (1920x1080)  .55 (.41)    .74 (.56)    .76 (.67)    .76 (.73)
    yolo11n, ADL-Rundle-6                   .72 (.62)    .73 (.67)    .76 (.67)    .74 (.69)
    ======================================  ===========  ===========  ===========  ===========

    Time on a CPU grows with the area: 960 costs twice 640, 1280 nearly four times, 1920 ten times.
    (Measured on 20 frames of PETS09-S2L1 1-300 and 14 of ADL-Rundle-6.)

    Args:
        height: of the frame in pixels.
        width: of the frame in pixels.
        is_pose: whether the network was trained for keypoints.

    Returns:
        Pixels, a multiple of 32.
    """
    wanted = min(1280 if is_pose else 960, 2 * max(height, width))
    return -(-wanted // 32) * 32


def _clipped(
    xyxy: np.ndarray, confidence: np.ndarray, class_id: np.ndarray, shape: tuple[int, ...]
) -> sv.Detections:
    """Boxes clipped to an image of ``shape`` (H, W, ...), without those of which nothing is left."""
    height, width = shape[:2]
    inside = np.clip(xyxy, 0, [width, height, width, height]).astype(np.float32).reshape(-1, 4)
    keep = (inside[:, 2] > inside[:, 0]) & (inside[:, 3] > inside[:, 1])
    return sv.Detections(
        xyxy=inside[keep], confidence=np.asarray(confidence, np.float32)[keep], class_id=class_id[keep]
    )


def _batches_of_one_shape(frames: Sequence[Frame], size: int) -> list[list[Frame]]:
    """Runs of at most ``size`` consecutive frames of equal shape: padding then depends on no neighbour."""
    batches: list[list[Frame]] = []
    for frame in frames:
        if batches and len(batches[-1]) < size and batches[-1][0].image.shape == frame.image.shape:
            batches[-1].append(frame)
        else:
            batches.append([frame])
    return batches


def _load_model(path: Path) -> Any:
    """The Ultralytics model behind ``path``; it is not yet run."""
    if path.is_file() and not path.stat().st_size:
        raise InputError(f"{path}: empty file, not detector weights")
    ultralytics = import_ultralytics()
    try:
        with safe_loading():
            return ultralytics.YOLO(str(path.resolve()), verbose=False)
    except Exception as error:  # it raises whatever its loaders raise: no common base
        raise _not_loadable(str(path), error) from error


def _not_loadable(weights: str, error: Exception) -> InputError:
    first_line = (str(error).strip().splitlines() or [""])[0]
    plain = first_line.encode("ascii", "ignore").decode().removeprefix("ERROR").replace(weights, "")
    reason = textwrap.shorten(f"{type(error).__name__}: {plain}", 160, placeholder=" ...")
    return InputError(f"{weights}: not detector weights that Ultralytics can load ({reason})")


def _ultralytics_device(device: str) -> str:
    """``device`` in Ultralytics' words, in which CUDA has a number."""
    from ..model.inference import resolve_device

    found = resolve_device(device)
    return "cuda:0" if str(found) == "cuda" else str(found)


def _half_precision() -> dict[str, Any]:
    from ultralytics.utils import DEFAULT_CFG_DICT

    return (
        {"quantize": 16} if "quantize" in DEFAULT_CFG_DICT else {"half": True}
    )  # renamed in Ultralytics 8.4
