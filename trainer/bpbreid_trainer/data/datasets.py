"""Finding a ReID data set on the disk and reading which image shows whom."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

from bpbreid_track.errors import InputError, UsageError, did_you_mean

from .layouts import LAYOUTS
from .mask_files import MaskFiles, default_masks
from .samples import ReidDataset, Sample, is_image

# name -> (layout, folder names under which it is published)
_NAMES: dict[str, tuple[str, tuple[str, ...]]] = {
    "market1501": ("market1501", ("Market-1501-v15.09.15", "Market-1501", "market1501")),
    "dukemtmc": ("market1501", ("DukeMTMC-reID", "dukemtmc-reid")),
    "occluded_duke": ("market1501", ("Occluded_Duke", "Occluded-DukeMTMC-reID", "Occluded-Duke")),
    "occluded_reid": ("occluded_reid", ("Occluded_REID", "Occluded-REID", "OccludedREID")),
    "p_dukemtmc": ("p_dukemtmc", ("P-DukeMTMC-reID", "P-DukeMTMC")),
    "msmt17": ("msmt17", ("MSMT17_V1", "MSMT17_V2", "MSMT17", "msmt17")),
    "soccernet": ("soccernet", ("soccernetv3", "SoccerNet", "reid")),
    "deepsportradar": ("deepsportradar", ("synergyreid", "deepsportradar")),
    "folders": ("folders", ()),
}
DATASET_NAMES = tuple(_NAMES)
"""What ``load_dataset`` takes as ``name``, ``auto`` aside."""


def load_dataset(
    root: str | os.PathLike[str],
    name: str = "auto",
    *,
    masks: str | os.PathLike[str] | None = None,
    query: str | None = None,
    gallery: str | None = None,
    with_masks: bool = True,
) -> ReidDataset:
    """The samples of a data set in its published layout, or of plain ``identity/camera_*.jpg`` folders.

    Args:
        root: the data set's folder, or the folder that holds it.
        name: one of ``DATASET_NAMES``; ``auto`` tries all layouts on ``root`` itself.
        masks: folder of label files, or the name of one in ``<root>/masks``. By default the only one in
            ``<root>/masks``, if there is one. Images without labels get ``mask_path=None``.
        query: folder of the queries in the Market-1501 and the plain layout; ``query`` by default.
        gallery: folder of the gallery, likewise; by default ``bounding_box_test`` or ``gallery``.
        with_masks: look for label files at all.

    Raises:
        InputError: no such folder, no images, none of the known layouts, a file name that does not parse,
            several label folders to choose from, or training images of one identity only.
        UsageError: no such data set's name.
    """
    root = Path(root).expanduser()
    if name != "auto" and name not in _NAMES:
        raise UsageError(f"data set {name!r} is unknown{did_you_mean(name, [*_NAMES, 'auto'])}")
    if not root.is_dir():
        raise InputError(f"{root}: no such folder; give the folder of a ReID data set")
    dataset = _auto(root, query, gallery) if name == "auto" else _named(root, name, query, gallery)
    if dataset is None:
        raise InputError(_nothing(root, name))
    for given, samples in ((query, dataset.query), (gallery, dataset.gallery)):
        if given is not None and not samples:
            raise InputError(f"{dataset.root / given}: no images of persons in this folder")
    if not (dataset.train or dataset.query or dataset.gallery):
        raise InputError(f"{dataset.root}: no images of persons in this data set ({dataset.name} layout)")
    people = {sample.person_id for sample in dataset.train}
    if len(people) == 1:
        raise InputError(
            f"{dataset.root}: all {len(dataset.train)} training images show one identity "
            f"({dataset.train[0].path.name}, ...); training needs two at least"
        )
    return _with_masks(dataset, masks) if with_masks else dataset


def _auto(root: Path, query: str | None, gallery: str | None) -> ReidDataset | None:
    for layout in LAYOUTS:
        dataset = _read(root, layout, query, gallery)
        if dataset is not None:
            return dataset
    return None


def _named(root: Path, name: str, query: str | None, gallery: str | None) -> ReidDataset | None:
    layout, folders = _NAMES[name]
    for folder in (root, *(root / folder for folder in folders)):
        if folder.is_dir():
            dataset = _read(folder, layout, query, gallery)
            if dataset is not None:
                return replace(dataset, name=name)
    return None


def _read(folder: Path, layout: str, query: str | None, gallery: str | None) -> ReidDataset | None:
    usual = "bounding_box_test" if layout == "market1501" else "gallery"
    return LAYOUTS[layout](folder, query or "query", gallery or usual)


def _nothing(root: Path, name: str) -> str:
    inside = [path for path in root.iterdir() if is_image(path)]
    if inside:
        return (
            f"{root}: {len(inside)} images right in this folder; put each person's images into a folder of "
            "its own: <identity>/<camera>_*.jpg"
        )
    layout = "any known data set" if name == "auto" else name
    return f"{root}: no images in the layout of {layout}; known: {', '.join(_NAMES)}"


def _with_masks(dataset: ReidDataset, masks: str | os.PathLike[str] | None) -> ReidDataset:
    folder = default_masks(dataset.root) if masks is None else _masks_folder(dataset.root, Path(masks))
    if folder is None:
        return dataset
    files = MaskFiles(folder)

    def found(samples: list[Sample]) -> list[Sample]:
        return [replace(s, mask_path=files.find(s.path.relative_to(dataset.root))) for s in samples]

    complete = replace(
        dataset, train=found(dataset.train), query=found(dataset.query), gallery=found(dataset.gallery)
    )
    if masks is not None and not any(
        s.mask_path for s in (*complete.train, *complete.query, *complete.gallery)
    ):
        raise InputError(
            f"{folder}: no labels for the images of {dataset.root}; "
            f"bpbreid-train labels {dataset.root} --out {folder} makes them"
        )
    return complete


def _masks_folder(root: Path, masks: Path) -> Path:
    for folder in (root / "masks" / masks, masks.expanduser()):
        if folder.is_dir():
            return folder
    raise InputError(f"{masks}: no such folder of labels, neither as such nor in {root / 'masks'}")
