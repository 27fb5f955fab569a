"""The one training loop. What is learned is up to the loss, where it runs up to Lightning Fabric.

Reproducible: the order of the images, dropout and the noise of attacks are pure functions of (seed, epoch,
step), and the global RNG is left as it was. Resumable: a run that was killed and resumed ends in the same
weights, bit for bit on a CPU, as one that was not.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
from torch import Tensor, nn

from sparring.checkpoint import Checkpoint, to_safetensors
from sparring.defenses.training.augment import find_augmentations
from sparring.defenses.training.batches import TrainingData, as_data
from sparring.defenses.training.callbacks import Callback
from sparring.defenses.training.devices import Precision, launched, make_fabric
from sparring.defenses.training.loop import Run, train_process
from sparring.defenses.training.loss import TrainingLoss, describe
from sparring.defenses.training.schedule import OptimizerFactory, Schedule, find_optimizer, find_schedule
from sparring.defenses.training.standard import Standard
from sparring.defenses.training.watch import Watch, stopped
from sparring.errors import InputError
from sparring.model import Model, check_labels, wrap
from sparring.seeds import whole_seed
from sparring.storage import write

STANDARD = Standard()


@dataclass(frozen=True)
class Fitted:
    """What a run leaves behind.

    Attributes:
        net: the net that was given, trained, in eval mode.
        history: one dict of figures an epoch: epoch (from 1), loss, lr, seconds, what the loss noted, and
            valid_accuracy where there is validation data.
        settings: everything that defines the run, as plain values.
        device: where it was trained; the net itself stays where it was.
        stopped: why it ended early, with the weights of the epoch before; None if it did not.
    """

    net: nn.Module
    history: list[dict[str, float]]
    settings: dict[str, Any]
    device: str
    stopped: str | None = None

    @property
    def seconds(self) -> float:
        """Time spent training, over all resumes."""
        return sum(record["seconds"] for record in self.history)


def fit(
    net: nn.Module,
    train: TrainingData,
    *,
    epochs: int,
    loss: TrainingLoss = STANDARD,
    optimizer: str | OptimizerFactory = "adam",
    lr: float = 1e-3,
    schedule: str | Schedule = "constant",
    batch_size: int = 128,
    seed: int = 0,
    augment: str = "",
    valid: TrainingData | None = None,
    out: str | Path | None = None,
    resume: bool = False,
    device: str = "auto",
    devices: int = 1,
    precision: Precision = "32-true",
    watch: Watch | None = None,
    callbacks: Sequence[Callback] = (),
) -> Fitted:
    """Train `net` in place.

    Args:
        net: any module from pixels [B, C, H, W] in [0, 1] to logits [B, K].
        train: images of `sparring.data`, or (x [N, C, H, W], y [N]).
        epochs: passes over the data.
        loss: see `TrainingLoss`; ordinary training unless given.
        optimizer: "adam", "adamw", "sgd" (momentum 0.9), also "sgd:weight_decay=5e-4"; or a function of
            (parameters, lr).
        lr: the learning rate that `schedule` scales.
        schedule: "constant", "drop" (a tenth from 70 % on), "triangular", "cosine", or a function of the
            part of the run that is over, in [0, 1].
        batch_size: of all processes together.
        augment: "crop,flip", or one of them: 4 pixels of zeros around each picture and a random cut of its size, and a
            random mirror image. Attacks in training start from what comes out.
        valid: measured (clean accuracy) after each epoch.
        out: a folder for checkpoint/last.safetensors (each epoch) and weights.safetensors (at the end).
        resume: go on from the checkpoint in `out`, if there is one.
        device, devices, precision: see `make_fabric`.
        watch: measures robust accuracy after each epoch, and stops the run where single steps overfit; see `Watch`.
        callbacks: see `Callback`.

    Raises:
        InputError: data, settings or checkpoint do not fit; names what was seen and what to do.
        TrainingError: the loss is no longer finite. The checkpoint of the epoch before is kept.
        MissingExtra: lightning-fabric is not installed.
    """
    if epochs < 1 or batch_size < 1 or not lr > 0:
        raise InputError(f"epochs={epochs}, batch_size={batch_size}, lr={lr}; all must be above 0")
    group = launched()
    processes = devices if group is None else group.processes
    if group is not None and out is None:
        raise InputError("processes that torchrun has started meet in a folder that all of them see; give out")
    if batch_size < processes:
        raise InputError(f"batch_size is {batch_size}; it must be at least {processes}, one image a process")
    seed = whole_seed(seed)
    changes = find_augmentations(augment)
    if not isinstance(net, nn.Module):
        inner = " (model.net; put mean and std into it as its first layer)" if isinstance(net, Model) else ""
        raise InputError(f"a {type(net).__name__} cannot be trained; give an nn.Module{inner}")
    wrap(net).refuse_unready()
    if not any(parameter.requires_grad for parameter in net.parameters()):
        raise InputError("every weight of the net is frozen, so nothing can be trained; net.requires_grad_(True)")
    data = as_data(train, "train on")
    settings = {
        "epochs": epochs,
        "batch_size": batch_size,
        "optimizer": _named(optimizer),
        "lr": lr,
        "schedule": _named(schedule),
        "seed": seed,
        "images": len(data),
        "data": data.fingerprint(),
        "parameters": sum(p.numel() for p in net.parameters()),
        "precision": precision,
        "devices": processes,
        "recipe": describe(loss),
        "watch": None if watch is None else describe(watch),
        **({"augment": ",".join(changes)} if changes else {}),  # a run of an older version, without the name, goes on
    }
    with nullcontext(str(out)) if out is not None else TemporaryDirectory() as folder:
        run = Run(
            net=net,
            data=data,
            valid=None if valid is None else as_data(valid, "validate on"),
            loss=loss,
            optimizer=find_optimizer(optimizer),
            lr=lr,
            schedule=find_schedule(schedule),
            epochs=epochs,
            batch_size=batch_size,
            seed=seed,
            augment=changes,
            checkpoint=Path(folder) / "checkpoint" / "last.safetensors",
            resume=resume,
            watch=watch,
            callbacks=tuple(callbacks),
            settings=settings,
        )
        _check(run)
        fabric = make_fabric(device, devices, precision)
        fabric.launch(partial(train_process, run=run))
        last = Checkpoint.load(run.checkpoint)
        net.load_state_dict(last.net)
        if out is not None and (group is None or group.rank == 0):
            write(Path(out) / "weights.safetensors", to_safetensors(last.net), durable=True)
    why = watch.explain(last.history) if watch is not None and stopped(last.history) else None
    return Fitted(net.eval(), last.history, settings, str(fabric.device), why)


def _named(choice: object) -> str:
    return choice if isinstance(choice, str) else getattr(choice, "__qualname__", repr(choice))


def _check(run: Run) -> None:
    """Find mistakes before the first epoch, and never write over the work of an earlier run."""
    model = wrap(run.net)
    first = model.accept(run.data.first(1).tensors()[0])
    try:
        with model.guard(), torch.no_grad():
            logits = run.net(first)
    except RuntimeError as error:  # torch: the shapes do not fit
        raise InputError(f"the net does not take pictures of {list(first.shape[1:])} (C, H, W): {error}") from None
    if not isinstance(logits, Tensor) or logits.dim() != 2:
        raise InputError("the net must return a tensor of logits [B, K]; wrap what it returns in a module that does")
    check_labels(run.data.labels, len(run.data), logits.shape[1])
    if run.checkpoint.exists() and not run.resume:
        folder = run.checkpoint.parent.parent
        raise InputError(f"{folder} holds a run already; resume it (--resume) or give another folder")
