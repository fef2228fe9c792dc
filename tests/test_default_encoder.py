"""The bundled encoder: small enough, made as its model card says, of use where it was not trained."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import bpbreid_track
from benchmarks.cross_domain import spaced_crops
from benchmarks.visibility import figures_of as visibility_figures
from bpbreid_track import Encoder, PartEmbeddings
from bpbreid_track.evaluation.ranking import RankingMetrics, rank_embeddings
from bpbreid_track.machine import cpu_has_bf16, cpu_has_wide_bf16
from bpbreid_track.model.checkpoint import read_checkpoint
from bpbreid_trainer.data import Sample, load_dataset
from bpbreid_trainer.evaluate import crop_embedder, embed_all, rank
from bpbreid_trainer.options import TrainOptions, read_options

FOLDER = Path(bpbreid_track.__file__).parent / "weights"
FOLDERS = ("query", "occluded_query")
Side = tuple[list[Sample], PartEmbeddings]


@pytest.fixture(scope="module")
def sides(shared: Path) -> dict[str, Side]:
    """Gallery, whole and covered queries of the split, unknown to the recipe, in fp32."""
    root = shared / "data" / "market1501-split"
    embed = crop_embedder(Encoder.load(device="cpu", precision="fp32"))
    whole, covered = (load_dataset(root, query=folder, with_masks=False) for folder in FOLDERS)
    samples = {"gallery": whole.gallery, "query": whole.query, "occluded_query": covered.query}
    return {name: (list(rows), embed_all(embed, rows)) for name, rows in samples.items()}


def ranked(query: Side, gallery: Side) -> RankingMetrics:
    return rank(query[1], gallery[1], query[0], gallery[0])


def stated(row: str) -> tuple[float, float]:
    """mAP and rank-1 in a row of the model card's first table."""
    card = (FOLDER / "README.md").read_text(encoding="utf-8")
    match = re.search(rf"^\| {row} \| ([0-9.]+) \| ([0-9.]+) \|", card, re.MULTILINE)
    assert match, row
    return float(match[1]), float(match[2])


def test_it_is_small_and_says_how_it_was_made() -> None:
    path = FOLDER / "default.safetensors"
    assert path.stat().st_size < 16 * 2**20
    provenance = read_checkpoint(path).provenance
    # Where files lay, and what they were called, differs from machine to machine.
    free = {"data", "output", "description", "weights", "teacher", "workers"}
    made_by, recipe = TrainOptions.model_validate(provenance["options"]), read_options("default_encoder_5")
    assert made_by.model_dump(exclude=free) == recipe.model_dump(exclude=free)
    assert made_by.teacher.weight == recipe.teacher.weight
    assert not re.search(r"[\"' ]/", str(provenance))  # no paths of the machine it was made on


@pytest.mark.parametrize("sequence", ["ADL-Rundle-6", "PETS09-S2L1-300", "MOT17-09", "KITTI-17"])
def test_the_model_card_states_what_is_measured_on_streets(shared: Path, sequence: str) -> None:
    encoder = Encoder.load(device="cpu", precision="fp32")
    crops, people, when = spaced_crops(shared / "data" / "mot" / sequence, encoder, seconds=2)
    found = rank_embeddings(crops, crops, people, people, when, when)
    assert (found.mAP, found.rank1) == pytest.approx(stated(sequence), abs=0.0015)


def test_people_it_was_not_trained_on_are_told_apart_covered_ones_too(sides: dict[str, Side]) -> None:
    assert ranked(sides["query"], sides["gallery"]).mAP > 0.92
    assert ranked(sides["occluded_query"], sides["gallery"]).mAP > 0.78


def test_parts_that_show_count_as_seen(shared: Path) -> None:
    sequence = shared / "data" / "mot" / "KITTI-17"
    encoder = Encoder.load(device="cpu", precision="fp32")
    figures = visibility_figures(sequence, encoder, seconds=2)
    for part in encoder.options.part_names:
        assert figures[f"{part}, seen"] >= 0.9
        assert figures[f"{part}, painted"] <= 0.2


@pytest.mark.skipif(
    not (cpu_has_bf16() or cpu_has_wide_bf16()), reason="this CPU has no instructions for bf16, and runs fp32"
)
def test_narrow_numbers_cost_less_than_half_a_point(sides: dict[str, Side]) -> None:
    embed = crop_embedder(Encoder.load(device="cpu", precision="bf16"))
    narrow = {name: (samples, embed_all(embed, samples)) for name, (samples, _) in sides.items()}
    for folder in FOLDERS:
        fp32, bf16 = (ranked(side[folder], side["gallery"]).mAP for side in (sides, narrow))
        assert bf16 > fp32 - 0.005
