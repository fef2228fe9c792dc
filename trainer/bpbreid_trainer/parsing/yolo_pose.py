"""Labels from an Ultralytics pose network: fast, in the main environment, any published or own weights."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import cv2
import numpy as np

from bpbreid_track.errors import InputError
from bpbreid_track.model.part_groups import CHANNELS

from ..data.mask_files import write_fields
from ..data.samples import read_image
from .jobs import Job
from .skeleton import FIELD_SIZE, JOINTS, draw_fields, target_person

DEFAULT_WEIGHTS = "yolo11n-pose.pt"

# Measured on Market-1501: a grey margin helps a network that rarely sees people cut at head and feet, a
# longer input finds no more people, and two thirds of those missed are found in a shorter one.
_MARGIN = 0.1
_INPUT_SIZE = 256
_SECOND_SIZE = 128
_MIN_CONFIDENCE = 0.1
_GREY = (114, 114, 114)


class Persons(NamedTuple):
    """N persons in one image, in its pixels."""

    poses: np.ndarray
    """float [N, 17, 3], x, y and confidence."""
    boxes: np.ndarray
    """float [N, 4], x1, y1, x2, y2."""
    scores: np.ndarray
    """float [N] in [0, 1]."""


class YoloPose:
    """Keypoints of the target person, drawn as confidence fields.

    Args:
        weights: of an Ultralytics pose network, looked up as detector weights are.
        device: ``auto``, ``cpu``, ``cuda``, ``cuda:1``, ``mps``.
        batch_size: crops a pass.

    Raises:
        InputError: weights that are not to be had, or no pose network with the 17 COCO keypoints.
    """

    name = "yolo-pose"

    def __init__(self, weights: str = DEFAULT_WEIGHTS, device: str = "auto", batch_size: int = 64) -> None:
        from bpbreid_track.detection.weights import find_detector_weights, import_ultralytics
        from bpbreid_track.model.inference import resolve_device

        found = find_detector_weights(weights)
        import_ultralytics()
        from ultralytics import YOLO

        try:
            self._network = YOLO(str(found.path))
        except Exception as error:  # whatever unpickling a foreign file raises
            raise InputError(
                f"{found.path}: not weights that Ultralytics reads ({type(error).__name__})"
            ) from error
        shape = getattr(self._network.model, "kpt_shape", None) if self._network.task == "pose" else None
        if self._network.task != "pose" or (shape and shape[0] != len(JOINTS)):
            raise InputError(
                f"{found.path}: a {self._network.task} network; expected a pose network with 17 keypoints"
            )
        self._device = str(resolve_device(device))
        self._batch = batch_size

    def label(self, jobs: Sequence[Job]) -> Iterator[tuple[Job, int]]:
        """Write the label file of each job; yields the job and how many persons were seen in it."""
        for start in range(0, len(jobs), self._batch):
            batch = jobs[start : start + self._batch]
            images = [cv2.cvtColor(read_image(job.image), cv2.COLOR_RGB2BGR) for job in batch]
            persons = self._persons(images, _INPUT_SIZE)
            empty = [index for index, found in enumerate(persons) if not len(found.poses)]
            if empty:
                again = self._persons([images[index] for index in empty], _SECOND_SIZE)
                for index, found in zip(empty, again, strict=True):
                    persons[index] = found
            for job, image, found in zip(batch, images, persons, strict=True):
                write_fields(job.out, fields_of(found, image.shape[:2]))
                yield job, len(found.poses)

    def _persons(self, images: list[np.ndarray], size: int) -> list[Persons]:
        margins = [round(_MARGIN * image.shape[0]) for image in images]
        padded = [
            cv2.copyMakeBorder(image, m, m, m, m, cv2.BORDER_CONSTANT, value=_GREY)
            for image, m in zip(images, margins, strict=True)
        ]
        results = self._network.predict(
            padded,
            imgsz=size,
            conf=_MIN_CONFIDENCE,
            batch=len(padded),
            device=self._device,
            verbose=False,
            rect=True,
        )
        found = []
        for result, margin in zip(results, margins, strict=True):
            result = result.cpu().numpy()
            poses = np.array(result.keypoints.data, dtype=float).reshape(-1, len(JOINTS), 3)
            poses[..., :2] -= margin
            found.append(Persons(poses, result.boxes.xyxy - margin, result.boxes.conf))
        return found


def fields_of(persons: Persons, image_size: tuple[int, int]) -> np.ndarray:
    """The target person's fields float32 [36, h, w]; zeros where nobody was found.

    Args:
        persons: all that were found.
        image_size: height and width of the crop.
    """
    if not len(persons.poses):
        return np.zeros((len(CHANNELS), *FIELD_SIZE), np.float32)
    target = target_person(*persons, image_size)
    return draw_fields(persons.poses[target], persons.boxes[target], image_size)
