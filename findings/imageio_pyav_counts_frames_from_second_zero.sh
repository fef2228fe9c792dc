#!/usr/bin/env bash
# imageio 2.38.1 with PyAV 18.1.0: imread(file, index=k, plugin="pyav") of a recording that starts after second 0.
#
# Recordings that are cut from longer ones keep their times: here 40 frames at 25 a second, the first at 1.0 s, as MP4
# and as MKV. The grey of each frame says which one it is.
# Guessed: index k is the k-th frame, since the rate is constant and imiter() yields all 40 in order.
# Seen: 0 and 1 are right, all further ones are looked up at k / 25 s counted from 0: 2 to 25 are all frame 0, and from
# 26 on frames come 25 too early. No error, no warning. Boxes of frame 30 are drawn on, or cropped from, frame 5.
#
# Prints which frames come; exit code 1 if that is no longer what was seen on 2026-11-30.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check imageio==2.38.1 av==18.1.0 numpy==2.3.5
cd "$folder"
venv/bin/python - <<'PY'
import sys
from fractions import Fraction

import av
import imageio.v3 as iio
import numpy as np

COUNT, RATE = 40, 25


def write(path, start):
    with av.open(path, "w") as container:
        stream = container.add_stream("libx264", rate=RATE)
        stream.width, stream.height, stream.pix_fmt = 128, 96, "yuv420p"
        stream.options = {"g": "12"}
        for number in range(COUNT):
            grey = np.full((96, 128, 3), 20 + 5 * number, np.uint8)
            frame = av.VideoFrame.from_ndarray(grey, format="rgb24")
            frame.pts, frame.time_base = start * RATE + number, Fraction(1, RATE)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())


def number_of(picture):
    return round((float(picture.mean()) - 20) / 5)


right = list(range(COUNT))
late = [0, 1] + [max(0, k - RATE) for k in range(2, COUNT)]
same = True
for name in ("mp4", "mkv"):
    for start, wanted in ((0, right), (1, late)):
        path = f"from_{start}.{name}"
        write(path, start)
        in_turn = [number_of(picture) for picture in iio.imiter(path, plugin="pyav")]
        by_index = [number_of(iio.imread(path, index=k, plugin="pyav")) for k in range(COUNT)]
        print(f"{path}: in turn {in_turn[0]} to {in_turn[-1]}; index 0 1 2 25 26 30 39 gives", end=" ")
        print(*(by_index[k] for k in (0, 1, 2, 25, 26, 30, 39)))
        same = same and in_turn == right and by_index == wanted
print("imageio 2.38.1", "- as seen" if same else "- CHANGED")
sys.exit(not same)
PY
