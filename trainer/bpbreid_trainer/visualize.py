"""Pictures of a training run and of what an encoder has learned: curves and ranking sheets, as PNG."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np

from bpbreid_track.embeddings import PartEmbeddings, part_distance, per_part_distance
from bpbreid_track.errors import InputError, install_extra
from bpbreid_track.io.paths import check_new_folder
from bpbreid_track.model.attention_view import paint_attention, part_colours
from bpbreid_track.model.encoder import Encoder
from bpbreid_track.model.network import BPBReID

from .data import ReidDataset, Sample, read_image
from .evaluate import crop_embedder, embed_all, rank
from .logs import read_table

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_RIGHT, _WRONG, _QUERY, _HIDDEN = "#2ca02c", "#d62728", "#1f77b4", "#d0d0d0"
_FARTHEST = 1.5  # two unit vectors that have nothing in common are 1.41 apart
_CELL = 1.25  # inches
_DPI = 110


def training_curves(folder: Path) -> Path:
    """Draw ``log.csv`` and ``scores.csv`` of a run into ``curves.png``.

    Returns:
        The picture.
    """
    losses, scores = read_table(folder / "log.csv"), read_table(folder / "scores.csv")
    if not losses:
        raise InputError(f"{folder / 'log.csv'}: no rows yet")
    figure = _figure(12, 3.6)
    left, middle, right = figure.subplots(1, 3)
    steps = [row["step"] for row in losses]
    fixed = {"epoch", "step", "learning_rate", "images_per_second"}
    for name in [name for name in losses[0] if name not in fixed]:
        bold = {"linewidth": 2, "color": "black"} if name == "loss" else {"linewidth": 1}
        left.plot(steps, [row[name] for row in losses], label=name.replace("_", " "), **bold)
    left.set(title="loss terms, weighted", xlabel="step", yscale="log")
    left.legend(fontsize=7)
    middle.plot(steps, [row["learning_rate"] for row in losses], color=_QUERY)
    middle.set(title="learning rate", xlabel="step", yscale="log")
    epochs = [row["epoch"] for row in scores]
    for name in ("mAP", "rank1", "rank5"):
        right.plot(epochs, [100 * row[name] for row in scores], marker="o", markersize=3, label=name)
    right.set(title="test set, %", xlabel="epoch")
    right.legend(fontsize=7)
    for axes in (left, middle, right):
        axes.grid(alpha=0.3)
    path = folder / "curves.png"
    figure.savefig(path, dpi=_DPI)
    return path


def ranking_sheets(
    encoder: Encoder,
    dataset: ReidDataset,
    out: Path,
    *,
    queries: int = 8,
    top: int = 8,
    worst: bool = False,
    tick: Callable[[int], None] | None = None,
) -> list[Path]:
    """Draw for some queries which gallery images are nearest, and why.

    A sheet shows the query and its nearest gallery images, right ones framed green and wrong ones red. Below
    each image lie its attention maps, below these the distance of each part to the query's; parts that do not
    show in both are grey and do not count.

    Args:
        encoder: attention is drawn where it is a network, not an exported file.
        dataset: with query and gallery; all of it is embedded.
        out: folder for ``<number>_<query>.png``.
        queries: how many, evenly spread over the set.
        top: gallery images a sheet.
        worst: take the queries with the lowest average precision instead.
        tick: called with the number of images done since the last call.

    Returns:
        The sheets.
    """
    embed = crop_embedder(encoder)
    found, gallery = (embed_all(embed, side, tick).to("cpu") for side in (dataset.query, dataset.gallery))
    precision = rank(found, gallery, dataset.query, dataset.gallery).average_precision
    counted = np.flatnonzero(~np.isnan(precision))
    if worst:
        chosen = counted[np.argsort(precision[counted], kind="stable")[:queries]]
    else:
        chosen = counted[np.linspace(0, len(counted) - 1, min(queries, len(counted))).astype(int)]
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        check_new_folder(out)
        out.mkdir(exist_ok=True)
    except OSError as error:
        raise InputError(f"{out}: cannot be written ({error.strerror})") from error
    paths = []
    for number, row in enumerate(chosen.tolist(), 1):
        query = dataset.query[row]
        rows = _nearest(found[row], gallery, query, dataset.gallery)[:top]
        figure = _sheet(
            encoder, query, found[row], [dataset.gallery[i] for i in rows], gallery[rows], precision[row]
        )
        name = re.sub(r"[^\w.-]+", "_", query.path.stem)
        paths.append(out / f"{number:03d}_{name}.png")
        figure.savefig(paths[-1], dpi=_DPI)
    return paths


def _nearest(
    query: PartEmbeddings, gallery: PartEmbeddings, sample: Sample, others: Sequence[Sample]
) -> list[int]:
    """Rows of the gallery from the nearest on, without those that the protocol leaves out."""
    order = part_distance(query, gallery)[0].argsort(stable=True).tolist()
    return [
        row
        for row in order
        if others[row].scene == sample.scene
        and (others[row].person_id, others[row].camera) != (sample.person_id, sample.camera)
    ]


def _sheet(
    encoder: Encoder,
    query: Sample,
    query_row: PartEmbeddings,
    nearest: Sequence[Sample],
    nearest_rows: PartEmbeddings,
    precision: float,
) -> Figure:
    """One query and its nearest: crops, attention, part distances."""
    samples = [query, *nearest]
    height, width = encoder.input_size
    shown = (128, round(128 * height / width))  # width and height of a picture in pixels
    crops = [cv2.resize(read_image(sample.path), shown) for sample in samples]
    overlays = _attention(encoder, crops)
    parts = list(encoder.part_names)
    tall = _CELL * 0.9 * height / width
    rows = [tall, tall, 0.16 * len(parts) + 0.2] if overlays else [tall, 0.16 * len(parts) + 0.2]
    figure = _figure(_CELL * len(samples) + 0.9, sum(rows) + 0.7)
    grid = figure.subplots(len(rows), len(samples), height_ratios=rows, squeeze=False)
    distances = part_distance(query_row, nearest_rows)[0]
    by_part = per_part_distance(query_row.features, nearest_rows.features)[:, 0].T  # [top, P]
    both = (query_row.visibility * nearest_rows.visibility) > 0
    for column, sample in enumerate(samples):
        if column == 0:
            colour, title = _QUERY, f"query {sample.person_id}\ncamera {sample.camera + 1}"
        else:
            colour = _RIGHT if sample.person_id == query.person_id else _WRONG
            title = f"{sample.person_id}, camera {sample.camera + 1}\n{distances[column - 1]:.3f}"
        _show(grid[0, column], crops[column], colour)
        grid[0, column].set_title(title, fontsize=7, color=colour)
        if overlays:
            _show(grid[1, column], overlays[column], colour)
        if column == 0:
            _visible_parts(grid[-1, 0], parts, query_row.visibility[0].tolist())
        else:
            _part_bars(grid[-1, column], by_part[column - 1].tolist(), both[column - 1].tolist())
    figure.suptitle(f"{query.path.name}: average precision {precision:.2f}", fontsize=8)
    return figure


def _show(axes: Any, image: np.ndarray, colour: str) -> None:
    axes.imshow(image)
    axes.set(xticks=[], yticks=[])
    for spine in axes.spines.values():
        spine.set(color=colour, linewidth=2.5)


def _visible_parts(axes: Any, parts: Sequence[str], visibility: Sequence[float]) -> None:
    """Names of the parts, with a bar where the query shows them."""
    colours = _colours(len(parts))
    axes.barh(range(len(parts)), visibility, color=colours, height=0.7)
    axes.set(ylim=(len(parts) - 0.5, -0.5), xlim=(0, 1), xticks=[])
    axes.set_yticks(range(len(parts)), [part.replace("_", " ") for part in parts], fontsize=6)
    axes.set_xlabel("visible", fontsize=6)


def _part_bars(axes: Any, distances: Sequence[float], both: Sequence[bool]) -> None:
    colours = _colours(len(distances))
    axes.barh(
        range(len(distances)),
        [distance if shown else _FARTHEST for distance, shown in zip(distances, both, strict=True)],
        color=[colour if shown else _HIDDEN for colour, shown in zip(colours, both, strict=True)],
        height=0.7,
    )
    for row, (distance, shown) in enumerate(zip(distances, both, strict=True)):
        text = f"{distance:.2f}" if shown else "not in both"
        axes.text(0.04, row, text, va="center", fontsize=5.5, color="black")
    axes.set(ylim=(len(distances) - 0.5, -0.5), xlim=(0, _FARTHEST), xticks=[], yticks=[])
    axes.set_xlabel("distance", fontsize=6)


def _colours(count: int) -> list[tuple[float, ...]]:
    """R, G, B in [0, 1] of the foreground (grey) and ``count - 1`` parts, those of the attention maps."""
    parts = part_colours(count - 1)[:, ::-1] / 255
    return [(0.5, 0.5, 0.5), *map(tuple, parts.tolist())]


def _attention(encoder: Encoder, crops: Sequence[np.ndarray]) -> list[np.ndarray]:
    """Each crop (RGB) under the colours of its parts; none where the network has no maps to show."""
    network = encoder.network
    if not isinstance(network, BPBReID) or network.options.attention == "fixed":
        return []
    pictures = [np.ascontiguousarray(crop[..., ::-1]) for crop in crops]
    maps, visibility = (values.cpu().numpy() for values in encoder.attend_crops(pictures))
    painted = [
        paint_attention(picture, [[0, 0, *picture.shape[1::-1]]], layers[None], seen[None])
        for picture, layers, seen in zip(pictures, maps, visibility, strict=True)
    ]
    return [picture[..., ::-1] for picture in painted]


def _figure(width: float, height: float) -> Figure:
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise InputError(f"pictures need matplotlib; {install_extra('train')}") from error
    return Figure(figsize=(width, height), layout="constrained")
