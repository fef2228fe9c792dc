"""CMC and mAP against a literal implementation of the Market-1501 protocol."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from bpbreid_track import PartEmbeddings, part_distance
from bpbreid_track.errors import InputError
from bpbreid_track.evaluation import evaluate_ranking, rank_embeddings


def literal(distances, query_ids, gallery_ids, query_cams, gallery_cams, max_rank=50):
    """The protocol word by word: (mAP, cmc, queries that counted)."""
    precisions, curves = [], []
    for row, identity, camera in zip(distances, query_ids, query_cams, strict=True):
        ranked = sorted(range(len(gallery_ids)), key=lambda column: (row[column], column))
        hits = []
        for column in ranked:
            same_person = gallery_ids[column] == identity
            if gallery_ids[column] == -1 or (same_person and gallery_cams[column] == camera):
                continue
            hits.append(bool(same_person))
        if not any(hits):
            continue
        found, precision = 0, 0.0
        for rank, hit in enumerate(hits, 1):
            if hit:
                found += 1
                precision += found / rank
        precisions.append(precision / found)
        first = hits.index(True) + 1
        curves.append([float(k >= first) for k in range(1, max_rank + 1)])
    return np.mean(precisions), np.mean(curves, axis=0), len(precisions)


def random_case(seed, queries=37, gallery=211, people=12, cameras=3, levels=None):
    rng = np.random.default_rng(seed)
    distances = rng.random((queries, gallery)).astype(np.float32)
    if levels:
        distances = np.floor(distances * levels) / levels
    return (
        distances,
        rng.integers(0, people, queries),
        rng.integers(-1, people, gallery),
        rng.integers(0, cameras, queries),
        rng.integers(0, cameras, gallery),
    )


def agree(metrics, expected):
    mean, curve, counted = expected
    assert metrics.mAP == pytest.approx(mean, abs=1e-12)
    np.testing.assert_allclose(metrics.cmc, curve, atol=1e-12)
    assert metrics.queries == counted


@pytest.mark.parametrize("seed", range(5))
def test_agrees_with_the_literal_protocol(seed):
    case = random_case(seed)
    agree(evaluate_ranking(*case), literal(*case))


@pytest.mark.parametrize("levels", [1, 2, 10])
def test_equal_distances_keep_the_order_of_the_gallery(levels):
    case = random_case(7, levels=levels)
    agree(evaluate_ranking(*case), literal(*case))


def test_infinite_distances_rank_last_and_stably():
    distances, *labels = random_case(8)
    distances[np.random.default_rng(1).random(distances.shape) < 0.4] = np.inf
    distances[3] = np.inf
    agree(evaluate_ranking(distances, *labels), literal(distances, *labels))


def test_tensors_and_arrays_of_any_number_type_give_the_same():
    distances, *labels = random_case(9, levels=64)
    expected = literal(distances, *labels)
    agree(evaluate_ranking(torch.from_numpy(distances), *map(torch.from_numpy, labels)), expected)
    agree(evaluate_ranking(torch.from_numpy(distances).half(), *labels), expected)
    agree(evaluate_ranking((distances * 64).astype(np.int32), *labels), expected)
    agree(evaluate_ranking(distances.tolist(), *(values.tolist() for values in labels)), expected)
    agree(evaluate_ranking(torch.from_numpy(distances).requires_grad_(), *labels), expected)


@pytest.mark.parametrize("device", ["cpu", *["cuda"] * torch.cuda.is_available()])
@pytest.mark.parametrize("levels", [None, 10])
def test_tensors_are_ranked_on_the_device_they_are_on(device, levels):
    distances, *labels = random_case(10, levels=levels)
    agree(evaluate_ranking(torch.from_numpy(distances).to(device), *labels), literal(distances, *labels))


def test_a_case_counted_by_hand():
    # Query: person 1, camera 0. Nearest first: own camera (out), junk (out), wrong, right, wrong, right.
    metrics = evaluate_ranking(
        [[0.1, 0.2, 0.3, 0.4, 0.5, 0.6]], [1], [1, -1, 2, 1, 3, 1], [0], [0, 1, 0, 1, 1, 2]
    )
    assert metrics.mAP == pytest.approx((1 / 2 + 2 / 4) / 2)
    assert (metrics.rank1, metrics.rank5, metrics.rank10) == (0.0, 1.0, 1.0)
    assert metrics.cmc.shape == (50,)
    assert metrics.as_dict() == {"mAP": metrics.mAP, "rank1": 0.0, "rank5": 1.0, "rank10": 1.0}


def test_a_gallery_smaller_than_max_rank_carries_the_curve_on():
    metrics = evaluate_ranking([[0.2, 0.1], [0.1, 0.2]], [1, 1], [1, 2], [0, 0], [1, 1], max_rank=10)
    np.testing.assert_allclose(metrics.cmc, [0.5] + [1.0] * 9)


def test_max_rank_below_ten_still_answers_rank10():
    metrics = evaluate_ranking([[0.2, 0.1]], [1], [1, 2], [0], [1, 1], max_rank=1)
    assert metrics.cmc.tolist() == [0.0]
    assert metrics.rank10 == 0.0


def test_queries_without_a_match_are_skipped_and_counted():
    # The second query's only images are by its own camera, the third has none.
    metrics = evaluate_ranking(np.tile([0.1, 0.2, 0.3], (3, 1)), [1, 2, 9], [1, 2, 2], [0, 1, 0], [1, 1, 1])
    assert (metrics.queries, metrics.skipped) == (1, 2)
    assert metrics.mAP == 1.0
    np.testing.assert_array_equal(np.isnan(metrics.average_precision), [False, True, True])


def test_a_junk_query_matches_nothing():
    metrics = evaluate_ranking([[0.1, 0.2], [0.2, 0.1]], [-1, 5], [-1, 5], [0, 0], [1, 1])
    assert (metrics.queries, metrics.skipped) == (1, 1)


@pytest.mark.parametrize("gallery", [1, 5, 300])
def test_small_and_large_galleries(gallery):
    case = random_case(11, gallery=gallery, people=2)
    agree(evaluate_ranking(*case), literal(*case))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"query_ids": [1]}, "query_ids: expected 2 values"),
        ({"gallery_cams": [[1], [2], [3]]}, "gallery_cams: expected 3 values"),
        ({"gallery_ids": [1.0, 2.0, 3.0]}, "gallery_ids: expected integers"),
        ({"distances": [0.1, 0.2]}, "expected \\[queries, gallery\\]"),
        ({"distances": [[0.1, np.nan, 0.2], [0.1, 0.2, 0.3]]}, "NaN"),
        ({"query_ids": [8, 9]}, "none of 2 queries has a match"),
        ({"distances": np.zeros((2, 0)), "gallery_ids": [], "gallery_cams": []}, "none of 2 queries"),
        ({"distances": np.zeros((0, 3)), "query_ids": [], "query_cams": []}, "none of 0 queries"),
        ({"max_rank": 0}, "max_rank"),
    ],
)
def test_bad_input_is_named(change, message):
    good = {
        "distances": [[0.1, 0.2, 0.3], [0.3, 0.2, 0.1]],
        "query_ids": [1, 2],
        "gallery_ids": [1, 2, 3],
        "query_cams": [0, 0],
        "gallery_cams": [1, 1, 1],
    }
    with pytest.raises(InputError, match=message):
        evaluate_ranking(**(good | change))


def random_embeddings(seed, count):
    generator = torch.Generator().manual_seed(seed)
    features = torch.nn.functional.normalize(torch.randn(count, 4, 16, generator=generator), dim=-1)
    visibility = (torch.rand(count, 4, generator=generator) < 0.5).float()
    return PartEmbeddings(features, visibility, ["foreground", "head", "torso", "legs"])


@pytest.mark.parametrize("chunk", [None, 1, 7, 1000])
def test_embeddings_rank_as_their_distance_matrix_does(chunk):
    _, *labels = random_case(12)
    query, gallery = random_embeddings(0, 37), random_embeddings(1, 211)
    distances = part_distance(query, gallery)
    assert distances.isinf().any(), "the case must hold pairs that share no part"
    whole = evaluate_ranking(distances, *labels)
    chunked = rank_embeddings(query, gallery, *labels, chunk=chunk)
    # Chunks of another size multiply in another order; distances differ by rounding and so could a rank.
    np.testing.assert_allclose(chunked.average_precision, whole.average_precision, atol=1e-3)
    np.testing.assert_allclose(chunked.cmc, whole.cmc, atol=1e-9)
    agree(whole, literal(distances.numpy(), *labels))


def test_embeddings_refuse_a_chunk_of_nothing():
    _, *labels = random_case(12)
    with pytest.raises(InputError, match="chunk"):
        rank_embeddings(random_embeddings(0, 37), random_embeddings(1, 211), *labels, chunk=0)
