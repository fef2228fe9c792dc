#!/usr/bin/env bash
# PyAV 18.1.0: VideoFrame.rotation of an MP4 whose display matrix mirrors the picture.
#
# A display matrix has eight plain forms: four turns, and four with a mirror (front cameras, webcam recorders).
# Guessed: a mirrored picture is told from a turned one, or has rotation 0, since nothing is turned.
# Seen: a left-right mirror says half a turn, exactly as a picture that stands on its head does; an up-down
# mirror says no turn; the two mirrored quarter turns say what plain quarter turns say. Whoever turns frames
# by `rotation` puts mirrored people on their heads. The matrix itself is in the side data of the frame.
#
# Prints the rotation of all eight forms; exit code 1 if they are no longer those seen on 2026-11-27.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check av==18.1.0 numpy==2.3.5
cd "$folder"
venv/bin/python - <<'PY'
import struct
import sys

import av
import numpy as np

WIDTH, HEIGHT = 320, 240
# a, b, u, c, d, v, x, y, w as ISO 14496-12 stores them; (x, y) goes to (a x + c y, b x + d y).
FORMS = {
    "as stored": (1, 0, 0, 0, 1, 0, 0, 0, 1),
    "turned 90": (0, 1, 0, -1, 0, 0, HEIGHT, 0, 1),
    "turned 180": (-1, 0, 0, 0, -1, 0, WIDTH, HEIGHT, 1),
    "turned 270": (0, -1, 0, 1, 0, 0, 0, WIDTH, 1),
    "mirrored left-right": (-1, 0, 0, 0, 1, 0, WIDTH, 0, 1),
    "mirrored up-down": (1, 0, 0, 0, -1, 0, 0, HEIGHT, 1),
    "transposed": (0, 1, 0, 1, 0, 0, 0, 0, 1),
    "transposed the other way": (0, -1, 0, -1, 0, 0, HEIGHT, WIDTH, 1),
}
with av.open("plain.mp4", "w") as container:
    stream = container.add_stream("libx264", rate=25)
    stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
    grey = np.full((HEIGHT, WIDTH, 3), 90, np.uint8)
    for _ in range(3):
        container.mux(stream.encode(av.VideoFrame.from_ndarray(grey, format="bgr24")))
    container.mux(stream.encode())
data = open("plain.mp4", "rb").read()
at = data.index(b"tkhd") + 4 + 40
seen = {}
for name, form in FORMS.items():
    numbers = [round(n * (1 << (30 if k % 3 == 2 else 16))) for k, n in enumerate(form)]
    open("turned.mp4", "wb").write(data[:at] + struct.pack(">9i", *numbers) + data[at + 36 :])
    with av.open("turned.mp4") as container:
        frame = next(container.decode(video=0))
        seen[name] = (round(frame.rotation), "DISPLAYMATRIX" in [side.type.name for side in frame.side_data])
        print(f"{name:26} rotation {seen[name][0]:5}  matrix in the side data: {seen[name][1]}")
turns = {name: value[0] % 360 for name, value in seen.items()}
same = (
    turns["mirrored left-right"] == turns["turned 180"] == 180
    and turns["mirrored up-down"] == 0
    and {turns["transposed"], turns["transposed the other way"]} == {turns["turned 90"], turns["turned 270"]}
)
print("PyAV", av.__version__, "- as seen" if same else "- CHANGED")
sys.exit(not same)
PY
