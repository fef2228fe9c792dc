#!/usr/bin/env bash
# trackers 2.6.1 (Roboflow): evaluate_mot_sequence with a ground truth whose class is -1, "not given", as in
# SoccerNet-Tracking and in 2D files of MOT15 (frame, identity, box, 1, -1, -1, -1).
#
# One person in ten frames, and a result that has the very same boxes.
# Guessed: MOTA, HOTA and IDF1 are 1, whatever stands in a column that says nothing: TrackEval, whose numbers are to be
# matched, counts everybody where a benchmark has no classes.
# Seen: 1 if the class is 1, and also if there is no such column. With -1 nobody of the truth is a pedestrian: there is
# no one to miss, all boxes of the result are false, and MOTA, HOTA and IDF1 are 0. No error, no warning; a perfect
# tracker and one that finds nothing have the same score, and a search for good settings goes for fewer boxes.
#
# Prints the scores; exit code 1 if they are no longer those seen on 2026-11-30.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check trackers==2.6.1 supervision==0.31.2 numpy==2.3.5
"$folder/venv/bin/python" -W ignore - "$folder" <<'PY'
import sys
from pathlib import Path

from trackers.eval import evaluate_mot_sequence

room = Path(sys.argv[1])
ENDINGS = {
    "class 1": ",1,1,1.0",
    "without a class": ",1",
    "class -1": ",1,-1,-1,-1",
}


def write(name, ending):
    """Somebody who walks to the right."""
    rows = (f"{frame},1,{10 * frame},10,20,40{ending}\n" for frame in range(1, 11))
    (room / name).write_text("".join(rows))
    return room / name


result = write("result.txt", ",0.9,-1,-1,-1")
seen = {}
for name, ending in ENDINGS.items():
    scores = evaluate_mot_sequence(write("truth.txt", ending), result, metrics=["CLEAR", "HOTA", "Identity"])
    counts = scores.CLEAR.CLR_TP, scores.CLEAR.CLR_FN, scores.CLEAR.CLR_FP
    seen[name] = (scores.CLEAR.MOTA, scores.HOTA.HOTA, scores.Identity.IDF1, *counts)
    print(f"{name}: MOTA {seen[name][0]:g}, HOTA {seen[name][1]:g}, IDF1 {seen[name][2]:g};", end=" ")
    print("found {}, missed {}, false {}".format(*counts))
perfect = (1, 1, 1, 10, 0, 0)
same = seen == {"class 1": perfect, "without a class": perfect, "class -1": (0, 0, 0, 0, 0, 10)}
print("trackers 2.6.1", "- as seen" if same else "- CHANGED")
sys.exit(not same)
PY
