#!/usr/bin/env bash
# imageio 2.38.1 with imageio-ffmpeg 0.8.1: the frames of a video whose frames are not evenly spaced (telephones,
# screen recorders, cameras that drop frames in the dark).
#
# 40 frames, 20 of them 40 ms apart and 20 of them 200 ms. The grey of each frame says which one it is.
# Guessed: 40 pictures, as imageio_ffmpeg.count_frames_and_secs says and as PyAV and OpenCV read them; the time that
# a frame lasts is a matter of its timestamp.
# Seen: 116 of the MP4 and 119 of the MKV of the same frames. ffmpeg is asked for raw video at an even rate and repeats
# frames to fill it. Picture 30 is frame 22, so results numbered by picture fit neither the ground truth nor another
# reader, and a tracker sees people who stand still for five frames and then jump.
#
# Prints the counts; exit code 1 if they are no longer those seen on 2026-11-30.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check imageio==2.38.1 imageio-ffmpeg==0.8.1 \
  av==18.1.0 opencv-python-headless==4.14.0.94 numpy==2.3.5
cd "$folder"
venv/bin/python - <<'PY'
import sys
from fractions import Fraction

import av
import cv2
import imageio.v3 as iio
import imageio_ffmpeg
import numpy as np

TIMES = [40 * min(number, 20) + 200 * max(number - 20, 0) for number in range(40)]  # ms


def write(path):
    with av.open(path, "w") as container:
        stream = container.add_stream("libx264", rate=25)
        stream.width, stream.height, stream.pix_fmt = 128, 96, "yuv420p"
        stream.codec_context.time_base = Fraction(1, 1000)
        for number, time in enumerate(TIMES):
            grey = np.full((96, 128, 3), 20 + 5 * number, np.uint8)
            frame = av.VideoFrame.from_ndarray(grey, format="rgb24")
            frame.pts, frame.time_base = time, Fraction(1, 1000)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())


def number_of(picture):
    return round((float(picture.mean()) - 20) / 5)


def through_opencv(path):
    capture = cv2.VideoCapture(path)
    while True:
        there, picture = capture.read()
        if not there:
            return
        yield picture


same = True
for path in ("uneven.mp4", "uneven.mkv"):
    write(path)
    with av.open(path) as container:
        pyav = [number_of(frame.to_ndarray(format="rgb24")) for frame in container.decode(video=0)]
    opencv = [number_of(picture) for picture in through_opencv(path)]
    imageio = [number_of(picture) for picture in iio.imiter(path, plugin="FFMPEG")]
    counted = imageio_ffmpeg.count_frames_and_secs(path)[0]
    print(f"{path}: PyAV {len(pyav)}, OpenCV {len(opencv)}, imageio {len(imageio)} (its count: {counted});", end=" ")
    print("imageio from 18 on:", *imageio[18:34])
    same = same and pyav == opencv == list(range(40)) and counted == 40 and len(imageio) > 110
    same = same and sorted(set(imageio)) == pyav and imageio == sorted(imageio)
print("imageio-ffmpeg 0.8.1", "- as seen" if same else "- CHANGED")
sys.exit(not same)
PY
