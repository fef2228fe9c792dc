"""``bpbreid-explain``: in plain sentences, why boxes have the identities they have."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from ..errors import UsageError
from .common import run_app, version_option

PROGRAM = "bpbreid-explain"

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


def main() -> None:
    """The entry point of ``bpbreid-explain``."""
    sys.exit(run(sys.argv[1:]))


def run(arguments: Sequence[str]) -> int:
    """Run the command line with ``arguments`` (without the program's name); returns the exit code."""
    return run_app(app, PROGRAM, arguments)


@app.command(context_settings={"help_option_names": ["-h", "--help"]})
def explain(
    file: Annotated[
        Path,
        typer.Argument(
            metavar="FILE.jsonl", show_default=False, help="A file written by bpbreid-track --explain."
        ),
    ],
    identity: Annotated[
        int | None, typer.Option(metavar="ID", help="The life of this identity only.")
    ] = None,
    frame: Annotated[
        int | None, typer.Option(metavar="N", help="Every box of this frame, counted from 1.")
    ] = None,
    why: Annotated[
        tuple[int, int] | None, typer.Option(metavar="OLD NEW", help="Why identity OLD became NEW.")
    ] = None,
    debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")] = False,
    version: Annotated[bool, version_option(PROGRAM)] = False,
) -> None:
    """Say why boxes have the identities they have: a summary and the life of every identity.

    Evidence is a natural logarithm: how much likelier a box is that person than somebody else.

    Exit codes: 0 done, 1 failed, 2 wrong usage.
    """
    from ..explain import text as words
    from ..explain.reader import read_log

    if sum(choice is not None for choice in (identity, frame, why)) > 1:
        raise UsageError("--identity, --frame and --why: give one of them")
    log = read_log(file)
    if why is not None:
        lines = list(words.why(log, *why))
    elif frame is not None:
        lines = list(words.frame(log, frame))
    elif identity is not None:
        lines = list(words.story(log, identity))
    else:
        lines = list(words.summary(log))
        for number in log.lives:
            lines += ["", *words.story(log, number)]
    for line in lines:
        typer.echo(line)
