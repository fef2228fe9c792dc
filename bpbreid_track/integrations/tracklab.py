"""TrackLab: the encoder and ``PartTracker`` as modules of its pipeline (exact).

TrackLab finds both by itself, through this package's entry point ``tracklab_plugin``:

    tracklab modules/reid=bpbreid_track modules/track=bpbreid_track pipeline=[bbox_detector,reid,track]

``BPBReId`` is also what TrackLab's own ``modules/reid=bpbreid`` asks for.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import supervision as sv
import torch

from ..config import TrackerConfig, validated
from ..embeddings import PartEmbeddings
from ..errors import InputError
from ..model.encoder import Encoder
from ..tracking.tracker import PartTracker
from ._versions import require

VERSION = require("tracklab", "1.3", "1.4")

import pandas as pd  # noqa: E402
from tracklab.pipeline.detectionlevel_module import DetectionLevelModule  # noqa: E402
from tracklab.pipeline.imagelevel_module import ImageLevelModule  # noqa: E402


def _columns(batch: Sequence[tuple[Any, Any]]) -> tuple[list[Any], list[Any]]:
    """Samples as they come from the loader: their indices, and what ``preprocess`` made of each."""
    return [index for index, _ in batch], [sample for _, sample in batch]


def _plain(cfg: Any) -> dict[str, Any]:
    """A section of TrackLab's configuration as a plain dict."""
    if cfg is None or isinstance(cfg, dict):
        return dict(cfg or {})
    from omegaconf import OmegaConf

    plain: Any = OmegaConf.to_container(cfg, resolve=True)
    return dict(plain)


class BPBReId(DetectionLevelModule):
    """Part embeddings for each detection.

    Gives the columns ``embeddings`` float32 [P, D] (unit rows, the foreground first) and
    ``visibility_scores`` float32 [P], which TrackLab's part-based trackers read.

    Args:
        cfg: ``weights``: what ``Encoder.load`` takes; or TrackLab's own section, of which
            ``model.load_weights`` is read.
        device: cpu, cuda, ...
        batch_size: detections a pass.

    Raises:
        InputError: weights that are not there.
    """

    collate_fn = staticmethod(_columns)
    input_columns: ClassVar[list[str]] = ["bbox_ltwh"]
    output_columns: ClassVar[list[str]] = ["embeddings", "visibility_scores"]

    def __init__(self, cfg: Any = None, device: Any = "auto", batch_size: int = 32, **_: Any) -> None:
        super().__init__(batch_size)
        self.encoder = Encoder.load(_weights(_plain(cfg)), device=device, batch_size=batch_size)

    def preprocess(self, image: np.ndarray, detection: pd.Series, metadata: pd.Series) -> np.ndarray:
        """The crop of one detection, uint8 BGR, from an RGB image."""
        height, width = image.shape[:2]
        left, top, wide, high = np.asarray(detection["bbox_ltwh"], float)
        x, y = np.clip(np.rint([left, left + wide]), 0, width), np.clip(np.rint([top, top + high]), 0, height)
        crop = image[int(y[0]) : int(y[1]), int(x[0]) : int(x[1]), ::-1]
        return np.ascontiguousarray(crop)

    def process(self, batch: Any, detections: pd.DataFrame, metadatas: pd.DataFrame) -> pd.DataFrame:
        features, visibility = self.encoder.encode_crops(batch).numpy()
        columns = {"embeddings": list(features), "visibility_scores": list(visibility)}
        return pd.DataFrame(columns, index=detections.index)


def _weights(cfg: Mapping[str, Any]) -> str:
    if "weights" in cfg:
        return str(cfg["weights"])
    theirs = cfg.get("model", {}).get("load_weights")
    if theirs is None:
        return "default"
    if not Path(theirs).is_file():
        raise InputError(
            f"{theirs}: no such file; name weights in modules.reid.cfg.model.load_weights, or take the "
            "bundled encoder by modules/reid=bpbreid_track"
        )
    return str(theirs)


class BPBReIDPartTracker(ImageLevelModule):
    """``PartTracker`` on the embeddings of ``BPBReId``, or of any module that gives its columns.

    Args:
        cfg: settings of ``TrackerConfig``; what is not named has its default.

    Attributes:
        appearance: the ``PartTracker`` of the current video, for ``appearance_report``.
    """

    collate_fn = staticmethod(_columns)
    input_columns: ClassVar[list[str]] = ["bbox_ltwh", "bbox_conf", "embeddings", "visibility_scores"]
    output_columns: ClassVar[list[str]] = ["track_id"]

    def __init__(self, cfg: Any = None, device: Any = None, **_: Any) -> None:
        super().__init__(batch_size=1)
        self.config = validated(TrackerConfig, _plain(cfg), where="modules.track.cfg")
        self.reset()

    def reset(self) -> None:
        """Begin a new video."""
        self.appearance = PartTracker(self.config)

    def preprocess(self, image: np.ndarray, detections: pd.DataFrame, metadata: pd.Series) -> np.ndarray:
        """The frame in BGR, for the motion of the camera."""
        return np.ascontiguousarray(image[..., ::-1])

    def process(self, batch: Any, detections: pd.DataFrame, metadatas: pd.DataFrame) -> Any:
        if len(detections) == 0:
            self.appearance.update(sv.Detections.empty(), batch[0])
            return []
        boxes = np.stack(detections["bbox_ltwh"].to_numpy()).astype(np.float32)
        boxes[:, 2:] += boxes[:, :2]
        visibility = np.stack(detections["visibility_scores"].to_numpy()).astype(np.float32)
        features = np.stack(detections["embeddings"].to_numpy()).astype(np.float32)
        names = ["foreground", *(f"part{number}" for number in range(1, visibility.shape[1]))]
        tracked = self.appearance.update(
            sv.Detections(boxes, confidence=detections["bbox_conf"].to_numpy(np.float32)),
            batch[0],
            embeddings=PartEmbeddings(torch.from_numpy(features), torch.from_numpy(visibility), names),
        )
        assert tracked.tracker_id is not None
        known = tracked.tracker_id > 0
        return pd.DataFrame(
            {"track_id": tracked.tracker_id[known].astype(float)}, index=detections.index[known]
        )
