#!/usr/bin/env bash
# Trains the encoder that comes with the package: labels, six stages, and an average of the weights
# after the second to the sixth, the sixth counting twice.
#
#   scripts/train_default_encoder.sh DATA [FOLDER]
#
# DATA is a ReID data set in the layout of Market-1501, FOLDER (default: .) takes labels/, all/ and runs/ and, at the
# end, two encoders: split.safetensors has learnt from the training people alone and is the one to test, the last stage
# of default.safetensors has seen the people of query and bounding_box_test too. What was cut off goes on where it
# stopped when the same command is given again. With one seed and on one machine kind it gives the same encoders
# again; on two CPU cores it takes about six hours.
set -euo pipefail

[ $# -ge 1 ] && [ -d "$1" ] || { sed -n '2,11s/^# \{0,1\}//p' "$0" >&2; exit 2; }
data=$(cd "$1" && pwd)
mkdir -p "${2:-.}"
cd "${2:-.}"

fit() {  # recipe run data labels
    [ -f "$2/last.safetensors" ] && return
    local resume=()
    [ -f "$2/last.pt" ] && resume=(--resume)
    bpbreid-train fit "$1" data.root="$3" data.masks="$4" output="$2" "${resume[@]}"
}

[ -d labels/bounding_box_train ] || bpbreid-train labels "$data" --splits train --out labels
for stage in 1 2 3 4 5 6; do
    fit "default_encoder_$stage" "runs/default_encoder_$stage" "$data" labels
done
bpbreid-train export runs/default_encoder_{2,3,4,5,6,6} --half --out split.safetensors

mkdir -p all/bounding_box_train
for part in bounding_box_train query bounding_box_test; do
    find "$data/$part" -name '*.jpg' -exec ln -sf -t all/bounding_box_train {} +
done
[ -d all/labels/bounding_box_train ] || bpbreid-train labels all --splits train --out all/labels
fit default_encoder_6 runs/default_encoder_6_all all all/labels
bpbreid-train export runs/default_encoder_{2,3,4,5,6_all,6_all} --half --out default.safetensors
