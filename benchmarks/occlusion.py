"""Who survives occlusion: sequences whole, with a gap nobody is seen in, and with a veil over lower bodies.

    python benchmarks/occlusion.py --data MOT_FOLDER --cache FOLDER [--osnet WEIGHTS.pth] [--csv FILE]

All trackers read the same boxes, ``det/<det>`` with scores from ``--min-score``. Ours gets the parts of the
bundled encoder, peers that take a vector get OSNet x0.25 (``--osnet``, torchreid's or BoxMOT's weights;
BoxMOT must be installed) and our foreground vector. *perfect* is the same boxes with scores from 0.25 given
their true identity, and nobody's boxes left out. A tracker cannot know whom the annotators passed over, so
*our boxes, true identities* is what our tracker shows when every box of a known person gets that person's
identity, and the others stay with whom their track mostly follows: the most that better association would
bring. ``occlusion_cases.py`` says what gap and veil are.
"""

from __future__ import annotations

import argparse
import csv
import json
import logging
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from scipy.optimize import linear_sum_assignment

sys.path[:0] = [str(Path(__file__).resolve().parent.parent)]

from footage import Footage, Model, View  # noqa: E402
from host_vectors import osnet, part_model  # noqa: E402
from occlusion_cases import CASES, Case  # noqa: E402
from peers import OURS, PEERS, Peer, settings  # noqa: E402
from report import as_text, circumstances  # noqa: E402
from tracking import write_frame  # noqa: E402

from bpbreid_track.evaluation import evaluate_folder  # noqa: E402
from bpbreid_track.io.mot_format import MotRows, read_mot  # noqa: E402
from bpbreid_track.tracking.boxes import iou  # noqa: E402

SEQUENCES = ("ADL-Rundle-6", "PETS09-S2L1-300")
COLUMNS = ("HOTA", "AssA", "IDF1", "IDSW")
PERFECT_SCORE, PERFECT_IOU = 0.25, 0.5
Runner = Callable[[Footage, Case, Path], None]


def perfect(footage: Footage, case: Case, out: Path) -> None:
    """Give the boxes their true identities; those that are nobody's are left out."""
    kept = case.kept(footage.xyxy, footage.width) & (footage.scores >= PERFECT_SCORE)
    with out.open("w", encoding="utf-8") as handle:
        for number, here in enumerate(footage.shown(View()), start=1):
            here = here[kept[here]]
            people = true_people(footage.truth, number, footage.xyxy[here])
            known = people >= 0
            write_frame(handle, number, people[known], footage.xyxy[here[known]], footage.scores[here[known]])


def true_people(truth: MotRows, frame: int, xyxy: np.ndarray) -> np.ndarray:
    """Whom each box float [N, 4] of a frame shows by the annotation, int [N]; -1 for nobody."""
    there = np.flatnonzero((truth.frame == frame) & (truth.confidence > 0))
    overlap = iou(truth.xyxy[there], xyxy.astype(np.float64))
    rows, columns = linear_sum_assignment(-overlap)
    good = overlap[rows, columns] >= PERFECT_IOU
    people = np.full(len(xyxy), -1)
    people[columns[good]] = truth.id[there[rows[good]]]
    return people


def with_true_identities(run: Runner) -> Runner:
    """A tracker whose boxes are given the identities of the people they show."""

    def corrected(footage: Footage, case: Case, out: Path) -> None:
        run(footage, case, out)
        shown, truth = read_mot(out), footage.truth
        frames_of = [np.flatnonzero(shown.frame == number) for number in range(1, footage.length + 1)]
        people = np.full(len(shown.frame), -1)
        for number, here in enumerate(frames_of, 1):
            people[here] = true_people(truth, number, shown.xyxy[here])
        strangers = int(truth.id.max()) + 1  # tracks are numbered from here on
        followed = {}
        for track in np.unique(shown.id):
            known = people[(shown.id == track) & (people >= 0)]
            followed[track] = np.bincount(known).argmax() if len(known) else strangers + track
        with out.open("w", encoding="utf-8") as handle:
            for number, here in enumerate(frames_of, 1):
                ids = people[here]
                for row in np.flatnonzero(ids < 0):
                    track = shown.id[here[row]]
                    ids[row] = strangers + track if followed[track] in ids else followed[track]
                write_frame(handle, number, ids, shown.xyxy[here], shown.confidence[here])

    return corrected


