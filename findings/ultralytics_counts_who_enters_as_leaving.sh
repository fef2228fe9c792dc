#!/usr/bin/env bash
# ultralytics 8.4.190, solutions.ObjectCounter: in_count and out_count, "objects entering the region" and "objects
# exiting the region".
#
# Four people walk into a square region, from the left, the right, above and below, and out again the way they came.
# Somebody crosses a line to the right, comes back and crosses it again.
# Guessed: four in, then four out, so that in less out is how many are inside; for the line two in and one out.
# Seen: 2 in and 2 out when all four are inside, and the same when all have left. In and out say whether somebody moves
# down or up (right or left where a region is higher than wide) on the first frame inside: who enters from below has
# left, and who comes from the side is in or out by a pixel of height. Each identity is counted once, so nobody who was
# counted coming is counted leaving: the line has 1 in, 0 out. supervision's LineZone counts each crossing.
#
# Prints the counts; exit code 1 if they are no longer those seen on 2026-11-30.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check ultralytics==8.4.190 torch==2.13.0 \
  torchvision==0.28.0 shapely==2.2.0 numpy==2.3.5
cd "$folder"
YOLO_CONFIG_DIR="$folder" YOLO_OFFLINE=true YOLO_VERBOSE=false venv/bin/python -W ignore - 2>/dev/null <<'PY'
import sys

import ultralytics
from ultralytics.solutions import ObjectCounter

SQUARE = [(100, 100), (200, 100), (200, 200), (100, 200)]
LINE = [(150, 0), (150, 300)]
OUTSIDE = {"left": (80, 155), "right": (220, 150), "above": (150, 80), "below": (155, 220)}


def walk(counter, paths):
    """Counts after ``paths``, a list of places for each person, the same number of frames for all."""
    for number, path in enumerate(paths):
        for before, now in zip(path, path[1:], strict=False):
            counter.count_objects(now, number, before, 0)
    return counter.in_count, counter.out_count


def counter_of(region):
    # The network only names the classes here: no weights are needed for centres that are known.
    counter = ObjectCounter(region=region, model="yolo11n.yaml", show=False)
    counter.initialize_region()
    return counter


inside = (150, 151)
seen = {
    "four walk in": walk(counter_of(SQUARE), [[place, inside] for place in OUTSIDE.values()]),
    "and out again": walk(counter_of(SQUARE), [[place, inside, place] for place in OUTSIDE.values()]),
    "over the line, back, and over it": walk(counter_of(LINE), [[(100, 150), (200, 150), (100, 150), (200, 150)]]),
}
for name, (entered, left) in seen.items():
    print(f"{name}: {entered} in, {left} out")
for name, place in OUTSIDE.items():
    entered, left = walk(counter_of(SQUARE), [[place, inside]])
    print(f"in from {name}: {entered} in, {left} out")
same = list(seen.values()) == [(2, 2), (2, 2), (1, 0)]
print("ultralytics", ultralytics.__version__, "- as seen" if same else "- CHANGED")
sys.exit(not same)
PY
