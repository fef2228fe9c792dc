"""Runs openpifpaf over a list of images; ``pifpaf.py`` starts it with the Python of openpifpaf's environment.

That environment has none of bpbreid_track's dependencies and may be a Python 3.8, so this file imports numpy,
torch, Pillow and openpifpaf only, and nothing of this package.

    python pifpaf_worker.py JOBS.json CHECKPOINT DEVICE

JOBS.json is a list of [image, label file]. On stdout comes one JSON object a line: {"job": i, "persons": n}
when a label file is written, or {"error": "..."} before it gives up.
"""
# ruff: noqa: B905 - zip(strict=...) needs Python 3.10

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

BATCH = 32
SMALLEST_EDGE = 257  # smaller images are enlarged: small people are found less well
LARGEST_EDGE = 641
SURE = 0.05  # a decoded joint below it is a guess
JOINTS = 17
# COCO's 19 connections, keypoints from 0, in the order of the association field.
SKELETON = [
    (15, 13), (13, 11), (16, 14), (14, 12), (11, 12), (5, 11), (6, 12), (5, 6), (5, 7), (6, 8),
    (7, 9), (8, 10), (1, 2), (0, 1), (0, 2), (1, 3), (2, 4), (3, 5), (4, 6),
]  # fmt: skip


def network_size(width: int, height: int) -> tuple[int, int]:
    """Width and height an image is resized to: multiples of 16 plus 1, so that the fields cover it."""
    scale = min(max(max(width, height), SMALLEST_EDGE), LARGEST_EDGE) / max(width, height)
    w, h = (max(17, 16 * round((scale * side - 1) / 16) + 1) for side in (width, height))
    return w, h


def target_person(poses: np.ndarray, width: int) -> int:
    """The person whose head is nearest to the top centre.

    Args:
        poses: float [N, 17, 3], x, y, confidence; N > 0. Without head keypoints the topmost one counts.
        width: of the image.
    """
    away = []
    for pose in poses:
        head = pose[:5][pose[:5, 2] > SURE]
        if not len(head):
            seen = pose[pose[:, 2] > SURE]
            head = seen[seen[:, 1].argmin()][None] if len(seen) else np.array([[np.inf, np.inf, 0]])
        x, y = head[:, :2].mean(0)
        away.append(np.hypot(x - width / 2, y))
    return int(np.argmin(away))


def channel_distances(pose: np.ndarray, shape: tuple[int, int], stride: int) -> np.ndarray:
    """Distance of every cell to every joint and connection of a person, in pixels.

    Args:
        pose: float [17, 3].
        shape: height and width of the fields.
        stride: pixels between two cells.

    Returns:
        float [36, h, w], infinite for what the person does not show.
    """
    y, x = np.mgrid[: shape[0], : shape[1]] * float(stride)
    cells = np.stack([x, y], axis=-1)  # [h, w, 2]
    distances = np.full((JOINTS + len(SKELETON), *shape), np.inf)
    ends = [(joint, joint) for joint in range(JOINTS)] + SKELETON
    for channel, (a, b) in enumerate(ends):
        if min(pose[a, 2], pose[b, 2]) <= SURE:
            continue
        along = pose[b, :2] - pose[a, :2]
        away = cells - pose[a, :2]
        share = ((away @ along) / max(float(along @ along), 1e-9)).clip(0, 1)
        distances[channel] = np.linalg.norm(away - share[..., None] * along, axis=-1)
    return distances


