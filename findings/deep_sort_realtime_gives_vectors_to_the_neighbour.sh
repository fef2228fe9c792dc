#!/usr/bin/env bash
# deep-sort-realtime 1.3.2: update_tracks(boxes, embeds=vectors) when one box has no width.
#
# Three people stand close together, each with a vector of their own, for five frames. In the sixth the detector finds
# them again in the same places, and first a box of width 0, as rounding and clipping to the picture make them.
# Guessed: such a box is left out, with its vector, and everybody stays who they are.
# Seen: the box is left out before the two lists are joined row by row, its vector is not. Everybody gets the vector of
# the row before, and all three identities move on by one person, although nobody moved. `others` and
# `instance_masks` are joined the same way.
#
# Prints who is where; exit code 1 if that is no longer what was seen on 2026-11-30.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check deep-sort-realtime==1.3.2 numpy==2.2.6 \
  "setuptools<81"
"$folder/venv/bin/python" -W ignore - <<'PY'
import sys

import numpy as np
from deep_sort_realtime.deepsort_tracker import DeepSort

people = [[left, 10, 50, 120] for left in (100, 110, 120)]
vectors = list(np.eye(4))


def left_edges(tracker, boxes, embeds):
    """Identity -> left edge of the box that it got in this frame."""
    tracks = tracker.update_tracks([(box, 0.9, "person") for box in boxes], embeds=embeds)
    return {
        track.track_id: float(track.to_ltwh(orig=True)[0])
        for track in tracks
        if track.is_confirmed() and not track.time_since_update
    }


seen = []
for extra in ([], [[0, 10, 0, 40]]):
    tracker = DeepSort(embedder=None, n_init=1)
    for _ in range(5):
        before = left_edges(tracker, people, vectors[:3])
    after = left_edges(tracker, extra + people, [vectors[3]] * len(extra) + vectors[:3])
    seen.append((before, after))
    print("with" if extra else "without", "an empty box:", before, "->", after)
alike = {"1": 100, "2": 110, "3": 120}
same = seen == [(alike, alike), (alike, {"1": 110, "2": 120, "3": 100})]
print("deep-sort-realtime 1.3.2", "- as seen" if same else "- CHANGED")
sys.exit(not same)
PY
