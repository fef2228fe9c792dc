"""HOTA and its relatives of several trackers on the same boxes, by motion alone.

    python benchmarks/tracking.py --data MOT_FOLDER --det det.txt

Every tracker reads ``<sequence>/det/<det>`` of each sequence and writes one MOTChallenge file, which
TrackEval measures against ``<sequence>/gt/gt.txt``. No tracker is shown an image.
"""

from __future__ import annotations

import argparse
import csv
import json
import logging
import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any, TextIO

import numpy as np

sys.path[:0] = [str(Path(__file__).resolve().parent.parent)]

from peers import OURS, PEERS, Peer, settings  # noqa: E402
from report import as_text, circumstances  # noqa: E402

from bpbreid_track.evaluation import FolderMetrics, evaluate_folder  # noqa: E402
from bpbreid_track.io.mot_format import read_mot  # noqa: E402
from bpbreid_track.io.seqinfo import read_seqinfo  # noqa: E402

COLUMNS = ("HOTA", "DetA", "AssA", "IDF1", "MOTA", "IDSW", "Frag", "FP", "FN")


def sequence_facts(folder: Path) -> tuple[float, int]:
    """Frames a second and number of frames of a sequence."""
    info = read_seqinfo(folder / "seqinfo.ini")
    if info.frame_rate is None or info.length is None:
        raise SystemExit(f"{folder}/seqinfo.ini: states no frameRate or no seqLength; add them")
    return float(info.frame_rate), info.length


def write_frame(handle: TextIO, frame: int, ids: Iterable[int], xyxy: np.ndarray, scores: np.ndarray) -> None:
    """Append the boxes of a frame that have an area, in MOTChallenge's columns."""
    for identity, (left, top, right, bottom), score in zip(ids, xyxy, scores, strict=True):
        if right > left and bottom > top:
            size = f"{right - left:.3f},{bottom - top:.3f}"
            handle.write(f"{frame},{identity},{left:.3f},{top:.3f},{size},{score:.4f},-1,-1,-1\n")


def run(peer: Peer, folder: Path, det: str, minimum: float, out: Path) -> None:
    """Track one sequence and write what the peer would show."""
    rate, length = sequence_facts(folder)
    rows = read_mot(folder / "det" / det)
    step = peer.build(rate, False)
    with out.open("w", encoding="utf-8") as handle:
        for frame in range(1, length + 1):
            chosen = (rows.frame == frame) & (rows.confidence >= minimum)
            ids, xyxy, scores = step(rows.xyxy[chosen], rows.confidence[chosen], None, None)
            write_frame(handle, frame, ids, xyxy, scores)


def table(rows: list[dict[str, Any]], sequence: str) -> str:
    """One sequence as a Markdown table, best HOTA first."""
    lines = [
        f"### {sequence}",
        "",
        "| tracker | box | " + " | ".join(COLUMNS) + " |",
        "|---|---|" + "---:|" * len(COLUMNS),
    ]
    chosen = sorted((row for row in rows if row["sequence"] == sequence), key=lambda row: -row["HOTA"])
    for row in chosen:
        cells = [f"{row[name]:.1f}" if isinstance(row[name], float) else str(row[name]) for name in COLUMNS]
        lines.append(f"| {row['tracker']} | {row['box']} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def flatten(peer: Peer, metrics: FolderMetrics) -> list[dict[str, Any]]:
    everything = {"COMBINED": metrics.combined} | metrics.sequences
    return [
        {"tracker": peer.name, "box": peer.box, "sequence": name} | values.as_dict()
        for name, values in everything.items()
    ]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True, help="folder of MOTChallenge sequences")
    parser.add_argument("--det", default="det.txt", help="detection file in each <sequence>/det/ (det.txt)")
    parser.add_argument(
        "--sequences", help="comma-separated names; by default all that have the detection file"
    )
    parser.add_argument("--min-score", type=float, default=0.0, help="drop boxes below this score (keep all)")
    parser.add_argument("--only", default="", help="trackers whose name contains this, e.g. bpbreid")
    parser.add_argument("--csv", type=Path, help="write all figures to this file")
    parser.add_argument("--json", action="store_true", help="print one JSON object in place of tables")
    arguments = parser.parse_args()
    logging.disable(logging.INFO)

    names = arguments.sequences.split(",") if arguments.sequences else None
    names = names or sorted(p.parent.parent.name for p in arguments.data.glob(f"*/det/{arguments.det}"))
    if not names:
        parser.error(f"no */det/{arguments.det} in {arguments.data}")
    trackers = [p for p in (*OURS, *PEERS) if arguments.only in p.name and not p.needs_vectors]
    if not trackers:
        parser.error(f"no tracker's name contains {arguments.only!r}")
    for peer in trackers:
        if not peer.installed:
            print(f"left out: {peer.name} ({peer.package} is not installed)", file=sys.stderr)
    trackers = [peer for peer in trackers if peer.installed]

    rows: list[dict[str, Any]] = []
    for peer in trackers:
        with tempfile.TemporaryDirectory() as results:
            for name in names:
                run(
                    peer,
                    arguments.data / name,
                    arguments.det,
                    arguments.min_score,
                    Path(results) / f"{name}.txt",
                )
            rows += flatten(peer, evaluate_folder(arguments.data, results, sequences=names))
        print(f"{peer.name}: HOTA {rows[-len(names) - 1]['HOTA']:.2f}", file=sys.stderr)

    config = {"det": arguments.det, "min_score": arguments.min_score, "sequences": names}
    config |= {peer.name: settings(peer) for peer in trackers}
    facts = circumstances(
        [*{p.package for p in trackers if p not in OURS}, "trackeval"], seed=None, config=config
    )
    if arguments.csv:
        with arguments.csv.open("w", newline="", encoding="utf-8") as handle:
            writer = csv.DictWriter(handle, fieldnames=list(rows[0]))
            writer.writeheader()
            writer.writerows(rows)
    if arguments.json:
        print(json.dumps({"about": facts, "results": rows}))
        return
    print(as_text(facts) + "\n")
    print("\n\n".join(table(rows, name) for name in ("COMBINED", *names)))


if __name__ == "__main__":
    main()
