#!/usr/bin/env bash
# Trains the encoder that comes with the package: labels, six stages on one data set, an average of the weights
# after the second to the sixth, the sixth counting twice, and five stages on two data sets with a teacher,
# the last two of which are averaged.
#
#   scripts/train_default_encoder.sh DATA MORE TEACHER [FOLDER]
#
# DATA and MORE are ReID data sets in the layout of Market-1501 (of MORE bounding_box_train alone is looked at),
# TEACHER an OpenVINO .xml of a network of one vector of 256 numbers. FOLDER (default: .) takes labels/, more-labels/,
# all/ and runs/ and, in the end, split.safetensors and former.safetensors, the average with and without the people
# of DATA's query and bounding_box_test kept back, and default.safetensors. What was cut off goes on where it stopped
# when the same command is given again. On two CPU cores the first six stages take about six hours, the others six.
set -euo pipefail

[ $# -ge 3 ] && [ -d "$1" ] && [ -d "$2" ] && [ -f "$3" ] || { sed -n '2,14s/^# \{0,1\}//p' "$0" >&2; exit 2; }
data=$(cd "$1" && pwd)
more=$(cd "$2" && pwd)
teacher=$(cd "$(dirname "$3")" && pwd)/$(basename "$3")
mkdir -p "${4:-.}"
cd "${4:-.}"

fit() {  # recipe run settings...
    local recipe=$1 run=$2
    shift 2
    [ -f "$run/last.safetensors" ] && return
    local resume=()
    [ -f "$run/last.pt" ] && resume=(--resume)
    bpbreid-train fit "$recipe" output="$run" "$@" "${resume[@]}"
}

[ -d labels/bounding_box_train ] || bpbreid-train labels "$data" --splits train --out labels
for stage in 1 2 3 4 5 6; do
    fit "default_encoder_$stage" "runs/default_encoder_$stage" data.root="$data" data.masks=labels
done
bpbreid-train export runs/default_encoder_{2,3,4,5,6,6} --half --out split.safetensors

mkdir -p all/bounding_box_train
for part in bounding_box_train query bounding_box_test; do
    find "$data/$part" -name '*.jpg' -exec ln -sf -t all/bounding_box_train {} +
done
[ -d all/labels/bounding_box_train ] || bpbreid-train labels all --splits train --out all/labels
fit default_encoder_6 runs/default_encoder_6_all data.root=all data.masks=all/labels
bpbreid-train export runs/default_encoder_{2,3,4,5,6_all,6_all} --half --out former.safetensors

[ -d more-labels/bounding_box_train ] || bpbreid-train labels "$more" --splits train --out more-labels
fit default_encoder_7 runs/default_encoder_7 data.root="[$data, $more]" data.masks="[labels, more-labels]" \
    weights=former.safetensors teacher.network="$teacher"
fit default_encoder_8 runs/default_encoder_8 data.root="[$data, $more]" data.masks="[labels, more-labels]" \
    weights=runs/default_encoder_7/last.safetensors teacher.network="$teacher"
fit default_encoder_9 runs/default_encoder_9 data.root="[$data, $more]" data.masks="[labels, more-labels]" \
    weights=runs/default_encoder_8/last.safetensors teacher.network="$teacher"
fit default_encoder_10 runs/default_encoder_10 data.root="[$data, $more]" data.masks="[labels, more-labels]" \
    weights=runs/default_encoder_9/last.safetensors teacher.network="$teacher"
fit default_encoder_11 runs/default_encoder_11 data.root="[$data, $more]" data.masks="[labels, more-labels]" \
    weights=runs/default_encoder_10/last.safetensors teacher.network="$teacher"
bpbreid-train export runs/default_encoder_{11,10} --half --out default.safetensors
