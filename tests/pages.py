"""What the pages of the documentation show: their commands, their snippets, their files."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def blocks(page: str, language: str) -> list[str]:
    """The blocks of a page in one language, in order; ``page`` is its path in the repository."""
    text = (ROOT / page).read_text(encoding="utf-8")
    return re.findall(rf"^```{language}\n(.*?)^```", text, re.MULTILINE | re.DOTALL)


def commands(page: str) -> list[list[str]]:
    """The words of every command in a page, in order; what stands behind ``&&`` is one of its own."""
    lines = "".join(blocks(page, "bash")).replace("\\\n", " ").replace("&&", "\n").splitlines()
    return [words for line in lines if (words := shlex.split(line, comments=True))]


def unknown_extras(words: list[str]) -> list[str]:
    """The extras that a ``pip install`` of a page names and the package does not declare."""
    assert words[:2] == ["pip", "install"]
    declared = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    named = [re.fullmatch(r"\.\[(.+)\]", word) for word in words]
    extras = [extra for found in named if found for extra in found[1].split(",")]
    assert extras
    return [extra for extra in extras if f"\n{extra} = [" not in declared]
