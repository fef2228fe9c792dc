#!/usr/bin/env bash
# kornia 0.9.0: boxes that are augmented together with their picture, as corners (bbox_xyxy) and as corner and size
# (bbox_xywh).
#
# A picture of 200 x 100 with a white box in the columns 20 to 59 and the rows 10 to 49: corners (20, 10) and (60, 50),
# size 40 x 40; and one box that is the picture, (0, 0) and (200, 100). They are flipped from left to right, and halved.
# Guessed: both ways to write the box agree with each other and with the white pixels afterwards.
# Seen: corner and size do after the flip: 140 to 180. The corners say 139 to 179, and the box that is the picture
# -1 to 199: they are mirrored as if 60 were a column of the box and not the one behind it. Halved, neither is 10 to 30:
# the corners are 9.95 and 29.85, corner and size reach from 9.95 to 30.35. Of a training set of which half is flipped,
# half the boxes are a pixel too far left, without an error or a warning.
#
# Prints the boxes; exit code 1 if they are no longer those seen on 2026-11-30.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check kornia==0.9.0 torch==2.13.0 numpy==2.3.5
"$folder/venv/bin/python" -W ignore - <<'PY'
import sys

import kornia
import torch
from kornia.augmentation import AugmentationSequential, RandomHorizontalFlip, Resize

picture = torch.zeros(1, 3, 100, 200)
picture[:, :, 10:50, 20:60] = 1
BOXES = {
    "bbox_xyxy": torch.tensor([[[20.0, 10, 60, 50], [0, 0, 200, 100]]]),
    "bbox_xywh": torch.tensor([[[20.0, 10, 40, 40], [0, 0, 200, 100]]]),
}


def columns(step, form):
    """Left and right of the white pixels, of their box and of the box that was the picture."""
    changed, boxes = AugmentationSequential(step, data_keys=["input", form])(picture, BOXES[form])
    white = (changed[0, 0, 20] > 0.5).nonzero()
    found = [(white.min().item(), white.max().item() + 1)]
    for left, _, other, _ in boxes[0].tolist():
        found.append((round(left, 2), round(other if form == "bbox_xyxy" else left + other, 2)))
    return found


seen = {}
for name, step in (("flipped", RandomHorizontalFlip(p=1.0)), ("halved", Resize((50, 100)))):
    for form in BOXES:
        seen[name, form] = columns(step, form)
        print(f"{name}, {form}: white {seen[name, form][0]}, box {seen[name, form][1]}, all {seen[name, form][2]}")
same = seen["flipped", "bbox_xywh"] == [(140, 180), (140, 180), (0, 200)]
same = same and seen["flipped", "bbox_xyxy"] == [(140, 180), (139, 179), (-1, 199)]
same = same and seen["halved", "bbox_xyxy"][:2] == [(10, 30), (9.95, 29.85)]
same = same and seen["halved", "bbox_xywh"][:2] == [(10, 30), (9.95, 30.35)]
print("kornia", kornia.__version__, "- as seen" if same else "- CHANGED")
sys.exit(not same)
PY
