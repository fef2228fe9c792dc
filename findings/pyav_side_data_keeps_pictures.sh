#!/usr/bin/env bash
# PyAV 18.1.0: memory of decoded pictures whose `side_data` was looked at.
#
# The side data of a frame (its display matrix, HDR figures, closed captions) is asked for frame by frame.
# Guessed: a picture goes when the last variable that holds it goes, whatever was read of it.
# Seen: the container that `VideoFrame.side_data` gives and the frame refer to each other, also where it is
# empty. Pictures that nobody holds stay in memory until the garbage collector breaks the cycle, which counts
# a few small objects a picture and knows nothing of its megabytes: 150 frames of 1280x720 are all there
# still, 172 MB. `VideoFrame.rotation`, which reads the same matrix, keeps nothing.
#
# Prints what memory grew by; exit code 1 if that is no longer what was seen on 2026-12-01. Linux (reads /proc).
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check av==18.1.0 numpy==2.3.5
cd "$folder"
cat > decode.py <<'PY'
import gc
import sys

import av


def megabytes() -> int:
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) // 1024 for line in status if line.startswith("VmRSS"))


with av.open("film.mp4") as container:
    for number, frame in enumerate(container.decode(video=0)):
        if sys.argv[1] != "nothing":
            getattr(frame, sys.argv[1])
        if number == 9:
            before = megabytes()
    grown = megabytes() - before
print(grown, gc.collect())
PY
venv/bin/python - <<'PY'
import subprocess
import sys

import av
import numpy as np

with av.open("film.mp4", "w") as container:
    stream = container.add_stream("libx264", rate=25)
    stream.width, stream.height, stream.pix_fmt = 1280, 720, "yuv420p"
    for grey in range(160):
        picture = np.full((720, 1280, 3), grey, np.uint8)
        container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="bgr24")))
    container.mux(stream.encode())
grown = {}
for read in ("nothing", "rotation", "side_data"):
    done = subprocess.run([sys.executable, "decode.py", read], capture_output=True, text=True, check=True)
    grown[read], circles = map(int, done.stdout.split())
    print(f"read {read:10} memory grew by {grown[read]:4} MB over 150 frames; {circles} objects in cycles")
same = grown["side_data"] > 150 and max(grown["nothing"], grown["rotation"]) < 50
print("PyAV", av.__version__, "- as seen" if same else "- CHANGED")
sys.exit(not same)
PY
