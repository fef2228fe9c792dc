#!/usr/bin/env bash
# TrackEval 1.3.0: LocA (of HOTA), "localisation accuracy", the mean overlap of matched boxes.
#
# One person in ten frames, and results in which each box overlaps the true one by the same IoU, from 1 down to 0.1.
# Guessed: LocA is that IoU, or where boxes are too far off to match, less; a result with worse boxes has less of it.
# Seen: 0.74 for an IoU of 0.5, 0.78 for 0.3 and 0.91 for 0.1, as much as for 0.9; 1 for a result that hits nothing.
# LocA is the mean over 19 thresholds of what has to overlap, and at a threshold at which no box matches it is 1, as if
# all were in place. HOTA itself and DetA count 0 there. So from a middling tracker on, worse boxes have a better LocA,
# and whoever compares two detectors by it takes the wrong one.
#
# Prints all; exit code 1 if that is no longer what was seen on 2026-11-30.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check trackeval==1.3.0 numpy==2.3.5
"$folder/venv/bin/python" -W ignore - <<'PY'
import sys

import numpy as np
from trackeval.metrics import HOTA

FRAMES = 10


def judged(overlap):
    """LocA and HOTA of one person whose boxes all overlap the true ones by ``overlap``."""
    people = [np.array([0])] * FRAMES
    data = {"num_timesteps": FRAMES, "gt_ids": people, "tracker_ids": people, "num_gt_ids": 1, "num_tracker_ids": 1}
    data |= {"num_gt_dets": FRAMES, "num_tracker_dets": FRAMES}
    data["similarity_scores"] = [np.array([[overlap]])] * FRAMES
    found = HOTA().eval_sequence(data)
    return round(float(found["LocA"].mean()), 2), round(float(found["HOTA"].mean()), 2)


seen = {overlap: judged(overlap) for overlap in (1.0, 0.9, 0.7, 0.5, 0.3, 0.1, 0.0)}
for overlap, (located, hota) in seen.items():
    print(f"IoU {overlap}: LocA {located}, HOTA {hota}")
same = [located for located, _ in seen.values()] == [1, 0.91, 0.78, 0.74, 0.78, 0.91, 1]
same = same and [hota for _, hota in seen.values()] == [1, 0.95, 0.74, 0.53, 0.32, 0.11, 0]
print("TrackEval 1.3.0", "- as seen" if same else "- CHANGED")
sys.exit(not same)
PY
