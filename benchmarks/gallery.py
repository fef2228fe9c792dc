"""How often a person is given a wrong name, or none: open-set identification with galleries.

    python benchmarks/gallery.py --data DIR [--encoder default] [--json]     a data set like Market-1501
    python benchmarks/gallery.py --sequence MOT_SEQUENCE [--json]            one camera, seconds later

Half of the identities are enrolled, half stay unknown, drawn anew for each of ``--splits`` splits. A probe is
what would be known of a track: the mean of up to ``--track`` crops of one person in one camera. Crops of the
probe's camera are not enrolled, so that every right answer is one across cameras. In a sequence of one camera
the earlier and the later half of each person's boxes stand for two cameras.

For each threshold on the part distance (Eq. 9) to the nearest enrolled crop:

* false accepts: probes of unknown people that are given any name;
* missed: probes of enrolled people that are given none;
* wrong: probes of enrolled people that are given another's name.
"""

from __future__ import annotations

import argparse
import re
import sys
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np

sys.path[:0] = [str(Path(__file__).resolve().parent.parent), str(Path(__file__).resolve().parent)]

from cross_domain import spaced_crops  # noqa: E402
from report import as_text, circumstances, print_figures  # noqa: E402

from bpbreid_track import Encoder, PartEmbeddings  # noqa: E402
from bpbreid_track.identities.appearance_stats import AppearanceSums  # noqa: E402
from bpbreid_track.identities.gallery import Gallery  # noqa: E402

_NAME = re.compile(r"(\d{4})_c(\d+)")
_BATCH = 64
# Seconds between two boxes of a person that are taken from a sequence.
_SPACING = 0.4


class Crops(NamedTuple):
    """N crops with identity and camera, int64 [N] each."""

    embeddings: PartEmbeddings
    people: np.ndarray
    cameras: np.ndarray


class Probes(NamedTuple):
    """Answers for M probes: is the person enrolled, how far is the nearest name, is it the right one."""

    known: np.ndarray
    distance: np.ndarray
    right: np.ndarray


def read_data_set(root: Path, folders: list[str], encoder: Encoder, people: int | None = None) -> Crops:
    """All crops named as in Market-1501, distractors left out; of the first so many ``people`` only."""
    paths = [path for folder in folders for path in sorted((root / folder).glob("*.jpg"))]
    named = [(path, _NAME.match(path.name)) for path in paths]
    known = [(path, int(match[1]), int(match[2])) for path, match in named if match and int(match[1]) > 0]
    if people is not None:
        kept = set(sorted({person for _, person, _ in known})[:people])
        known = [facts for facts in known if facts[1] in kept]
    if not known:
        raise SystemExit(f"{root}: no crops named like 0002_c1s1_000451_03.jpg in {', '.join(folders)}")
    rows = []
    for start in range(0, len(known), _BATCH):
        images = [cv2.imread(str(path)) for path, _, _ in known[start : start + _BATCH]]
        rows.append(encoder.encode_crops(images).to("cpu"))
    return Crops(PartEmbeddings.cat(rows), *np.array([facts[1:] for facts in known]).T)


def read_sequence(sequence: Path, encoder: Encoder) -> Crops:
    """Boxes of the ground truth; camera 0 is the earlier half of those of each person, 1 the later."""
    embeddings, people, frames = spaced_crops(sequence, encoder, _SPACING)
    middle = {person: np.median(frames[people == person]) for person in np.unique(people)}
    late = frames > np.array([middle[person] for person in people])
    return Crops(embeddings.to("cpu"), people, late.astype(np.int64))


