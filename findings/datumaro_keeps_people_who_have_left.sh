#!/usr/bin/env bash
# datumaro 1.13.12: tracks of CVAT ("CVAT for video 1.1") converted to MOT (mot_seq_gt).
#
# CVAT ends a track by one more box with outside="1": from that frame on nobody is there. Here somebody is seen in the
# frames 0 to 2, and frame 3 says outside.
# Guessed: three boxes in gt.txt.
# Seen: four. The box that says that nobody is there is written as one of confidence 1, class 1 and visibility 1, the
# same as the others: `outside` is kept as an attribute when read and looked at nowhere when MOT is written. Each
# stretch in which somebody is seen brings one box too many, which a tracker that does well counts as missed.
#
# Prints gt.txt; exit code 1 if that is no longer what was seen on 2026-11-30.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check datumaro==1.13.12
mkdir "$folder/cvat"
cat > "$folder/cvat/annotations.xml" <<'XML'
<?xml version="1.0" encoding="utf-8"?>
<annotations>
  <version>1.1</version>
  <meta><task>
    <id>1</id><name>street</name><size>5</size><mode>interpolation</mode><overlap>0</overlap>
    <start_frame>0</start_frame><stop_frame>4</stop_frame><frame_filter></frame_filter>
    <labels><label><name>person</name><attributes></attributes></label></labels>
    <original_size><width>300</width><height>100</height></original_size>
  </task></meta>
  <track id="0" label="person" source="manual">
    <box frame="0" outside="0" occluded="0" keyframe="1" xtl="10" ytl="10" xbr="30" ybr="50" z_order="0"></box>
    <box frame="1" outside="0" occluded="0" keyframe="0" xtl="20" ytl="10" xbr="40" ybr="50" z_order="0"></box>
    <box frame="2" outside="0" occluded="0" keyframe="1" xtl="30" ytl="10" xbr="50" ybr="50" z_order="0"></box>
    <box frame="3" outside="1" occluded="0" keyframe="1" xtl="30" ytl="10" xbr="50" ybr="50" z_order="0"></box>
  </track>
</annotations>
XML
"$folder/venv/bin/python" - "$folder" 2>/dev/null <<'PY'
import sys
from pathlib import Path

from datumaro.components.dataset import Dataset

room = Path(sys.argv[1])
tracks = Dataset.import_from(str(room / "cvat"), "cvat")
outside = [box.attributes["outside"] for item in tracks for box in item.annotations]
tracks.export(str(room / "mot"), "mot_seq_gt")
text = (room / "mot" / "gt" / "gt.txt").read_text()
print(text, end="")
rows = [[float(value) for value in line.split(",")] for line in text.split()]
same = outside == [False, False, False, True] and [row[2] for row in rows] == [10, 20, 30, 30]
same = same and {tuple(row[6:]) for row in rows} == {(1, 1, 1)}
print("datumaro 1.13.12", "- as seen" if same else "- CHANGED")
sys.exit(not same)
PY
