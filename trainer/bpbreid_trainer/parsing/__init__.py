"""Human-parsing labels: for each training image the 36 confidence fields that its parts are made from."""

from .labelling import BACKENDS, LabelReport, make_labels

__all__ = ["BACKENDS", "LabelReport", "make_labels"]
