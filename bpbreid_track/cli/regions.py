"""``--roi``, ``--count`` and ``--zones``: other names for the settings of the section ``regions``."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import InputError, UsageError, one_line
from ..yaml_text import read_yaml

if TYPE_CHECKING:
    from ..config import RunConfig


def with_regions(settings: RunConfig, roi: str | None, lines: Sequence[str], zones: Path | None) -> RunConfig:
    """``settings`` with what the options say in place of what they had.

    Args:
        settings: of files and ``--set``.
        roi: a polygon, or the path of a mask.
        lines: ``x,y x,y``, or with a name in front, ``door=x,y x,y``.
        zones: file with a polygon for each name.

    Raises:
        UsageError: something that is no polygon or line, or a name given twice.
        InputError: a file that cannot be read.
    """
    from ..config import RegionsConfig, validated

    regions = settings.regions
    for option, key, value in (
        ("--roi", "roi", roi),
        ("--count", "lines", _lines(lines) if lines else None),
        (f"--zones {zones}", "zones", None if zones is None else _read_zones(zones)),
    ):
        if value is not None:
            given: RegionsConfig = validated(RegionsConfig, {key: value}, where=option)
            regions = regions.model_copy(update={key: getattr(given, key)})
    return settings.model_copy(update={"regions": regions})


def _lines(texts: Sequence[str]) -> dict[str, str]:
    named: dict[str, str] = {}
    for number, text in enumerate(texts, start=1):
        name, equals, line = text.rpartition("=")
        name = name.strip() if equals else f"line{number}"
        if name in named:
            raise UsageError(f"--count: two lines are called {name!r}")
        named[name] = line
    return named


def _read_zones(path: Path) -> dict[Any, Any]:
    try:
        zones = read_yaml(path.read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise InputError(f"{path}: {error.strerror}") from error
    except Exception as error:  # YAMLError, and what wrong dates, letters or deep nesting lead its reader to
        raise InputError(f"{path}: neither YAML nor JSON: {one_line(error, 300)}") from error
    if not isinstance(zones, dict) or not zones:
        raise InputError(f"{path}: expected a polygon for each name, 'hall: 0,0 640,0 640,480'")
    return zones
