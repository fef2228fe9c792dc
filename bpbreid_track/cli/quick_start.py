"""A quicker start of the command lines: supervision without the half of scipy that it loads and hardly uses.

``import supervision`` takes three names out of scipy that only smoothed paths and the merging of data sets
use, and a third of the processor time of a start goes there. A program of our own is alone in its process, so
nobody else meets the stand-ins, and they are there only while supervision is imported.
"""

from __future__ import annotations

import gc
import importlib
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import ModuleType
from typing import Any

_HARDLY_USED = {"scipy.interpolate": ("splev", "splprep"), "scipy.spatial": ("cKDTree",)}


@contextmanager
def quick_imports() -> Iterator[None]:
    """What is imported inside comes with supervision loaded, and without looking for garbage meanwhile."""
    gc.disable()
    try:
        load_supervision()
        yield
    finally:
        gc.freeze()  # modules stay: nobody needs to look through them again
        gc.enable()


def load_supervision() -> None:
    """Import supervision, once; what it hardly uses is imported where it is called."""
    if "supervision" in sys.modules:
        return
    stand_ins = {name: _stand_in(name) for name in _HARDLY_USED if name not in sys.modules}
    sys.modules.update(stand_ins)
    # A version that wants more of these modules is imported by whoever needs it, with all that belongs to it.
    with suppress(ImportError):
        importlib.import_module("supervision")
    for name in stand_ins:
        sys.modules.pop(name)


def _stand_in(name: str) -> ModuleType:
    module = ModuleType(name)
    for function in _HARDLY_USED[name]:
        setattr(module, function, _later(name, function))
    return module


def _later(module: str, name: str) -> Callable[..., Any]:
    def call(*values: Any, **options: Any) -> Any:
        return getattr(importlib.import_module(module), name)(*values, **options)

    return call
