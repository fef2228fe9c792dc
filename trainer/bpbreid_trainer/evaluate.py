"""CMC and mAP of an encoder on a ReID data set: from image files to numbers. Masks are not needed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from torch.utils.data import DataLoader

from bpbreid_track.embeddings import PartEmbeddings
from bpbreid_track.errors import InputError
from bpbreid_track.evaluation.ranking import RankingMetrics, rank_embeddings
from bpbreid_track.model.encoder import Encoder
from bpbreid_track.model.network import BPBReID
from bpbreid_track.model.part_groups import part_names

from .data import ReidDataset, Sample, TrainImages, build_transforms, read_image

_CHUNK = 512  # images in memory at a time
_READERS = 8
_MASKED_BATCH = 64


Embed = Callable[[Sequence[Sample]], PartEmbeddings]
"""From samples to one row of embeddings each."""


def evaluate(
    embed: Embed, dataset: ReidDataset, *, tick: Callable[[int], None] | None = None
) -> RankingMetrics:
    """Rank the gallery of a data set for each of its queries by the part distance (Eq. 9).

    Args:
        embed: of ``crop_embedder`` or ``mask_embedder``.
        dataset: with query and gallery.
        tick: called with the number of images done since the last call.

    Raises:
        InputError: no query or no gallery, images that cannot be read, or no query with a match.
    """
    check_test_set(dataset)
    query, gallery = (embed_all(embed, side, tick) for side in (dataset.query, dataset.gallery))
    return rank(query, gallery, dataset.query, dataset.gallery)


def check_test_set(dataset: ReidDataset) -> None:
    """Raise InputError where ``dataset`` has no query, no gallery, or no query that can be found there."""
    for name, samples in (("query", dataset.query), ("gallery", dataset.gallery)):
        if not samples:
            raise InputError(f"{dataset.root}: no {name} images; an evaluation needs queries and a gallery")
    if not _findable(dataset.query, dataset.gallery):
        raise InputError(
            f"{dataset.root}: no query shows somebody whom another camera of the gallery shows too; check "
            "identities and cameras in the names of files"
        )


def check_labels(samples: Sequence[Sample]) -> None:
    """Raise InputError where an image has no labels, for a network with fixed attention."""
    blank = next((sample for sample in samples if sample.mask_path is None), None)
    if blank is not None:
        raise InputError(f"{blank.path}: no labels; a network with fixed attention needs them at test too")


def embed_all(
    embed: Embed, samples: Sequence[Sample], tick: Callable[[int], None] | None = None
) -> PartEmbeddings:
    """One row of embeddings for each sample, a chunk of images at a time."""
    chunks = []
    for start in range(0, len(samples), _CHUNK):
        chunk = samples[start : start + _CHUNK]
        chunks.append(embed(chunk))
        if tick is not None:
            tick(len(chunk))
    return PartEmbeddings.cat(chunks)


def crop_embedder(encoder: Encoder) -> Embed:
    """Embeddings of the images alone."""

    def embed(samples: Sequence[Sample]) -> PartEmbeddings:
        with ThreadPoolExecutor(_READERS) as pool:
            images = list(pool.map(read_image, [sample.path for sample in samples]))
        return encoder.encode_crops([np.ascontiguousarray(image[..., ::-1]) for image in images])

    return embed


def mask_embedder(network: BPBReID, part_group: str) -> Embed:
    """Embeddings of images and labels, for a network with fixed attention: it cannot do without labels.

    Args:
        network: on the device to work on.
        part_group: which fields of the label files make its parts.
    """
    options = network.options
    device = next(network.parameters()).device
    transform = build_transforms(
        options.input_size,
        part_names(part_group),
        crop_padding=0,
        erase=0,
        mean=options.mean,
        std=options.std,
        source_size=options.source_size,
    )

    def embed(samples: Sequence[Sample]) -> PartEmbeddings:
        check_labels(samples)
        images = TrainImages(samples, transform, part_group, soft=True)
        loader = DataLoader(images, batch_size=_MASKED_BATCH)
        rows = [network.embed(pictures.to(device), masks.to(device)) for pictures, masks, _, _ in loader]
        return PartEmbeddings.cat(rows)

    return embed


def rank(
    query: PartEmbeddings, gallery: PartEmbeddings, queries: Sequence[Sample], others: Sequence[Sample]
) -> RankingMetrics:
    """Metrics of embeddings, with the protocol of the samples: within each scene where there are scenes."""
    scenes = sorted({sample.scene for sample in queries if sample.scene is not None})
    if not scenes:
        return rank_embeddings(query, gallery, *_ids(queries, others))
    rows = [[i for i, sample in enumerate(queries) if sample.scene == scene] for scene in scenes]
    columns = [[i for i, sample in enumerate(others) if sample.scene == scene] for scene in scenes]
    results = []
    average_precision = np.full(len(queries), np.nan)
    for own, these in zip(rows, columns, strict=True):
        pair = [queries[i] for i in own], [others[i] for i in these]
        if not _findable(*pair):
            continue
        result = rank_embeddings(query[own], gallery[these], *_ids(*pair))
        average_precision[own] = result.average_precision
        results.append(result)
    if not results:
        raise InputError("no query has a match in the gallery of its scene; check identities and scenes")
    counts = np.array([result.queries for result in results])
    return RankingMetrics(
        mAP=float(np.nanmean(average_precision)),
        cmc=np.average([result.cmc for result in results], axis=0, weights=counts),
        average_precision=average_precision,
        queries=int(counts.sum()),
        skipped=len(queries) - int(counts.sum()),
    )


def _findable(queries: Sequence[Sample], others: Sequence[Sample]) -> bool:
    """Whether any query has a match by another camera, in its scene where there are scenes."""
    cameras: dict[tuple[int, int | None], set[int]] = {}
    for other in others:
        cameras.setdefault((other.person_id, other.scene), set()).add(other.camera)
    seen_by = ((cameras.get((query.person_id, query.scene), set()), query.camera) for query in queries)
    return any(found - {own} for found, own in seen_by)


def _ids(queries: Sequence[Sample], others: Sequence[Sample]) -> tuple[np.ndarray, ...]:
    return tuple(
        np.array([getattr(sample, name) for sample in samples])
        for name in ("person_id", "camera")
        for samples in (queries, others)
    )
