"""How well an encoder tells people apart in a place that it was not trained on.

    python benchmarks/cross_domain.py --data ADL-Rundle-6 [--encoder default] [--seconds 2]

Every ``--seconds`` the boxes of the ground truth of a MOTChallenge sequence are cut out of the frame. Each
crop is a query and the crops of all other frames are its gallery, so that those of its own identity lie at
least so far apart in time. Ranked by the Market-1501 protocol, the frame in the place of the camera.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import numpy as np

sys.path[:0] = [str(Path(__file__).resolve().parent)]

from report import circumstances, print_figures  # noqa: E402

from bpbreid_track import Encoder, PartEmbeddings  # noqa: E402
from bpbreid_track.evaluation.ranking import rank_embeddings  # noqa: E402
from bpbreid_track.io.mot_format import read_mot  # noqa: E402
from bpbreid_track.io.open_source import open_source  # noqa: E402


def spaced_crops(
    sequence: Path, encoder: Encoder, seconds: float
) -> tuple[PartEmbeddings, np.ndarray, np.ndarray]:
    """Embeddings of the ground truth's boxes in frames so far apart, their identities and frames."""
    truth = read_mot(sequence / "gt" / "gt.txt")
    counted = truth.confidence != 0
    rows, ids, frames = [], [], []
    with open_source(sequence) as source:
        stride = max(1, round(seconds * float(source.frame_rate)))
        for frame in source:
            chosen = counted & (truth.frame == frame.index + 1)
            if frame.index % stride == 0 and chosen.any():
                rows.append(encoder.encode(frame.image, truth.xyxy[chosen]))
                ids.append(truth.id[chosen])
                frames.append(truth.frame[chosen])
    return PartEmbeddings.cat(rows), np.concatenate(ids), np.concatenate(frames)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True, help="a MOTChallenge sequence with gt/gt.txt")
    parser.add_argument("--encoder", default="default", help="as for bpbreid-track (default)")
    parser.add_argument("--seconds", type=float, default=2.0, help="between two frames (2)")
    parser.add_argument("--json", action="store_true", help="print one JSON object in place of lines")
    arguments = parser.parse_args()

    encoder = Encoder.load(arguments.encoder, device="cpu", precision="fp32")
    crops, ids, frames = spaced_crops(arguments.data, encoder, arguments.seconds)
    metrics = rank_embeddings(crops, crops, ids, ids, frames, frames)
    config = {"encoder": arguments.encoder, "seconds": arguments.seconds}
    config |= {"options": encoder.options.model_dump(mode="json")}
    facts = circumstances(["torchvision", "timm"], seed=None, config=config)
    figures = {"crops": len(crops), "identities": len(np.unique(ids)), **metrics.as_dict()}
    print_figures(facts, figures, as_json=arguments.json)


if __name__ == "__main__":
    main()
