"""deep-sort-realtime with our encoder: drop-in as its embedder, or exact with the part distance.

python demos/deep_sort_realtime_demo.py [SOURCE] [--level exact|drop-in] [--boxes det.txt]
"""

from __future__ import annotations

from collections.abc import Sequence

from street import arguments, people

from bpbreid_track.integrations.deep_sort_realtime import PartDeepSort
from bpbreid_track.integrations.report import appearance_report


def main(argv: Sequence[str] | None = None) -> None:
    options = arguments(__doc__, argv=argv)
    tracker = PartDeepSort(options.encoder, "parts" if options.level == "exact" else "foreground")
    identities: set[str] = set()
    for item in people(options):
        raw = [
            ([x1, y1, x2 - x1, y2 - y1], score, "person") for x1, y1, x2, y2, score, _ in item.table.tolist()
        ]
        tracks = tracker.update_tracks(raw, frame=item.frame.image)
        identities |= {track.track_id for track in tracks if track.is_confirmed()}
    print(f"{len(identities)} identities; {appearance_report(tracker)}")


if __name__ == "__main__":
    main()
