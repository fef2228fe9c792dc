#!/usr/bin/env bash
# OpenVINO 2026.4.1, CPU plugin, Linux on a CPU with AMX: what compile_model does to signals.
#
# A thread may have a stack of its own for signal handlers (sigaltstack); Python's faulthandler, which pytest
# switches on, registers one to be able to report a stack overflow.
# Guessed: compiling a network for inference leaves the caller's signals alone.
# Seen: compile_model replaces the calling thread's signal stack by a smaller one of the plugin's, while the
# network lives; what faulthandler registered is back once network and core are gone.
# On CPUs without AMX the plugin does not do so, and this script has nothing to show.
#
# Prints the stack before, during and after; exit code 1 if that is no longer what was seen on 2026-11-29.
set -euo pipefail
if ! grep -q amx_tile /proc/cpuinfo; then
  echo "no AMX on this CPU: nothing to see here"
  exit 0
fi
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check openvino==2026.4.1 numpy==2.3.5
"$folder/venv/bin/python" - <<'PY'
import ctypes
import faulthandler
import gc
import sys

import numpy as np
import openvino
from openvino import opset13


class Stack(ctypes.Structure):
    _fields_ = (("address", ctypes.c_void_p), ("flags", ctypes.c_int), ("size", ctypes.c_size_t))


def stack():
    found = Stack()
    assert ctypes.CDLL(None).sigaltstack(None, ctypes.byref(found)) == 0
    return found.address, found.size


faulthandler.enable()
before = stack()
x = opset13.parameter([1, 4], np.float32)
network = openvino.Core().compile_model(openvino.Model([opset13.relu(x)], [x]), "CPU")
during = stack()
network([np.array([[-1, 0, 1, 2]], np.float32)])
del network
gc.collect()
after = stack()
for name, found in (("before", before), ("during", during), ("after", after)):
    print(f"{name:7} {found[1]:6} bytes, {'the one of faulthandler' if found == before else 'another one'}")
same = during[0] != before[0] and during[1] < before[1] and after == before
print("OpenVINO", openvino.__version__.split("-")[0], "- as seen" if same else "- CHANGED")
sys.exit(not same)
PY
