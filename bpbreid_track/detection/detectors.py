"""Person detectors: frames in, boxes out. Networks of Ultralytics, or boxes read from a MOTChallenge file."""

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
from ..quick_precision import quickest_precision
from .box_files import BOX_SUFFIXES, check_against, read_boxes
from .classes import PERSON, Kept, kept_classes
from .exported import Facts
from .exported_detector import ExportedDetector, open_exported, remember
from .network_detector import NetworkDetector
from .pictures import automatic_image_size, clipped, side_by_side
from .runtime_choice import choose_runtime, in_words
from .weights import find_detector_weights, import_ultralytics, safe_loading

if TYPE_CHECKING:
    from ..io.sources.base import Frame, Source

logger = logging.getLogger(__name__)

_BOX_TASKS = {"detect", "segment", "pose"}
# Longer side of the input on which a runtime is held against torch, and the lowest score that counts there.
_COMPARED_AT, _COMPARED_FROM = 320, 0.01


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
) -> ExportedDetector | UltralyticsDetector | PrecomputedDetector:
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
        UsageError: a device that this machine lacks, a class that the network does not know.
    """
    if not name:
        raise UsageError("the detector's name is empty; give 'auto', weights or a det.txt")
    if Path(name).suffix.lower() in BOX_SUFFIXES:
        return PrecomputedDetector(name, config)
    found = find_detector_weights(name)
    return open_network(found.path, config, device, found.description)


def open_network(
    weights: Path, config: DetectorConfig | None, device: str, description: str
) -> ExportedDetector | UltralyticsDetector:
    """The network of ``weights`` through what runs it fastest; arguments and errors as for ``load_detector``.

    Where OpenVINO is to run it, Ultralytics loads it once, to export it and to look whether the boxes are the
    same; from then on OpenVINO needs neither Ultralytics nor torch.
    """
    config = config or DetectorConfig()
    detector: ExportedDetector | UltralyticsDetector | None
    detector = open_exported(weights, config, device, description)
    if detector is None:
        loaded = UltralyticsDetector(weights, config, device, description=description)
        # Ultralytics is left at once, so that the first run is what the second will be.
        detector = open_exported(weights, config, device, description) or loaded
    if detector.classes is None:
        logger.warning("%s knows no class 'person': all of its classes are tracked", weights)
    return detector


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
        return clipped(xyxy, confidence, np.full(len(xyxy), PERSON), frame.image.shape)


class UltralyticsDetector(NetworkDetector):
    """A network that Ultralytics runs. It finds ``config.classes``, or persons where the network knows them.

    Args:
        weights: file or folder. Trust it: see ``load_detector``.
        config: thresholds, input size, batch size.
        device: as in ``load_detector``. Half precision on CUDA.
        description: what is used, in words; by default the file's name.

    ``batch_size`` is 8 on a GPU, on a CPU through OpenVINO as many as its threads search side by side, else
    1. ``runtime`` is torch for what cannot be exported or finds other boxes then, and a warning says why;
    torch too for weights in another format than .pt, which Ultralytics runs by what they are for.

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
        self._kept = Kept(None, None)
        self._try_out(str(weights))
        self._kept = kept_classes(config.classes, self._model.names, str(weights), is_pose=self._is_pose)
        if self.runtime != "torch":
            self._leave_torch(Path(weights))

    def _leave_torch(self, weights: Path) -> None:
        from .runtimes import photograph, run_by

        network, config, kept = self._model.predictor.model.model, self._config, self._kept
        pictures, most = side_by_side(config), config.max_detections
        # Runtimes are compared on a small picture: what large ones take of memory never comes back; by low
        # scores and all classes: what is found out is true of other settings too.
        predict = functools.partial(self.find, image_size=_COMPARED_AT)
        self._config = DetectorConfig(confidence=_COMPARED_FROM, max_detections=most)
        self._kept = Kept(None, None)
        try:
            self.runtime, self.precision = run_by(self.runtime, network, weights, most, predict, pictures)
            # Ultralytics drops boxes whose mask is empty, for which it has to be there.
            if self.runtime == "openvino" and self._model.task != "segment":
                picture = photograph()
                expected = predict([picture])[0]
                remember(weights, self._facts, self._config, picture, _COMPARED_AT, expected)
        finally:
            self._config, self._kept = config, kept
        self.description = in_words(self.description, self.runtime, self.precision)
        if self.runtime == "openvino" and config.batch_size == "auto":
            self.batch_size = pictures

    def _facts(self) -> Facts:
        return Facts(
            task=self._model.task,
            names=self._model.names,
            stride=self._model.predictor.model.stride,
            suppressed=bool(getattr(self._model.model, "end2end", False)),
            precision={quickest_precision(): self.precision},
        )

    def image_size(self, height: int, width: int) -> int:
        """Longer side in pixels of the network's input for frames of this size."""
        if self._config.image_size != "auto":
            return self._config.image_size
        return automatic_image_size(height, width, is_pose=self._is_pose)

    def find(self, images: Sequence[np.ndarray], image_size: int | None = None) -> list[sv.Detections]:
        import torch

        threads = torch.get_num_threads()
        results = self._model.predict(
            list(images),
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
        return clipped(boxes.xyxy, boxes.conf, self._kept.numbered(boxes.cls), image.shape)

    def _try_out(self, weights: str) -> None:
        """Run the network once, so that weights that do not work are told from a video that does not."""
        try:
            if self._model.task not in _BOX_TASKS:
                raise InputError(f"{weights}: a model for {self._model.task!r}, which finds no boxes")
            self.find([np.zeros((64, 64, 3), np.uint8)])
            dict(self._model.names)
        except InputError:
            raise
        except Exception as error:
            raise _not_loadable(weights, error) from error


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
