"""How well identities are joined over cameras: pairs joined that are one person, and pairs found.

    python benchmarks/across_videos.py --data DIR [--folders A B] [--encoder default] [--json]

DIR is a data set in the layout of Market-1501. The crops of one person in one camera stand for what a run of
that camera saved of an identity: ``--views`` of them at most. All identities of all cameras are joined as
``bpbreid-link`` joins them, by looks alone, as such data sets have no clock that cameras share.

* precision: of the pairs from two cameras that were joined, the share that is one person;
* recall: of the pairs from two cameras that are one person, the share that was joined;
* people: how many there seem to be.

*apart* forbids to join two identities of one camera, as who was seen together is not joined; *free* does not.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import numpy as np

sys.path[:0] = [str(Path(__file__).resolve().parent.parent), str(Path(__file__).resolve().parent)]

from gallery import read_data_set  # noqa: E402
from report import as_text, circumstances, print_figures  # noqa: E402

from bpbreid_track import Encoder  # noqa: E402
from bpbreid_track.identities.across import join, mean_views, pair_scores  # noqa: E402


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True, help="folder in the layout of Market-1501")
    parser.add_argument("--folders", nargs="+", default=["query", "bounding_box_test"])
    parser.add_argument("--people", type=int, help="the first so many people of them only")
    parser.add_argument("--encoder", default="default", help="as for bpbreid-track (default)")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--views", type=int, default=20, help="most crops of a person in a camera (20)")
    parser.add_argument("--thresholds", type=float, nargs="+", default=[0.45, 0.5, 0.55, 0.6, 0.65, 0.7])
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", action="store_true", help="print one JSON object in place of a table")
    arguments = parser.parse_args()

    encoder = Encoder.load(arguments.encoder, device=arguments.device)
    crops = read_data_set(arguments.data, arguments.folders, encoder, arguments.people)
    rng = np.random.default_rng(arguments.seed)
    order = rng.permutation(len(crops.people))
    seen = np.unique(np.stack([crops.cameras, crops.people], axis=1), axis=0)
    views = []
    for camera, person in seen:
        rows = order[((crops.cameras == camera) & (crops.people == person))[order]]
        views.append(crops.embeddings[rows[: arguments.views]])
    looks = mean_views(views)
    cameras, people = seen.T
    same_camera = cameras[:, None] == cameras[None, :]
    apart = same_camera & ~np.eye(len(seen), dtype=bool)
    found = {}
    for threshold in arguments.thresholds:
        for name, forbidden in (("free", np.zeros_like(apart)), ("apart", apart)):
            groups = join(looks, forbidden, threshold)
            precision, recall = pair_scores(groups, people, ~same_camera)
            found[f"{threshold:g} {name}"] = {
                "precision": 100 * precision,
                "recall": 100 * recall,
                "people": int(groups.max()) + 1,
            }

    config = {key: str(value) for key, value in vars(arguments).items() if key != "json"}
    config |= {"crops": len(crops.people), "identities": len(seen), "people_in_truth": len(np.unique(people))}
    config |= {"cameras": len(np.unique(cameras))}
    facts = circumstances([], seed=arguments.seed, config=config)
    if arguments.json:
        print_figures(facts, found, as_json=True)
        return
    print(as_text(facts) + "\n")
    print("| threshold | precision | recall | people |\n|:--|---:|---:|---:|")
    for name, row in found.items():
        print(f"| {name} | {row['precision']:.1f} % | {row['recall']:.1f} % | {row['people']} |")


if __name__ == "__main__":
    main()
