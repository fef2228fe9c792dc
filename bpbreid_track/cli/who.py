"""``--teams`` and ``--classes``: other names for the settings ``teams`` and ``detector.classes``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..errors import UsageError

if TYPE_CHECKING:
    from ..config import RunConfig


def with_who(settings: RunConfig, teams: int | None, classes: str | None) -> RunConfig:
    """``settings`` with what the options say in place of what they had.

    Args:
        settings: of files and ``--set``.
        teams: how many.
        classes: names or numbers, separated by commas.

    Raises:
        UsageError: a lone team, or no class.
    """
    from ..config import DetectorConfig, RunConfig, validated

    if teams is not None:
        given = validated(RunConfig, {"teams": teams}, where="--teams")
        settings = settings.model_copy(update={"teams": given.teams})
    if classes is not None:
        found = validated(DetectorConfig, {"classes": classes}, where="--classes")
        if not found.classes:
            raise UsageError("--classes: names no class")
        detector = settings.detector.model_copy(update={"classes": found.classes})
        settings = settings.model_copy(update={"detector": detector})
    return settings
