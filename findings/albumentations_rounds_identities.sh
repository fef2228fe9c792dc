#!/usr/bin/env bash
# albumentations 2.0.8: numbers in the label_fields of BboxParams, here identities.
#
# Two people with the identities 20261130001 and 20261130002 (day and number, as a gallery counts them), and a flip,
# which is to change boxes and nothing else.
# Guessed: labels are handed through; what comes back is equal to what went in.
# Seen: labels that are numbers travel as one more column of the array of boxes, which is float32. From 2 to the power
# of 24 on that has not enough numbers: both people come back as 20261130240.0, so two become one, whom nobody knows,
# and 16777217 becomes 16777216. No error, no warning, and with small numbers all tests are green. The same identities
# as texts come back as they were.
#
# Prints them; exit code 1 if they are no longer those seen on 2026-11-30.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check albumentations==2.0.8 numpy==2.3.5 \
  opencv-python-headless==4.14.0.94
NO_ALBUMENTATIONS_UPDATE=1 "$folder/venv/bin/python" -W ignore - <<'PY'
import sys

import albumentations
import numpy as np

picture = np.zeros((100, 200, 3), np.uint8)
boxes = np.array([[10, 10, 30, 50], [50, 10, 70, 50]], np.float64)


def flipped(identities):
    """The identities that come back; a pipeline of its own for each call."""
    kind = albumentations.BboxParams(format="pascal_voc", label_fields=["identity"])
    pipeline = albumentations.Compose([albumentations.HorizontalFlip(p=1)], bbox_params=kind)
    return list(pipeline(image=picture, bboxes=boxes, identity=identities)["identity"])


wanted = [
    ([7, 12], [7, 12]),
    ([16777217, 16777220], [16777216, 16777220]),
    ([20261130001, 20261130002], [20261130240, 20261130240]),
    (["20261130001", "20261130002"], ["20261130001", "20261130002"]),
]
same = True
for before, after in wanted:
    seen = flipped(before)
    print(before, "->", seen)
    same = same and seen == after
print("albumentations", albumentations.__version__, "- as seen" if same else "- CHANGED")
sys.exit(not same)
PY
