"""Learning from another encoder: how far apart it finds whole people, to be found from what is left of them.

The teacher looks at pictures before anything was cut off, covered or blurred, the network at them after.
Every row that the network is tested with learns for itself, so a head alone learns which of the teacher's
distances a head can tell. Only distances are compared, so widths and meanings of the two's numbers may differ
(similarity-preserving distillation: Tung and Mori, ICCV 2019; Park et al., CVPR 2019).
"""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from bpbreid_track.model.encoder import Encoder
from bpbreid_track.model.network import Outputs
from bpbreid_track.model.options import ModelOptions


class Teacher:
    """An encoder that is asked about training pictures.

    Args:
        source: as for ``Encoder.load``.
        device: to run it on, if it can.

    Raises:
        InputError: no such encoder.
    """

    def __init__(self, source: str, device: torch.device) -> None:
        self._encoder = Encoder.load(source, device=device, precision="auto", runtime="auto")

    def __call__(self, pictures: Tensor) -> Tensor:
        """Unit vectors float32 [N, E] of whole people in pictures uint8 [N, 3, h, w], RGB."""
        crops = [np.ascontiguousarray(crop[..., ::-1]) for crop in pictures.permute(0, 2, 3, 1).cpu().numpy()]
        found = self._encoder.encode_crops(crops).features[:, 0]
        return F.normalize(found.float(), dim=-1)


def tested_rows(outputs: Outputs, options: ModelOptions) -> tuple[Tensor, Tensor]:
    """What the network would be tested with: unit vectors [N, P, D] and their visibility, float [N, P]."""
    rows, seen = [], []
    for name in options.test_embeddings:
        vectors, visibility = outputs.embeddings[name], outputs.visibility[name.removeprefix("bn_")]
        many = vectors.ndim == 3
        rows.append(vectors if many else vectors[:, None])
        seen.append(visibility if many else visibility[:, None])
    return F.normalize(torch.cat(rows, 1).float(), dim=-1), torch.cat(seen, 1).float()


def distance_loss(rows: Tensor, seen: Tensor, taught: Tensor) -> Tensor:
    """Mean squared difference of cosine similarities, over the pairs of a batch and the rows that both show.

    ``sum_ijp v_ip v_jp (<x_ip, x_jp> - <t_i, t_j>)^2 / sum_ijp v_ip v_jp`` for i != j.

    Args:
        rows: x, unit vectors float [N, P, D].
        seen: v, float [N, P] in [0, 1]; taken as given: no gradient flows into it.
        taught: t, the teacher's unit vectors float [N, E].

    Returns:
        Scalar; zero where no pair shows a common row.

    >>> distance_loss(torch.eye(2)[:, None], torch.ones(2, 1), torch.ones(2, 1)).item()
    1.0
    """
    rows = rows.transpose(0, 1)  # [P, N, D]
    similarity = rows @ rows.transpose(1, 2)
    shown = seen.detach().t()
    weights = shown[:, :, None] * shown[:, None, :]
    weights = weights * (1 - torch.eye(len(taught), device=rows.device))
    wrong = (similarity - taught @ taught.t()).square()
    return (wrong * weights).sum() / weights.sum().clamp_min(torch.finfo(weights.dtype).tiny)
