#!/usr/bin/env bash
# OpenVINO 2026.4.1, CPU plugin, Linux: where the threads of two programs that run a network at once may run.
#
# Guessed: unless told otherwise, threads of inference run wherever there is room, as those of torch and OpenCV do,
# so that two workers of two threads each fill four cores.
# Seen: with the performance hint LATENCY worker threads are tied to single cores (ENABLE_CPU_PINNING is on by
# itself), counted from the same core in each process: both programs tie theirs to the same cores, and wait there
# for each other, and for whatever else runs there, while other cores may be idle.
# With ENABLE_CPU_PINNING off no thread is tied to anything.
#
# Prints the cores that threads are tied to; exit code 1 if that is no longer what was seen on 2026-11-30.
set -euo pipefail
if [ "$(nproc)" -lt 2 ]; then
  echo "one core: nothing to see here"
  exit 0
fi
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check openvino==2026.4.1 numpy==2.3.5
cat > "$folder/cores.py" <<'PY'
import sys
from pathlib import Path

import numpy as np
import openvino
from openvino import opset13

settings = {"INFERENCE_NUM_THREADS": 2, "PERFORMANCE_HINT": "LATENCY"}
if sys.argv[1] == "off":
    settings["ENABLE_CPU_PINNING"] = False
x = opset13.parameter([1, 8, 64, 64], np.float32)
weights = opset13.constant(np.ones((8, 8, 3, 3), np.float32))
sums = opset13.convolution(x, weights, [1, 1], [1, 1], [1, 1], [1, 1])
network = openvino.Core().compile_model(openvino.Model([sums], [x]), "CPU", settings)
for _ in range(5):
    network([np.zeros((1, 8, 64, 64), np.float32)])
tied = set()
for status in Path("/proc/self/task").glob("*/status"):
    fields = dict(line.split(":", 1) for line in status.read_text().splitlines())
    allowed = fields["Cpus_allowed_list"].strip()
    if allowed.isdigit():
        tied.add(int(allowed))
print(*sorted(tied), flush=True)
sys.stdin.readline()  # stay until both have answered
PY
"$folder/venv/bin/python" - "$folder/cores.py" <<'PY'
import subprocess
import sys

answers = {}
for pinning in ("default", "off"):
    command = [sys.executable, sys.argv[1], pinning]
    pipe = subprocess.PIPE
    both = [subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True) for _ in range(2)]
    answers[pinning] = [process.stdout.readline().split() for process in both]
    for process in both:
        process.communicate("\n")
    print(f"pinning {pinning:7}:", " and ".join(f"cores {cores}" for cores in answers[pinning]))
first, second = answers["default"]
same = first == second != [] and answers["off"] == [[], []]
print("OpenVINO 2026.4.1", "- as seen" if same else "- CHANGED")
sys.exit(not same)
PY
