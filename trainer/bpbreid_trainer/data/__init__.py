"""ReID data sets: which image shows whom, and images with part labels to train on."""

from .datasets import DATASET_NAMES, load_dataset
from .grouping import NOT_COUNTED, group_fields, label_map, soft_maps
from .merge import joined
from .samples import ReidDataset, Sample, read_image
from .train_images import TrainImages
from .transforms import build_transforms

__all__ = [
    "DATASET_NAMES",
    "NOT_COUNTED",
    "ReidDataset",
    "Sample",
    "TrainImages",
    "build_transforms",
    "group_fields",
    "joined",
    "label_map",
    "load_dataset",
    "read_image",
    "soft_maps",
]
