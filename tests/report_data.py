"""What the page of a run shows, read out of it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any


def shown(path: Path) -> dict[str, Any]:
    """The data of a page of ``--report``."""
    rest = path.read_text(encoding="utf-8").partition('<script type="application/json" id="data">')[2]
    data: dict[str, Any] = json.loads(rest.partition("</script>")[0])
    return data
