"""How the ReID data sets lie on the disk: one function a layout, folder in, samples out.

A layout's function returns None where the folder does not look like it, and raises only where it does and
something in it is wrong.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from pathlib import Path

from bpbreid_track.errors import InputError

from .samples import ReidDataset, Sample, is_image

_MARKET = re.compile(r"(-?\d+)_c(\d+)")
_SOCCERNET_FIELDS = 8  # bbox-action-person-frame-class-id-UAI-HxW
_OCCLUDED, _WHOLE = "occluded_body_images", "whole_body_images"

Reader = Callable[[Path, str, str], "ReidDataset | None"]


def _images(folder: Path, pattern: str = "*") -> list[Path]:
    return sorted(path for path in folder.glob(pattern) if is_image(path))


def _subfolder(root: Path, *names: str) -> Path | None:
    """The first of ``names`` that is a folder in ``root``, in any case of letters."""
    present = {path.name.lower(): path for path in root.iterdir() if path.is_dir()}
    return next((present[name.lower()] for name in names if name.lower() in present), None)


def read_market(root: Path, query: str, gallery: str) -> ReidDataset | None:
    """Market-1501, DukeMTMC-reID, Occluded-Duke: ``<split>/0002_c1s1_000451_03.jpg``, cameras from 1.

    Identity -1 marks junk and is left out; identity 0 (distractors) stays in the gallery.
    """
    folders = {"train": root / "bounding_box_train", "query": root / query, "gallery": root / gallery}
    if not folders["train"].is_dir() and not (folders["query"].is_dir() and folders["gallery"].is_dir()):
        return None
    splits = {}
    for split, folder in folders.items():
        samples = []
        for path in _images(folder) if folder.is_dir() else ():
            match = _MARKET.match(path.name)
            if match is None:
                raise InputError(
                    f"{path}: expected a name such as 0002_c1s1_000451_03.jpg (identity, camera)"
                )
            identity = int(match[1])
            if identity > 0 or (identity == 0 and split == "gallery"):
                samples.append(Sample(path, identity, int(match[2]) - 1))
        splits[split] = samples
    return ReidDataset("market1501", root, **splits)


def read_occluded_reid(root: Path, query: str, gallery: str) -> ReidDataset | None:
    """Occluded-ReID: ``occluded_body_images/<id>/*.tif`` are the queries, ``whole_body_images`` gallery."""
    if not (root / _OCCLUDED).is_dir() or not (root / _WHOLE).is_dir():
        return None
    return ReidDataset(
        "occluded_reid",
        root,
        query=_identity_folders(root / _OCCLUDED, camera=0),
        gallery=_identity_folders(root / _WHOLE, camera=1),
    )


def read_p_duke(root: Path, query: str, gallery: str) -> ReidDataset | None:
    """P-DukeMTMC-reID: ``{train,test}/{occluded,whole}_body_images/<id>/*.jpg``; queries are the occluded."""
    if not any((root / split / _OCCLUDED).is_dir() for split in ("train", "test")):
        return None
    train, test = root / "train", root / "test"
    return ReidDataset(
        "p_dukemtmc",
        root,
        train=_identity_folders(train / _OCCLUDED, camera=0) + _identity_folders(train / _WHOLE, camera=1),
        query=_identity_folders(test / _OCCLUDED, camera=0),
        gallery=_identity_folders(test / _WHOLE, camera=1),
    )


def _identity_folders(folder: Path, camera: int) -> list[Sample]:
    samples = []
    for path in _images(folder, "*/*"):
        if not path.parent.name.isdecimal():
            raise InputError(f"{path.parent}: expected a folder named after an identity's number")
        samples.append(Sample(path, int(path.parent.name), camera))
    return samples


def read_msmt17(root: Path, query: str, gallery: str) -> ReidDataset | None:
    """MSMT17 V1 and V2: ``list_{train,val,query,gallery}.txt`` with rows ``0000/0000_000_01_..._0.jpg 0``.

    The third number of a name is the camera, from 1. Training takes the train and the val list, the 32,621
    images that the data set's paper trains on.
    """
    if not (root / "list_train.txt").is_file() and not (root / "list_query.txt").is_file():
        return None
    train, test = _subfolder(root, "train", "mask_train_v2"), _subfolder(root, "test", "mask_test_v2")
    return ReidDataset(
        "msmt17",
        root,
        train=_msmt17_list(root / "list_train.txt", train) + _msmt17_list(root / "list_val.txt", train),
        query=_msmt17_list(root / "list_query.txt", test),
        gallery=_msmt17_list(root / "list_gallery.txt", test),
    )


def _msmt17_list(path: Path, folder: Path | None) -> list[Sample]:
    if folder is None or not path.is_file():
        return []
    samples = []
    for number, row in enumerate(path.read_text(encoding="utf-8").split("\n"), start=1):
        if not row.strip():
            continue
        try:
            name, identity = row.split()
            camera = int(Path(name).name.split("_")[2])
            samples.append(Sample(folder / name, int(identity), camera - 1))
        except (ValueError, IndexError):
            raise InputError(
                f"{path}, line {number}: expected '0000/0000_000_01_0303morning_0015_0.jpg 0', got {row!r}"
            ) from None
    return samples


