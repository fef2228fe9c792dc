"""``bpbreid-explain``: in plain sentences, why boxes have the identities they have."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ..errors import UsageError, printable
from .common import Debug, Program

program = Program("bpbreid-explain")
run, main = program.run, program.main


@program.command
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
    debug: Debug = False,
    version: Annotated[bool, program.version_option] = False,
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
        typer.echo(printable(line))  # names of files may be no text
