#!/usr/bin/env bash
# lapx 0.11.1: lapjvs and lapjvsa beside lapjvx and scipy 1.17.1, of the same float64 costs.
#
# 200 frames of eight tracks and eight boxes, costs between 0 and 1. Pairs that are not allowed get a large cost, as
# trackers do: a few in each row, and all of the first row, whose person has left.
# Guessed: all four make the same pairs, or pairs of the same cost: each is said to be exact, and what they take and
# give back is float64.
# Seen: with 100 for a forbidden pair they do. With 1e6 lapjvs is worse in some frames, with 1e8 in more than half: the
# seven who are allowed are paired as if their costs were equal, without an error, and the cost that comes back is that
# of the worse pairs. It computes in float32 unless told otherwise (prefer_float32=False is right), and one cost that
# has to be paid takes all digits from the others. If everybody has somebody, all is well at 1e8, so a test of
# a good frame is green.
#
# Prints in how many frames they are worse; exit code 1 if that is no longer what was seen on 2026-11-30.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check lapx==0.11.1 scipy==1.17.1 numpy==2.3.5
"$folder/venv/bin/python" -W ignore - <<'PY'
import sys

import lap
import numpy as np
from scipy.optimize import linear_sum_assignment

FRAMES, MANY = 200, 8
SOLVERS = {
    "lapjvx": lambda cost: lap.lapjvx(cost)[1:],
    "lapjvs": lambda cost: lap.lapjvs(cost)[1:],
    "lapjvsa": lambda cost: lap.lapjvsa(cost)[1].T,
    "lapjvs in float64": lambda cost: lap.lapjvs(cost, prefer_float32=False)[1:],
}


def worse(forbidden, one_has_left):
    """In how many frames the pairs of each solver cost more than those of scipy."""
    random, count = np.random.default_rng(0), dict.fromkeys(SOLVERS, 0)
    for _ in range(FRAMES):
        cost = random.random((MANY, MANY))
        cost[random.random((MANY, MANY)) < 0.3] = forbidden
        cost[np.arange(MANY), random.permutation(MANY)] = random.random(MANY)
        if one_has_left:
            cost[0] = forbidden
        best = cost[linear_sum_assignment(cost)].sum()
        for name, solve in SOLVERS.items():
            rows, columns = solve(cost)
            count[name] += int(cost[rows, columns].sum() - best > 1e-4)
    return count


seen = {}
for forbidden, one_has_left in ((100, True), (1e6, True), (1e8, True), (1e8, False)):
    seen[forbidden, one_has_left] = worse(forbidden, one_has_left)
    who = "one has left" if one_has_left else "all are there"
    print(f"forbidden {forbidden:g}, {who}: worse in so many of {FRAMES} frames:", seen[forbidden, one_has_left])
exact = ("lapjvx", "lapjvs in float64")
same = all(count[name] == 0 for count in seen.values() for name in exact)
for name in ("lapjvs", "lapjvsa"):
    same = same and seen[100, True][name] == seen[1e8, False][name] == 0
    same = same and seen[1e6, True][name] > 0 and seen[1e8, True][name] > FRAMES / 2
print("lapx", lap.__version__, "- as seen" if same else "- CHANGED")
sys.exit(not same)
PY
