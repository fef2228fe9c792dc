#!/usr/bin/env bash
# polars 2.1.0: a DataFrame of rows that are dicts, as tracks of a .jsonl are.
#
# The left edge of somebody who stands still is 10 for 150 frames, then 10.75; a name is known from frame 120 on.
# Guessed: what a column holds is looked up in the first 100 rows, and a row that does not fit is an error: that is
# what strict=True, which is set, promises, and what the same numbers as one column bring.
# Seen: 10.75 becomes 10 and the name is gone, no error, no warning. The same rows in another order, the last one
# first, keep both.
#
# Prints what is left; exit code 1 if that is no longer what was seen on 2026-11-30.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check polars==2.1.0
"$folder/venv/bin/python" - <<'PY'
import sys

import polars as pl

rows = [{"frame": frame, "left": 10 if frame < 150 else 10.75} for frame in range(200)]
for row in rows[120:]:
    row["name"] = "Anna"
in_order = pl.DataFrame(rows)
turned = pl.DataFrame(rows[::-1]).sort("frame")
try:
    pl.DataFrame({"left": [row["left"] for row in rows]})
    column = "kept"
except TypeError as error:
    column = type(error).__name__
kept = [(table.columns, table["left"].max()) for table in (in_order, turned)]
print("in order:", *kept[0])
print("last row first:", *kept[1])
print("as a column:", column)
same = kept == [(["frame", "left"], 10), (["frame", "left", "name"], 10.75)] and column == "TypeError"
print("polars", pl.__version__, "- as seen" if same else "- CHANGED")
sys.exit(not same)
PY
