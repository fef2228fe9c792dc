"""PartTracker with BoxMOT's arrays in and out; BoxMOT itself is not needed.

python demos/array_tracker_demo.py [SOURCE] [--boxes det.txt]
"""

from __future__ import annotations

from collections.abc import Sequence

from street import arguments, people

from bpbreid_track import Encoder
from bpbreid_track.integrations.array_tracker import ArrayTracker
from bpbreid_track.integrations.report import appearance_report


def main(argv: Sequence[str] | None = None) -> None:
    options = arguments(__doc__, levels=(), argv=argv)
    tracker = ArrayTracker(encoder=Encoder.load(options.encoder))
    identities: set[int] = set()
    for item in people(options):
        tracks = tracker.update(item.table, item.frame.image, timestamp_s=item.frame.timestamp)
        identities |= {int(row[4]) for row in tracks}
    print(f"{len(identities)} identities; {appearance_report(tracker)}")


if __name__ == "__main__":
    main()
