#!/usr/bin/env bash
# OpenCV 4.14.0: several cv2.KalmanFilter, one per person, that begin with the same arrays.
#
# Two people, each with a filter of their own. Both begin at x = 10 with a speed of 1 and the same uncertainty, which is
# written down once as a template: kalman.statePost = start, kalman.errorCovPost = doubt.
# Guessed: a filter takes over the numbers of the array, as an assignment to a cv::Mat of its own suggests and as
# filterpy's goes on from them in new arrays; what one person's filter sees is no matter of the other's.
# Seen: the filter works in the memory of the array. When the first person's filter predicts and is corrected, the
# second one moves along, by a measurement that it never got, and loses doubt by it; the template is overwritten, so
# whoever comes later begins where others are. A row of detections that is handed over as a first state is overwritten
# the same way. What predict() and correct() give back is a copy. With start.copy() nothing of this happens.
#
# Prints the states; exit code 1 if they are no longer those seen on 2026-11-30.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check opencv-python-headless==4.14.0.94 numpy==2.3.5
"$folder/venv/bin/python" - <<'PY'
import sys

import cv2
import numpy as np


def begin(start, doubt):
    """A filter of position and speed."""
    kalman = cv2.KalmanFilter(2, 1)
    kalman.transitionMatrix = np.array([[1, 1], [0, 1]], np.float32)
    kalman.measurementMatrix = np.array([[1, 0]], np.float32)
    kalman.processNoiseCov = np.eye(2, dtype=np.float32) / 10
    kalman.statePost, kalman.errorCovPost = start, doubt
    return kalman


def second_person(copied):
    """Where the second one is, and its variance, while only the first one is seen; then the template."""
    start, doubt = np.array([[10], [1]], np.float32), np.eye(2, dtype=np.float32)
    give = np.copy if copied else np.asarray
    first, second = (begin(give(start), give(doubt)) for _ in range(2))
    before = second.statePost[0, 0], second.errorCovPost[0, 0]
    first.predict()
    first.correct(np.array([[50]], np.float32))
    after = second.statePost[0, 0], second.errorCovPost[0, 0]
    return [round(float(value), 2) for value in (*before, *after, start[0, 0])]


seen = {copied: second_person(copied) for copied in (False, True)}
for copied, (place, variance, place_after, variance_after, template) in seen.items():
    print("copied:" if copied else "one array:", f"the second person at {place:g}, variance {variance:g} ->", end=" ")
    print(f"{place_after:g}, {variance_after:g}; the template says {template:g}")
same = seen[True] == [10, 1, 10, 1, 10] and seen[False][:2] == [10, 1] and seen[False][2] == seen[False][4] > 35
same = same and seen[False][3] < 0.7
print("OpenCV", cv2.__version__, "- as seen" if same else "- CHANGED")
sys.exit(not same)
PY
