#!/usr/bin/env bash
# OpenCV 4.14.0 and PyAV 18.1.0: back to the beginning of an MPEG transport stream (.ts: HLS segments, recorders of
# cameras and television) whose pictures are coded with B-frames, as x264 does unless told otherwise.
#
# 50 frames, a keyframe every 25. The grey of each frame says which one it is. A first reading yields all of them.
# Guessed: CAP_PROP_POS_FRAMES = 0 leads back to the first frame; finding frames in the middle of a stream without
# an index may fail, but not finding the first.
# Seen: the next picture is frame 25, the second keyframe, while CAP_PROP_POS_FRAMES says 0; also in a fresh
# VideoCapture that has read nothing yet. Whoever reads a video twice, once to track and once to draw, draws
# everything a second late. PyAV does the same for seek(stream.start_time, stream=stream); its seek(0) is right.
# Without B-frames, and in MP4 and MKV, all of them are right.
#
# Prints which frames come; exit code 1 if that is no longer what was seen on 2026-11-30.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check opencv-python-headless==4.14.0.94 av==18.1.0 \
  numpy==2.3.5
cd "$folder"
venv/bin/python - 2>/dev/null <<'PY'
import sys

import av
import cv2
import numpy as np


def write(path, between):
    with av.open(path, "w") as container:
        stream = container.add_stream("libx264", rate=25)
        stream.width, stream.height, stream.pix_fmt = 128, 96, "yuv420p"
        stream.options = {"g": "25", "bf": str(between)}
        for number in range(50):
            grey = np.full((96, 128, 3), 20 + 4 * number, np.uint8)
            frame = av.VideoFrame.from_ndarray(grey, format="rgb24")
            frame.pts = number
            container.mux(stream.encode(frame))
        container.mux(stream.encode())


def number_of(picture):
    return round((float(picture.mean()) - 20) / 4)


def by_opencv(path):
    """Frames of a first reading, the first one after rewinding, and the position that was said before it."""
    capture = cv2.VideoCapture(path)
    frames = []
    while (read := capture.read())[0]:
        frames.append(number_of(read[1]))
    capture.set(cv2.CAP_PROP_POS_FRAMES, 0)
    said = capture.get(cv2.CAP_PROP_POS_FRAMES)
    return frames, number_of(capture.read()[1]), said


def by_pyav(path):
    """The first frame after seek(0), and after seek(start of the stream)."""
    with av.open(path) as container:
        stream = container.streams.video[0]
        found = []
        for target in ((0, None), (stream.start_time, stream)):
            container.seek(target[0], stream=target[1])
            found.append(number_of(next(container.decode(video=0)).to_ndarray(format="rgb24")))
    return found


same = True
for name in ("ts", "mp4", "mkv"):
    for between in (0, 2):
        path = f"{between}_b_frames.{name}"
        write(path, between)
        frames, rewound, said = by_opencv(path)
        seek_0, seek_start = by_pyav(path)
        print(f"{path}: OpenCV reads {len(frames)}, rewound {rewound} (says {said:.0f});", end=" ")
        print(f"PyAV seek(0) {seek_0}, seek(start) {seek_start}")
        late = name == "ts" and between == 2
        same = same and frames == list(range(50)) and said == seek_0 == 0
        same = same and rewound == seek_start == (25 if late else 0)
print(f"OpenCV {cv2.__version__}, PyAV {av.__version__}", "- as seen" if same else "- CHANGED")
sys.exit(not same)
PY
