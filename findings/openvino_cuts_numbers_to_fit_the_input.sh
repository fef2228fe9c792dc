#!/usr/bin/env bash
# OpenVINO 2026.4.1, Python: arrays of another type than the network's input.
#
# Two networks that hand on what they get, one with an input of 8 bits, as networks with built-in preprocessing have it,
# and one with an input of int32, say of identities or times.
# Guessed: an error, as in onnxruntime 1.32.0, which names both types; or else values that do not fit are kept within
# the range.
# Seen: numbers are cast as NumPy casts them, and nothing is said. A picture scaled to 0 ... 1, as many networks want it,
# is black but for the pixels that are exactly 1, and in a black picture there are just few people. Of int16 256 becomes
# 0 and -1 becomes 255, so bright and dark turn over where a picture was sharpened. The identity 20261130001 becomes
# -1213706479, and 2**32 + 5 becomes 5. Only an array that is handed over as openvino.Tensor is refused.
#
# Prints what arrives; exit code 1 if that is no longer what was seen on 2026-11-30.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check openvino==2026.4.1 onnxruntime==1.32.0 onnx==1.23.2 \
  numpy==2.3.5
"$folder/venv/bin/python" -W ignore - <<'PY'
import sys

import numpy as np
import onnx
import onnxruntime
import openvino
from openvino import opset13


def by_openvino(kind):
    given = opset13.parameter([-1], kind)
    return openvino.compile_model(openvino.Model([opset13.convert(given, "i32")], [given], "same"), "CPU")


def by_onnxruntime(kind):
    tensor = onnx.helper.make_tensor_value_info
    node = onnx.helper.make_node("Cast", ["x"], ["y"], to=onnx.TensorProto.INT32)
    ends = [tensor("x", kind, [None])], [tensor("y", onnx.TensorProto.INT32, [None])]
    graph = onnx.helper.make_graph([node], "same", *ends)
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 18)], ir_version=9)
    return onnxruntime.InferenceSession(model.SerializeToString())


def refused(call, *given):
    try:
        call(*given)
    except Exception as error:
        return type(error).__name__
    return None


picture, sharpened = np.array([0.0, 0.5, 0.99, 1.0], np.float32), np.array([254, 256, -1], np.int16)
identities = np.array([7, 2**32 + 5, 20261130001])
seen = []
for kind, onnx_kind, arrays in (
    (np.uint8, onnx.TensorProto.UINT8, (picture, sharpened)),
    (np.int32, onnx.TensorProto.INT32, (identities,)),
):
    network, other = by_openvino(kind), by_onnxruntime(onnx_kind)
    for array in arrays:
        arrived = [int(value) for value in network(array)[0]]
        errors = [refused(other.run, None, {"x": array}), refused(network, openvino.Tensor(array))]
        print(array.dtype, array.tolist(), "->", kind.__name__, arrived, end="; ")
        print("onnxruntime:", errors[0], "- as openvino.Tensor:", errors[1])
        seen.append((arrived, all(errors)))
same = seen == [([0, 0, 0, 1], True), ([254, 0, 255], True), ([7, 5, -1213706479], True)]
print("OpenVINO", openvino.__version__.split("-")[0], "- as seen" if same else "- CHANGED")
sys.exit(not same)
PY
