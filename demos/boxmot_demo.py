"""BoxMOT's BoT-SORT with our encoder: drop-in as its reid_model, or exact with the part distance.

python demos/boxmot_demo.py [SOURCE] [--level exact|drop-in] [--boxes det.txt]
"""

from __future__ import annotations

from collections.abc import Sequence

from boxmot import BotSort
from street import arguments, people

from bpbreid_track import Encoder
from bpbreid_track.integrations.boxmot import ReIDModel, watch
from bpbreid_track.integrations.boxmot_parts import PartBotSort
from bpbreid_track.integrations.report import appearance_report


def main(argv: Sequence[str] | None = None) -> None:
    options = arguments(__doc__, argv=argv)
    encoder = Encoder.load(options.encoder)
    if options.level == "exact":
        tracker = PartBotSort(encoder, cmc_method="sof")
    else:
        tracker = BotSort(reid_model=ReIDModel(encoder), cmc_method="sof")
        watch(tracker)
    identities: set[int] = set()
    for item in people(options):
        tracks = tracker.update(
            item.table, item.frame.image
        )  # [M, 8]: x1, y1, x2, y2, id, conf, cls, det_idx
        identities |= {int(row[4]) for row in tracks}
    print(f"{len(identities)} identities; {appearance_report(tracker)}")


if __name__ == "__main__":
    main()
