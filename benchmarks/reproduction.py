"""The paper's ablations (Tables 2 to 4) on one data set: one recipe, one schedule, one change at a time.

    bpbreid-train labels DATA --splits train,query,gallery --out LABELS
    bpbreid-train labels DATA --splits query --query occluded_query --out LABELS
    python benchmarks/reproduction.py --data DATA --masks LABELS --out runs/reproduction

Every variant trains the recipe ``reproduction`` with the settings listed in ``VARIANTS`` and is ranked on
``query`` and ``occluded_query`` against the gallery, by the Market-1501 protocol. A variant whose scores lie
in the output folder already is not trained again, and one that was cut off goes on where it stopped, so the
same command finishes what was begun. ``--print`` only shows what there is.

Variants are independent: several of these commands with different ``--variants`` may run side by side.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

sys.path[:0] = [str(Path(__file__).resolve().parent), str(Path(__file__).resolve().parent.parent / "trainer")]

from report import circumstances  # noqa: E402

from bpbreid_track.embeddings import PartEmbeddings  # noqa: E402
from bpbreid_track.model.checkpoint import load_checkpoint  # noqa: E402
from bpbreid_track.model.encoder import Encoder  # noqa: E402
from bpbreid_trainer.data import load_dataset  # noqa: E402
from bpbreid_trainer.engine import fit  # noqa: E402
from bpbreid_trainer.evaluate import crop_embedder, embed_all, mask_embedder, rank  # noqa: E402
from bpbreid_trainer.options import TrainOptions, read_options  # noqa: E402

VARIANTS: dict[str, tuple[str, ...]] = {
    "BoT": ("loss.preset=bot", "loss.attention_weight=0", "model.test_embeddings=[bn_global]"),
    "BPBReID": (),
    "fixed attention": ("model.attention=fixed",),
    "one triplet a part": ("loss.triplet=per_part",),
    "PCB": ("parts=strp_5", "model.attention=stripes", "loss.preset=pcb", "loss.attention_weight=0"),
    "Table 4 row 2": ("loss.preset=table4_2",),
    "Table 4 row 3": ("loss.preset=table4_3",),
    "Table 4 row 5": ("loss.preset=table4_5",),
}
"""Settings by name. Without visibility is no training of its own: it is BPBReID ranked in another way."""
QUERIES = ("query", "occluded_query")
_COLUMNS = "rank-1 | mAP | covered rank-1 | covered mAP | seeds"
_RULE = "---:|" * 5


def run_name(variant: str, seed: int) -> str:
    """The folder of a run, such as ``one-triplet-a-part-1``."""
    return f"{variant.lower().replace(' ', '-')}-{seed}"


def train(variant: str, seed: int, arguments: argparse.Namespace) -> None:
    """Train a variant unless that is done, and write its scores beside it."""
    folder = Path(arguments.out, run_name(variant, seed))
    if (folder / "scores.json").is_file():
        return
    settings = [f"data.root={arguments.data}", f"data.masks={arguments.masks}", f"output={folder}"]
    settings += [f"seed={seed}", *VARIANTS[variant], *arguments.overrides]
    options = read_options("reproduction", settings)
    if not (folder / "last.safetensors").is_file():
        fit(options, resume=(folder / "last.pt").is_file())
    scores = score(folder / "last.safetensors", options, arguments)
    facts = circumstances(["torchvision", "timm"], seed=seed, config=options.model_dump(mode="json"))
    document = {"about": facts, "variant": variant, "scores": scores}
    (folder / "scores.json").write_text(json.dumps(document, indent=1), encoding="utf-8")


def score(weights: Path, options: TrainOptions, arguments: argparse.Namespace) -> dict[str, Any]:
    """Metrics by embeddings compared and query folder: all of them, parts, and each alone."""
    network = load_checkpoint(weights)
    fixed = network.options.attention == "fixed"
    embed = (
        mask_embedder(network, options.parts) if fixed else crop_embedder(Encoder(network, precision="fp32"))
    )
    sets = {
        query: load_dataset(
            arguments.data, masks=arguments.masks if fixed else None, query=query, with_masks=fixed
        )
        for query in QUERIES
    }
    gallery = embed_all(embed, sets[QUERIES[0]].gallery)
    found: dict[str, Any] = {}
    for query, dataset in sets.items():
        rows = embed_all(embed, dataset.query)
        for name, (columns, visible) in _choices(rows.part_names).items():
            pair = (_only(rows, columns, visible), _only(gallery, columns, visible))
            metrics = rank(*pair, dataset.query, dataset.gallery)
            found.setdefault(name, {})[query] = metrics.as_dict()
    return found


def _choices(names: Sequence[str]) -> dict[str, tuple[list[int], bool]]:
    """Which columns to compare, and whether only where they are visible."""
    everything = list(range(len(names)))
    if len(names) == 1:
        return {"all": (everything, True)}
    return {
        "all": (everything, True),
        "all, visibility ignored": (everything, False),
        "parts": (everything[1:], True),
        **{name: ([column], True) for column, name in enumerate(names)},
    }


def _only(rows: PartEmbeddings, columns: list[int], visible: bool) -> PartEmbeddings:
    shown = rows.visibility[:, columns]
    return PartEmbeddings(
        rows.features[:, columns],
        shown if visible else shown.new_ones(shown.shape),
        [rows.part_names[column] for column in columns],
    )


def print_tables(folder: Path) -> None:
    """Means over the seeds that are there, in Markdown."""
    runs: dict[str, list[dict[str, Any]]] = {}
    for path in sorted(folder.glob("*/scores.json")):
        document = json.loads(path.read_text(encoding="utf-8"))
        runs.setdefault(document["variant"], []).append(document["scores"])
    rows: list[tuple[str, str]] = []
    for variant in VARIANTS:
        # PCB knows stripes only: its whole-body layers are not trained.
        rows.append((variant, "parts" if variant == "PCB" else "all"))
        if variant == "BPBReID":
            rows.append((variant, "all, visibility ignored"))
    print(f"| variant | compared | {_COLUMNS} |\n|---|---|{_RULE}")
    for variant, compared in rows:
        _print_row(f"{variant} | {compared}", [scores[compared] for scores in runs.get(variant, [])])
    print(f"\n| BPBReID, compared | {_COLUMNS} |\n|---|{_RULE}")
    for compared in runs["BPBReID"][0] if "BPBReID" in runs else ():
        _print_row(compared, [scores[compared] for scores in runs["BPBReID"]])


def _print_row(name: str, runs: list[dict[str, dict[str, float]]]) -> None:
    if runs:
        values = [
            f"{statistics.fmean(run[query][metric] for run in runs):.3f}"
            for query in QUERIES
            for metric in ("rank1", "mAP")
        ]
        print(f"| {name} | {' | '.join(values)} | {len(runs)} |")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("overrides", nargs="*", help="settings for all variants, such as epochs=60")
    parser.add_argument("--data", help="data set with query, occluded_query and bounding_box_test")
    parser.add_argument("--masks", help="labels of all its images")
    parser.add_argument("--out", default="runs/reproduction", help="folder of the runs (runs/reproduction)")
    parser.add_argument("--variants", nargs="+", choices=VARIANTS, default=list(VARIANTS), metavar="NAME")
    parser.add_argument("--seeds", nargs="+", type=int, default=[1], metavar="N")
    parser.add_argument("--print", action="store_true", help="only print the tables of what is done")
    arguments = parser.parse_intermixed_args()
    if not arguments.print:
        if not (arguments.data and arguments.masks):
            parser.error("--data and --masks are needed to train")
        for seed in arguments.seeds:
            for variant in arguments.variants:
                train(variant, seed, arguments)
    print_tables(Path(arguments.out))


if __name__ == "__main__":
    main()
