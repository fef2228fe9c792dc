"""What hindsight is worth: tracks as a tracker gives them, and the same tracks smoothed and filled.

    python benchmarks/smoothing.py --data MOT_FOLDER --det yolo11n.txt [--only NAME] [--lags 0.5,1]

Every tracker reads ``<sequence>/det/<det>`` by motion alone and without pictures, ours and others'. So it
shows, too, how much of our figures is smoothing that others could do as well.
"""

from __future__ import annotations

import argparse
import logging
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

sys.path[:0] = [str(Path(__file__).resolve().parent.parent)]

from in_hindsight import smooth  # noqa: E402
from peers import OURS, PEERS  # noqa: E402
from report import as_text, circumstances  # noqa: E402
from tracking import run, sequence_facts  # noqa: E402

from bpbreid_track.evaluation import evaluate_folder  # noqa: E402

COLUMNS = ("HOTA", "DetA", "AssA", "IDF1")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True, help="folder of MOTChallenge sequences")
    parser.add_argument("--det", default="yolo11n.txt", help="detection file in each <sequence>/det/")
    parser.add_argument("--sequences", help="comma-separated; by default all that have the detection file")
    parser.add_argument("--min-score", type=float, default=0.1, help="drop boxes below this score")
    parser.add_argument("--only", default="", help="trackers whose name contains this")
    parser.add_argument("--lags", default="1", help="comma-separated seconds")
    arguments = parser.parse_args()
    logging.disable(logging.INFO)

    data, det = arguments.data, arguments.det
    names = arguments.sequences.split(",") if arguments.sequences else None
    names = names or sorted(path.parent.parent.name for path in data.glob(f"*/det/{det}"))
    lags = [float(lag) for lag in arguments.lags.split(",")]
    peers = [peer for peer in (*OURS, *PEERS) if arguments.only in peer.name and not peer.needs_vectors]
    rows: list[dict[str, Any]] = []
    for peer in (peer for peer in peers if peer.installed):
        with tempfile.TemporaryDirectory() as place:
            folders = {lag: Path(place, f"{lag:g}") for lag in (0.0, *lags)}
            for folder in folders.values():
                folder.mkdir()
            for name in names:
                run(peer, data / name, det, arguments.min_score, folders[0.0] / f"{name}.txt")
                rate, length = sequence_facts(data / name)
                for lag in lags:
                    smooth(folders[0.0] / f"{name}.txt", rate, length, lag, folders[lag] / f"{name}.txt")
            for lag, folder in folders.items():
                metrics = evaluate_folder(data, folder, sequences=names).sequences
                mean = [np.mean([metrics[name].as_dict()[key] for name in names]) for key in COLUMNS]
                each = {name: round(float(metrics[name].HOTA), 1) for name in names}
                figures = dict(zip(COLUMNS, (round(float(value), 1) for value in mean), strict=True))
                rows.append({"tracker": peer.name, "lag": lag, **figures, **each})
                print(rows[-1], file=sys.stderr)
    packages = [*{peer.package for peer in peers if peer not in OURS}, "trackeval"]
    config = {"det": det, "min_score": arguments.min_score, "sequences": names, "lags": lags}
    print(as_text(circumstances(packages, seed=None, config=config)))
    head = list(rows[0])
    print("| " + " | ".join(head) + " |\n|" + "---|" * len(head))
    for row in rows:
        print("| " + " | ".join(str(row[key]) for key in head) + " |")


if __name__ == "__main__":
    main()
