"""Training of BPBReID, from a data set to weights; ``fit`` reads from top to bottom.

A run is a folder: ``config.yaml`` (resolved settings), ``log.csv``, ``scores.csv``, ``curves.png``,
``tensorboard/``, ``best.safetensors`` and ``last.safetensors`` (what ``bpbreid-track --encoder`` takes) and
``last.pt`` (all that is needed to go on).
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import torch
import yaml
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from bpbreid_track._version import __version__
from bpbreid_track.errors import InputError, UsageError
from bpbreid_track.evaluation.ranking import RankingMetrics, mean_metrics
from bpbreid_track.io.locks import FolderClaim, writing
from bpbreid_track.io.part_file import put
from bpbreid_track.model.checkpoint import checkpoint_bytes, load_weights
from bpbreid_track.model.encoder import Encoder, find_encoder_weights
from bpbreid_track.model.inference import resolve_precision
from bpbreid_track.model.network import BPBReID

from .data import ReidDataset
from .evaluate import Embed, crop_embedder, evaluate, mask_embedder
from .inputs import batch_loader, datasets, named_sets, train_images
from .interrupts import lasting_interrupt
from .logs import LossLog, RunLog
from .options import TrainOptions
from .processes import (
    Processes,
    SharedStatistics,
    average_gradients,
    gather,
    gather_outputs,
    processes,
    share_network,
)
from .sampler import BatchSampler
from .schedule import learning_rate
from .speedups import compile_backbone, flushed_denormals, freeze_stages, preferred_format
from .state import State, average_states, write_whole
from .teacher import Teacher, imitation_loss, shown_rows, taught_rows, tested_rows
from .visualize import training_curves


@dataclass(frozen=True)
class FitReport:
    """What a run came to.

    Attributes:
        folder: of the run.
        epochs: done.
        steps: done.
        best: highest mAP of the run; None without a test set.
        best_epoch: epochs that were done when it was reached.
        metrics: of the last evaluation, the mean over the test sets; None without any.
    """

    folder: Path
    epochs: int
    steps: int
    best: float | None
    best_epoch: int
    metrics: RankingMetrics | None


def fit(options: TrainOptions, *, resume: bool = False, quiet: bool = False) -> FitReport:
    """Train a network and keep the best one.

    Run by ``torchrun`` it trains in all the processes that this starts, and comes to what
    one process would.

    Args:
        options: all settings; ``options.output`` is the folder of the run.
        resume: go on from the last saved state in that folder; on a CPU bit for bit as if it had not stopped.
        quiet: show nothing.

    Raises:
        InputError: no data, one identity, no labels, unreadable files, or a loss that is not a number.
        UsageError: settings that do not go together.
    """
    with processes(options.device) as procs:
        return _fit(options, procs, resume=resume, quiet=quiet)


def _fit(options: TrainOptions, procs: Processes, *, resume: bool, quiet: bool) -> FitReport:
    device = procs.device
    folder = _run_folder(options, resume=resume)
    train, tests = datasets(options)
    torch.manual_seed(options.seed)

    # network, objective and optimiser
    people = len({sample.person_id for sample in train.train})
    network = BPBReID(
        options.model.model_copy(update={"num_identities": people}),
        pretrained=options.pretrained if not (resume or options.weights) else False,
    )
    if options.weights and not resume:
        _start_from(network, options.weights)
    memory_format = preferred_format(device, options.compile)
    network.to(device, memory_format=memory_format).train()  # type: ignore[call-overload]
    freeze_stages(network.backbone, options.freeze)
    objective = options.loss.build()
    optimizer = torch.optim.Adam(
        network.parameters(),
        lr=options.learning_rate,
        weight_decay=options.weight_decay,
        fused=device.type == "cuda",
    )
    dtype = autocast_dtype(options.precision, device)
    scaler = torch.amp.GradScaler(device.type, enabled=dtype == torch.float16)
    ema = _Average(network, options.ema) if options.ema else None

    # images
    size = options.input_size(0)
    teacher = _teacher(options, network.dim)
    clean = (teacher.size, teacher.map_size) if teacher is not None else None
    images = train_images(options, train, network.backbone.stride, size, clean)
    sampler = BatchSampler(
        images.labels,
        options.identities_per_batch,
        options.images_per_identity,
        seed=options.seed,
        even=options.sampling != "uniform",
        cameras=[sample.camera for sample in images.samples] if options.sampling == "balanced" else None,
        sets=[sample.dataset for sample in images.samples] if options.sampling == "balanced" else None,
        rank=procs.rank,
        world=procs.world,
    )
    loader = batch_loader(images, sampler, options, procs)
    set_of = torch.zeros(people, dtype=torch.long)
    set_of[images.labels] = torch.tensor([sample.dataset for sample in images.samples])
    set_of = set_of.to(device)

    # where an earlier part of the run has come to
    parts: dict[str, Any] = {"network": network, "optimizer": optimizer, "scaler": scaler}
    if ema is not None:
        parts["ema"] = ema
    state = State(options, parts, train.train)
    if resume:
        state.load(folder / "last.pt")
    done = state.progress
    batch_size = sampler.slice * procs.world

    share_network(network, procs)
    if options.compile:
        compile_backbone(network.backbone, device)
    losses = LossLog()
    metrics = None
    saved = time.monotonic()
    with (
        lasting_interrupt() as stop_if_asked,
        _first(procs, folder, options, done.step, quiet) as log,
        _statistics(procs),
        _backends(device),
    ):
        if log:
            log.say(
                f"{len(images)} images of {people} persons, batches of {batch_size}, "
                f"{str(dtype).removeprefix('torch.')} on {device}, {procs.world} process(es)"
            )
            if resume:
                log.say(
                    f"going on from {folder / 'last.pt'}: {done.epoch} of {options.last_epoch} epochs and "
                    f"{done.batch} batches of the next are done"
                )
            without = sum(sample.mask_path is None for sample in images.samples)
            if options.needs_masks and without:
                log.say(f"{without} of {len(images)} images have no labels and teach the attention nothing")
        for epoch in range(done.epoch, options.last_epoch):
            rate = learning_rate(epoch, options.learning_rate, options.schedule, options.epochs)
            for group in optimizer.param_groups:
                group["lr"] = rate
            if options.input_size(epoch) != size:
                size = options.input_size(epoch)
                images = train_images(options, train, network.backbone.stride, size, clean)
                loader = batch_loader(images, sampler, options, procs)
            if epoch == options.schedule.small_epochs and not done.batch:
                done.best = -1.0  # what was reached on small images is no match for what follows
            sampler.seek(epoch, done.batch)
            batches = len(sampler.batches)
            for pictures, targets, labels, _, *original in loader:
                pictures = pictures.to(device, non_blocking=True, memory_format=memory_format)
                targets, labels = targets.to(device, non_blocking=True), labels.to(device, non_blocking=True)
                masks = targets if options.model.attention == "fixed" else None
                with torch.autocast(device.type, dtype, enabled=dtype != torch.float32):
                    outputs = network(pictures, masks)
                everybody = gather(labels)
                everything = gather_outputs(outputs)
                terms = objective.terms(everything, everybody, targets, set_of[everybody])
                if teacher is not None:
                    shown = shown_rows(targets, original[1], options.model)
                    taught = taught_rows(teacher(*original), options.model).to(device)
                    rows = tested_rows(everything, options.model)
                    wrong = imitation_loss(rows, gather(taught), gather(shown))
                    terms["teacher"] = options.teacher.weight * wrong
                if not terms:
                    raise UsageError("loss: every weight is 0, nothing to train")
                loss = torch.stack(list(terms.values())).sum()

                optimizer.zero_grad(set_to_none=True)
                scaler.scale(loss).backward()
                average_gradients(network)
                if options.gradient_clip:
                    scaler.unscale_(optimizer)
                    torch.nn.utils.clip_grad_norm_(network.parameters(), options.gradient_clip)
                scaler.step(optimizer)
                scaler.update()
                if ema is not None:
                    ema.update(network)

                done.step += 1
                done.batch += 1
                losses.add(done.step, terms)
                stop_if_asked()
                if device.type == "cpu":  # elsewhere looking means waiting for the device
                    losses.check()
                if log:
                    left = (options.last_epoch - epoch) * batches - done.batch
                    log.advance(done.step, done.step + left, batch_size)
                if done.step % options.log_every == 0 or done.batch == batches:
                    means = losses.means()
                    if log:
                        log.losses(epoch, done.step, rate, means)
                if log and done.batch < batches and _save_is_due(options, done.step, saved):
                    losses.check()
                    state.save(folder / "last.pt")
                    saved = time.monotonic()

            done.epoch, done.batch = epoch + 1, 0
            finished = done.epoch == options.last_epoch
            if log:
                kept = cast("BPBReID", ema.module) if ema is not None else network
                # Scored and saved for the images that it has learnt from: at another size it is far worse.
                kept.options = kept.options.model_copy(update={"input_size": size})
                if tests and (finished or _evaluation_is_due(options, done.epoch)):
                    each = {name: _evaluate(kept, test, options) for name, test in named_sets(tests).items()}
                    metrics = mean_metrics(list(each.values()))
                    several = {f"mAP_{name}": one.mAP for name, one in each.items()} if len(each) > 1 else {}
                    log.scores(done.epoch, done.step, metrics.as_dict() | several)
                    for name, one in each.items():
                        where = f", {name}" if len(each) > 1 else ""
                        log.say(f"epoch {done.epoch}{where}: mAP {one.mAP:.3f}, rank-1 {one.rank1:.3f}")
                    if metrics.mAP > done.best:
                        done.best, done.best_epoch = metrics.mAP, done.epoch
                        _save_weights(kept, folder / "best.safetensors", options, train, done.epoch, metrics)
                if finished:
                    _save_weights(kept, folder / "last.safetensors", options, train, done.epoch, metrics)
                    if not tests:
                        _save_weights(kept, folder / "best.safetensors", options, train, done.epoch, None)
                state.save(folder / "last.pt")
                saved = time.monotonic()
                if finished or _evaluation_is_due(options, done.epoch):
                    training_curves(folder)
                log.restart_clock()
            procs.wait()
    return FitReport(
        folder, done.epoch, done.step, done.best if done.best >= 0 else None, done.best_epoch, metrics
    )


# ------------------------------------------------------------------------------------------- preparations


def _run_folder(options: TrainOptions, *, resume: bool) -> Path:
    if not options.output:
        raise UsageError("output: name the folder of the run, such as output=runs/first")
    folder = Path(options.output)
    kept = ("last.pt", "last.safetensors", "best.safetensors")
    if not resume and any((folder / name).is_file() for name in kept):
        raise InputError(
            f"{folder}: holds a training run already; --resume goes on with it, output=OTHER starts a new one"
        )
    return folder


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


@contextmanager
def _first(
    procs: Processes, folder: Path, options: TrainOptions, step: int, quiet: bool
) -> Iterator[RunLog | None]:
    """The log of the first process, which alone writes into the folder; the others keep none."""
    if not procs.first:
        yield None
        return
    with writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
    claim = FolderClaim(folder)
    try:
        text = yaml.safe_dump(options.model_dump(mode="json"), sort_keys=False)
        with writing(folder / "config.yaml"):
            put(folder / "config.yaml", text.encode())
        with RunLog(folder, step, quiet=quiet) as log:
            yield log
    finally:
        claim.release()


def _statistics(procs: Processes) -> AbstractContextManager[Any]:
    shared = procs.world > 1 and procs.device.type != "cuda"
    return SharedStatistics() if shared else nullcontext()


def _backends(device: torch.device) -> AbstractContextManager[Any]:
    if device.type == "cpu":
        return flushed_denormals()
    # All batches have one shape, so trying out the fastest convolutions pays.
    return (
        torch.backends.cudnn.flags(enabled=True, benchmark=True) if device.type == "cuda" else nullcontext()
    )


# -------------------------------------------------------------------------------------------- in the loop


def _save_is_due(options: TrainOptions, step: int, saved: float) -> bool:
    by_step = options.save_steps and step % options.save_steps == 0
    return bool(by_step or (options.save_seconds and time.monotonic() - saved >= options.save_seconds))


def _evaluation_is_due(options: TrainOptions, epoch: int) -> bool:
    return bool(options.evaluate_every) and epoch % options.evaluate_every == 0


def _evaluate(network: BPBReID, test: ReidDataset, options: TrainOptions) -> RankingMetrics:
    if options.model.attention == "fixed":
        embed: Embed = mask_embedder(network, options.parts)
    else:
        embed = crop_embedder(Encoder(network, precision="fp32"))
    return evaluate(embed, test)


def _save_weights(
    network: BPBReID,
    path: Path,
    options: TrainOptions,
    train: ReidDataset,
    epoch: int,
    metrics: RankingMetrics | None,
) -> None:
    provenance = {
        "program": f"bpbreid_track {__version__}",
        "training_data": train.name,
        "training_images": len(train.train),
        "epoch": epoch,
        "metrics": metrics.as_dict() if metrics else None,
        "options": options.model_dump(mode="json"),
    }
    write_whole(path, lambda part: part.write_bytes(checkpoint_bytes(network, provenance)))
