"""PartTracker as one of Roboflow's trackers; see docs/integrations/trackers.md for their command line.

python demos/trackers_demo.py [SOURCE] [--boxes det.txt]
"""

from __future__ import annotations

from collections.abc import Sequence

from street import arguments, people

from bpbreid_track.integrations.report import appearance_report
from bpbreid_track.integrations.trackers import BPBReIDTracker


def main(argv: Sequence[str] | None = None) -> None:
    options = arguments(__doc__, levels=(), argv=argv)
    tracker = BPBReIDTracker(encoder=options.encoder)
    identities: set[int] = set()
    for item in people(options):
        tracked = tracker.update(item.detections, item.frame.image, timestamp=item.frame.timestamp)
        identities |= {int(identity) for identity in tracked.tracker_id if identity > 0}
    print(f"{len(identities)} identities; {appearance_report(tracker)}")


if __name__ == "__main__":
    main()
