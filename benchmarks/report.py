"""What every benchmark says about itself: machine, versions, command, seed, configuration."""

from __future__ import annotations

import importlib.metadata
import json
import os
import platform
import shlex
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any


def _processor() -> str:
    info = Path("/proc/cpuinfo")
    if info.is_file():
        for line in info.read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def _version(package: str) -> str:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return "not installed"


def circumstances(packages: Iterable[str], *, seed: int | None, config: dict[str, Any]) -> dict[str, Any]:
    """Machine, versions, command, seed and resolved configuration of this run, ready for JSON.

    Args:
        packages: distributions whose versions matter, besides ours, numpy and torch.
        seed: of the random generator; None where nothing is random.
        config: resolved settings of whatever was measured.
    """
    from bpbreid_track import __version__

    names = dict.fromkeys(["numpy", "torch", *packages])
    return {
        "machine": {
            "processor": _processor(),
            "cores": os.cpu_count(),
            "system": platform.platform(),
            "python": platform.python_version(),
        },
        "versions": {"bpbreid-track": __version__} | {name: _version(name) for name in names},
        "command": shlex.join([Path(sys.executable).name, *sys.argv]),
        "seed": seed,
        "config": config,
    }


def as_text(facts: dict[str, Any]) -> str:
    """``circumstances`` as a few lines to print above a table."""
    machine = facts["machine"]
    place = f"{machine['processor']}, {machine['cores']} cores, {machine['system']}"
    lines = [
        f"machine   {place}, Python {machine['python']}",
        "versions  " + ", ".join(f"{name} {version}" for name, version in facts["versions"].items()),
        f"command   {facts['command']}",
        f"seed      {facts['seed'] if facts['seed'] is not None else 'none: nothing is random'}",
        f"config    {facts['config']}",
    ]
    return "\n".join(lines)


def print_figures(facts: dict[str, Any], figures: dict[str, Any], *, as_json: bool) -> None:
    """Figures by name under their circumstances, as lines or as one JSON object."""
    if as_json:
        print(json.dumps({"about": facts, "results": figures}))
        return
    print(as_text(facts) + "\n")
    for name, value in figures.items():
        print(f"{name.replace('_', ' '):28} {value}")
