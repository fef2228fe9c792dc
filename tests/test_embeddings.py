"""PartEmbeddings and the visibility-masked part distance."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from bpbreid_track import PartEmbeddings, embeddings, part_distance
from bpbreid_track.errors import InputError

NAMES = ("foreground", "head", "torso", "arms", "legs", "feet")


def random_embeddings(n: int, seed: int = 0, *, continuous: bool = False, dim: int = 16) -> PartEmbeddings:
    generator = torch.Generator().manual_seed(seed)
    features = torch.nn.functional.normalize(torch.randn(n, len(NAMES), dim, generator=generator), dim=-1)
    visibility = torch.rand(n, len(NAMES), generator=generator)
    return PartEmbeddings(features, visibility if continuous else visibility > 0.5, NAMES)


def loop_distance(a: PartEmbeddings, b: PartEmbeddings) -> np.ndarray:
    """Eq. 9 word for word, one pair and one part at a time."""
    out = np.full((len(a), len(b)), np.inf)
    for i in range(len(a)):
        for j in range(len(b)):
            total = weight = 0.0
            for k in range(len(NAMES)):
                w = math.sqrt(float(a.visibility[i, k]) * float(b.visibility[j, k]))
                total += w * float((a.features[i, k].double() - b.features[j, k].double()).norm())
                weight += w
            if weight > 0:
                out[i, j] = total / weight
    return out


@pytest.mark.parametrize("continuous", [False, True], ids=["binary", "continuous"])
def test_distance_is_the_mean_over_mutually_visible_parts(continuous: bool) -> None:
    a, b = random_embeddings(7, 1, continuous=continuous), random_embeddings(9, 2, continuous=continuous)
    np.testing.assert_allclose(part_distance(a, b).numpy(), loop_distance(a, b), atol=1e-5)


def test_distance_is_infinite_where_no_part_shows_in_both() -> None:
    a = PartEmbeddings(torch.ones(1, 2, 3), [[1, 0]], NAMES[:2])
    b = PartEmbeddings(torch.ones(2, 2, 3), [[0, 1], [1, 1]], NAMES[:2])
    assert part_distance(a, b).tolist() == [[math.inf, 0.0]]


def test_distance_of_a_person_to_itself_is_zero() -> None:
    a = random_embeddings(20, 3, dim=512)
    a.visibility[:, 0] = 1
    assert part_distance(a, a).diagonal().max() < 1e-6


def test_small_distances_keep_their_digits() -> None:
    a = random_embeddings(5, 4, dim=256)
    a.visibility[:] = 1
    near = a.features.clone()
    near[..., 0] += 1e-4
    b = PartEmbeddings(near, a.visibility, NAMES)
    np.testing.assert_allclose(part_distance(a, b).diagonal().numpy(), 1e-4, rtol=1e-2)


def test_chunks_give_what_one_piece_gives(monkeypatch: pytest.MonkeyPatch) -> None:
    a, b = random_embeddings(23, 5), random_embeddings(11, 6)
    whole = part_distance(a, b)
    monkeypatch.setattr(embeddings, "_CHUNK_ELEMENTS", 3 * 11 * len(NAMES))
    # Not to the bit: a matrix product may add up in another order for another size.
    torch.testing.assert_close(part_distance(a, b), whole, atol=1e-6, rtol=0)


@pytest.mark.parametrize(("n", "m"), [(0, 3), (3, 0), (0, 0)])
def test_no_rows_give_an_empty_distance(n: int, m: int) -> None:
    assert part_distance(random_embeddings(n), random_embeddings(m)).shape == (n, m)


def test_distance_refuses_embeddings_of_other_parts() -> None:
    a = random_embeddings(1)
    b = PartEmbeddings(a.features, a.visibility, ["foreground", *"abcde"])
    with pytest.raises(ValueError, match="expected the same parts"):
        part_distance(a, b)


@pytest.mark.parametrize(
    ("features", "visibility", "names", "message"),
    [
        ((2, 3), (2, 3), 3, r"features: expected \[N, P, D\], got shape \[2, 3\]"),
        ((2, 3, 4), (2, 2), 3, r"visibility: expected \[2, 3\]"),
        ((2, 3, 4), (2, 3), 2, "part_names: expected 3 names"),
    ],
    ids=["flat features", "visibility of other parts", "names missing"],
)
def test_shapes_that_do_not_fit_are_refused(
    features: tuple, visibility: tuple, names: int, message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        PartEmbeddings(torch.zeros(features), torch.zeros(visibility), NAMES[:names])


def test_rows_by_int_slice_mask_and_index_array() -> None:
    a = random_embeddings(5)
    rows = torch.arange(5)
    for index in (
        2,
        -1,
        slice(1, 4),
        slice(None, None, 2),
        rows > 2,
        np.arange(5) > 2,
        [3, 0],
        np.array([], int),
    ):
        expected = a.features[[index] if isinstance(index, int) else index]
        assert torch.equal(a[index].features, expected)
        assert len(a[index].visibility) == len(expected)
    with pytest.raises(IndexError):
        a[5]
    with pytest.raises(IndexError, match="mask"):
        a[torch.ones(4, dtype=torch.bool)]


@pytest.mark.parametrize("index", [(0, 1), [0.0, 1.0], [[0, 1]], "ab", None], ids=str)
def test_what_is_no_row_is_refused_and_not_guessed_at(index: object) -> None:
    for a in (random_embeddings(5), PartEmbeddings(*random_embeddings(5).numpy(), NAMES)):
        with pytest.raises(IndexError, match="index: expected rows as integers"):
            a[index]


@pytest.mark.filterwarnings("error")
def test_arrays_that_torch_cannot_share_become_tensors_all_the_same() -> None:
    features, visibility = random_embeddings(5).numpy()
    locked = features.copy(), visibility.copy()
    for array in locked:
        array.flags.writeable = False
    assert torch.equal(PartEmbeddings(*locked, NAMES).features, torch.tensor(features))
    turned = PartEmbeddings(features[::-1], visibility[::-1], NAMES)
    backwards = PartEmbeddings(features, visibility, NAMES)[::-1]
    for a in (turned, backwards, random_embeddings(5)[::-1]):
        assert torch.equal(a.features, torch.tensor(features).flip(0))
        assert torch.equal(a.visibility, torch.tensor(visibility).flip(0))


def test_cat_joins_rows_in_order_and_refuses_other_parts() -> None:
    a, b = random_embeddings(2, 1), random_embeddings(3, 2)
    joined = PartEmbeddings.cat([a, b])
    assert torch.equal(joined.features, torch.cat([a.features, b.features]))
    with pytest.raises(ValueError, match="at least one"):
        PartEmbeddings.cat([])
    with pytest.raises(ValueError, match="expected parts"):
        PartEmbeddings.cat([a, PartEmbeddings.empty(NAMES, a.dim + 1)])


def test_numpy_gives_both_arrays() -> None:
    features, visibility = random_embeddings(3).numpy()
    assert features.shape == (3, 6, 16)
    assert features.dtype == visibility.dtype == np.float32


def test_saved_embeddings_come_back_bit_for_bit(tmp_path) -> None:  # type: ignore[no-untyped-def]
    a = random_embeddings(4, continuous=True)
    a.save(tmp_path / "people.npz")
    b = PartEmbeddings.load(tmp_path / "people.npz")
    assert torch.equal(a.features, b.features)
    assert torch.equal(a.visibility, b.visibility)
    assert a.part_names == b.part_names


def test_a_damaged_or_missing_file_is_named(tmp_path) -> None:  # type: ignore[no-untyped-def]
    good = tmp_path / "people.npz"
    random_embeddings(4).save(good)
    bad = tmp_path / "cut.npz"
    bad.write_bytes(good.read_bytes()[:200])
    with pytest.raises(InputError, match=r"cut\.npz: not a PartEmbeddings"):
        PartEmbeddings.load(bad)
    with pytest.raises(InputError, match=r"none\.npz: no such file"):
        PartEmbeddings.load(tmp_path / "none.npz")
    np.savez(tmp_path / "other.npz", a=np.zeros(3))
    with pytest.raises(InputError, match=r"other\.npz: not a PartEmbeddings"):
        PartEmbeddings.load(tmp_path / "other.npz")
