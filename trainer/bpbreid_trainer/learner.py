"""All that a batch changes: network, objective, optimiser; and how it changes them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

import torch
from torch import Tensor
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from bpbreid_track.errors import UsageError
from bpbreid_track.model.checkpoint import load_weights
from bpbreid_track.model.find_weights import find_encoder_weights
from bpbreid_track.model.inference import resolve_precision
from bpbreid_track.model.network import BPBReID

from .options import TrainOptions
from .processes import average_gradients, gather, gather_outputs
from .speedups import freeze_stages, preferred_format
from .state import average_states
from .teacher import Teacher, imitation_loss, shown_rows, taught_rows, tested_rows


class Learner:
    """A network and what teaches it.

    Args:
        options: of the run.
        people: identities to tell apart.
        device: where it is to be.
        fresh: nothing of an earlier part of the run takes its place.

    Attributes:
        network: the one that learns.
        teacher: another network whose vectors it imitates; None: there is none.
        dtype: what the forward pass computes in.
        parts: all that has to be kept to go on, by name.

    Raises:
        InputError: weights or a teacher that cannot be read.
        UsageError: settings that do not go together.
    """

    def __init__(self, options: TrainOptions, people: int, device: torch.device, *, fresh: bool) -> None:
        self._options, self._device = options, device
        self.network = BPBReID(
            options.model.model_copy(update={"num_identities": people}),
            pretrained=options.pretrained if fresh and not options.weights else False,
        )
        if options.weights and fresh:
            _start_from(self.network, options.weights)
        self._memory_format = preferred_format(device, options.compile)
        self.network.to(device, memory_format=self._memory_format).train()  # type: ignore[call-overload]
        freeze_stages(self.network.backbone, options.freeze)
        self._objective = options.loss.build()
        self._optimizer = torch.optim.Adam(
            self.network.parameters(),
            lr=options.learning_rate,
            weight_decay=options.weight_decay,
            fused=device.type == "cuda",
        )
        self.dtype = autocast_dtype(options.precision, device)
        self._scaler = torch.amp.GradScaler(device.type, enabled=self.dtype == torch.float16)
        self.parts: dict[str, Any] = {
            "network": self.network,
            "optimizer": self._optimizer,
            "scaler": self._scaler,
        }
        self._ema = _Average(self.network, options.ema) if options.ema else None
        if self._ema is not None:
            self.parts["ema"] = self._ema
        self.teacher = _teacher(options, self.network.dim)

    @property
    def kept(self) -> BPBReID:
        """The network that is evaluated and saved: the moving average where there is one."""
        return cast("BPBReID", self._ema.module) if self._ema is not None else self.network

    def set_rate(self, rate: float) -> None:
        """Learn at ``rate`` from now on."""
        for group in self._optimizer.param_groups:
            group["lr"] = rate

    def learn(self, batch: Sequence[Tensor], set_of: Tensor) -> dict[str, Tensor]:
        """One step.

        Args:
            batch: of ``inputs.batch_loader``: pictures [B, 3, H, W], targets, labels [B], and with a teacher
                what it is shown.
            set_of: int64 [I], data set of each identity.

        Returns:
            The terms of the loss by name, scalars.

        Raises:
            UsageError: there are none.
        """
        pictures, targets, labels, _, *original = batch
        device = self._device
        pictures = pictures.to(device, non_blocking=True, memory_format=self._memory_format)
        targets, labels = targets.to(device, non_blocking=True), labels.to(device, non_blocking=True)
        masks = targets if self._options.model.attention == "fixed" else None
        with torch.autocast(device.type, self.dtype, enabled=self.dtype != torch.float32):
            outputs = self.network(pictures, masks)
        everybody = gather(labels)
        everything = gather_outputs(outputs)
        terms = self._objective.terms(everything, everybody, targets, set_of[everybody])
        if self.teacher is not None:
            model = self._options.model
            shown = shown_rows(targets, original[1], model)
            taught = taught_rows(self.teacher(*original), model).to(device)
            wrong = imitation_loss(tested_rows(everything, model), gather(taught), gather(shown))
            terms["teacher"] = self._options.teacher.weight * wrong
        if not terms:
            raise UsageError("loss: every weight is 0, nothing to train")
        self._descend(torch.stack(list(terms.values())).sum())
        return terms

    def _descend(self, loss: Tensor) -> None:
        self._optimizer.zero_grad(set_to_none=True)
        self._scaler.scale(loss).backward()
        average_gradients(self.network)
        if self._options.gradient_clip:
            self._scaler.unscale_(self._optimizer)
            torch.nn.utils.clip_grad_norm_(self.network.parameters(), self._options.gradient_clip)
        self._scaler.step(self._optimizer)
        self._scaler.update()
        if self._ema is not None:
            self._ema.update(self.network)


def autocast_dtype(precision: str, device: torch.device) -> torch.dtype:
    """What the forward pass computes in; float32: no autocast.

    Raises:
        UsageError: a precision that the device cannot train in.
    """
    if precision == "auto" and device.type != "cuda":
        return torch.float32
    name = resolve_precision(precision, device)
    if name == "fp16" and device.type == "cpu":
        raise UsageError("precision 'fp16': not for training on a CPU; bf16 or fp32 works")
    return {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}[name]


class _Average(AveragedModel):
    """Moving average of all weights and statistics, with a state that fits ``State``."""

    def __init__(self, network: BPBReID, decay: float) -> None:
        super().__init__(network, multi_avg_fn=get_ema_multi_avg_fn(decay), use_buffers=True)

    def update(self, network: BPBReID) -> None:
        self.update_parameters(network)


def _teacher(options: TrainOptions, dim: int) -> Teacher | None:
    if not options.teacher.network:
        return None
    teacher = Teacher(options.teacher.network)
    if teacher.dim != dim:
        raise UsageError(
            f"{options.teacher.network}: its vectors have {teacher.dim} numbers, those of the network {dim}; "
            f"set model.dim={teacher.dim}"
        )
    return teacher


def _start_from(network: BPBReID, weights: str | Sequence[str]) -> None:
    states = []
    for path in [weights] if isinstance(weights, str) else weights:
        load_weights(network, find_encoder_weights(path))
        states.append({key: value.clone() for key, value in network.state_dict().items()})
    network.load_state_dict(average_states(states))
