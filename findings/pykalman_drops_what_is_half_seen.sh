#!/usr/bin/env bash
# pykalman 0.11.2: measurements of which one coordinate is missing, as masked arrays, its way to say so.
#
# A box has a left edge, 10, 12, 14 ..., and a lower edge, which is hidden from the third frame on (behind a car, below
# the picture) and masked there. The two have nothing to do with each other.
# Guessed: the hidden coordinate is predicted, the visible one goes on to correct the filter, as a mask for each
# coordinate of each frame suggests; filters for partly missing data (statsmodels) do so.
# Seen: one masked coordinate makes the whole measurement count as missing, as a line of the docstring admits. The left
# edge stays on its old course, though it is measured in each frame: somebody who turns round is carried on the other
# way, and smooth() does not bring them back. The same left edges in a filter of their own are followed.
#
# Prints the left edges; exit code 1 if that is no longer what was seen on 2026-11-30.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check pykalman==0.11.2 numpy==2.3.5 scipy==1.17.1
"$folder/venv/bin/python" -W ignore - <<'PY'
import sys

import numpy as np
import pykalman

LEFT = np.array([10, 12, 14, 16, 14, 12, 10, 8, 6, 4.0])
lower = np.ma.masked_array(np.full(10, 200.0), np.arange(10) >= 2)


def filter_of(coordinates):
    """Position and speed of each coordinate, apart from each other."""
    every = np.eye(coordinates)
    return pykalman.KalmanFilter(
        transition_matrices=np.kron(every, [[1, 1], [0, 1]]),
        observation_matrices=np.kron(every, [[1, 0]]),
        transition_covariance=np.eye(2 * coordinates) / 10,
        observation_covariance=every / 10,
        initial_state_mean=[10, 0, 200, 0][: 2 * coordinates],
        initial_state_covariance=np.eye(2 * coordinates),
    )


both = np.ma.stack([np.ma.masked_array(LEFT), lower], axis=1)
seen = {
    "alone": filter_of(1).smooth(LEFT[:, None])[0][:, 0],
    "with the lower edge": filter_of(2).smooth(both)[0][:, 0],
}
print("measured:", *LEFT.round().astype(int))
for name, lefts in seen.items():
    print(f"{name}:", *np.round(lefts).astype(int))
same = np.abs(seen["alone"] - LEFT).max() < 2 and (np.diff(seen["with the lower edge"]) > 0).all()
same = same and seen["with the lower edge"][-1] > 15
print("pykalman", pykalman.__version__, "- as seen" if same else "- CHANGED")
sys.exit(not same)
PY
