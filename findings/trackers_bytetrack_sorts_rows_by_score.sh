#!/usr/bin/env bash
# trackers 2.6.1 (Roboflow): the rows that ByteTrackTracker.update and SORTTracker.update give back.
#
# Three people, found in the same order in each frame, the first of them with a score of 0.4.
# Guessed: row k of what comes back is row k of what went in, with an identity: as many rows come back as went in, and
# SORTTracker keeps them in place.
# Seen: ByteTrackTracker gives back people of high score first, whatever their row: 2, 3, 1. What lies in the Detections
# moves along; embeddings, masks, crops or poses that are kept beside them in an array belong to somebody else from
# then on, and only in frames in which somebody scores low, so a test with good boxes does not show it.
#
# Prints the rows; exit code 1 if they are no longer those seen on 2026-11-30.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check trackers==2.6.1 supervision==0.31.2 numpy==2.3.5
"$folder/venv/bin/python" -W ignore - <<'PY'
import sys

import numpy as np
import supervision as sv
from trackers import ByteTrackTracker, SORTTracker

LEFT = np.array([10.0, 110.0, 210.0])
boxes = np.stack([LEFT, np.full(3, 10.0), LEFT + 30, np.full(3, 90.0)], axis=1)
seen = {}
for kind in (SORTTracker, ByteTrackTracker):
    for scores in ((0.9, 0.9, 0.9), (0.4, 0.9, 0.9)):
        tracker = kind()
        for frame in range(6):
            now = scores if frame == 5 else (0.9, 0.9, 0.9)
            found = sv.Detections(boxes.copy(), confidence=np.array(now), class_id=np.zeros(3, int))
            tracked = tracker.update(found)
        rows = [int(np.flatnonzero(left == LEFT)[0]) + 1 for left in tracked.xyxy[:, 0]]
        seen[kind.__name__, scores[0]] = rows, tracked.tracker_id.tolist()
        print(f"{kind.__name__}, first score {scores[0]}: rows {rows}, identities {tracked.tracker_id.tolist()}")
kept = ([1, 2, 3], [0, 1, 2])
wanted = {("SORTTracker", 0.9): kept, ("SORTTracker", 0.4): kept, ("ByteTrackTracker", 0.9): kept}
same = seen == wanted | {("ByteTrackTracker", 0.4): ([2, 3, 1], [1, 2, 0])}
print("trackers 2.6.1", "- as seen" if same else "- CHANGED")
sys.exit(not same)
PY
