"""Training of BPBReID, from a data set to weights; ``fit`` reads from top to bottom.

A run is a folder: ``config.yaml`` (resolved settings), ``log.csv``, ``scores.csv``, ``curves.png``,
``tensorboard/``, ``best.safetensors`` and ``last.safetensors`` (what ``bpbreid-track --encoder`` takes) and
``last.pt`` (all that is needed to go on).
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import yaml

from bpbreid_track._version import __version__
from bpbreid_track.errors import InputError, UsageError
from bpbreid_track.evaluation.ranking import RankingMetrics, mean_metrics
from bpbreid_track.io.locks import FolderClaim, writing
from bpbreid_track.io.part_file import put
from bpbreid_track.model.checkpoint import checkpoint_bytes
from bpbreid_track.model.encoder import Encoder
from bpbreid_track.model.network import BPBReID

from .data import ReidDataset, TrainImages
from .evaluate import Embed, crop_embedder, evaluate, mask_embedder
from .inputs import batch_loader, datasets, named_sets, train_images
from .interrupts import lasting_interrupt
from .learner import Learner
from .logs import LossLog, RunLog
from .options import TrainOptions
from .processes import (
    Processes,
    SharedStatistics,
    processes,
    share_network,
)
from .sampler import BatchSampler
from .schedule import learning_rate
from .speedups import compile_backbone, flushed_denormals
from .state import Progress, State, write_whole
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
    folder = _run_folder(options, resume=resume)
    train, tests = datasets(options)
    torch.manual_seed(options.seed)
    people = len({sample.person_id for sample in train.train})
    learner = Learner(options, people, procs.device, fresh=not resume)
    network, teacher = learner.network, learner.teacher

    # images
    size = options.input_size(0)
    clean = (teacher.size, teacher.map_size) if teacher is not None else None
    images = train_images(options, train, network.backbone.stride, size, clean)
    sampler = _sampler(options, images, procs)
    loader = batch_loader(images, sampler, options, procs)
    set_of = torch.zeros(people, dtype=torch.long)
    set_of[images.labels] = torch.tensor([sample.dataset for sample in images.samples])
    set_of = set_of.to(procs.device)

    # where an earlier part of the run has come to
    state = State(options, learner.parts, train.train)
    if resume:
        state.load(folder / "last.pt")
    done = state.progress
    batch_size = sampler.slice * procs.world

    share_network(network, procs)
    if options.compile:
        compile_backbone(network.backbone, procs.device)
    losses = LossLog()
    metrics = None
    saved = time.monotonic()
    with (
        lasting_interrupt() as stop_if_asked,
        _first(procs, folder, options, done.step, quiet) as log,
        _statistics(procs),
        _backends(procs.device),
    ):
        if log:
            _say_what_begins(log, options, images, people, batch_size, learner.dtype, procs)
            if resume:
                log.say(
                    f"going on from {folder / 'last.pt'}: {done.epoch} of {options.last_epoch} epochs and "
                    f"{done.batch} batches of the next are done"
                )
        for epoch in range(done.epoch, options.last_epoch):
            rate = learning_rate(epoch, options.learning_rate, options.schedule, options.epochs)
            learner.set_rate(rate)
            if options.input_size(epoch) != size:
                size = options.input_size(epoch)
                images = train_images(options, train, network.backbone.stride, size, clean)
                loader = batch_loader(images, sampler, options, procs)
            if epoch == options.schedule.small_epochs and not done.batch:
                done.best = -1.0  # what was reached on small images is no match for what follows
            sampler.seek(epoch, done.batch)
            batches = len(sampler.batches)
            for batch in loader:
                terms = learner.learn(batch, set_of)
                done.step += 1
                done.batch += 1
                losses.add(done.step, terms)
                stop_if_asked()
                if procs.device.type == "cpu":  # elsewhere looking means waiting for the device
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
            if log:
                kept = learner.kept
                # Scored and saved for the images that it has learnt from: at another size it is far worse.
                kept.options = kept.options.model_copy(update={"input_size": size})
                metrics = _end_epoch(kept, folder, options, train, tests, done, log) or metrics
                state.save(folder / "last.pt")
                saved = time.monotonic()
                if done.epoch == options.last_epoch or _evaluation_is_due(options, done.epoch):
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
    if folder.exists() and not folder.is_dir():
        raise InputError(f"{folder}: a file, and the folder of a run is wanted; output=OTHER names one")
    kept = ("last.pt", "last.safetensors", "best.safetensors")
    if not resume and any((folder / name).is_file() for name in kept):
        raise InputError(
            f"{folder}: holds a training run already; --resume goes on with it, output=OTHER starts a new one"
        )
    return folder


def _sampler(options: TrainOptions, images: TrainImages, procs: Processes) -> BatchSampler:
    balanced = options.sampling == "balanced"
    return BatchSampler(
        images.labels,
        options.identities_per_batch,
        options.images_per_identity,
        seed=options.seed,
        even=options.sampling != "uniform",
        cameras=[sample.camera for sample in images.samples] if balanced else None,
        sets=[sample.dataset for sample in images.samples] if balanced else None,
        rank=procs.rank,
        world=procs.world,
    )


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


def _say_what_begins(
    log: RunLog,
    options: TrainOptions,
    images: TrainImages,
    people: int,
    batch_size: int,
    dtype: torch.dtype,
    procs: Processes,
) -> None:
    log.say(
        f"{len(images)} images of {people} persons, batches of {batch_size}, "
        f"{str(dtype).removeprefix('torch.')} on {procs.device}, {procs.world} process(es)"
    )
    without = sum(sample.mask_path is None for sample in images.samples)
    if options.needs_masks and without:
        log.say(f"{without} of {len(images)} images have no labels and teach the attention nothing")


def _end_epoch(
    network: BPBReID,
    folder: Path,
    options: TrainOptions,
    train: ReidDataset,
    tests: list[ReidDataset],
    done: Progress,
    log: RunLog,
) -> RankingMetrics | None:
    """Evaluate and save, where that is due; returns the mean over the test sets, if they were asked."""
    finished, metrics = done.epoch == options.last_epoch, None
    if tests and (finished or _evaluation_is_due(options, done.epoch)):
        each = {name: _evaluate(network, test, options) for name, test in named_sets(tests).items()}
        metrics = mean_metrics(list(each.values()))
        several = {f"mAP_{name}": one.mAP for name, one in each.items()} if len(each) > 1 else {}
        log.scores(done.epoch, done.step, metrics.as_dict() | several)
        for name, one in each.items():
            where = f", {name}" if len(each) > 1 else ""
            log.say(f"epoch {done.epoch}{where}: mAP {one.mAP:.3f}, rank-1 {one.rank1:.3f}")
        if metrics.mAP > done.best:
            done.best, done.best_epoch = metrics.mAP, done.epoch
            _save_weights(network, folder / "best.safetensors", options, train, done.epoch, metrics)
    if finished:
        _save_weights(network, folder / "last.safetensors", options, train, done.epoch, metrics)
        if not tests:
            _save_weights(network, folder / "best.safetensors", options, train, done.epoch, None)
    return metrics


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
