"""norfair (or norfair-enough) that finds lost people again by their parts.

python demos/norfair_demo.py [SOURCE] [--level exact|drop-in] [--boxes det.txt]
"""

from __future__ import annotations

from collections.abc import Sequence

from street import arguments, people

from bpbreid_track import Encoder
from bpbreid_track.integrations.norfair import ReIDTracker, norfair_detections
from bpbreid_track.integrations.report import appearance_report


def main(argv: Sequence[str] | None = None) -> None:
    options = arguments(__doc__, argv=argv)
    vector = "parts" if options.level == "exact" else "foreground"
    encoder, tracker = Encoder.load(options.encoder), ReIDTracker(vector)
    identities: set[int] = set()
    for item in people(options):
        embeddings = encoder.encode(item.frame.image, item.detections.xyxy)
        boxes = norfair_detections(item.detections.xyxy, item.detections.confidence, embeddings, vector)
        identities |= {thing.id for thing in tracker.update(boxes)}
    print(f"{len(identities)} identities; {appearance_report(tracker)}")


if __name__ == "__main__":
    main()
