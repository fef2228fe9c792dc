"""One-to-one assignment of rows to columns at least cost."""

from __future__ import annotations

import lap
import numpy as np


def assign(cost: np.ndarray, limit: float) -> tuple[np.ndarray, np.ndarray]:
    """Minimum-cost one-to-one assignment in which no pair costs more than ``limit``.

    Maximises the number of pairs times ``limit`` minus their cost, as ``lap.lapjv(..., cost_limit=limit)``.
    Pairs that compete with no other admissible pair are settled without the solver: the result is the same
    optimum, and in most frames little or nothing is left to solve.

    Args:
        cost: [T, N], lower is better; inf or nan forbids a pair.
        limit: highest admissible cost.

    Returns:
        Row and column indices [M] of the matched pairs, in row order.
    """
    admissible = cost <= limit
    in_row = admissible.sum(axis=1)
    in_column = admissible.sum(axis=0)
    rows, columns = np.nonzero(admissible)
    lone = (in_row[rows] == 1) & (in_column[columns] == 1)
    matched_rows, matched_columns = rows[lone], columns[lone]
    if len(matched_rows) < len(rows):
        contested_rows = np.unique(rows[~lone])
        contested_columns = np.unique(columns[~lone])
        block = cost[contested_rows[:, None], contested_columns]
        # lapjv wants finite numbers; anything above the limit is as good as forbidden.
        block = np.where(admissible[contested_rows[:, None], contested_columns], block, limit + 1.0)
        _, column_of_row, _ = lap.lapjv(block, extend_cost=True, cost_limit=limit)
        found = np.flatnonzero(column_of_row >= 0)
        found = found[block[found, column_of_row[found]] <= limit]
        matched_rows = np.concatenate((matched_rows, contested_rows[found]))
        matched_columns = np.concatenate((matched_columns, contested_columns[column_of_row[found]]))
        order = np.argsort(matched_rows)
        matched_rows, matched_columns = matched_rows[order], matched_columns[order]
    return matched_rows, matched_columns


def assign_sparse(rows: np.ndarray, columns: np.ndarray, cost: np.ndarray, limit: float) -> np.ndarray:
    """As ``assign``, of the few pairs that can be matched at all, in memory for those alone.

    Args:
        rows: int64 [K], row of each pair.
        columns: int64 [K], its column. No pair occurs twice.
        cost: [K], above -1; inf or nan forbids a pair.
        limit: highest admissible cost.

    Returns:
        Indices into the pairs of those matched, ascending.
    """
    # Only linking needs them, and they take a tenth of the start of a short run.
    from scipy.sparse import csr_array
    from scipy.sparse.csgraph import min_weight_full_bipartite_matching

    open_pairs = np.flatnonzero(cost <= limit)
    rows, row = np.unique(rows[open_pairs], return_inverse=True)
    columns, column = np.unique(columns[open_pairs], return_inverse=True)
    if not len(open_pairs):
        return open_pairs
    # Each row may also stay alone, at the limit. One is added to all, since the solver takes 0 for no pair.
    alone = np.arange(len(rows))
    weights = np.concatenate([cost[open_pairs], np.full(len(rows), limit)]) + 1.0
    place = np.concatenate([row, alone]), np.concatenate([column, len(columns) + alone])
    graph = csr_array((weights, place), shape=(len(rows), len(columns) + len(rows)))
    matched = np.full(len(rows), -1)
    of_row, of_column = min_weight_full_bipartite_matching(graph)
    matched[of_row] = of_column
    return open_pairs[matched[row] == column]