def keep_target(fields: np.ndarray, poses: np.ndarray, target: int, stride: int) -> np.ndarray:
    """The fields without the other persons: a cell of a channel belongs to whose joint or limb is nearest.

    Where the target does not show a joint, the others clear a tenth of their height around theirs.

    Args:
        fields: float [36, h, w].
        poses: float [N, 17, 3], x and y in pixels of the network's input.
        target: which of them to keep.
        stride: pixels between two cells.
    """
    own = channel_distances(poses[target], fields.shape[1:], stride)
    cleared = fields.copy()
    for index, pose in enumerate(poses):
        if index == target:
            continue
        seen = pose[pose[:, 2] > SURE]
        if not len(seen):
            continue
        other = channel_distances(pose, fields.shape[1:], stride)
        reach = max(2.0 * stride, 0.1 * float(np.ptp(seen[:, 1])))
        cleared[np.where(np.isinf(own), other < reach, other < own)] = 0
    return cleared


def label_batches(jobs: Sequence[Sequence[str]], checkpoint: str, device: str) -> Iterator[dict[str, Any]]:
    """Write the label file of every job; yields what ``main`` prints."""
    import openpifpaf
    import torch
    from PIL import Image

    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    openpifpaf.network.Factory.checkpoint = checkpoint
    try:
        network, _ = openpifpaf.network.Factory().factory()
    except Exception as error:  # a failed download, a file that is no checkpoint, ...
        why = str(error).split(". Pre-trained")[0] or type(error).__name__
        raise ValueError(f"cannot load weights {checkpoint}: {why}; give the path of a checkpoint") from error
    network = network.to(device).eval()
    cif, caf = network.head_metas[:2]
    if len(cif.keypoints) != JOINTS or [(a - 1, b - 1) for a, b in caf.skeleton] != SKELETON:
        raise ValueError("expected a network with the 17 COCO keypoints and 19 connections")
    decoder = openpifpaf.decoder.factory(network.head_metas)
    mean, std = (torch.tensor(v)[:, None, None] for v in ([0.485, 0.456, 0.406], [0.229, 0.224, 0.225]))

    def read(path: str) -> torch.Tensor:
        try:
            image = Image.open(path).convert("RGB")
        except OSError as error:
            raise ValueError(f"{path}: not a readable image; replace or delete the file") from error
        image = image.resize(network_size(*image.size), Image.Resampling.BILINEAR)
        return (torch.from_numpy(np.array(image)).permute(2, 0, 1) / 255.0 - mean) / std

    for start in range(0, len(jobs), BATCH):
        same_size: dict[tuple[int, ...], list[tuple[int, torch.Tensor]]] = {}
        for index in range(start, min(start + BATCH, len(jobs))):
            image = read(jobs[index][0])
            same_size.setdefault(tuple(image.shape), []).append((index, image))
        for shape, members in same_size.items():
            batch = torch.stack([image for _, image in members])
            # Per image: [17, 5, h, w] and [19, 8, h, w], confidences at index 1.
            for (index, _), heads in zip(members, decoder.fields_batch(network, batch, device=device)):
                fields = np.concatenate([head[:, 1].numpy() for head in heads[:2]])
                found = [annotation.data for annotation in decoder(heads)]
                poses = np.array(found).reshape(-1, JOINTS, 3)
                if len(poses):
                    fields = keep_target(fields, poses, target_person(poses, shape[2]), cif.stride)
                else:
                    fields = np.zeros_like(fields)
                write(jobs[index][1], fields)
                yield {"job": index, "persons": len(poses)}


def write(path: str, fields: np.ndarray) -> None:
    """As float16, whole or not at all."""
    os.makedirs(os.path.dirname(path), exist_ok=True)
    folder, name = os.path.split(path)
    part = os.path.join(folder, f".{name}.{os.getpid()}.part")
    with open(part, "wb") as file:
        np.save(file, np.nan_to_num(fields).clip(0, 1).astype(np.float16))
    os.replace(part, path)


def main(arguments: Sequence[str]) -> int:
    path, checkpoint, device = arguments
    with open(path, encoding="utf-8") as file:
        jobs = json.load(file)
    try:
        for event in label_batches(jobs, checkpoint, device):
            print(json.dumps(event), flush=True)
    except Exception as error:  # the parent turns it into one line for the user
        print(json.dumps({"error": str(error) or type(error).__name__}), flush=True)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
