"""The bundled encoder: small enough, made as its model card says, of use where it was not trained."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import bpbreid_track
from benchmarks.cross_domain import spaced_crops
from bpbreid_track import Encoder
from bpbreid_track.evaluation.ranking import RankingMetrics, rank_embeddings
from bpbreid_track.model.checkpoint import read_checkpoint
from bpbreid_trainer.data import load_dataset
from bpbreid_trainer.evaluate import crop_embedder, embed_all, rank
from bpbreid_trainer.options import TrainOptions, read_options

FOLDER = Path(bpbreid_track.__file__).parent / "weights"


@pytest.fixture(scope="module")
def metrics(shared: Path) -> dict[tuple[str, str], RankingMetrics]:
    """Whole and covered queries of the split, by folder and precision. The bundled weights have seen them."""
    root = shared / "data" / "market1501-split"
    found = {}
    for precision in ("fp32", "bf16"):
        embed = crop_embedder(Encoder.load(device="cpu", precision=precision))
        gallery = None
        for folder in ("query", "occluded_query"):
            dataset = load_dataset(root, query=folder, with_masks=False)
            gallery = embed_all(embed, dataset.gallery) if gallery is None else gallery
            queries = embed_all(embed, dataset.query)
            found[folder, precision] = rank(queries, gallery, dataset.query, dataset.gallery)
    return found


def stated(row: str) -> tuple[float, float]:
    """mAP and rank-1 in a row of the model card's table."""
    card = (FOLDER / "README.md").read_text(encoding="utf-8")
    match = re.search(rf"^\| {row} \| ([0-9.]+) \| ([0-9.]+) \|", card, re.MULTILINE)
    assert match, row
    return float(match[1]), float(match[2])


def test_it_is_small_and_says_how_it_was_made() -> None:
    path = FOLDER / "default.safetensors"
    assert path.stat().st_size < 16 * 2**20
    provenance = read_checkpoint(path).provenance
    free = {"data", "output", "description"}
    for stage, part in zip((2, 3, 4, 5, 6, 6), provenance["average_of"], strict=True):
        made_by = TrainOptions.model_validate(part["options"])
        recipe = read_options(f"default_encoder_{stage}")
        assert made_by.model_dump(exclude=free) == recipe.model_dump(exclude=free)
    assert not re.search(r"[\"' ]/", str(provenance))  # no paths of the machine it was made on


@pytest.mark.parametrize("sequence", ["ADL-Rundle-6", "PETS09-S2L1-300"])
def test_the_model_card_states_what_is_measured_on_streets(shared: Path, sequence: str) -> None:
    encoder = Encoder.load(device="cpu", precision="fp32")
    crops, people, when = spaced_crops(shared / "data" / "mot" / sequence, encoder, seconds=2)
    found = rank_embeddings(crops, crops, people, people, when, when)
    assert (found.mAP, found.rank1) == pytest.approx(stated(sequence), abs=0.0015)


@pytest.mark.parametrize(
    ("row", "folder"), [("whole", "query"), ("covered", "occluded_query")], ids=["whole", "covered"]
)
def test_people_it_has_seen_are_ranked_better_than_by_the_weights_that_had_not(
    metrics, row: str, folder: str
) -> None:
    assert metrics[folder, "fp32"].mAP > stated(row)[0]


def test_narrow_numbers_cost_less_than_half_a_point(metrics) -> None:
    for folder in ("query", "occluded_query"):
        assert metrics[folder, "bf16"].mAP > metrics[folder, "fp32"].mAP - 0.005
