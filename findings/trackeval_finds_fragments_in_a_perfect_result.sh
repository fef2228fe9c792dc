#!/usr/bin/env bash
# TrackEval 1.3.0: Frag (of CLEAR) of a ground truth that is judged by itself.
#
# One person in 10 frames, who is out of the picture in the frames 5 and 6, by fault of nobody: neither the truth nor
# the result has a box. Either nobody is in the picture then, or somebody else is.
# Guessed: 0 both times. Nothing that could be tracked is interrupted; MOTA is 1 and IDSW 0.
# Seen: 0 if nobody is there, 1 if somebody else is. A person counts as tracked on only from one frame to the very
# next, frames without any person are passed over. So whoever leaves and comes back adds a fragment to every result,
# the best one too, unless the street is empty meanwhile: Frag depends on the footage as much as on the tracker.
# py-motmetrics 1.4.0 counts frames of the person alone, and says 0 to both.
#
# Prints all; exit code 1 if that is no longer what was seen on 2026-11-30.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
for name in trackeval motmetrics; do python3 -m venv "$folder/$name"; done
"$folder/trackeval/bin/pip" install --quiet --disable-pip-version-check trackeval==1.3.0 numpy==2.3.5
"$folder/motmetrics/bin/pip" install --quiet --disable-pip-version-check motmetrics==1.4.0 numpy==1.26.4 pandas==2.3.3
cat > "$folder/scenes.py" <<'PY'
"""Who is in each frame, of the truth and of the result alike."""

EMPTY = [[1]] * 4 + [[], []] + [[1]] * 4
OTHERS = [[1]] * 4 + [[2], [2]] + [[1]] * 4
PY
cat > "$folder/by_trackeval.py" <<'PY'
import numpy as np
from scenes import EMPTY, OTHERS
from trackeval.metrics import CLEAR

for scene in (EMPTY, OTHERS):
    people = [np.array(frame, int) - 1 for frame in scene]
    many, boxes = len({*np.concatenate(people)}), sum(map(len, people))
    data = {"num_timesteps": len(scene), "gt_ids": people, "tracker_ids": people}
    data |= {"num_gt_ids": many, "num_tracker_ids": many, "num_gt_dets": boxes, "num_tracker_dets": boxes}
    data["similarity_scores"] = [np.eye(len(frame)) for frame in people]
    found = CLEAR({"PRINT_CONFIG": False}).eval_sequence(data)
    print(*(f"{name} {found[name]:g}" for name in ("MOTA", "IDSW", "Frag")))
PY
cat > "$folder/by_motmetrics.py" <<'PY'
import motmetrics
import numpy as np
from scenes import EMPTY, OTHERS

NAMES = {"mota": "MOTA", "num_switches": "IDSW", "num_fragmentations": "Frag"}
for scene in (EMPTY, OTHERS):
    events = motmetrics.MOTAccumulator(auto_id=True)
    for frame in scene:
        events.update(frame, frame, 1 - np.eye(len(frame)))
    found = motmetrics.metrics.create().compute(events, metrics=list(NAMES)).iloc[0]
    print(*(f"{name} {found[key]:g}" for key, name in NAMES.items()))
PY
seen=$(for name in trackeval motmetrics; do
  "$folder/$name/bin/python" -W ignore "$folder/by_$name.py" 2>/dev/null |
    paste -d: <(printf "$name, %s\n" empty others) -
done)
echo "$seen"
[ "$seen" = "trackeval, empty:MOTA 1 IDSW 0 Frag 0
trackeval, others:MOTA 1 IDSW 0 Frag 1
motmetrics, empty:MOTA 1 IDSW 0 Frag 0
motmetrics, others:MOTA 1 IDSW 0 Frag 0" ] || { echo "TrackEval 1.3.0 - CHANGED" >&2; exit 1; }
echo "TrackEval 1.3.0 - as seen"
