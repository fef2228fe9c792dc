"""The bundled encoder: small enough, as good as its model card says, of use elsewhere too."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
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
    """Whole and covered queries of the split, by folder and precision."""
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
    for stage, part in zip((2, 3, 4, 5, 5), provenance["average_of"], strict=True):
        made_by = TrainOptions.model_validate(part["options"])
        recipe = read_options(f"default_encoder_{stage}")
        assert made_by.model_dump(exclude=free) == recipe.model_dump(exclude=free)
    assert not re.search(r"[\"' ]/", str(provenance))  # no paths of the machine it was made on


@pytest.mark.parametrize(
    ("row", "folder"), [("whole", "query"), ("covered", "occluded_query")], ids=["whole", "covered"]
)
def test_the_model_card_states_what_is_measured(metrics, row: str, folder: str) -> None:
    measured = metrics[folder, "fp32"]
    assert (measured.mAP, measured.rank1) == pytest.approx(stated(row), abs=0.0015)


def test_narrow_numbers_cost_less_than_half_a_point(metrics) -> None:
    for folder in ("query", "occluded_query"):
        assert metrics[folder, "bf16"].mAP > metrics[folder, "fp32"].mAP - 0.005


def test_it_tells_people_apart_on_a_street_it_never_saw(shared: Path) -> None:
    sequence = shared / "data" / "mot" / "PETS09-S2L1-300"
    encoder = Encoder.load(device="cpu", precision="fp32")
    crops, people, when = spaced_crops(sequence, encoder, seconds=30 / 7)  # every 30th frame of 7 a second
    found = rank_embeddings(crops, crops, people, people, when, when)
    chance = np.mean([(people == person).mean() for person in people])
    assert found.rank1 > 3 * chance
