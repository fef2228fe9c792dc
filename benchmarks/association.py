"""Milliseconds a frame that association alone takes, ours and the peers' on one core.

    python benchmarks/association.py [--people 20,60,200] [--json]

All run in one process on the same seeded crowd, once with boxes alone and once with appearance: six 256-d
parts a box for us, the 256-d foreground vector for those peers that take one vector. A figure is the median
over all frames after the first 30, conversion to the tracker's own input included; of several rounds the best
counts. Processor time of all threads is counted: on one core, the time it takes when nothing else runs.
"""

from __future__ import annotations

import os

# Before numpy and torch are imported, which read these once.
for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMEXPR_NUM_THREADS"):
    os.environ[_name] = "1"

import argparse  # noqa: E402
import gc  # noqa: E402
import json  # noqa: E402
import logging  # noqa: E402
import statistics  # noqa: E402
import sys  # noqa: E402
import time  # noqa: E402
from pathlib import Path  # noqa: E402
from typing import Any  # noqa: E402

sys.path[:0] = [str(Path(__file__).resolve().parent.parent)]

from crowd import DIM, PARTS, Frame, crowd  # noqa: E402
from peers import OURS, PEERS, Peer, settings  # noqa: E402
from report import as_text, circumstances  # noqa: E402

WARM_UP = 30


def milliseconds(peer: Peer, stream: list[Frame], vectors: bool) -> tuple[float, int]:
    """Median time of a frame in ms, and the identities given out."""
    step = peer.build(30.0, vectors)
    whole = peer in OURS
    times, identities = [], set()
    gc.collect()
    for frame in stream:
        appearance = None
        if vectors:
            appearance = frame.features if whole else frame.features[:, 0].copy()
        begin = time.process_time()
        ids, _, _ = step(
            frame.xyxy, frame.scores, appearance, frame.visibility if whole and vectors else None
        )
        times.append(1e3 * (time.process_time() - begin))
        identities.update(ids.tolist())
    return statistics.median(times[WARM_UP:]), len(identities)


def measure(
    people: list[int], frames: int, seed: int, rounds: int, trackers: list[Peer]
) -> list[dict[str, Any]]:
    rows = []
    for count in people:
        stream = list(crowd(count, frames, seed))
        boxes = statistics.median(len(frame.person) for frame in stream)
        for vectors in (False, True):
            chosen = [
                peer for peer in trackers if (peer.takes_vectors if vectors else not peer.needs_vectors)
            ]
            # Round by round rather than tracker by tracker: a busy moment of the machine hits all alike.
            runs = [[milliseconds(peer, stream, vectors) for peer in chosen] for _ in range(rounds)]
            best = {peer.name: min(run[index] for run in runs) for index, peer in enumerate(chosen)}
            ours = next((best[peer.name][0] for peer in OURS if peer.name in best), None)
            for peer in chosen:
                taken, identities = best[peer.name]
                rows.append(
                    {
                        "tracker": peer.name,
                        "people": count,
                        "boxes_per_frame": boxes,
                        "appearance": vectors,
                        "ms_per_frame": taken,
                        "times_ours": taken / ours if ours else None,
                        "identities": identities,
                    }
                )
            print(f"{count} people, {'appearance' if vectors else 'boxes alone'}: done", file=sys.stderr)
    return rows


def table(rows: list[dict[str, Any]], people: list[int], vectors: bool) -> str:
    title = f"{PARTS} x {DIM} appearance (peers: 1 x {DIM})" if vectors else "boxes alone"
    heads = [f"{count} people | x ours | ids" for count in people]
    lines = [
        f"### {title}",
        "",
        "| tracker | " + " | ".join(heads) + " |",
        "|---|" + "---:|" * 3 * len(people),
    ]
    chosen = [row for row in rows if row["appearance"] == vectors]
    for name in dict.fromkeys(row["tracker"] for row in chosen):
        cells = []
        for row in (row for row in chosen if row["tracker"] == name):
            ratio = "" if row["times_ours"] is None else f"{row['times_ours']:.2f}"
            cells.append(f"{row['ms_per_frame']:.2f} ms | {ratio} | {row['identities']}")
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--people", default="20,60,200", help="sizes of the crowd (20,60,200)")
    parser.add_argument("--frames", type=int, default=200, help=f"frames, {WARM_UP} of them to warm up (200)")
    parser.add_argument("--rounds", type=int, default=3, help="rounds, the best of which counts (3)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", help="trackers whose name contains this, beside ours")
    parser.add_argument("--json", action="store_true", help="print one JSON object in place of tables")
    arguments = parser.parse_args()
    if arguments.frames <= WARM_UP:
        parser.error(f"--frames must be above {WARM_UP}")
    people = [int(count) for count in arguments.people.split(",")]

    import cv2
    import torch

    logging.disable(logging.INFO)
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})

    trackers = [*OURS, *(p for p in PEERS if not arguments.only or arguments.only in p.name)]
    for peer in trackers:
        if not peer.installed:
            print(f"left out: {peer.name} ({peer.package} is not installed)", file=sys.stderr)
    trackers = [peer for peer in trackers if peer.installed]
    rows = measure(people, arguments.frames, arguments.seed, arguments.rounds, trackers)

    config: dict[str, Any] = {"frames": arguments.frames, "rounds": arguments.rounds, "threads": 1}
    config |= {peer.name: settings(peer) for peer in trackers}
    facts = circumstances(
        {peer.package for peer in trackers if peer not in OURS}, seed=arguments.seed, config=config
    )
    if arguments.json:
        print(json.dumps({"about": facts, "results": rows}))
        return
    boxes = ", ".join(
        f"{count}: {next(r['boxes_per_frame'] for r in rows if r['people'] == count):g}" for count in people
    )
    print(f"{as_text(facts)}\nboxes     median a frame, by people: {boxes}\n")
    print("\n\n".join(table(rows, people, vectors) for vectors in (False, True)))


if __name__ == "__main__":
    main()
