"""YOLO.track with our tracker file.

python demos/ultralytics_demo.py VIDEO [--level exact|drop-in] [--boxes yolo11n.pt]
"""

from __future__ import annotations

import itertools
import tempfile
from collections.abc import Sequence
from pathlib import Path

from street import arguments
from ultralytics import YOLO

from bpbreid_track.detection.weights import find_detector_weights
from bpbreid_track.integrations.report import appearance_report
from bpbreid_track.integrations.ultralytics import TRACKER
from bpbreid_track.io.open_source import open_source


def main(argv: Sequence[str] | None = None) -> None:
    options = arguments(__doc__, argv=argv)
    settings = Path(TRACKER).read_text(encoding="utf-8")
    if options.level == "drop-in":
        settings = settings.replace("appearance: parts", "appearance: foreground")
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "bpbreid.yaml"
        file.write_text(settings, encoding="utf-8")
        model = YOLO(find_detector_weights(options.boxes).path)
        identities: set[int] = set()
        with open_source(options.source) as source:
            for frame in itertools.islice(source, options.frames):
                result = model.track(
                    frame.image, persist=True, tracker=str(file), classes=[0], verbose=False
                )[0]
                if result.boxes.id is not None:
                    identities |= set(result.boxes.id.int().tolist())
    print(f"{len(identities)} identities; {appearance_report(model.predictor.trackers[0])}")


if __name__ == "__main__":
    main()
