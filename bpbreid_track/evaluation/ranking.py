"""CMC and mAP of re-identification by the protocol of Market-1501 (Zheng et al., ICCV 2015).

Per query, gallery images of the same person by the same camera are taken out, as are junk images (identity
-1); the rest is ranked by distance. With the true matches at ranks r_1 < r_2 < ... < r_m (from 1),

    AP = 1/m * sum_i i / r_i          (not interpolated)
    CMC(k) = share of the queries with r_1 <= k

and mAP is the mean of AP over the queries that have a match at all.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..embeddings import PartEmbeddings, part_distance
from ..errors import InputError

MAX_RANK = 50
JUNK = -1
# Pairs in one piece of work: with the int64 order of a sort and its masks some 200 MiB.
_CHUNK_PAIRS = 1 << 22


@dataclass(frozen=True)
class RankingMetrics:
    """How well distances rank the gallery.

    Attributes:
        mAP: mean average precision in [0, 1].
        cmc: float64 [max_rank] in [0, 1]; element k - 1 is the share of queries with a match among the
            first k. Where fewer gallery images than max_rank are left the last value is carried on.
        average_precision: float64 [Q] in [0, 1]; NaN for queries that were skipped.
        queries: queries that counted.
        skipped: queries without any match left in the gallery.
    """

    mAP: float
    cmc: np.ndarray
    average_precision: np.ndarray
    queries: int
    skipped: int

    @property
    def rank1(self) -> float:
        """Share of queries whose nearest gallery image is right."""
        return self._rank(1)

    @property
    def rank5(self) -> float:
        """Share of queries with a match among the nearest 5."""
        return self._rank(5)

    @property
    def rank10(self) -> float:
        """Share of queries with a match among the nearest 10."""
        return self._rank(10)

    def _rank(self, k: int) -> float:
        return float(self.cmc[min(k, len(self.cmc)) - 1])

    def as_dict(self) -> dict[str, float]:
        """``mAP``, ``rank1``, ``rank5``, ``rank10``, ready for JSON."""
        return {"mAP": self.mAP, "rank1": self.rank1, "rank5": self.rank5, "rank10": self.rank10}


def mean_metrics(each: Sequence[RankingMetrics]) -> RankingMetrics:
    """The mean over data sets, each counting alike; queries are those of all together.

    Args:
        each: at least one, all with as many ranks.
    """
    return RankingMetrics(
        mAP=float(np.mean([one.mAP for one in each])),
        cmc=np.mean([one.cmc for one in each], axis=0),
        average_precision=np.concatenate([one.average_precision for one in each]),
        queries=sum(one.queries for one in each),
        skipped=sum(one.skipped for one in each),
    )


def evaluate_ranking(
    distances: Any,
    query_ids: Any,
    gallery_ids: Any,
    query_cams: Any,
    gallery_cams: Any,
    *,
    max_rank: int = MAX_RANK,
) -> RankingMetrics:
    """CMC and mAP of a distance matrix.

    Works in chunks of queries on the device the distances are on. Equal distances keep the order of the
    gallery; +inf ranks last.

    Args:
        distances: [Q, G], smaller is nearer; a tensor or anything numpy takes. No NaN.
        query_ids: integers [Q], person of each query.
        gallery_ids: integers [G], likewise; -1 is junk and never counts.
        query_cams: integers [Q], camera of each query.
        gallery_cams: integers [G], likewise.
        max_rank: length of the CMC curve.

    Raises:
        InputError: shapes that do not fit, NaN, or no query that has a match.
    """
    matrix = distances.detach() if isinstance(distances, Tensor) else torch.as_tensor(np.asarray(distances))
    if matrix.ndim != 2:
        raise InputError(f"distances: expected [queries, gallery], got shape {list(matrix.shape)}")
    pairs = _Pairs(matrix.shape[0], matrix.shape[1], query_ids, gallery_ids, query_cams, gallery_cams)
    chunks = ((rows, matrix[rows]) for rows in _slices(*matrix.shape))
    return _rank(chunks, pairs, max_rank)


def rank_embeddings(
    query: PartEmbeddings,
    gallery: PartEmbeddings,
    query_ids: Any,
    gallery_ids: Any,
    query_cams: Any,
    gallery_cams: Any,
    *,
    max_rank: int = MAX_RANK,
    chunk: int | None = None,
) -> RankingMetrics:
    """CMC and mAP by the part distance (Eq. 9), without ever holding the whole distance matrix.

    Args:
        query: Q rows. The work is done on their device.
        gallery: G rows.
        query_ids, gallery_ids, query_cams, gallery_cams, max_rank: as in ``evaluate_ranking``.
        chunk: queries at a time; by default as many as keep a piece at 4 million pairs.

    Raises:
        InputError: as in ``evaluate_ranking``.
        ValueError: ``query`` and ``gallery`` differ in their parts or in D.
    """
    if chunk is not None and chunk < 1:
        raise InputError(f"chunk: expected 1 or more queries, got {chunk}")
    gallery = gallery.to(query.device)
    pairs = _Pairs(len(query), len(gallery), query_ids, gallery_ids, query_cams, gallery_cams)
    chunks = (
        (rows, part_distance(query[rows], gallery)) for rows in _slices(len(query), len(gallery), chunk)
    )
    return _rank(chunks, pairs, max_rank)


class _Pairs:
    """Who is who: checked identities and cameras of both sides, int64 on the CPU."""

    def __init__(
        self, queries: int, gallery: int, query_ids: Any, gallery_ids: Any, query_cams: Any, gallery_cams: Any
    ) -> None:
        self.query_ids = _labels(query_ids, queries, "query_ids")
        self.query_cams = _labels(query_cams, queries, "query_cams")
        self.gallery_ids = _labels(gallery_ids, gallery, "gallery_ids")
        self.gallery_cams = _labels(gallery_cams, gallery, "gallery_cams")

    def __len__(self) -> int:
        return len(self.query_ids)


def _labels(values: Any, count: int, name: str) -> Tensor:
    array = values.cpu().numpy() if isinstance(values, Tensor) else np.asarray(values)
    if array.shape != (count,):
        raise InputError(
            f"{name}: expected {count} values to fit the distances, got shape {list(array.shape)}"
        )
    if count and not np.issubdtype(array.dtype, np.integer):
        raise InputError(f"{name}: expected integers, got {array.dtype}")
    return torch.as_tensor(array.astype(np.int64))


def _slices(queries: int, gallery: int, chunk: int | None = None) -> Iterator[slice]:
    step = chunk or max(1, _CHUNK_PAIRS // max(1, gallery))
    return (slice(start, min(start + step, queries)) for start in range(0, queries, step))


def _rank(chunks: Iterator[tuple[slice, Tensor]], pairs: _Pairs, max_rank: int) -> RankingMetrics:
    if max_rank < 1:
        raise InputError(f"max_rank: expected 1 or more, got {max_rank}")
    precision = np.full(len(pairs), np.nan)
    first = np.zeros(len(pairs), dtype=np.int64)
    for rows, distances in chunks:
        average, rank = _rank_chunk(distances, rows, pairs)
        precision[rows], first[rows] = average.numpy(), rank.numpy()
    counted = ~np.isnan(precision)
    if not counted.any():
        raise InputError(
            f"none of {len(pairs)} queries has a match in the gallery by another camera; "
            "check identities and cameras"
        )
    hits = np.bincount(np.minimum(first[counted], max_rank + 1), minlength=max_rank + 2)[1 : max_rank + 1]
    return RankingMetrics(
        mAP=float(precision[counted].mean()),
        cmc=np.cumsum(hits) / counted.sum(),
        average_precision=precision,
        queries=int(counted.sum()),
        skipped=int((~counted).sum()),
    )


def _rank_chunk(distances: Tensor, rows: slice, pairs: _Pairs) -> tuple[Tensor, Tensor]:
    """Average precision (float64 [q], NaN without match) and first match's rank (int64 [q]), on the CPU."""
    if distances.isnan().any():
        raise InputError("distances: NaN; only numbers and +inf can be ranked")
    if distances.dtype not in (torch.float32, torch.float64):
        distances = distances.to(torch.float32 if distances.is_floating_point() else torch.float64)
    device = distances.device
    gallery_ids, gallery_cams = pairs.gallery_ids.to(device), pairs.gallery_cams.to(device)
    same = pairs.query_ids[rows].to(device)[:, None] == gallery_ids
    kept = ~(same & (pairs.query_cams[rows].to(device)[:, None] == gallery_cams)) & (gallery_ids != JUNK)
    match = same & kept
    count = match.sum(1)
    # What is left is small, and not every device has float64.
    ranks, count = _match_ranks(distances, kept, match, count).cpu().sort(1)[0], count.cpu()
    place = torch.arange(1, ranks.shape[1] + 1)
    shares = torch.where(place <= count[:, None], place.double() / ranks, 0.0)
    return shares.sum(1) / count, ranks[:, 0]