def runners(arguments: argparse.Namespace) -> dict[tuple[str, str], Runner]:
    """Every row of the table by tracker and appearance."""
    models = {"our foreground": Model("bpbreid", part_model)}
    if arguments.osnet:
        models["OSNet x0.25"] = Model("osnet", lambda: osnet(arguments.osnet))

    def runner(peer: Peer, label: str | None, parts: bool = False) -> Runner:
        def run(footage: Footage, case: Case, out: Path) -> None:
            vectors = None
            if label is not None:
                vectors = footage.vectors(case, models[label], arguments.cache)
                if "features" in vectors and not parts:
                    vectors = {"vectors": vectors["features"][:, 0]}
            footage.track(peer, case, View(), vectors, out)

        return run

    rows: dict[tuple[str, str], Runner] = {("perfect association", ""): perfect}
    for peer in OURS:
        rows[peer.name, "parts"] = runner(peer, "our foreground", parts=True)
        rows[peer.name, "none"] = runner(peer, None)
        rows[f"{peer.name}, true identities", "parts"] = with_true_identities(rows[peer.name, "parts"])
    for peer in PEERS:
        if not peer.installed:
            print(f"left out: {peer.name} ({peer.package} is not installed)", file=sys.stderr)
            continue
        if not peer.needs_vectors:
            rows[peer.name, "none"] = runner(peer, None)
        if peer.takes_vectors:
            rows.update({(peer.name, label): runner(peer, label) for label in models})
    return {key: run for key, run in rows.items() if arguments.only in key[0]}


def measure(run: Runner, sequences: list[Footage], case: Case) -> dict[str, dict[str, Any]]:
    """Figures of one row in one case, by sequence and combined."""
    with tempfile.TemporaryDirectory() as place:
        truth, results = Path(place, "truth"), Path(place, "results")
        results.mkdir()
        for sequence in sequences:
            sequence.write_truth(case, View(), truth / sequence.name)
            run(sequence, case, results / f"{sequence.name}.txt")
        metrics = evaluate_folder(truth, results, sequences=[sequence.name for sequence in sequences])
    return {
        name: {key: values.as_dict()[key] for key in COLUMNS}
        for name, values in ({"COMBINED": metrics.combined} | metrics.sequences).items()
    }


def table(results: list[dict[str, Any]], case: str, sequence: str) -> str:
    """One case and sequence as a Markdown table, best HOTA first."""
    chosen = [row for row in results if row["case"] == case and row["sequence"] == sequence]
    lines = [f"### {case}, {sequence}", "", "| tracker | appearance | " + " | ".join(COLUMNS) + " |"]
    lines.append("|---|---|" + "---:|" * len(COLUMNS))
    for row in sorted(chosen, key=lambda row: -row["HOTA"]):
        cells = [f"{row[key]:.1f}" if key != "IDSW" else str(row[key]) for key in COLUMNS]
        lines.append(f"| {row['tracker']} | {row['appearance']} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What every benchmark on these sequences can be told."""
    parser.add_argument(
        "--data", type=Path, required=True, help="folder of MOTChallenge sequences with images"
    )
    parser.add_argument("--cache", type=Path, required=True, help="where embeddings are kept")
    parser.add_argument("--sequences", default=",".join(SEQUENCES), help="comma-separated names")
    parser.add_argument("--det", default="yolo11n.txt", help="detection file in each <sequence>/det/")
    parser.add_argument("--min-score", type=float, default=0.1, help="drop boxes below this score")
    parser.add_argument("--json", action="store_true", help="print one JSON object in place of tables")


def sequences_of(arguments: argparse.Namespace) -> list[Footage]:
    """The sequences that were asked for."""
    names = arguments.sequences.split(",")
    return [Footage(arguments.data / name, arguments.det, arguments.min_score) for name in names]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add_arguments(parser)
    parser.add_argument("--osnet", type=Path, help="weights of OSNet x0.25 for the peers")
    parser.add_argument("--only", default="", help="trackers whose name contains this")
    parser.add_argument("--csv", type=Path, help="write all figures to this file")
    arguments = parser.parse_args()
    logging.disable(logging.INFO)

    sequences = sequences_of(arguments)
    results: list[dict[str, Any]] = []
    for (tracker, appearance), run in runners(arguments).items():
        for case in CASES:
            for sequence, figures in measure(run, sequences, case).items():
                row = {"tracker": tracker, "appearance": appearance, "case": case.name, "sequence": sequence}
                results.append(row | figures)
        print(f"{tracker}, {appearance or '-'}: done", file=sys.stderr)

    packages = [*{peer.package for peer in PEERS}, "trackeval"]
    config = {"det": arguments.det, "min_score": arguments.min_score, "sequences": arguments.sequences}
    facts = circumstances(packages, seed=0, config=config | {peer.name: settings(peer) for peer in OURS})
    if arguments.csv:
        with arguments.csv.open("w", newline="", encoding="utf-8") as handle:
            writer = csv.DictWriter(handle, fieldnames=list(results[0]))
            writer.writeheader()
            writer.writerows(results)
    if arguments.json:
        print(json.dumps({"about": facts, "results": results}))
        return
    print(as_text(facts) + "\n")
    print(
        "\n\n".join(
            table(results, case.name, name)
            for case in CASES
            for name in ("COMBINED", *(sequence.name for sequence in sequences))
        )
    )


if __name__ == "__main__":
    main()
