"""One process or many: what torchrun started, gathering, and statistics over all.

With W processes every batch is cut into W equal slices, and every quantity that a batch as a whole decides
(mined triplets, means of losses, BatchNorm statistics) is taken over all of them: W processes compute what
one would.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

import torch
import torch.distributed as dist
import torch.nn.functional as F
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from bpbreid_track.model.inference import resolve_device
from bpbreid_track.model.network import Outputs

from .losses import EMBEDDINGS

# Evaluation runs in the first process alone; the others wait for it that long.
_PATIENCE = timedelta(hours=6)


@dataclass(frozen=True)
class Processes:
    """Who we are among the processes of this run, and our device."""

    rank: int
    world: int
    device: torch.device

    @property
    def first(self) -> bool:
        """Whether this process evaluates, logs and saves."""
        return self.rank == 0

    def wait(self) -> None:
        """Until all processes are here."""
        if self.world > 1:
            dist.barrier()


@contextmanager
def processes(device: str) -> Iterator[Processes]:
    """Join the processes named in the environment (RANK, WORLD_SIZE, LOCAL_RANK); without them there is one.

    Args:
        device: as in the settings; ``auto`` and ``cuda`` give every local process a GPU of its own.
    """
    world = int(os.environ.get("WORLD_SIZE", "1"))
    resolved = resolve_device(device)
    if world == 1:
        yield Processes(0, 1, resolved)
        return
    if resolved.type == "cuda":
        resolved = resolve_device(f"cuda:{os.environ.get('LOCAL_RANK', '0')}")
        torch.cuda.set_device(resolved)
    if resolved.type == "cuda":
        dist.init_process_group("nccl", timeout=_PATIENCE, device_id=resolved)
    else:
        dist.init_process_group("gloo", timeout=_PATIENCE)
    try:
        yield Processes(dist.get_rank(), world, resolved)
    finally:
        dist.destroy_process_group()


def gather(values: Tensor) -> Tensor:
    """The rows of all processes, in their order: [N, ...] -> [W * N, ...].

    Every process goes on to compute the same loss from them. Its gradient by our rows is taken times W,
    because ``average_gradients`` then averages the gradients of W such losses.
    """
    return values if _world() == 1 else _Gather.apply(values)


def gather_outputs(outputs: Outputs) -> Outputs:
    """Outputs with all processes' rows of embeddings, scores and visibility; maps stay our own."""
    if _world() == 1:
        return outputs
    kinds = [kind for kind in EMBEDDINGS if kind in outputs.embeddings]
    return replace(
        outputs,
        embeddings={kind: gather(outputs.embeddings[kind]) for kind in kinds},
        scores={kind: gather(outputs.scores[kind]) for kind in kinds if kind in outputs.scores},
        visibility={kind: gather(outputs.visibility[kind]) for kind in kinds},
    )


def mean_over_processes(values: Tensor) -> Tensor:
    """The mean of ``values`` over the processes, without a gradient."""
    if _world() > 1:
        values = values.detach().clone()
        dist.all_reduce(values)
        values /= _world()
    return values


def share_network(network: nn.Module, procs: Processes) -> None:
    """Start all processes from the first one's weights; on CUDA, take BatchNorm statistics over all."""
    if procs.world == 1:
        return
    for value in network.state_dict().values():
        dist.broadcast(value, 0)
    if procs.device.type == "cuda":
        from timm.layers import convert_sync_batchnorm  # unlike torch's it knows timm's BatchNormAct2d

        convert_sync_batchnorm(network)


def average_gradients(network: nn.Module) -> None:
    """Give all processes the mean of their gradients.

    In place of DistributedDataParallel, which stumbles over outputs that no loss looks at, such as the
    background's.
    """
    if _world() == 1:
        return
    gradients = [value.grad for value in network.parameters() if value.grad is not None]
    flat = torch.cat([gradient.flatten() for gradient in gradients])
    dist.all_reduce(flat)
    flat /= _world()
    for gradient, mean in zip(gradients, flat.split([g.numel() for g in gradients]), strict=True):
        gradient.copy_(mean.view_as(gradient))


class SharedStatistics(TorchFunctionMode):
    """Inside, BatchNorm in training mode takes its statistics over all processes, whatever the device.

    torch's SyncBatchNorm does this on CUDA only. A mode and not a module, so that every BatchNorm takes part,
    timm's BatchNorm with an activation included.
    """

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        return (_batch_norm if func is F.batch_norm else func)(*args, **(kwargs or {}))


def _batch_norm(
    x: Tensor,
    running_mean: Tensor | None,
    running_var: Tensor | None,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    training: bool = False,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> Tensor:
    if not training:
        return F.batch_norm(x, running_mean, running_var, weight, bias, training, momentum, eps)
    axes = [axis for axis in range(x.ndim) if axis != 1]
    shape = [-1 if axis == 1 else 1 for axis in range(x.ndim)]
    count = x.numel() // x.shape[1] * _world()  # slices are equal
    mean = _Sum.apply(x.sum(axes)) / count
    centred = x - mean.view(shape)
    variance = _Sum.apply(centred.square().sum(axes)) / count
    if running_mean is not None and running_var is not None:
        with torch.no_grad():
            running_mean.lerp_(mean, momentum)
            running_var.lerp_(variance * (count / (count - 1)), momentum)
    y = centred * (variance + eps).rsqrt().view(shape)
    if weight is not None:
        y = y * weight.view(shape)
    return y if bias is None else y + bias.view(shape)


class _Sum(torch.autograd.Function):
    """The sum over the processes; so is its gradient."""

    @staticmethod
    def forward(ctx: Any, values: Tensor) -> Tensor:
        total = values.clone()
        dist.all_reduce(total)
        return total

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        total = gradient.clone()
        dist.all_reduce(total)
        return total


class _Gather(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, values: Tensor) -> Tensor:
        values = values.contiguous()
        ctx.rows = len(values)
        parts = [torch.empty_like(values) for _ in range(_world())]
        dist.all_gather(parts, values)
        return torch.cat(parts)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        first = dist.get_rank() * ctx.rows
        return gradient[first : first + ctx.rows] * _world()


def _world() -> int:
    return dist.get_world_size() if dist.is_available() and dist.is_initialized() else 1
