#!/usr/bin/env bash
# Trains the encoder that comes with the package: labels, the published weights it begins with, and five stages on two
# data sets with the published network as the teacher; the last three begin with means of those before.
#
#   scripts/train_default_encoder.sh DATA MORE TEACHER [FOLDER]
#
# DATA and MORE are ReID data sets of which bounding_box_train alone is looked at, TEACHER the Open Model Zoo's
# person-reidentification-retail-0277.xml with its .bin. FOLDER (default: .) takes labels/, more-labels/, runs/,
# start.safetensors and, in the end, default.safetensors. What was cut off goes on where it stopped when the same
# command is given again. Under two hours on two CPU cores with AVX512-BF16.
set -euo pipefail

[ $# -ge 3 ] && [ -d "$1" ] && [ -d "$2" ] && [ -f "$3" ] || { sed -n '2,11s/^# \{0,1\}//p' "$0" >&2; exit 2; }
scripts=$(cd "$(dirname "$0")" && pwd)
data=$(cd "$1" && pwd)
more=$(cd "$2" && pwd)
teacher=$(cd "$(dirname "$3")" && pwd)/$(basename "$3")
mkdir -p "${4:-.}"
cd "${4:-.}"

fit() {  # recipe weights
    local run=runs/$1
    [ -f "$run/last.safetensors" ] && return
    local resume=()
    [ -f "$run/last.pt" ] && resume=(--resume)
    bpbreid-train fit "$1" output="$run" data.root="[$data, $more]" data.masks="[labels, more-labels]" \
        weights="$2" teacher.network="$teacher" "${resume[@]}"
}

[ -d labels/bounding_box_train ] || bpbreid-train labels "$data" --splits train --out labels
[ -d more-labels/bounding_box_train ] || bpbreid-train labels "$more" --splits train --out more-labels
[ -f start.safetensors ] || python "$scripts/start_from_retail_0277.py" "$teacher" "$more" --out start.safetensors
fit default_encoder_1 start.safetensors
fit default_encoder_2 runs/default_encoder_1/last.safetensors
fit default_encoder_3 "[runs/default_encoder_1/last.safetensors, runs/default_encoder_2/last.safetensors]"
fit default_encoder_4 "[runs/default_encoder_1/last.safetensors, runs/default_encoder_3/last.safetensors]"
fourth=runs/default_encoder_4/last.safetensors
fit default_encoder_5 "[runs/default_encoder_1/last.safetensors, $fourth, $fourth]"
bpbreid-train export runs/default_encoder_5 --half --visibility 0.62 --out default.safetensors
