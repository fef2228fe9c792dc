"""How often a person is given a wrong name, or none: open-set identification on a ReID data set.

    python benchmarks/gallery.py --data DIR [--encoder default] [--galleries query bounding_box_test] [--json]

Half of the identities are enrolled with some of their crops, half stay unknown, drawn anew for each of
``--splits`` splits. A probe is what would be known of a track: the mean of up to ``--track`` crops of one
person in one camera. Enrolled crops of the probe's own camera are left out for its own name, so that every
right answer is one across cameras. For each threshold on the part distance (Eq. 9, nearest enrolled crop):

* false accepts: probes of unknown people that are given any name;
* missed: probes of enrolled people that are given none;
* wrong: probes of enrolled people that are given another's name.
"""

from __future__ import annotations

import argparse
import re
import sys
from pathlib import Path
from typing import Any

import cv2
import numpy as np

sys.path[:0] = [str(Path(__file__).resolve().parent.parent)]

from report import as_text, circumstances, print_figures  # noqa: E402

from bpbreid_track import Encoder, PartEmbeddings  # noqa: E402
from bpbreid_track.tracking.appearance import AppearanceSums  # noqa: E402
from bpbreid_track.tracking.naming import Gallery  # noqa: E402

_NAME = re.compile(r"(\d{4})_c(\d+)")
_BATCH = 64


def read_crops(
    root: Path, folders: list[str], encoder: Encoder
) -> tuple[PartEmbeddings, np.ndarray, np.ndarray]:
    """Embeddings, identities and cameras of all crops named as in Market-1501, distractors left out."""
    paths = [path for folder in folders for path in sorted((root / folder).glob("*.jpg"))]
    facts = [(path, _NAME.match(path.name)) for path in paths]
    known = [(path, int(match[1]), int(match[2])) for path, match in facts if match and int(match[1]) > 0]
    if not known:
        raise SystemExit(f"{root}: no crops named like 0002_c1s1_000451_03.jpg in {', '.join(folders)}")
    rows = []
    for start in range(0, len(known), _BATCH):
        images = [cv2.imread(str(path)) for path, _, _ in known[start : start + _BATCH]]
        rows.append(encoder.encode_crops(images).to("cpu"))
    people = np.array([identity for _, identity, _ in known])
    return PartEmbeddings.cat(rows), people, np.array([camera for _, _, camera in known])


class Trial:
    """One split into enrolled and unknown people, and the distances of all probes."""

    def __init__(
        self,
        crops: PartEmbeddings,
        people: np.ndarray,
        cameras: np.ndarray,
        rng: np.random.Generator,
        enrol: int,
        track: int,
    ) -> None:
        everybody = rng.permutation(np.unique(people))
        enrolled = np.sort(everybody[: len(everybody) // 2])
        self.known: list[bool] = []
        self.nearest: list[float] = []
        self.right: list[bool] = []
        chosen = {int(person): rng.permutation(np.flatnonzero(people == person)) for person in everybody}
        rows_of = {
            int(person): {
                int(camera): chosen[int(person)][cameras[chosen[int(person)]] == camera]
                for camera in np.unique(cameras[chosen[int(person)]])
            }
            for person in everybody
        }
        sums = AppearanceSums(crops.part_names, crops.dim)
        probes: list[tuple[int, int]] = []
        features, visibility = crops.numpy()
        for person, by_camera in rows_of.items():
            for camera, rows in by_camera.items():
                for row in rows[:track]:
                    sums.add(np.array([len(probes)]), features[row][None], visibility[row][None])
                probes.append((person, camera))
        looks = sums.whole(np.arange(len(probes)))
        for camera in np.unique(cameras):
            here = [n for n, probe in enumerate(probes) if probe[1] == camera]
            names, views, owner = [], [], []
            for person in enrolled.tolist():
                rows = chosen[person][cameras[chosen[person]] != camera][:enrol]
                if not len(rows):
                    continue
                owner += [len(names)] * len(rows)
                names.append(str(person))
                views.append(crops[rows])
            gallery = Gallery(tuple(names), PartEmbeddings.cat(views), np.array(owner))
            distances = gallery.distances(looks[np.array(here)])
            for row, n in enumerate(here):
                person = str(probes[n][0])
                enrolled_here = probes[n][0] in enrolled
                if enrolled_here and person not in names:
                    continue  # seen by this camera alone: nothing to recognise them by
                best = int(distances[row].argmin())
                self.known.append(enrolled_here)
                self.nearest.append(float(distances[row, best]))
                self.right.append(names[best] == person)


def rates(trials: list[Trial], threshold: float) -> dict[str, float]:
    """Shares in per cent over all probes of all trials."""
    known = np.array([value for trial in trials for value in trial.known])
    accepted = np.array([value for trial in trials for value in trial.nearest]) <= threshold
    right = np.array([value for trial in trials for value in trial.right])
    return {
        "false_accepts": 100 * float(accepted[~known].mean()),
        "missed": 100 * float((~accepted[known]).mean()),
        "wrong": 100 * float((accepted & ~right)[known].mean()),
        "right": 100 * float((accepted & right)[known].mean()),
    }


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True, help="folder in the layout of Market-1501")
    parser.add_argument("--folders", nargs="+", default=["query", "bounding_box_test"])
    parser.add_argument("--encoder", default="default")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--splits", type=int, default=20)
    parser.add_argument("--enrol", type=int, default=20, help="most crops enrolled of a person (20)")
    parser.add_argument("--track", type=int, default=8, help="most crops that make up a probe (8)")
    parser.add_argument("--thresholds", type=float, nargs="+", default=[0.4, 0.45, 0.5, 0.55, 0.6, 0.65, 0.7])
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", action="store_true", help="print one JSON object in place of a table")
    arguments = parser.parse_args()

    encoder = Encoder.load(arguments.encoder, device=arguments.device)
    crops, people, cameras = read_crops(arguments.data, arguments.folders, encoder)
    rng = np.random.default_rng(arguments.seed)
    trials = [
        Trial(crops, people, cameras, rng, arguments.enrol, arguments.track) for _ in range(arguments.splits)
    ]
    config: dict[str, Any] = {key: str(value) for key, value in vars(arguments).items() if key != "json"}
    config |= {
        "crops": len(crops),
        "people": len(np.unique(people)),
        "probes": sum(len(trial.known) for trial in trials),
    }
    facts = circumstances([], seed=arguments.seed, config=config)
    found = {f"{threshold:g}": rates(trials, threshold) for threshold in arguments.thresholds}
    if arguments.json:
        print_figures(facts, found, as_json=True)
        return
    print(as_text(facts) + "\n")
    print("| threshold | false accepts | missed | wrong name | right name |\n|---:|---:|---:|---:|---:|")
    for threshold, row in found.items():
        cells = (row["false_accepts"], row["missed"], row["wrong"], row["right"])
        print(f"| {threshold} | " + " | ".join(f"{value:.1f} %" for value in cells) + " |")


if __name__ == "__main__":
    main()
