#!/usr/bin/env bash
# datumaro 1.13.12: tracks of CVAT ("CVAT for video 1.1") read and written again, in the same format (cvat).
#
# Two people with the track ids 0 and 5 in three frames; nothing is changed in between. That is how tracks are filtered,
# merged or renamed on their way back into CVAT.
# Guessed: what is written are tracks: the format has them, and each box still carries its track_id when it was read.
# Seen: a file of images with boxes that nothing joins ("mode annotation"). There is no <track>, and no attribute with
# the number either, though all others come along: those that tracks were annotated with, and outside and keyframe,
# which say nothing without tracks. Who is who is gone, without an error or a warning. datumaro's own format keeps it.
#
# Prints both; exit code 1 if that is no longer what was seen on 2026-11-30.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check datumaro==1.13.12
"$folder/venv/bin/python" - "$folder" 2>/dev/null <<'PY'
import sys
from pathlib import Path
from xml.etree import ElementTree

from datumaro.components.dataset import Dataset

room = Path(sys.argv[1])
HEAD = """<?xml version="1.0" encoding="utf-8"?>
<annotations><version>1.1</version><meta><task>
<id>1</id><name>street</name><size>3</size><mode>interpolation</mode><overlap>0</overlap>
<start_frame>0</start_frame><stop_frame>2</stop_frame><frame_filter></frame_filter>
<labels><label><name>person</name><attributes><attribute><name>shirt</name><mutable>False</mutable>
<input_type>text</input_type><default_value></default_value><values></values></attribute></attributes></label></labels>
<original_size><width>300</width><height>100</height></original_size></task></meta>
"""


def track(number, left):
    """Somebody who walks to the right, 10 pixels a frame."""
    boxes = (
        f'<box frame="{frame}" outside="0" occluded="0" keyframe="1" xtl="{left + 10 * frame}" ytl="10"'
        f' xbr="{left + 10 * frame + 20}" ybr="50" z_order="0"><attribute name="shirt">red</attribute></box>'
        for frame in range(3)
    )
    return f'<track id="{number}" label="person" source="manual">{"".join(boxes)}</track>\n'


def identities(folder, kind):
    """Track ids of each frame."""
    data = Dataset.import_from(str(folder), kind)
    return data, [[box.attributes.get("track_id") for box in item.annotations] for item in data]


(room / "first").mkdir()
(room / "first" / "annotations.xml").write_text(HEAD + track(0, 10) + track(5, 100) + "</annotations>")
data, before = identities(room / "first", "cvat")
for kind in ("cvat", "datumaro"):
    data.export(str(room / kind), kind)
written = ElementTree.parse(room / "cvat" / "annotations.xml").getroot()
frames = [child for child in written if child.tag != "version" and child.tag != "meta"]
boxes = [box for frame in frames for box in frame]
print("read:", before, "| datumaro's own format:", identities(room / "datumaro", "datumaro")[1])
print("cvat:", *(f"<{frame.tag}> with {len(frame)} <{frame[0].tag}>;" for frame in frames))
print("of each box:", *sorted(boxes[0].attrib), "and", boxes[0][0].attrib["name"])
same = before == identities(room / "datumaro", "datumaro")[1] == [[0, 5]] * 3
same = same and [(frame.tag, len(frame)) for frame in frames] == [("image", 2)] * 3
same = same and all([child.attrib["name"] for child in box] == ["shirt"] for box in boxes)
same = same and not {"id", "track_id"} & {name for box in boxes for name in box.attrib}
same = same and {(box.attrib["outside"], box.attrib["keyframe"]) for box in boxes} == {("0", "1")}
print("datumaro 1.13.12", "- as seen" if same else "- CHANGED")
sys.exit(not same)
PY
