"""Checkpoints that carry code: it is never run, wherever it hides."""

from __future__ import annotations

import builtins
import os
import pickle
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from authors_files import whole_file

from bpbreid_track.config import DetectorConfig
from bpbreid_track.detection.detectors import load_detector
from bpbreid_track.errors import InputError
from bpbreid_track.model.checkpoint import load_checkpoint


class Payload:
    """Calls ``function`` when a trusting reader unpickles it."""

    def __init__(self, function: Callable[..., Any], *arguments: Any) -> None:
        self.call = function, arguments

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        return self.call


def system(marker: Path) -> Payload:
    return Payload(os.system, f"touch {marker}")


PLACES: dict[str, Callable[[Any, Any], Any]] = {
    "instead of the document": lambda load, node: load,
    "beside the state dict": lambda load, node: whole_file({}) | {"extra": load},
    "as a tensor": lambda load, node: {"state_dict": {"a": load}},
    "inside the settings": lambda load, node: whole_file({}, node({"model": {"bpbreid": [1, load]}})),
    "instead of the settings": lambda load, node: whole_file({}, load),
    "in the optimizer": lambda load, node: whole_file({}) | {"optimizer": {"state": {0: (load,)}}},
}


@pytest.mark.parametrize("zip_format", [True, False], ids=["zip", "legacy"])
@pytest.mark.parametrize("place", PLACES.values(), ids=PLACES)
def test_code_is_never_run_wherever_it_hides(
    place: Callable[[Any, Any], Any], zip_format: bool, cfg_node: type[dict], tmp_path: Path
) -> None:
    marker, path = tmp_path / "it ran", tmp_path / "x.pth"
    torch.save(place(system(marker), cfg_node), path, _use_new_zipfile_serialization=zip_format)
    with pytest.raises(InputError, match=r"x\.pth: refused: it asks for \w+\.system") as caught:
        load_checkpoint(path)
    assert not marker.exists()
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "payload",
    [
        lambda marker: Payload(builtins.eval, f"open({str(marker)!r}, 'w')"),
        lambda marker: Payload(builtins.exec, f"open({str(marker)!r}, 'w')"),
        lambda marker: Payload(os.mkdir, str(marker)),
        lambda marker: Payload(getattr, 5, "real"),
        lambda marker: Payload(torch.load, str(marker)),
        lambda marker: types.SimpleNamespace(a=1),
    ],
    ids=["eval", "exec", "mkdir", "getattr", "torch.load", "an object"],
)
def test_any_name_beyond_tensors_and_settings_is_refused(
    payload: Callable[[Path], Any], tmp_path: Path
) -> None:
    marker, path = tmp_path / "ran", tmp_path / "x.pth"
    torch.save({"state_dict": {}, "config": payload(marker)}, path)
    with pytest.raises(InputError, match="refused"):
        load_checkpoint(path)
    assert not marker.exists()


def test_what_other_libraries_allow_in_the_same_process_does_not_widen_what_weights_may_ask_for(
    shared: Path, tmp_path: Path
) -> None:
    path = tmp_path / "x.pth"
    torch.save({"state_dict": {}, "config": Payload(getattr, 5, "real")}, path)
    load_detector(str(shared / "weights/yolo11n.pt"), DetectorConfig(runtime="torch"), torch.device("cpu"))
    with torch.serialization.safe_globals([getattr]):  # as current releases of Ultralytics do, for good
        allowed = set(torch.serialization.get_safe_globals())
        with pytest.raises(InputError, match="refused: it asks for getattr"):
            load_checkpoint(path)
        assert set(torch.serialization.get_safe_globals()) == allowed, "what others need is given back"


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_bare_pickles_of_any_protocol_do_not_run(protocol: int, tmp_path: Path) -> None:
    marker, path = tmp_path / "ran", tmp_path / "x.pth"
    path.write_bytes(pickle.dumps({"state_dict": system(marker)}, protocol))
    with pytest.raises(InputError, match="refused"):
        load_checkpoint(path)
    assert not marker.exists()


def test_old_pickle_instructions_do_not_run(tmp_path: Path) -> None:
    marker, path = tmp_path / "ran", tmp_path / "x.pth"
    path.write_bytes(f"(S'touch {marker}'\nios\nsystem\n.".encode())
    with pytest.raises(InputError, match="refused"):
        load_checkpoint(path)
    assert not marker.exists()
