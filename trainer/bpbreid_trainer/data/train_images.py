"""The training set as a torch Dataset: augmented images with their part labels."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import numpy as np
import torch
from torch import Generator, Tensor
from torch.utils.data import Dataset

from .draws import integer
from .grouping import NOT_COUNTED, channels_of, group_fields, label_map, soft_maps
from .mask_files import read_fields
from .samples import Sample, read_image
from .transforms import Augmentation, occluder_from

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
        clean: give the picture without occlusions and losses as well, for a teacher to look at.

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
        clean: bool = False,
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
            With ``clean`` a fifth: uint8 [3, h, w], RGB.

        Raises:
            ReadError: an image or a label file that cannot be used; names it.
        """
        index, seed = key if isinstance(key, tuple) else (key, key)
        sample = self.samples[index]
        rng = Generator().manual_seed(int(seed))
        occluder = partial(self._occluder, sample)
        image, placement, clean = self.transform(read_image(sample.path), rng, occluder)
        whole = self._parts(sample)
        parts = placement.sample(whole, self.map_size, self.transform.mirror)
        target = soft_maps(parts) if self.soft else label_map(parts)
        if not self.soft and not whole.any():  # nobody was found: nothing is known, the background neither
            target.fill_(NOT_COUNTED)
        item = image, target, self.labels[index], sample.camera
        return (*item, clean) if self.clean else item

    def _parts(self, sample: Sample) -> Tensor:
        if sample.mask_path is None:
            return torch.zeros(len(self._channels), 1, 1)
        return group_fields(torch.from_numpy(read_fields(sample.mask_path)), self._channels)

    def _occluder(self, target: Sample, rng: Generator) -> np.ndarray:
        """A piece of the image of somebody else than ``target``."""
        start = integer(rng, len(self.samples))
        others = (self.samples[(start + step) % len(self.samples)] for step in range(len(self.samples)))
        other = next((sample for sample in others if sample.person_id != target.person_id), target)
        return np.ascontiguousarray(occluder_from(read_image(other.path), rng))
