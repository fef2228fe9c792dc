#!/usr/bin/env bash
# Trains the encoder that comes with the package: labels, five stages, and an average of them.
#
#   scripts/train_default_encoder.sh DATA [FOLDER]
#
# DATA is a ReID data set in the layout of Market-1501, FOLDER (default: .) takes labels/ and runs/ and, at the end,
# default.safetensors. What was cut off goes on where it stopped when the same command is given again. With one seed
# and on one machine kind it gives the same encoder again; on two CPU cores it takes about four hours.
set -euo pipefail

[ $# -ge 1 ] && [ -d "$1" ] || { sed -n '2,8s/^# \{0,1\}//p' "$0" >&2; exit 2; }
data=$(cd "$1" && pwd)
mkdir -p "${2:-.}"
cd "${2:-.}"

[ -d labels/bounding_box_train ] || bpbreid-train labels "$data" --splits train --out labels
for stage in 1 2 3 4 5; do
    run=runs/default_encoder_$stage
    [ -f "$run/last.safetensors" ] && continue
    resume=()
    [ -f "$run/last.pt" ] && resume=(--resume)
    bpbreid-train fit "default_encoder_$stage" data.root="$data" data.masks=labels output="$run" "${resume[@]}"
done
# The last stage counts twice.
bpbreid-train export runs/default_encoder_{2,3,4,5,5} --half --out default.safetensors
