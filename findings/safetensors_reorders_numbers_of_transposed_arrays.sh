#!/usr/bin/env bash
# safetensors 0.8.0 and 0.7.0: numpy arrays written by safetensors.numpy.save and read back by load.
#
# Two embeddings of three numbers, as np.asfortranarray, scikit-learn's PCA and a transposed matrix product lay them in
# memory: column after column. The array is contiguous and dense, as the documentation asks.
# Guessed: what is read is what was written, or writing raises an error, as safetensors.torch does for a transposed
# tensor.
# Seen: 0.7.0 reads what was written. 0.8.0 writes the memory as it lies under the shape of the array: same shape,
# same dtype, same numbers, in another order, so each embedding becomes a mixture of all. No error, no warning.
#
# Prints all; exit code 1 if that is no longer what was seen on 2026-11-30.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cat > "$folder/turned.py" <<'PY'
import numpy as np
import safetensors
from safetensors.numpy import load, save

rows = np.arange(6, dtype=np.float32).reshape(2, 3)
read = [load(save({"x": array}))["x"].astype(int).tolist() for array in (rows, np.asfortranarray(rows))]
print(safetensors.__version__, *read)
PY
seen=$(for version in 0.7.0 0.8.0; do
  python3 -m venv "$folder/$version"
  "$folder/$version/bin/pip" install --quiet --disable-pip-version-check "safetensors==$version" numpy==2.3.5 2>/dev/null
  "$folder/$version/bin/python" "$folder/turned.py"
done)
echo "$seen"
[ "$seen" = "0.7.0 [[0, 1, 2], [3, 4, 5]] [[0, 1, 2], [3, 4, 5]]
0.8.0 [[0, 1, 2], [3, 4, 5]] [[0, 3, 1], [4, 2, 5]]" ] || { echo "CHANGED" >&2; exit 1; }
echo "safetensors 0.8.0 - as seen"
