"""The releases of a host that its integration was made for."""

from __future__ import annotations

import importlib.metadata
import re

from ..errors import InputError


def require(distributions: str | tuple[str, ...], least: str, below: str) -> str:
    """The installed version of a host, if it is one that the integration supports.

    Args:
        distributions: name on the package index; several where the host goes by several, best first.
        least: lowest supported version.
        below: first version that is not supported any more.

    Raises:
        InputError: none is installed, or another version; the message names what was found and the range.
    """
    names = (distributions,) if isinstance(distributions, str) else distributions
    wanted = f"{names[0]}>={least},<{below}"
    for name in names:
        try:
            found = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
        if _numbers(least) <= _numbers(found) < _numbers(below):
            return found
        raise InputError(
            f"{name} {found} is installed, this integration works with >={least},<{below}; "
            f"pip install '{wanted}'"
        )
    raise InputError(f"{' or '.join(names)} is not installed; pip install '{wanted}'")


def _numbers(version: str) -> tuple[int, ...]:
    """The leading numbers of a version, padded so that 25 and 25.0.0 are equal."""
    found = re.match(r"\d+(?:\.\d+)*", version)
    numbers = [int(part) for part in found[0].split(".")] if found else []
    return tuple([*numbers, 0, 0, 0, 0][:4])
