"""Whether an encoder says the same in bf16 as in fp32: OpenVINO is not taken at its word.

OpenVINO 2026.4.1 computes a group normalisation of vectors in bf16 wrongly and says nothing
(``findings/openvino_group_norm_in_bf16.sh``): with such a layer embeddings have nothing to do with people.
"""

from __future__ import annotations

import logging
import math
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from ..kept_exports import sha256
from ..quick_precision import Precision, kept_answer, quickest_precision
from .host_crops import normalise
from .openvino_streams import OpenVinoStreams
from .options import ModelOptions

logger = logging.getLogger(__name__)

# Of the length of what a network gives, so much may differ: 0.02 to 0.05 does by rounding, 1 and more where a
# layer is computed wrongly (docs/decisions.md).
_MOST = 0.1
_CROPS = 4


def checked_precision(core: Any, model: Any, path: Path, options: ModelOptions) -> Precision:
    """What an encoder is computed in on this CPU: bf16 where that is quicker and gives what fp32 does.

    A network is tried once, and what was found is kept in the cache folder.

    Args:
        core: of OpenVINO.
        model: as read from ``path``, taking pictures one by one, [1, 3, h, w].
        path: the ``.xml``, with its ``.bin``.
        options: what pictures it takes.
    """
    if quickest_precision() == "fp32":
        return "fp32"

    def ask() -> Precision:
        differs = _difference(core, model, options)
        if differs <= _MOST:
            return "bf16"
        logger.warning("%s: OpenVINO computes it wrongly in bf16; in fp32, which is slower", path)
        return "fp32"

    return kept_answer("-".join(sha256(file)[:16] for file in (path, path.with_suffix(".bin"))), ask)


def _difference(core: Any, model: Any, options: ModelOptions) -> float:
    """Length of the difference between both as a share of the length in fp32, of the worst output."""
    height, width = options.input_size
    # Flat patches, as clothes are: noise in each pixel has no place in a picture of somebody.
    patches = np.random.default_rng(0).integers(256, size=(_CROPS, 8, 4, 3), dtype=np.uint8)
    crops = np.stack(
        [cv2.resize(patch, (width, height), interpolation=cv2.INTER_NEAREST) for patch in patches]
    )
    pictures = normalise(crops, options.mean, options.std)
    exact, rounded = (
        OpenVinoStreams(core, [(model, precision)], 1, 1)(pictures) for precision in ("fp32", "bf16")
    )
    lengths = [
        (float(np.linalg.norm(a - b)), float(np.linalg.norm(a))) for a, b in zip(exact, rounded, strict=True)
    ]
    shares = [away / max(length, 1e-6) for away, length in lengths]
    return max(share if math.isfinite(share) else math.inf for share in shares)
