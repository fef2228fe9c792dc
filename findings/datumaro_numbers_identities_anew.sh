#!/usr/bin/env bash
# datumaro 1.13.12, Linux: what becomes of identities that are written as MOT (mot_seq_gt) and read back (mot_seq).
#
# Two people with the track ids 12 and 7 in three frames, 12 first.
# Guessed: the ids of the data set stand in gt.txt, since a MOT id may be any positive number; who is 7 before is 7
# after.
# Seen: ids are counted anew in the order in which tracks first appear: 12 becomes 1 and 7 becomes 2. No mapping is
# written, so what was corrected elsewhere can no longer be joined to the tracks that it came from by number.
#
# Prints both; exit code 1 if that is no longer what was seen on 2026-11-30.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check datumaro==1.13.12
"$folder/venv/bin/python" - "$folder/out" 2>/dev/null <<'PY'
import sys
from pathlib import Path

import numpy as np
from datumaro.components.annotation import Bbox
from datumaro.components.dataset import Dataset
from datumaro.components.dataset_base import DatasetItem
from datumaro.components.media import Image

out = Path(sys.argv[1])
picture = np.zeros((100, 300, 3), np.uint8)
frames = [
    DatasetItem(
        id=f"{number:06d}",
        media=Image.from_numpy(picture),
        annotations=[Bbox(10 * track, 10, 20, 40, label=0, attributes={"track_id": track}) for track in (12, 7)],
    )
    for number in (1, 2, 3)
]
Dataset.from_iterable(frames, categories=["person"], media_type=Image).export(str(out), "mot_seq_gt", save_media=True)
rows = [line.split(",") for line in (out / "gt" / "gt.txt").read_text().split()]
written = {round(float(left) / 10): int(identity) for _, identity, left, *_ in rows}
read = {
    round(box.x / 10): box.attributes["track_id"]
    for item in Dataset.import_from(str(out), "mot_seq")
    for box in item.annotations
}
for track in (12, 7):
    print(f"track {track}: {written[track]} in gt.txt, {read[track]} when read back")
same = written == read == {12: 1, 7: 2}
print("datumaro 1.13.12", "- as seen" if same else "- CHANGED")
sys.exit(not same)
PY
