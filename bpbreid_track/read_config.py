"""Settings from what a user names: a preset, a YAML file, ``key=value``, a dict.

The presets lie in ``configs/``. A wheel carries them inside the package, so a bare name finds them there as
in a checkout.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import yaml

from .config import RunConfig, S, TrackerConfig, validated
from .errors import UsageError, did_you_mean, one_line

_PACKAGE = Path(__file__).resolve().parent
# In a wheel configs/ lies inside the package, in a checkout beside it.
_CONFIG_FOLDERS = (_PACKAGE / "configs", _PACKAGE.parent / "configs")


def config_path(name: str | os.PathLike[str], kind: str) -> Path:
    """The file behind a preset name or path.

    Args:
        name: ``sports``, or the path of a YAML file.
        kind: folder in configs/ in which names are looked up, ``track`` or ``train``.

    Raises:
        UsageError: neither a file nor a preset.
    """
    text = os.fspath(name)
    for folder in _CONFIG_FOLDERS:
        candidate = folder / kind / f"{text}.yaml"
        if candidate.is_file():
            return candidate
    path = Path(text)
    if path.is_file():
        return path
    if path.suffix in {".yaml", ".yml"} or len(path.parts) > 1:
        raise UsageError(f"{text}: no such configuration file")
    raise UsageError(f"{text!r} is neither a preset nor a file{did_you_mean(text, preset_names(kind))}")


def preset_names(kind: str) -> list[str]:
    """The names that ``config_path`` finds in configs/``kind``/."""
    return sorted({path.stem for folder in _CONFIG_FOLDERS for path in (folder / kind).glob("*.yaml")})


def read_settings(model: type[S], path: str | os.PathLike[str]) -> S:
    """A YAML file as validated settings of type ``model``.

    Raises:
        UsageError: one line that names the file, the setting and the mend.
    """
    try:
        values = yaml.safe_load(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise UsageError(f"{path}: {error.strerror}") from error
    except Exception as error:  # YAMLError, and what wrong dates or deep nesting lead its reader to
        raise UsageError(f"{path}: not valid YAML: {one_line(error, 300)}") from error
    if values is None:
        values = {}
    if not isinstance(values, dict):
        raise UsageError(f"{path}: expected settings as 'key: value', got {type(values).__name__}")
    return validated(model, values, where=str(path))


def overridden(
    model: type[S], path: str | os.PathLike[str] | None, overrides: Iterable[str], where: str = ""
) -> S:
    """A YAML file as settings, some of them changed by ``section.key=value``.

    Args:
        model: their type.
        path: the file; None for the defaults.
        overrides: values are read as YAML: ``tracker.lost_seconds=4``, ``draw.overlay=[boxes]``.
        where: how what is wrong with them begins.

    Raises:
        UsageError: one line that names the setting and the mend.
    """
    values: dict[str, Any] = {}
    if path is not None:
        read_settings(model, path)  # what is wrong in the file is said of the file, not of the overrides
        values = yaml.safe_load(Path(path).read_text(encoding="utf-8")) or {}
    overrides = list(overrides)
    for override in overrides:
        _override(values, override)
    return validated(model, values, where=" ".join(filter(None, [where, *overrides])))


def _override(values: dict[str, Any], override: str) -> None:
    key, equals, text = override.partition("=")
    steps = key.strip().split(".")
    if not equals or not all(steps):
        raise UsageError(f"{override!r}: expected key=value, or section.key=value inside a section")
    try:
        value = yaml.safe_load(text)
    except yaml.YAMLError:
        value = text
    if value is None:
        value = ""
    for step in steps[:-1]:
        inner = values.setdefault(step, {})
        if not isinstance(inner, dict):
            raise UsageError(f"{override!r}: {step} has no settings of its own")
        values = inner
    values[steps[-1]] = value


def run_config(
    config: RunConfig | TrackerConfig | str | os.PathLike[str] | dict[str, Any] | None,
) -> RunConfig:
    """Whatever a caller of ``track_video`` gave as configuration, as a ``RunConfig``.

    Args:
        config: a preset's name, a YAML file, a nested dict, a ready object; None for the defaults.
    """
    if config is None:
        return RunConfig()
    if isinstance(config, RunConfig):
        return config
    if isinstance(config, TrackerConfig):
        return RunConfig(tracker=config)
    if isinstance(config, dict):
        return validated(RunConfig, config, where="config")
    return read_settings(RunConfig, config_path(config, "track"))
