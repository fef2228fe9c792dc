#!/usr/bin/env bash
# torch 2.13.0: functional.normalize and cosine_similarity of a vector of zeros (a hidden part, a black crop, a padded
# row) in float16.
#
# Guessed: zeros, and a similarity of 0: both functions have an eps so that nothing is divided by 0.
# Seen: so in float32 and bfloat16; in float16 all is nan. The eps of 1e-12 and 1e-8 are smaller than the smallest
# float16, are rounded to 0 and keep nothing from being divided by 0. One such row makes the loss of a batch and every
# distance to that person nan, and that only on devices on which half precision means float16. Autocast does not
# compute either of the two in float32.
#
# Prints both; exit code 1 if that is no longer what was seen on 2026-11-30.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check torch==2.13.0 numpy==2.3.5
"$folder/venv/bin/python" - <<'PY'
import sys

import torch
from torch.nn.functional import cosine_similarity, normalize

seen = {}
for kind in (torch.float32, torch.bfloat16, torch.float16):
    nothing, something = torch.zeros(1, 4, dtype=kind), torch.ones(1, 4, dtype=kind)
    with torch.autocast("cpu", dtype=kind, enabled=kind != torch.float32):
        unit, alike = normalize(nothing), cosine_similarity(nothing, something)
        good = normalize(something)
    seen[kind] = bool(unit.isnan().all()), bool(alike.isnan().all()), good.tolist() == [[0.5] * 4]
    print(f"{kind}: normalize {unit.tolist()[0]}, cosine_similarity {alike.item()}")
same = seen == {
    torch.float32: (False, False, True),
    torch.bfloat16: (False, False, True),
    torch.float16: (True, True, True),
}
print("torch", torch.__version__, "- as seen" if same else "- CHANGED")
sys.exit(not same)
PY
