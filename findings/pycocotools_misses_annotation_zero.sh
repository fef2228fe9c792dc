#!/usr/bin/env bash
# pycocotools 2.0.11 and faster-coco-eval 1.8.0: AP of a ground truth whose annotations are numbered from 0.
#
# Four images with one person each, and a result that has the very same boxes.
# Guessed: AP is 1, however annotations are numbered; COCO asks only that an id is a number of its own.
# Seen: 1 if the ids are 1 to 4, 0.56 if they are 0 to 3. Which annotation a box was matched with is kept by its id, and
# 0 stands for none: the box that found annotation 0 counts as false. No error, no warning. Of many boxes it is one, so
# it shows as a small loss that is always there, the more the fewer the annotations are; a small test set suffers most.
# faster-coco-eval, made to give the same numbers in less time, gives these too.
#
# Prints AP and AR of both; exit code 1 if that is no longer what was seen on 2026-11-30.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check pycocotools==2.0.11 faster-coco-eval==1.8.0 \
  numpy==2.3.5
"$folder/venv/bin/python" -W ignore - <<'PY'
import contextlib
import io
import json
import sys
import tempfile
from pathlib import Path

import faster_coco_eval
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

IMAGES = range(1, 5)
BOX = {"category_id": 1, "bbox": [10, 10, 20, 40]}
LIBRARIES = {
    "pycocotools": (COCO, COCOeval),
    "faster-coco-eval": (faster_coco_eval.COCO, faster_coco_eval.COCOeval_faster),
}


def truth(first):
    """A file with one person in each image, whose annotations are numbered from ``first`` on."""
    people = [{"id": first + k, "image_id": image, "area": 800, "iscrowd": 0} | BOX for k, image in enumerate(IMAGES)]
    content = {"info": {}, "categories": [{"id": 1, "name": "person"}], "annotations": people}
    content["images"] = [{"id": image, "width": 100, "height": 100} for image in IMAGES]
    path = Path(tempfile.mkdtemp(dir=FOLDER)) / "truth.json"
    path.write_text(json.dumps(content))
    return str(path)


def judged(library, first):
    """AP and AR of a result that equals the truth."""
    reader, judge = LIBRARIES[library]
    with contextlib.redirect_stdout(io.StringIO()):
        gt = reader(truth(first))
        result = gt.loadRes([{"image_id": image, "score": 0.9} | BOX for image in IMAGES])
        evaluation = judge(gt, result, "bbox")
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    return round(float(evaluation.stats[0]), 2), round(float(evaluation.stats[8]), 2)


with tempfile.TemporaryDirectory() as FOLDER:
    seen = {(library, first): judged(library, first) for library in LIBRARIES for first in (1, 0)}
for (library, first), (ap, ar) in seen.items():
    print(f"{library}, annotations {first} to {first + 3}: AP {ap}, AR {ar}")
same = all(seen[library, 1] == (1, 1) and seen[library, 0] == (0.56, 0.75) for library in LIBRARIES)
print("pycocotools 2.0.11, faster-coco-eval 1.8.0", "- as seen" if same else "- CHANGED")
sys.exit(not same)
PY
