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
