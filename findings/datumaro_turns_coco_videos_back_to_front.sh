#!/usr/bin/env bash
# datumaro 1.13.12: a video annotated in COCO (coco_instances) and converted to MOT (mot_seq_gt).
#
# Four images, 1 to 4 in the file, named frame_000001.jpg and so on; somebody walks to the right.
# Guessed: frame 1 of gt.txt is the first image, whatever the images are called: their order, ids and names agree.
# Seen: items are handed out last image first, and MOT numbers items in the order in which they come unless their
# whole name is a number. The person walks to the left, from the last image to the first: gt.txt runs backwards
# against the video, which an evaluation shows as a bad tracker, not as an error. With the names 000001.jpg ...
# the numbers are right.
#
# Prints the left edge of each frame; exit code 1 if that is no longer what was seen on 2026-11-30.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check datumaro==1.13.12
"$folder/venv/bin/python" - "$folder" 2>/dev/null <<'PY'
import json
import sys
from pathlib import Path

from datumaro.components.dataset import Dataset
from PIL import Image

ROOM = Path(sys.argv[1])


def left_edges(name, room):
    """Frame number in gt.txt -> left edge, of images called by ``name``."""
    pictures = room / "images" / "train"
    pictures.mkdir(parents=True)
    (room / "annotations").mkdir()
    images, boxes = [], []
    for number in (1, 2, 3, 4):
        file = name.format(number)
        Image.new("RGB", (300, 100)).save(pictures / file)
        images.append({"id": number, "width": 300, "height": 100, "file_name": file})
        box = {"id": number, "image_id": number, "category_id": 1, "bbox": [10 * number, 10, 20, 40], "area": 800}
        boxes.append(box | {"iscrowd": 0, "segmentation": [], "attributes": {"track_id": 1}})
    content = {"info": {}, "licenses": [], "categories": [{"id": 1, "name": "person", "supercategory": ""}]}
    content |= {"images": images, "annotations": boxes}
    (room / "annotations" / "instances_train.json").write_text(json.dumps(content))
    mot = room / "mot"
    Dataset.import_from(str(room), "coco_instances").export(str(mot), "mot_seq_gt", save_media=True)
    rows = [line.split(",") for line in (mot / "gt" / "gt.txt").read_text().split()]
    return {int(frame): float(left) for frame, _, left, *_ in rows}


named = left_edges("frame_{:06d}.jpg", ROOM / "named")
numbered = left_edges("{:06d}.jpg", ROOM / "numbered")
for frame in (1, 2, 3, 4):
    print(f"frame {frame}: left {named[frame]:.0f} of frame_{frame:06d}.jpg, {numbered[frame]:.0f} of {frame:06d}.jpg")
same = named == {1: 40, 2: 30, 3: 20, 4: 10} and numbered == {1: 10, 2: 20, 3: 30, 4: 40}
print("datumaro 1.13.12", "- as seen" if same else "- CHANGED")
sys.exit(not same)
PY
