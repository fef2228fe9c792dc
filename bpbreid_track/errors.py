"""Errors meant for the person at the keyboard: one clear line each, no traceback needed."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class InputError(ValueError):
    """Bad input or a failed run. The command line prints the message alone and exits with 1.

    The message names the file or argument, says what was found and what to do about it. Letters that cannot
    be printed, which damaged files put into it, are escaped.
    """

    exit_code = 1

    def __init__(self, message: str) -> None:
        super().__init__(printable(message))


class UsageError(InputError):
    """Wrong usage: an unknown option, name or setting. The command line exits with 2."""

    exit_code = 2


class Notice(UserWarning):
    """What the user should hear while the program goes on. The command line prints the message alone."""


def printable(text: str) -> str:
    """``text`` in one line, with control characters and other letters that show nothing as escapes.

    >>> print(printable("a\\x1b[31m and\\n b"))
    a\\x1b[31m and b
    """
    line = " ".join(text.split()) if "\n" in text or "\r" in text else text
    if line.isprintable():
        return line
    return "".join(letter if letter.isprintable() else repr(letter)[1:-1] for letter in line)


def one_line(error: BaseException, most: int = 160) -> str:
    """What a library's error says, in one line of at most ``most`` letters."""
    text = " ".join(str(error).split())
    return text if len(text) <= most else f"{text[: most - 3]}..."


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """The tail of an error message for an unknown ``word``.

    Args:
        word: what was given.
        known: the words that would have been right.

    Returns:
        ``"; did you mean 'x'?"`` where one of ``known`` is close, else ``"; known: a, b, c"``.
    """
    choices = sorted(known)
    close = difflib.get_close_matches(word, choices, n=1, cutoff=0.6)
    return f"; did you mean {close[0]!r}?" if close else f"; known: {', '.join(choices)}"


def install_extra(extra: str) -> str:
    """How to install an optional part of the package, from an index or from a checkout of the sources.

    >>> install_extra("eval")
    "pip install 'bpbreid-track[eval]', or in a checkout pip install '.[eval]'"
    """
    return f"pip install 'bpbreid-track[{extra}]', or in a checkout pip install '.[{extra}]'"


def add_note(error: BaseException, note: str) -> None:
    """``error.add_note(note)``, also before Python 3.11; an empty note is none."""
    if note:
        error.__dict__["__notes__"] = [*getattr(error, "__notes__", ()), note]


def with_notes(error: BaseException, message: str) -> str:
    """``message`` and what was noted on the error on its way, such as what was written before it."""
    return "; ".join([message, *getattr(error, "__notes__", ())])
