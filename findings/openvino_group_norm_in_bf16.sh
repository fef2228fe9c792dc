#!/usr/bin/env bash
# OpenVINO 2026.4.1, CPU plugin, on a CPU with bf16 instructions: GroupNormalization of one number a channel, [N, C], as in
# channel attention behind a global mean.
#
# Guessed: with the precision hint bf16, which is what the plugin takes by itself on such CPUs, results differ from those in
# fp32 by rounding, 0.4 % or so, as those of all its other layers do. MVN over the same groups does.
# Seen: GroupNormalization of a computed [1, 64] in 16 groups gives other numbers altogether, without an error; in fp32 it is
# right, and so is a map [1, 64, 8, 8] in both.
#
# Prints the cosine between both precisions; exit code 1 if that is no longer what was seen on 2026-12-01. On a CPU without
# bf16 instructions there is nothing to see.
set -euo pipefail
if ! grep -qwE "avx512_bf16|amx_bf16" /proc/cpuinfo; then
  echo "no bf16 instructions: nothing to see here"
  exit 0
fi
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check openvino==2026.4.1 numpy==2.3.5
"$folder/venv/bin/python" - <<'PY'
import sys

import numpy as np
import openvino
from openvino import opset13

CHANNELS, GROUPS = 64, 16
rng = np.random.default_rng(0)
picture = rng.standard_normal((1, CHANNELS, 8, 8)).astype(np.float32)
mixing = opset13.constant(rng.standard_normal((CHANNELS, CHANNELS, 1, 1)).astype(np.float32))
ones, zeros = (opset13.constant(np.full(CHANNELS, value, np.float32)) for value in (1, 0))


def cosine(kind: str) -> float:
    x = opset13.parameter(list(picture.shape), np.float32)
    mixed = opset13.relu(opset13.convolution(x, mixing, [1, 1], [0, 0], [0, 0], [1, 1]))
    means = opset13.reduce_mean(mixed, opset13.constant([2, 3]), keep_dims=False)
    if kind == "GroupNormalization, [N, C]":
        out = opset13.group_normalization(means, ones, zeros, GROUPS, 1e-5)
    elif kind == "GroupNormalization, [N, C, H, W]":
        out = opset13.group_normalization(mixed, ones, zeros, GROUPS, 1e-5)
    else:
        grouped = opset13.reshape(means, opset13.constant([1, GROUPS, -1]), False)
        out = opset13.mvn(grouped, opset13.constant([2]), True, 1e-5, "INSIDE_SQRT")
    model = openvino.Model([opset13.result(out)], [x])
    found = []
    for hint in ("f32", "bf16"):
        compiled = openvino.Core().compile_model(model, "CPU", {"INFERENCE_PRECISION_HINT": hint})
        found.append(compiled([picture])[0].ravel().astype(np.float64))
    return float(found[0] @ found[1] / np.linalg.norm(found[0]) / np.linalg.norm(found[1]))


seen = {
    kind: cosine(kind) for kind in ("GroupNormalization, [N, C]", "GroupNormalization, [N, C, H, W]", "MVN, [N, C]")
}
for kind, value in seen.items():
    print(f"{kind}: cosine of fp32 and bf16 {value:.4f}")
sys.exit(not (seen["GroupNormalization, [N, C]"] < 0.9 and seen["MVN, [N, C]"] > 0.99))
PY
