"""How well an encoder tells people apart in places that it was not trained on.

    python benchmarks/cross_domain.py --data ADL-Rundle-6 PETS09-S2L1-300 [--encoder default] [--seconds 2]

Every ``--seconds`` the boxes of the ground truth of a MOTChallenge sequence are cut out of the frame. Each
crop is a query and the crops of all other frames are its gallery, so that those of its own identity lie at
least so far apart in time. Ranked by the Market-1501 protocol, the frame in the place of the camera. Once
more with covered queries: the lower 55 % of each is painted grey, the gallery stays whole.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

sys.path[:0] = [str(Path(__file__).resolve().parent)]

from report import circumstances, print_figures  # noqa: E402

from bpbreid_track import Encoder, PartEmbeddings  # noqa: E402
from bpbreid_track.evaluation.ranking import rank_embeddings  # noqa: E402
from bpbreid_track.io.mot_format import read_mot  # noqa: E402
from bpbreid_track.io.open_source import open_source  # noqa: E402
from bpbreid_track.model.host_crops import pixel_boxes  # noqa: E402

COVERED = 0.55
_GREY = 128


def crops_of(sequence: Path, seconds: float) -> tuple[list[np.ndarray], np.ndarray, np.ndarray]:
    """Crops uint8 [h, w, 3] BGR of the truth's boxes in frames so far apart, their identities and frames."""
    truth = read_mot(sequence / "gt" / "gt.txt")
    counted = truth.confidence != 0
    crops, ids, frames = [], [], []
    with open_source(sequence) as source:
        stride = max(1, round(seconds * float(source.frame_rate)))
        for frame in source:
            chosen = counted & (truth.frame == frame.index + 1)
            if frame.index % stride == 0 and chosen.any():
                boxes, usable = pixel_boxes(truth.xyxy[chosen], *frame.image.shape[:2])
                crops += [frame.image[y1:y2, x1:x2].copy() for x1, y1, x2, y2 in boxes[usable]]
                ids.append(truth.id[chosen][usable])
                frames.append(truth.frame[chosen][usable])
    return crops, np.concatenate(ids), np.concatenate(frames)


def spaced_crops(
    sequence: Path, encoder: Encoder, seconds: float
) -> tuple[PartEmbeddings, np.ndarray, np.ndarray]:
    """Embeddings of ``crops_of``, their identities and frames."""
    crops, ids, frames = crops_of(sequence, seconds)
    return encoder.encode_crops(crops), ids, frames


def covered(crop: np.ndarray) -> np.ndarray:
    """A copy whose lower part is painted over."""
    painted = crop.copy()
    painted[round((1 - COVERED) * len(crop)) :] = _GREY
    return painted


def figures_of(sequence: Path, encoder: Encoder, seconds: float) -> dict[str, float]:
    """mAP and rank-1, whole and covered."""
    crops, ids, frames = crops_of(sequence, seconds)
    gallery = encoder.encode_crops(crops)
    figures: dict[str, float] = {"crops": len(crops), "identities": len(np.unique(ids))}
    for name, query in (
        ("whole", gallery),
        ("covered", encoder.encode_crops([covered(crop) for crop in crops])),
    ):
        metrics = rank_embeddings(query, gallery, ids, ids, frames, frames)
        figures |= {f"mAP, {name}": metrics.mAP, f"rank-1, {name}": metrics.rank1}
    return figures


def over_sequences(
    description: str | None,
    figures_of: Callable[[Path, Encoder, float], dict[str, float]],
    packages: Sequence[str],
) -> None:
    """The command line of a benchmark of one encoder on some sequences: prints the figures of each."""
    parser = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--data", type=Path, nargs="+", required=True, help="MOTChallenge sequences with gt/gt.txt"
    )
    parser.add_argument("--encoder", default="default", help="as for bpbreid-track (default)")
    parser.add_argument("--seconds", type=float, default=2.0, help="between two frames (2)")
    parser.add_argument("--json", action="store_true", help="print one JSON object in place of lines")
    arguments = parser.parse_args()

    encoder = Encoder.load(arguments.encoder, device="cpu", precision="fp32")
    config = {"encoder": arguments.encoder, "seconds": arguments.seconds}
    config |= {"options": encoder.options.model_dump(mode="json")}
    facts = circumstances(list(packages), seed=None, config=config)
    figures: dict[str, float] = {}
    for sequence in arguments.data:
        found = figures_of(sequence, encoder, arguments.seconds)
        figures |= {f"{sequence.name}, {name}": value for name, value in found.items()}
    print_figures(facts, figures, as_json=arguments.json)


if __name__ == "__main__":
    over_sequences(__doc__, figures_of, ["torchvision", "timm"])
