"""The nets of the distillation experiment: Net F, its half-width student, and what each learns from."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from torch import nn

from sparring.data.images import ImageData
from sparring.defenses.training.callbacks import Callback
from sparring.defenses.training.distillation import Distillation
from sparring.defenses.training.fit import fit
from sparring.defenses.training.loss import TrainingLoss
from sparring.defenses.training.standard import Standard
from sparring.zoo.nets import make_net

LR = 1e-3
"of the undefended net"
HOT_LR = 3e-3
"at temperature T a logit's gradient carries 1 / T: more than usual is needed"


@dataclass(frozen=True)
class Nets:
    """What the experiment compares; all in eval mode.

    Attributes:
        undefended: Net F, 1,199,882 parameters, ordinary training.
        teacher: Net F trained at the temperature.
        published: Net F', half as wide, 300,426 parameters, as in the notebook behind the report: trained at the
            temperature on hard labels, since the soft ones are thrown away.
        distilled: Net F' on the teacher's soft labels at the temperature, as Papernot et al. describe it.
        temperature: T.
    """

    undefended: nn.Module
    teacher: nn.Module
    published: nn.Module
    distilled: nn.Module
    temperature: float


def train_nets(
    data: ImageData,
    *,
    temperature: float = 100.0,
    epochs: int = 4,
    batch_size: int = 128,
    seed: int = 0,
    out: Path,
    callbacks: Callable[[str], list[Callback]] = lambda name: [],
) -> Nets:
    """Train all four, or go on with what is in `out` from an earlier run.

    Differs from the notebook: batches of 128 instead of 1, all training images, `epochs` instead of 10.

    Args:
        callbacks: for the net of that name.
    """

    def trained(name: str, width: str, loss: TrainingLoss, lr: float) -> nn.Module:
        return fit(
            make_net(width, seed=seed),
            data,
            epochs=epochs,
            loss=loss,
            lr=lr,
            schedule="drop",
            batch_size=batch_size,
            seed=seed,
            out=out / name,
            resume=True,
            device="cpu",
            callbacks=callbacks(name),
        ).net

    hot = Standard(temperature=temperature)
    teacher = trained("teacher", "net-f", hot, HOT_LR)
    return Nets(
        undefended=trained("undefended", "net-f", Standard(), LR),
        teacher=teacher,
        published=trained("published", "net-f-half", hot, HOT_LR),
        distilled=trained("distilled", "net-f-half", Distillation(teacher, temperature), HOT_LR),
        temperature=temperature,
    )