def read_soccernet(root: Path, query: str, gallery: str) -> ReidDataset | None:
    """SoccerNet-ReID: ``train/<league>/<season>/<game>/<action>/*.png``, ``{valid,test}/{query,gallery}/..``.

    Names are ``<box>-<action>-<person>-<frame>-<class>-<id>-<UAI>-<H>x<W>.png``. The frame stands for the
    camera, and queries are compared within their action. ``test`` is evaluated on where it lies on the disk,
    else ``valid``.
    """
    root = _subfolder(root, "reid") or root
    test = next((root / name for name in ("test", "valid") if (root / name / "query").is_dir()), None)
    folders = {"train": root / "train"}
    if test is not None:
        folders |= {"query": test / "query", "gallery": test / "gallery"}
    first = next((path for folder in folders.values() for path in folder.glob("**/*.png")), None)
    if first is None or len(first.stem.split("-")) != _SOCCERNET_FIELDS:
        return None
    return ReidDataset("soccernet", root, **{name: _soccernet(folder) for name, folder in folders.items()})


def _soccernet(folder: Path) -> list[Sample]:
    samples = []
    for path in sorted(folder.glob("**/*.png")):
        words = path.stem.split("-")
        try:
            action, person, frame = (int(word) for word in words[1:4])
        except ValueError:
            words = []
        if len(words) != _SOCCERNET_FIELDS:
            raise InputError(f"{path}: expected <box>-<action>-<person>-<frame>-<class>-<id>-<UAI>-<HxW>.png")
        samples.append(Sample(path, person, frame, scene=action))
    return samples


def read_deepsportradar(root: Path, query: str, gallery: str) -> ReidDataset | None:
    """DeepSportradar-ReID (Synergy): ``reid_training`` and ``reid_test/{query,gallery}``.

    Names are ``<person>_<sequence>_<frame>.jpeg``. Queries are camera 0, the gallery camera 1; in training
    the sequence stands for the camera.
    """
    found = next(
        (p for p in (root, root / "data_reid", root / "raw" / "data_reid") if (p / "reid_training").is_dir()),
        None,
    )
    if found is None:
        return None
    return ReidDataset(
        "deepsportradar",
        found,
        train=_deepsportradar(found / "reid_training", None),
        query=_deepsportradar(found / "reid_test" / "query", 0),
        gallery=_deepsportradar(found / "reid_test" / "gallery", 1),
    )


def _deepsportradar(folder: Path, camera: int | None) -> list[Sample]:
    samples = []
    for path in _images(folder) if folder.is_dir() else ():
        try:
            person, sequence, _ = (int(word) for word in path.stem.split("_"))
        except ValueError:
            raise InputError(f"{path}: expected <person>_<sequence>_<frame>.jpeg") from None
        samples.append(Sample(path, person, sequence if camera is None else camera))
    return samples


def read_folders(root: Path, query: str, gallery: str) -> ReidDataset | None:
    """Plain folders: ``<identity>/<camera>_*.jpg``, all of it for training, or so in ``train``, ``query``
    and ``gallery``.

    Identities and cameras may have any name; the same name is the same person or camera in all three sets.
    """
    splits = {"train": root / "train", "query": root / query, "gallery": root / gallery}
    if not any(_persons(folder) for folder in splits.values() if folder.is_dir()):
        splits = {"train": root}
    paths = {split: _persons(folder) for split, folder in splits.items() if folder.is_dir()}
    everything = [path for found in paths.values() for path in found]
    if not everything:
        return None
    identities = _numbered(path.parent.name for path in everything)
    cameras = _numbered(_camera_name(path) for path in everything)
    samples = {
        split: [Sample(path, identities[path.parent.name], cameras[_camera_name(path)]) for path in found]
        for split, found in paths.items()
    }
    return ReidDataset("folders", root, **samples)


def _persons(folder: Path) -> list[Path]:
    """Images in the folders of persons; those of labels and hidden ones are none."""
    return [
        path
        for path in _images(folder, "*/*")
        if path.parent.name != "masks" and not path.parent.name.startswith(".")
    ]


def _camera_name(path: Path) -> str:
    return path.stem.partition("_")[0]


def _numbered(names: Iterable[str]) -> dict[str, int]:
    """Each distinct name and its number: the one it spells where all do, else its place in sorted order."""
    distinct = sorted(set(names))
    spelled = [int(name) for name in distinct if name.isdecimal()]
    if len(set(spelled)) == len(distinct):
        return {name: int(name) for name in distinct}
    return {name: index for index, name in enumerate(distinct)}


# In the order in which they are tried on an unknown folder: the plain one fits many, so it comes last.
LAYOUTS: dict[str, Reader] = {
    "market1501": read_market,
    "msmt17": read_msmt17,
    "occluded_reid": read_occluded_reid,
    "p_dukemtmc": read_p_duke,
    "deepsportradar": read_deepsportradar,
    "soccernet": read_soccernet,
    "folders": read_folders,
}
