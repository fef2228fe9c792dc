"""The training set as a torch Dataset: augmented images with their part labels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from types import MappingProxyType

import numpy as np
import torch
from torch import Generator, Tensor
from torch.utils.data import Dataset

from .draws import integer, uniform
from .grouping import NOT_COUNTED, THRESHOLD, channels_of, group_fields, label_map, soft_maps
from .made_up import blended, redress, set_before, stacked
from .mask_files import read_fields
from .placement import Placement
from .samples import Sample, read_image
from .transforms import Augmentation, occluder_from, resize

Item = tuple[Tensor | int, ...]


class TrainImages(Dataset[Item]):
    """Images with part labels, identity and camera.

    Args:
        samples: the training images.
        transform: augmentation, see ``build_transforms``.
        part_group: which of the 36 fields make which part (key of ``part_groups.PART_GROUPS``).
        map_size: height and width of the target; give the network's feature map. By default a quarter of
            the input's.
        soft: give part probabilities instead of labels, as fixed attention and the published program need.
        clean: give the picture without occlusions and losses as well, of this height and width, and where
            the parts are in it, on maps of that height and width, for a teacher to look at.
        made_up: probability of each change of ``made_up``: collage, redress, backdrop, blend.

    Attributes:
        labels: identity 0 .. I-1 of each sample, in the order of the data set's numbers.
        num_identities: I.
        person_ids: the data set's number of each identity.
    """

    def __init__(
        self,
        samples: Sequence[Sample],
        transform: Augmentation,
        part_group: str,
        *,
        map_size: tuple[int, int] | None = None,
        soft: bool = False,
        clean: tuple[tuple[int, int], tuple[int, int]] | None = None,
        made_up: Mapping[str, float] = MappingProxyType({}),
    ) -> None:
        self.samples = list(samples)
        self.transform = transform
        self.person_ids = sorted({sample.person_id for sample in self.samples})
        number = {person: label for label, person in enumerate(self.person_ids)}
        self.labels = [number[sample.person_id] for sample in self.samples]
        self.num_identities = len(self.person_ids)
        height, width = transform.size
        self.map_size = map_size or (height // 4, width // 4)
        self.soft, self.clean = soft, clean
        self._made_up = {name: share for name, share in made_up.items() if share}
        self._channels = channels_of(part_group)
        if len(self._channels) != len(transform.mirror):
            raise ValueError(
                f"part_group: {part_group!r} has {len(self._channels)} parts, "
                f"the transform was built for {len(transform.mirror)}"
            )

    def __len__(self) -> int:
        return len(self.samples)

    def __getitem__(self, key: int | tuple[int, int]) -> Item:
        """One training sample, a pure function of ``key``.

        Args:
            key: index, or index and the seed of all that is random about it. An index alone is its own seed.

        Returns:
            image float32 [3, h, w], RGB and normalised; target int64 [*map_size], 0 the background, 1 .. K
            for the parts, or soft [K+1, *map_size] float32; identity; camera. The target of an image
            without labels, or in whose labels nobody was found, is ``NOT_COUNTED`` (if soft: background).
            With ``clean`` two more: uint8 [3, h, w] RGB, and float [K, h, w] in [0, 1].

        Raises:
            ReadError: an image or a label file that cannot be used; names it.
        """
        index, seed = key if isinstance(key, tuple) else (key, key)
        sample = self.samples[index]
        rng = Generator().manual_seed(int(seed))
        occluder = partial(self._occluder, sample)
        source, whole = read_image(sample.path), self._parts(sample)
        source, whole = self._make_up(sample, source, whole, rng)
        image, placement, clean = self.transform(source, rng, occluder)
        parts = placement.sample(whole, self.map_size, self.transform.mirror)
        target = soft_maps(parts) if self.soft else label_map(parts)
        if not self.soft and not whole.any():  # nobody was found: nothing is known, the background neither
            target.fill_(NOT_COUNTED)
        item = image, target, self.labels[index], sample.camera
        if self.clean is None:
            return item
        size, map_size = self.clean
        strength = Placement(size).sample(whole, map_size, self.transform.mirror)
        return *item, resize(clean, size), strength * (strength >= THRESHOLD)

    def _make_up(
        self, sample: Sample, image: np.ndarray, parts: Tensor, rng: Generator
    ) -> tuple[np.ndarray, Tensor]:
        """Somebody made of ``sample`` and others, and where the parts are."""
        drawn = {name for name, share in self._made_up.items() if uniform(rng) < share}
        if "collage" in drawn:
            other = self._somebody_else(sample, rng)
            image, parts = stacked(image, parts, read_image(other.path), self._parts(other), rng)
        if "redress" in drawn:
            image = redress(image, parts, rng)
        if "backdrop" in drawn:
            image = set_before(image, parts, read_image(self._somebody_else(sample, rng).path), rng)
        if "blend" in drawn:
            image = blended(image, read_image(self._somebody_else(sample, rng).path), rng)
        return image, parts

    def _parts(self, sample: Sample) -> Tensor:
        if sample.mask_path is None:
            return torch.zeros(len(self._channels), 1, 1)
        return group_fields(torch.from_numpy(read_fields(sample.mask_path)), self._channels)

    def _occluder(self, target: Sample, rng: Generator) -> np.ndarray:
        """A piece of the image of somebody else than ``target``."""
        other = self._somebody_else(target, rng)
        return np.ascontiguousarray(occluder_from(read_image(other.path), rng))

    def _somebody_else(self, target: Sample, rng: Generator) -> Sample:
        start = integer(rng, len(self.samples))
        others = (self.samples[(start + step) % len(self.samples)] for step in range(len(self.samples)))
        return next((sample for sample in others if sample.person_id != target.person_id), target)
