"""One process of a run: its epochs, steps and checkpoints."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import torch
from torch import Tensor, nn

from sparring.checkpoint import Checkpoint
from sparring.data.images import ImageData
from sparring.defenses.training.batches import Batches
from sparring.defenses.training.callbacks import Callback, RunInfo
from sparring.defenses.training.loss import Step, TrainingLoss
from sparring.defenses.training.measure import clean_accuracy
from sparring.defenses.training.schedule import OptimizerFactory, Schedule
from sparring.defenses.training.watch import Watch, stopped
from sparring.errors import InputError, SparringError
from sparring.seeds import derived_seed, private_rng

if TYPE_CHECKING:
    from lightning_fabric import Fabric


class TrainingError(SparringError):
    """The run went wrong: its loss is no longer finite."""


@dataclass(frozen=True)
class Run:
    """A run as one picklable value, since it may be sent to several processes."""

    net: nn.Module
    data: ImageData
    valid: ImageData | None
    loss: TrainingLoss
    optimizer: OptimizerFactory
    lr: float
    schedule: Schedule
    epochs: int
    batch_size: int
    seed: int
    augment: tuple[str, ...]
    checkpoint: Path
    resume: bool
    watch: Watch | None
    callbacks: tuple[Callback, ...]
    settings: dict[str, Any]

    @property
    def replays(self) -> int:
        """How often each batch is used in a row: once, unless the loss wants otherwise (`Free`)."""
        return int(getattr(self.loss, "replays", 1))


def train_process(fabric: Fabric, run: Run) -> None:
    """The run in one process. Its result is the checkpoint: a file reaches the caller from any process."""
    # A copy: processes that torch spawns share the memory of tensors sent to them, and would all step on them.
    net = fabric.to_device(deepcopy(run.net))
    plain = run.optimizer(net.parameters(), run.lr)
    optimizer = cast(torch.optim.Optimizer, fabric.setup_optimizers(plain))
    history = _restore(fabric, run, net, plain)
    net.register_forward_pre_hook(_own_input)  # losses show the same images several times
    least = 2 if any(isinstance(module, nn.modules.batchnorm._BatchNorm) for module in net.modules()) else 1
    place = fabric.global_rank, fabric.world_size
    batches = Batches(run.data, run.batch_size, run.seed, *place, least, run.augment)
    callbacks = run.callbacks if fabric.is_global_zero else ()
    try:
        steps = len(batches) * run.replays
        for callback in callbacks:
            callback.on_start(RunInfo(run.epochs, steps, len(history), str(fabric.device), run.settings))
        for epoch in range(len(history), run.epochs if not stopped(history) else 0):
            began = time.perf_counter()
            before = None if run.watch is None else deepcopy(net.state_dict())
            record = {"epoch": epoch + 1.0} | _epoch(fabric, run, net, optimizer, batches, epoch, callbacks)
            if run.valid is not None:
                record["valid_accuracy"] = clean_accuracy(net, run.valid)
            if run.watch is not None:
                record["robust_accuracy"] = run.watch.measure(net, run.data if run.valid is None else run.valid)
                if run.watch.alarm([*history, record]):
                    assert before is not None
                    net.load_state_dict(before)
                    record["stopped"] = 1.0
            record["seconds"] = time.perf_counter() - began
            history.append(record)
            if fabric.is_global_zero:
                state = plain.state_dict()["state"]
                precision = fabric.strategy.precision.state_dict()
                Checkpoint(net.state_dict(), state, epoch + 1, run.settings, history, precision).save(run.checkpoint)
            for callback in callbacks:
                callback.on_epoch(record)
            if stopped(history):
                if epoch == 0:
                    raise TrainingError(f"{run.watch.explain(history)}; there is no epoch before it to keep")  # type: ignore[union-attr]
                break
        if fabric.world_size > 1:
            fabric.barrier()  # the last checkpoint is there for all
    finally:
        for callback in callbacks:
            callback.on_end()
        if fabric.world_size > 1 and torch.distributed.is_initialized():
            torch.distributed.destroy_process_group()


def _own_input(module: nn.Module, inputs: tuple[Any, ...]) -> tuple[Any, ...]:
    """A net may write into its input (`x.clamp_`, a first ReLU(inplace=True)): it gets a copy."""
    return tuple(value.clone() if isinstance(value, Tensor) else value for value in inputs)


def _restore(fabric: Fabric, run: Run, net: nn.Module, optimizer: torch.optim.Optimizer) -> list[dict[str, float]]:
    """Load the checkpoint if the run resumes and there is one; returns the history so far."""
    if not run.resume or not run.checkpoint.exists():
        return []
    saved = Checkpoint.load(run.checkpoint)
    saved.check_settings(run.settings)
    net.load_state_dict(saved.net)
    optimizer.load_state_dict({"state": saved.optimizer, "param_groups": optimizer.state_dict()["param_groups"]})
    fabric.strategy.precision.load_state_dict(saved.precision)
    return saved.history


def _epoch(
    fabric: Fabric,
    run: Run,
    net: nn.Module,
    optimizer: torch.optim.Optimizer,
    batches: Batches,
    epoch: int,
    callbacks: Sequence[Callback],
) -> dict[str, float]:
    """One pass over the data; returns the mean figures over the images."""
    totals: dict[str, float] = {}
    images = 0
    net.train()
    with private_rng(fabric.device, derived_seed(run.seed, "noise", epoch, fabric.global_rank)):
        total = len(batches) * run.replays
        replayed = (batch for batch in batches.epoch(epoch) for _ in range(run.replays))
        for number, (x, y, weight) in enumerate(replayed):
            step = Step(derived_seed(run.seed, "step", epoch, number), epoch, run.epochs, number, total)
            for group in optimizer.param_groups:
                group["lr"] = run.lr * run.schedule(step.progress)
            try:
                with fabric.autocast():
                    loss = run.loss(net, fabric.to_device(x), fabric.to_device(y), step)
            except ValueError as error:
                if "more than 1 value per channel" not in str(error):
                    raise
                raise InputError(
                    f"the net's batch normalisation needs at least 2 images in a batch, and got {len(x)}; give a "
                    "larger batch_size, or more images"
                ) from error
            value = loss.item()
            if not math.isfinite(value):
                raise TrainingError(
                    f"the loss is {value} in epoch {epoch + 1}, batch {number + 1} of {len(batches)}; "
                    f"lower the learning rate (now {run.lr}) or the radius"
                )
            optimizer.zero_grad()  # only now: nothing that the loss did may add to the gradient
            fabric.backward(loss * weight)
            if fabric.world_size > 1:
                _average_gradients(fabric, net)
            optimizer.step()
            images += len(x)
            for name, figure in {"loss": value, **step.notes}.items():
                totals[name] = totals.get(name, 0.0) + figure * len(x)
            for callback in callbacks:
                callback.on_step(step, value)
    figures = {name: total / images for name, total in totals.items()}
    if fabric.world_size > 1:
        means = _mean(fabric, torch.tensor(list(figures.values())))
        figures = dict(zip(figures, means.tolist(), strict=True))
    return figures | {"lr": run.lr * run.schedule((epoch + 1) / run.epochs)}


def _average_gradients(fabric: Fabric, net: nn.Module) -> None:
    """Replace each gradient by its mean over the processes.

    By hand rather than by DistributedDataParallel, so that a loss may call the net as often as it likes, in
    whatever mode, for instance to attack it.
    """
    for parameter in net.parameters():
        if parameter.grad is not None:
            parameter.grad = _mean(fabric, parameter.grad)


def _mean(fabric: Fabric, tensor: Tensor) -> Tensor:
    """The mean of `tensor` over the processes."""
    return cast(Tensor, fabric.all_reduce(tensor, reduce_op="mean"))
