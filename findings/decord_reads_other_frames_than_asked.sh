#!/usr/bin/env bash
# decord 0.6.0: frames by number, VideoReader(file)[k] and get_batch, of H.264 in AVI and in an MPEG transport stream.
#
# 50 frames, a keyframe every 12, B-frames as x264 makes them. The grey of each frame says which one it is.
# Guessed: [k] is frame k: decord is there for random access, looks for keyframes by itself, and len() is 50 each time.
# Seen: MP4 and MKV are right. AVI is right from the first frame to the last, but asked for 30, 3 and 20 it gives 6, 3
# and 8: after a jump to a keyframe its frames are counted from 0 again. Of the transport stream (.ts) the first
# 12 frames never come, not even when read in order: [0] is frame 12, all others come 12 too early, and the last one is
# repeated 12 times to make up 50. No error, no warning. What is sampled for training carries the labels of another
# moment; tracks that are drawn or cropped by number sit half a second beside the people.
#
# Prints which frames come; exit code 1 if that is no longer what was seen on 2026-11-30.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check decord==0.6.0 av==18.1.0 numpy==2.3.5
cd "$folder"
venv/bin/python - <<'PY'
import sys

import av
import decord
import numpy as np

COUNT, KEY, ASKED = 50, 12, [30, 3, 20, 10]
decord.logging.set_level(decord.logging.QUIET)


def write(path):
    with av.open(path, "w") as container:
        stream = container.add_stream("libx264", rate=25)
        stream.width, stream.height, stream.pix_fmt = 128, 96, "yuv420p"
        stream.options = {"g": str(KEY), "bf": "2"}
        for number in range(COUNT):
            grey = np.full((96, 128, 3), 20 + 4 * number, np.uint8)
            frame = av.VideoFrame.from_ndarray(grey, format="rgb24")
            frame.pts = number
            container.mux(stream.encode(frame))
        container.mux(stream.encode())


def number_of(picture):
    return round((float(picture.mean()) - 20) / 4)


def by_pyav(path):
    with av.open(path) as container:
        return [number_of(frame.to_ndarray(format="rgb24")) for frame in container.decode(video=0)]


seen = {}
for ending in ("mp4", "mkv", "avi", "ts"):
    path = f"video.{ending}"
    write(path)
    assert by_pyav(path) == list(range(COUNT))
    video = decord.VideoReader(path)
    in_order = [number_of(video[k].asnumpy()) for k in range(len(video))]
    asked = [number_of(picture) for picture in decord.VideoReader(path).get_batch(ASKED).asnumpy()]
    one = [number_of(decord.VideoReader(path)[k].asnumpy()) for k in ASKED]
    seen[ending] = in_order, asked
    print(f"{ending}: in order {in_order[:3]} ... {in_order[-3:]}, asked for {ASKED} {asked}, one by one {one}")
right = list(range(COUNT))
same = seen["mp4"] == seen["mkv"] == (right, ASKED)
same = same and seen["avi"] == (right, [k % KEY if k >= KEY else k for k in ASKED])
same = same and seen["ts"] == (right[KEY:] + [COUNT - 1] * KEY, [k + KEY for k in ASKED])
print("decord", decord.__version__, "- as seen" if same else "- CHANGED")
sys.exit(not same)
PY
