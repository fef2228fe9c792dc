#!/usr/bin/env bash
# lap 0.5.13: lapjv(cost, extend_cost=True, cost_limit=0.5), by which trackers of the ByteTrack family pair tracks
# with boxes, and the scipy that they fall back on.
#
# Two tracks, two boxes, costs (1 - IoU) of 0.1 and 0.4 for the first track, 0.4 and 0.9 for the second.
# Guessed: cost_limit forbids the pair of 0.9 and nothing else. Both tracks can be paired at 0.4 each, so both are.
# Seen: the first track takes its box at 0.1, the second track and the second box stay alone. The limit is also the
# price of a pair that is not made: one pair and one left out cost 0.1 + 0.5, two pairs 0.8. From a limit above 0.7
# on, both are paired: a wider limit takes from the first track the nearest box, which it had before. It is no filter:
# scipy 1.17.1 pairs both whatever the limit by which its pairs are sifted afterwards (0.5 or 0.8), and each of the
# two ways makes other identities of the same frame.
#
# Prints the pairs; exit code 1 if they are no longer those seen on 2026-11-30.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check lap==0.5.13 scipy==1.17.1 numpy==2.3.5
"$folder/venv/bin/python" - <<'PY'
import sys

import lap
import numpy as np
from scipy.optimize import linear_sum_assignment

cost = np.array([[0.1, 0.4], [0.4, 0.9]])


def by_lap(limit):
    _, columns, _ = lap.lapjv(cost, extend_cost=True, cost_limit=limit)
    return [(row, int(column)) for row, column in enumerate(columns) if column >= 0]


def by_scipy(limit):
    pairs = zip(*map(np.ndarray.tolist, linear_sum_assignment(cost)), strict=True)
    return [pair for pair in pairs if cost[pair] <= limit]


seen = {limit: (by_lap(limit), by_scipy(limit)) for limit in (0.5, 0.8)}
for limit, (one, other) in seen.items():
    print(f"limit {limit}: lap {one}, scipy and a filter {other}")
nearest, both = [(0, 0)], [(0, 1), (1, 0)]
same = seen == {0.5: (nearest, both), 0.8: (both, both)}
print("lap", lap.__version__, "- as seen" if same else "- CHANGED")
sys.exit(not same)
PY
