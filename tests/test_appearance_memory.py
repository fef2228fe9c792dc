"""What tracks remember of their parts, and how distances become evidence."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from bpbreid_track import PartEmbeddings, part_distance
from bpbreid_track.tracking.appearance_memory import AppearanceMemory
from bpbreid_track.tracking.distance_calibration import DistanceCalibration

NAMES = ("foreground", "head", "legs")


def unit(rng: np.random.Generator, *shape: int) -> np.ndarray:
    values = rng.normal(size=shape).astype(np.float32)
    return values / np.linalg.norm(values, axis=-1, keepdims=True)


def test_distances_of_the_memory_are_those_of_part_distance() -> None:
    rng = np.random.default_rng(0)
    memory = AppearanceMemory(NAMES, 16)
    features = unit(rng, 5, 3, 16)
    visibility = (rng.random((5, 3)) > 0.4).astype(np.float32)
    memory.add(features, visibility, 0.0)
    boxes = PartEmbeddings(torch.from_numpy(unit(rng, 4, 3, 16)), torch.ones(4, 3), NAMES)
    tracks = PartEmbeddings(torch.from_numpy(features), torch.from_numpy(visibility), NAMES)
    np.testing.assert_allclose(memory.distances(boxes), part_distance(tracks, boxes).numpy(), atol=1e-5)


def test_first_looks_are_averaged_and_later_ones_fade_the_past() -> None:
    memory = AppearanceMemory(("foreground",), 2)
    a, b = np.array([[[1, 0]]], np.float32), np.array([[[0, 1]]], np.float32)
    seen = np.ones((1, 1), np.float32)
    memory.add(a, seen, 0.0)
    memory.learn(np.array([0]), b, seen, 0.1, mean_seconds=1.0, forget_seconds=10.0)
    np.testing.assert_allclose(memory.features[0, 0], [2**-0.5, 2**-0.5], rtol=1e-6)
    for _ in range(200):
        memory.learn(np.array([0]), b, seen, 0.1, mean_seconds=1.0, forget_seconds=10.0)
    np.testing.assert_allclose(memory.features[0, 0], [0, 1], atol=1e-2)


def test_a_hidden_part_keeps_its_vector_and_loses_evidence() -> None:
    rng = np.random.default_rng(1)
    memory = AppearanceMemory(NAMES, 8)
    first = unit(rng, 1, 3, 8)
    memory.add(first, np.ones((1, 3), np.float32), 0.0)
    hidden = np.array([[1, 1, 0]], np.float32)
    for step in range(1, 11):
        memory.learn(
            np.array([0]), unit(rng, 1, 3, 8), hidden, 0.2 * step, mean_seconds=1.0, forget_seconds=4.0
        )
    np.testing.assert_allclose(memory.features[0, 2], first[0, 2], rtol=1e-6)
    np.testing.assert_allclose(memory.evidence[0], [1, 1, np.exp(-2 / 4)], rtol=1e-5)


def test_one_look_after_a_long_time_counts_as_much_as_many_looks_would_have() -> None:
    a, b = np.array([[[1, 0]]], np.float32), np.array([[[0, 1]]], np.float32)
    seen = np.ones((1, 1), np.float32)
    often, seldom = AppearanceMemory(("foreground",), 2), AppearanceMemory(("foreground",), 2)
    for memory, times in ((often, np.linspace(10.1, 11, 10)), (seldom, [11.0])):
        memory.add(a, seen, 0.0)
        for step in range(1, 11):
            memory.learn(np.array([0]), a, seen, float(step), mean_seconds=1.5, forget_seconds=5.0)
        for now in times:
            memory.learn(np.array([0]), b, seen, float(now), mean_seconds=1.5, forget_seconds=5.0)
    np.testing.assert_allclose(seldom.features[0, 0], often.features[0, 0], atol=0.1)


def test_scale_learns_what_near_and_far_mean() -> None:
    rng = np.random.default_rng(2)
    scale = DistanceCalibration()
    for _ in range(300):
        scale.learn(rng.normal(0.2, 0.03, 8), rng.normal(0.4, 0.03, 40), 0.03)
    near, middle, far, incomparable = scale.log_ratio(np.array([[0.2, 0.3, 0.4, np.inf]]))[0]
    assert near > 3
    assert abs(middle) < 0.8
    assert far < -3
    assert incomparable == 0


def test_an_encoder_that_cannot_tell_people_apart_says_nothing() -> None:
    rng = np.random.default_rng(3)
    scale = DistanceCalibration()
    for _ in range(1000):
        scale.learn(rng.normal(0.5, 0.1, 8), rng.normal(0.5, 0.1, 40), 0.03)
    np.testing.assert_allclose(scale.log_ratio(np.array([[0.2, 0.5, 0.8]])), 0, atol=0.4)


def test_until_two_people_were_seen_at_once_appearance_is_silent() -> None:
    scale = DistanceCalibration()
    scale.learn(np.array([0.3]), np.zeros(0), 0.03)
    assert scale.log_ratio(np.array([[0.1, 1.9]])).tolist() == [[0, 0]]


@pytest.mark.parametrize("two", [0.4, 0.95, 1.33])
def test_one_frame_of_several_people_sets_the_scale_of_any_encoder(two: float) -> None:
    scale = DistanceCalibration()
    scale.learn(np.zeros(0), np.full(20, two), 0.03)
    near, far = scale.log_ratio(np.array([[0.4 * two, two]]))[0]
    assert near > 3
    assert far < -3
