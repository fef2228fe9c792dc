#!/usr/bin/env bash
# filterpy 1.4.5: IMMEstimator, and log_likelihood of KalmanFilter, when there is no measurement: update(None).
#
# Somebody moves about, followed by two filters: one for people who walk straight on, one for people who turn. After
# eight frames they are hidden for twelve. The two motions change with a probability of 0.05 each frame.
# Guessed: a frame without a measurement says nothing. The probabilities of the two motions change only as the matrix of
# transitions says: 0.92 for turning sinks towards 0.5 and is 0.62 at the end. The documentation of update() has None
# for "no measurement".
# Seen: it is 0.11 at the end. update(None) sets the residual to 0 and keeps the covariance of the last one, and that is
# taken for a measurement that fits perfectly, which speaks each time for the filter that is more sure of itself. The
# longer people are hidden, the surer it is that they walk straight on, and their box with it. The log_likelihood of
# one filter is higher after a miss than after any measurement, so tracks that are rated by it are best unseen.
#
# Prints both; exit code 1 if that is no longer what was seen on 2026-11-30.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check filterpy==1.4.5 numpy==2.3.5 scipy==1.17.1
"$folder/venv/bin/python" -W ignore - <<'PY'
import sys

import filterpy
import numpy as np
from filterpy.kalman import IMMEstimator, KalmanFilter

STEPS = np.array([[0.95, 0.05], [0.05, 0.95]])
PLACES = np.array([1.4, 2.0, 4.9, 6.3, 5.7, 7.8, 12.7, 16.5])
HIDDEN = 12


def motion(change):
    """A filter of place and speed; ``change`` is the variance by which both change in a frame."""
    kalman = KalmanFilter(dim_x=2, dim_z=1)
    kalman.x, kalman.F, kalman.H = np.array([[0.0], [1.0]]), np.array([[1.0, 1], [0, 1]]), np.array([[1.0, 0]])
    kalman.P, kalman.R, kalman.Q = np.eye(2), np.eye(1), np.eye(2) * change
    return kalman


both = IMMEstimator([motion(0.01), motion(1.0)], np.array([0.5, 0.5]), STEPS)
for place in PLACES:
    both.predict()
    both.update(np.array([[place]]))
last_seen = both.mu.copy()
for _ in range(HIDDEN):
    both.predict()
    both.update(None)
turning = [float(mu[1]) for mu in (last_seen, last_seen @ np.linalg.matrix_power(STEPS, HIDDEN), both.mu)]
print("turning: {:.2f} when last seen; hidden, {:.2f} by the matrix, {:.2f} by filterpy".format(*turning))

alone, likelihoods = motion(0.01), []
for place in (*PLACES, None):
    alone.predict()
    alone.update(None if place is None else np.array([[place]]))
    likelihoods.append(round(float(alone.log_likelihood), 2))
print("log likelihood of one filter: seen", *likelihoods[:-1], "- not seen", likelihoods[-1])
same = turning[0] > 0.8 and turning[1] > 0.55 and turning[2] < 0.2 and likelihoods[-1] >= max(likelihoods[3:-1])
print("filterpy", filterpy.__version__, "- as seen" if same else "- CHANGED")
sys.exit(not same)
PY
