"""Embeddings that travel in sv.Detections: encode once, filter, track.

python demos/supervision_demo.py [SOURCE] [--boxes det.txt]
"""

from __future__ import annotations

from collections.abc import Sequence

from street import arguments, people

from bpbreid_track import Encoder, PartTracker
from bpbreid_track.integrations.report import appearance_report
from bpbreid_track.integrations.supervision import embeddings_of, with_embeddings


def main(argv: Sequence[str] | None = None) -> None:
    options = arguments(__doc__, levels=(), argv=argv)
    encoder, tracker = Encoder.load(options.encoder), PartTracker()
    identities: set[int] = set()
    for item in people(options):
        carried = with_embeddings(item.detections, encoder.encode(item.frame.image, item.detections.xyxy))
        tall = carried[carried.xyxy[:, 3] - carried.xyxy[:, 1] > 40]  # embeddings are filtered along
        tracked = tracker.update(tall, embeddings=embeddings_of(tall), timestamp=item.frame.timestamp)
        identities |= {int(identity) for identity in tracked.tracker_id if identity > 0}
    print(f"{len(identities)} identities; {appearance_report(tracker)}")


if __name__ == "__main__":
    main()
