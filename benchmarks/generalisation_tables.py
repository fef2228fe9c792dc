"""Tables, choices and the figure of ``generalisation.py``, from rows of figures.

A row is one look of one tracker: the columns of ``KEY`` and the figures of ``footage.COLUMNS``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, NamedTuple

Row = dict[str, Any]
Who = tuple[str, str]
"""Tracker and appearance."""

LOOK = ("sequence", "det", "case", "band", "step", "backwards")
KEY = ("tracker", "appearance", *LOOK)
BEHIND = 0.3
"""HOTA by which a tracker must fall short of another to count as behind it."""
WORST, BEST_PEERS = 10, 6


def key_of(row: Row) -> tuple[Any, ...]:
    """Which tracker looked at what."""
    return tuple(row[name] for name in KEY)


def look_of(row: Row) -> tuple[Any, ...]:
    """What was looked at."""
    return tuple(row[name] for name in LOOK)


def who(row: Row) -> Who:
    return row["tracker"], row["appearance"]


def mean(rows: Iterable[Row], column: str = "HOTA") -> float:
    """Mean over rows, each look alike."""
    values = [float(row[column]) for row in rows]
    return sum(values) / len(values)


def grouped(rows: Iterable[Row], by: Callable[[Row], Any]) -> dict[Any, list[Row]]:
    """Rows by what ``by`` says of them, in the order of their first row."""
    groups: dict[Any, list[Row]] = {}
    for row in rows:
        groups.setdefault(by(row), []).append(row)
    return groups


def ranked(rows: Iterable[Row]) -> list[tuple[Who, list[Row]]]:
    """The rows of each tracker, best mean HOTA first."""
    return sorted(grouped(rows, who).items(), key=lambda item: -mean(item[1]))


def markdown(words: list[str], numbers: list[str], lines: Iterable[list[str]]) -> str:
    """A Markdown table: columns of words on the left, of numbers on the right."""
    head = ["| " + " | ".join([*words, *numbers]) + " |", "|" + "---|" * len(words) + "---:|" * len(numbers)]
    return "\n".join([*head, *("| " + " | ".join(line) + " |" for line in lines)])


def summary(rows: list[Row]) -> str:
    """Means over all looks by tracker, and HOTA of each kind of case."""
    cases = list(grouped(rows, lambda row: row["case"]))
    lines = []
    for (tracker, appearance), own in ranked(rows):
        cells = [f"{mean(own, column):.1f}" for column in ("HOTA", "AssA", "IDF1")]
        cells.append(str(sum(row["IDSW"] for row in own)))
        cells += [f"{mean(row for row in own if row['case'] == case):.1f}" for case in cases]
        lines.append([tracker, appearance, *cells])
    numbers = ["HOTA", "AssA", "IDF1", "IDSW (sum)", *(f"HOTA {case}" for case in cases)]
    return markdown(["tracker", "appearance"], numbers, lines)


def hota_by(rows: list[Row], column: str, title: str = "{}") -> str:
    """Mean HOTA by tracker and by the values of a column; ``title`` heads each value."""
    values = list(grouped(rows, lambda row: row[column]))
    lines = [
        [*name, *(f"{mean(row for row in own if row[column] == value):.1f}" for value in values)]
        for name, own in ranked(rows)
    ]
    return markdown(["tracker", "appearance"], [title.format(value) for value in values], lines)


class Shortfall(NamedTuple):
    """A look at which a tracker is behind the best of its rivals."""

    points: float
    ours: Row
    best: Row


def shortfalls(rows: list[Row], ours: Who, rivals: Callable[[Who], bool]) -> tuple[int, list[Shortfall]]:
    """How many looks a tracker shares with rivals, and those where the best rival beats it, worst first."""
    compared, behind = 0, []
    for own_and_others in grouped(rows, look_of).values():
        own = [row for row in own_and_others if who(row) == ours]
        others = [row for row in own_and_others if rivals(who(row))]
        if not own or not others:
            continue
        compared += 1
        best = max(others, key=lambda row: row["HOTA"])
        points = best["HOTA"] - own[0]["HOTA"]
        if points > BEHIND:
            behind.append(Shortfall(points, own[0], best))
    return compared, sorted(behind, key=lambda item: -item.points)


def behind_text(title: str, compared: int, behind: list[Shortfall]) -> str:
    """How often a tracker is behind, and the worst of it."""
    if not compared:
        return f"{title}: not both in this run"
    text = f"{title}: at {len(behind)} of {compared} looks by more than {BEHIND} HOTA"
    if not behind:
        return text
    lines = [
        [
            f"{row['sequence']}, {row['det']}",
            f"{row['case']} {row['band']}".strip(),
            f"1/{row['step']}" + (", backwards" if row["backwards"] else ""),
            best["tracker"],
            f"{row['HOTA']:.1f}",
            f"{best['HOTA']:.1f}",
            f"{points:.1f}",
        ]
        for points, row, best in behind[:WORST]
    ]
    return text + "\n\n" + markdown(["sequence", "case", "rate", "best"], ["ours", "its", "short"], lines)


def choose_without(rows: list[Row], candidates: list[str], sequence: str) -> str:
    """The candidate with the best mean HOTA on all sequences but one; of equals the first."""
    others = [row for row in rows if row["sequence"] != sequence]
    return max(candidates, key=lambda name: mean(row for row in others if row["tracker"] == name))


def held_out(rows: list[Row], candidates: dict[str, str], default: str) -> str:
    """Each sequence under the settings that were best on the others, and under the defaults.

    Args:
        rows: figures of the candidates and of ``default``.
        candidates: the values each candidate stands for, by its name as a tracker.
        default: the tracker with default settings.
    """
    columns = ("HOTA", "AssA", "IDF1")
    lines, chosen_rows, default_rows = [], [], []
    for sequence, here in grouped(rows, lambda row: row["sequence"]).items():
        chosen = choose_without(rows, list(candidates), sequence)
        with_chosen = [row for row in here if row["tracker"] == chosen]
        with_default = [row for row in here if row["tracker"] == default]
        lines.append([sequence, candidates[chosen], *_cells(with_chosen, with_default, columns)])
        chosen_rows += with_chosen
        default_rows += with_default
    lines.append(["all", "", *_cells(chosen_rows, default_rows, columns)])
    numbers = [f"{column} {kind}" for kind in ("held out", "defaults") for column in columns]
    return markdown(["sequence", "chosen on the others"], numbers, lines)


def _cells(chosen: list[Row], default: list[Row], columns: Iterable[str]) -> list[str]:
    return [f"{mean(own, column):.1f}" for own in (chosen, default) for column in columns]


def figure(rows: list[Row], ours: str, out: Path) -> None:
    """HOTA against the share of the frame rate as SVG: ours thick, and the best peers."""
    from matplotlib.figure import Figure

    canvas = Figure(figsize=(8, 5), layout="constrained")
    axes = canvas.add_subplot()
    trackers = ranked(rows)
    peers = [item for item in trackers if item[0][0] != ours][:BEST_PEERS]
    for name, own in [item for item in trackers if item[0][0] == ours] + peers:
        steps = sorted(grouped(own, lambda row: row["step"]).items())
        mine = name[0] == ours
        axes.plot(
            [1 / step for step, _ in steps],
            [mean(looks) for _, looks in steps],
            label=", ".join(name),
            linewidth=3.0 if mine else 1.2,
            linestyle="-" if mine else "--",
            marker="o",
        )
    shares = sorted({row["step"] for row in rows})
    axes.set_xscale("log", base=2)
    axes.set_xticks([1 / step for step in shares], ["full" if step == 1 else f"1/{step}" for step in shares])
    axes.set_xlabel("frames a second, share of the full rate")
    axes.set_ylabel("HOTA, mean over all looks")
    axes.grid(alpha=0.3)
    axes.legend(fontsize="small")
    canvas.savefig(out, format="svg", metadata={"Date": None})
