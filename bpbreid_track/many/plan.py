"""Which sources are to be tracked, which are done, and what their outputs are called."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..errors import InputError, UsageError
from ..io.names import output_stem
from ..io.part_file import kept_names
from ..io.stores import ranges_of
from ..pipeline import fingerprint
from .manifest import MANIFEST, Entry
from .order import Order, first_difference
from .results import Results
from .sources import Asked


@dataclass(frozen=True)
class Job:
    """A source to be tracked, and what its outputs are called."""

    asked: Asked
    name: str
    outputs: dict[str, str]


@dataclass(frozen=True)
class Plan:
    """What is to be done.

    Attributes:
        jobs: in the order asked for.
        whole: names of the sources that are done already.
    """

    jobs: list[Job]
    whole: list[str]


def make_plan(
    asked: Sequence[Asked],
    known: dict[str, Entry],
    there: Results,
    order: Order,
    settings: dict[str, Any],
    *,
    resume: bool,
    overwrite: bool,
) -> Plan:
    """Decide on every source.

    A source keeps the name that the manifest has for it. A new one is called after its file, with a number
    behind it where that name is taken, be it by another source or by a file that lies there.

    Args:
        asked: the sources.
        known: what the manifest says.
        there: where the results are to lie.
        order: says what is written.
        settings: of the order.
        resume: leave out what is whole, and do again what was left unfinished.
        overwrite: do everything again that is not left out.

    Raises:
        UsageError: something would be overwritten that must not be. Nothing has been done then.
    """
    taken = {MANIFEST.casefold()}
    for done in known.values():
        taken |= _claimed(order, done.name)
    jobs, whole, refused = list[Job](), list[str](), list[str]()
    for one in asked:
        entry = known.get(one.key)
        if entry is None:
            name = _free_name(output_stem(one.source), there, order, taken)
            taken |= _claimed(order, name)
            jobs.append(Job(one, name, order.outputs(name)))
            continue
        job = Job(one, entry.name, order.outputs(entry.name))
        if entry.state == "done" and all(map(there.holds, entry.outputs.values())):
            change = _change(entry, one, job, settings)
            if resume and not change:
                whole.append(entry.name)
                continue
            if not overwrite:
                refused.append(f"{entry.name} was made with {change}" if change and resume else entry.name)
                continue
        elif not (resume or overwrite) and any(map(there.holds, job.outputs.values())):
            refused.append(entry.name)
            continue
        jobs.append(job)
    if refused:
        mend = "--overwrite makes them anew" if resume else "--resume leaves out what is whole, --overwrite "
        mend += "" if resume else "makes all anew"
        raise UsageError(
            f"{there.name}: {len(refused)} of {len(asked)} sources have results there already, first "
            f"{refused[0]}; {mend}, or give another --out-dir"
        )
    return Plan(jobs, whole)


def source_fingerprint(asked: Asked) -> str | None:
    """Of the content of a source; None for one that is no file.

    Raises:
        InputError: it cannot be read.
    """
    if asked.stored:
        return fingerprint.of_ranges(*ranges_of(asked.source))
    path = Path(asked.source)
    return fingerprint.of_media([path]) if path.exists() else None


def _change(entry: Entry, asked: Asked, job: Job, settings: dict[str, Any]) -> str:
    """In what a whole result differs from the one that is asked for, in words; empty where in nothing."""
    difference = first_difference(entry.settings or {}, settings)
    if difference:
        return f"other settings ({difference})"
    missing = [kind for kind, path in job.outputs.items() if entry.outputs.get(kind) != path]
    if missing:
        return f"no {job.outputs[missing[0]]}"
    try:
        if asked.why or source_fingerprint(asked) != entry.fingerprint:
            return "another content of its source"
    except InputError as error:
        return f"another content of its source ({error})"
    return ""


def _free_name(stem: str, there: Results, order: Order, taken: set[str]) -> str:
    number = 1
    while True:
        name = stem if number == 1 else f"{stem}-{number}"
        claimed = _claimed(order, name)
        lies_there = any(map(there.holds, order.outputs(name).values()))
        if not lies_there and not claimed & taken:
            return name
        number += 1


def _claimed(order: Order, name: str) -> set[str]:
    """The names that belong to the outputs called ``name``, also while they are written; in small letters,
    as some file systems do not tell them from large ones.
    """
    paths = [Path(path) for path in order.outputs(name).values()]
    return {str(each).casefold() for path in paths for each in (path, *kept_names(path), part_folder(path))}


def part_folder(path: Path) -> Path:
    """The name of an output that is a folder, until it is whole."""
    return path.with_name(f"{path.name}.part")
