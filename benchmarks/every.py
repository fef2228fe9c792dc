"""What it costs to search every second, third or fourth frame only: HOTA by motion alone.

    python benchmarks/every.py --sequences MOT/ADL-Rundle-6 MOT/KITTI-17 --det yolo11n.txt

Boxes come from ``<sequence>/det/<det>``; those of the frames between are interpolated, as in every run.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
from pathlib import Path

sys.path[:0] = [str(Path(__file__).resolve().parent.parent)]

from report import as_text, circumstances  # noqa: E402

from bpbreid_track import track_video  # noqa: E402
from bpbreid_track.evaluation import evaluate_tracks  # noqa: E402


def hota(folder: Path, det: str, every: int) -> float:
    """HOTA of a sequence of which every ``every``-th frame is searched."""
    with tempfile.TemporaryDirectory() as work:
        tracks = Path(work) / "tracks.txt"
        config = {"detector": {"every": every}}
        track_video(folder, tracks=tracks, detector=folder / "det" / det, encoder=None, config=config)
        return float(evaluate_tracks(folder / "gt" / "gt.txt", tracks).HOTA)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--sequences", type=Path, nargs="+", required=True, help="MOTChallenge folders")
    parser.add_argument("--det", default="yolo11n.txt", help="detection file in <sequence>/det/")
    parser.add_argument("--every", type=int, nargs="+", default=[1, 2, 3, 4])
    arguments = parser.parse_args()
    print(as_text(circumstances(["trackeval"], seed=None, config=vars(arguments))) + "\n")
    print(f"| sequence | {' | '.join(f'every {n}' for n in arguments.every)} |")
    print(f"|---|{'---:|' * len(arguments.every)}")
    rows = []
    for folder in arguments.sequences:
        rows.append([hota(folder, arguments.det, every) for every in arguments.every])
        print(f"| {folder.name} | {' | '.join(f'{value:.2f}' for value in rows[-1])} |", flush=True)
    means = [statistics.mean(column) for column in zip(*rows, strict=True)]
    print(f"| mean | {' | '.join(f'{value:.2f}' for value in means)} |")


if __name__ == "__main__":
    main()