def probe(crops: Crops, rng: np.random.Generator, enrol: int, track: int) -> Probes:
    """One split: enrol half of the people, and ask for everybody in every camera."""
    order = rng.permutation(len(crops.people))
    everybody = rng.permutation(np.unique(crops.people))
    enrolled = set(everybody[: len(everybody) // 2].tolist())
    features, visibility = crops.embeddings.numpy()
    known, distance, right = [], [], []
    for camera in np.unique(crops.cameras):
        here = crops.cameras == camera
        rows = {p: _first(order, ~here & (crops.people == p), enrol) for p in enrolled}
        names = [person for person in enrolled if len(rows[person])]
        gallery = Gallery(
            tuple(map(str, names)),
            PartEmbeddings.cat([crops.embeddings[rows[person]] for person in names]),
            np.repeat(np.arange(len(names)), [len(rows[person]) for person in names]),
        )
        # Who was enrolled from this camera alone has nothing to be recognised by.
        asked = [p for p in np.unique(crops.people[here]).tolist() if p in names or p not in enrolled]
        sums = AppearanceSums(crops.embeddings.part_names, crops.embeddings.dim)
        for person in asked:
            for row in _first(order, here & (crops.people == person), track):
                sums.add(np.array([person]), features[row][None], visibility[row][None])
        distances = gallery.distances(sums.whole(np.array(asked)))
        known += [person in enrolled for person in asked]
        distance += distances.min(axis=1).tolist()
        right += [names[best] == p for best, p in zip(distances.argmin(axis=1), asked, strict=True)]
    return Probes(np.array(known), np.array(distance), np.array(right))


def _first(order: np.ndarray, mask: np.ndarray, count: int) -> np.ndarray:
    """The first ``count`` rows in ``order`` that are in ``mask``."""
    return order[mask[order]][:count]


def rates(probes: Probes, threshold: float) -> dict[str, float]:
    """Shares in per cent, of unknown people for false accepts, of enrolled ones for the others."""
    accepted = probes.distance <= threshold
    return {
        "false_accepts": 100 * float(accepted[~probes.known].mean()),
        "missed": 100 * float((~accepted)[probes.known].mean()),
        "wrong": 100 * float((accepted & ~probes.right)[probes.known].mean()),
        "right": 100 * float((accepted & probes.right)[probes.known].mean()),
    }


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument("--data", type=Path, help="folder in the layout of Market-1501")
    source.add_argument("--sequence", type=Path, help="MOTChallenge sequence with gt/gt.txt")
    parser.add_argument("--folders", nargs="+", default=["query", "bounding_box_test"])
    parser.add_argument("--encoder", default="default", help="as for bpbreid-track (default)")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--splits", type=int, default=20)
    parser.add_argument("--enrol", type=int, default=20, help="most crops enrolled of a person (20)")
    parser.add_argument("--track", type=int, default=8, help="most crops that make up a probe (8)")
    parser.add_argument("--thresholds", type=float, nargs="+", default=[0.5, 0.55, 0.6, 0.65, 0.7, 0.75])
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", action="store_true", help="print one JSON object in place of a table")
    arguments = parser.parse_args()

    encoder = Encoder.load(arguments.encoder, device=arguments.device)
    if arguments.sequence is None:
        crops = read_data_set(arguments.data, arguments.folders, encoder)
    else:
        crops = read_sequence(arguments.sequence, encoder)
    rng = np.random.default_rng(arguments.seed)
    splits = [probe(crops, rng, arguments.enrol, arguments.track) for _ in range(arguments.splits)]
    probes = Probes(*(np.concatenate(columns) for columns in zip(*splits, strict=True)))

    config = {key: str(value) for key, value in vars(arguments).items() if key != "json"}
    config |= {"crops": len(crops.people), "people": len(np.unique(crops.people))}
    config |= {"probes_known": int(probes.known.sum()), "probes_unknown": int((~probes.known).sum())}
    facts = circumstances([], seed=arguments.seed, config=config)
    found = {f"{threshold:g}": rates(probes, threshold) for threshold in arguments.thresholds}
    if arguments.json:
        print_figures(facts, found, as_json=True)
        return
    print(as_text(facts) + "\n")
    print("| threshold | false accepts | missed | wrong name | right name |\n|---:|---:|---:|---:|---:|")
    for name, row in found.items():
        print(f"| {name} | " + " | ".join(f"{value:.1f} %" for value in row.values()) + " |")


if __name__ == "__main__":
    main()
