#!/usr/bin/env bash
# TrackLab's command line with our encoder and tracker, in an environment of its own.
#
#   demos/tracklab_demo.sh VIDEO.mp4 [DETECTOR.pt] [hydra overrides ...]
set -euo pipefail
here=$(cd "$(dirname "$0")/.." && pwd)
video=$(realpath "${1:?give a video}")
detector=${2:-yolo11n.pt}
python=$("$here/scripts/tracklab_environment.sh")
"$python" -m tracklab.main modules/reid=bpbreid_track modules/track=bpbreid_track \
    "pipeline=[bbox_detector,reid,track]" "dataset.video_path=$video" \
    "modules.bbox_detector.cfg.path_to_checkpoint=$detector" eval_tracking=false visualization.save_videos=true \
    "${@:3}"