def _match_ranks(distances: Tensor, kept: Tensor, match: Tensor, count: Tensor) -> Tensor:
    """Ranks from 1 of the matches among the kept, in no order: int64 [q, max(count, 1)], filled up with 2^62.

    A match ranks behind everything kept that is nearer. That takes the sorted values but not their order,
    which is many times as fast to get; only rows in which a match shares its distance need the order.
    """
    width = max(1, int(count.max())) if len(count) else 1
    row, column = match.nonzero(as_tuple=True)
    slot = torch.arange(len(row), device=row.device) - (count.cumsum(0) - count)[row]
    values = distances.new_full((len(distances), width), torch.inf)
    values[row, slot] = distances[row, column]
    # Those left out go to the end, where no strict comparison sees them.
    ordered = _sorted(torch.where(kept, distances, torch.inf))
    nearer = torch.searchsorted(ordered, values)
    tied = (torch.searchsorted(ordered, values, right=True) - nearer > 1)[row, slot]
    ranks = torch.full_like(nearer, 1 << 62)
    ranks[row, slot] = nearer[row, slot] + 1
    shared = row[tied].unique()
    if len(shared):
        order = distances[shared].argsort(dim=1, stable=True)
        position = kept[shared].gather(1, order).cumsum(1)
        exact = torch.empty_like(position).scatter_(1, order, position)
        index = torch.full((len(distances),), -1, device=row.device).scatter_(
            0, shared, torch.arange(len(shared), device=row.device)
        )
        inside = index[row] >= 0
        ranks[row[inside], slot[inside]] = exact[index[row[inside]], column[inside]]
    return ranks


def _sorted(values: Tensor) -> Tensor:
    """Rows in ascending order."""
    # On a CPU numpy's vectorised sort takes a sixteenth of torch's, which sorts indices along.
    return (
        torch.from_numpy(np.sort(values.numpy(), axis=1))
        if values.device.type == "cpu"
        else values.sort(1)[0]
    )
