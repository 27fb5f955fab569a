"""Defense-GAN, as published and as it is: the paper's white-box table beside attacks that know the defense.

The published attacks saw no gradient: the graph was cut between the image and its code. So the paper's white-box
accuracy is about that of clean reconstructions, and an FGSM that meets the same cut gets the same here. The ceiling
comes first, the clean accuracy behind the projection; then FGSM as published, attacks that ignore the defense, and
those made for it. All are judged by the full defense, with other starts than those that they saw.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from time import perf_counter
from typing import Any

import torch
from torch import Tensor

from sparring.attacks import attack
from sparring.audit.statistics.proportion import wilson
from sparring.defenses import defend
from sparring.defenses.purify.defense_gan import DefenseGAN
from sparring.defenses.purify.latent import latent_attack
from sparring.defenses.purify.rivals import rival_attack
from sparring.generators.pairs import Generator
from sparring.model import Model
from sparring.preprocess import Defended
from sparring.threat import Threat

MODELS = ("A", "B", "C", "D")
PUBLISHED: dict[str, tuple[tuple[float, ...], tuple[float, ...], tuple[float, ...]]] = {
    "FGSM 0.3": ((0.997, 0.962, 0.996, 0.992), (0.217, 0.022, 0.331, 0.038), (0.988, 0.956, 0.989, 0.980)),
    "RAND+FGSM 0.3": ((0.997, 0.962, 0.996, 0.992), (0.179, 0.017, 0.103, 0.050), (0.988, 0.944, 0.985, 0.980)),
    "C&W L2": ((0.997, 0.962, 0.996, 0.992), (0.141, 0.032, 0.126, 0.032), (0.989, 0.916, 0.989, 0.983)),
}
"""The paper's white-box figures on MNIST, L=200, R=10: attack -> (no attack, no defense, defended), models A to D."""


@dataclass(frozen=True)
class Row:
    """One attacker: how many of `images` stand behind the full defense, with an interval of 95 %.

    Attributes:
        kind: "none", "published" (the cut graph), "oblivious" (knows the net only) or "adaptive".
        images: how many were attacked, the first of them.
        moved: the median Linf distance; l2: the median L2 distance.
        counts: whether it stays within eps and so enters the worst case.
    """

    name: str
    kind: str
    images: int
    accuracy: float
    low: float
    high: float
    moved: float
    l2: float
    counts: bool
    seconds: float


@dataclass(frozen=True)
class Outcome:
    """Everything that was measured, in the order of the rows; accuracies in [0, 1].

    The worst case is that of the first `adaptive` images, which all attacks saw.
    """

    images: int
    adaptive: int
    eps: float
    steps: int
    restarts: int
    undefended: float
    ceiling: float
    rows: list[Row]
    worst: float
    worst_low: float
    worst_high: float

    def to_dict(self) -> dict[str, Any]:
        """Plain values, with the published table."""
        table = {
            name: {
                what: dict(zip(MODELS, line, strict=True))
                for what, line in zip(("no attack", "no defense", "Defense-GAN"), lines, strict=True)
            }
            for name, lines in PUBLISHED.items()
        }
        return asdict(self) | {"published": table}


def defense_gan(
    model: Model,
    generator: Generator,
    x: Tensor,
    y: Tensor,
    *,
    eps: float = 0.3,
    steps: int = 200,
    restarts: int = 10,
    craft_steps: int = 50,
    craft_restarts: int = 2,
    attack_steps: int = 40,
    queries: int = 200,
    adaptive: int | None = None,
    seed: int = 0,
    say: Callable[[str], None] = lambda line: None,
) -> Outcome:
    """Measure Defense-GAN in front of `model` on images x [B, 1, 28, 28] with labels y.

    Args:
        steps, restarts: of the defense, and of the verdicts. craft_*: of the defense while it is attacked, smaller
            since it runs once a step. attack_steps: of PGD. queries: of Square.
        adaptive: the attacks that run the defense at each step see only so many images, the first. say: called
            with what is going on.
    """
    threat = Threat("Linf", eps)
    full = defend(model, DefenseGAN(steps, restarts, generator=generator, seed=seed + 1))

    def craft(restarts: int = craft_restarts, **more: Any) -> Defended:
        return defend(
            model, DefenseGAN(craft_steps, restarts, generator=generator, seed=seed, tolerance=0.005, **more)
        ).exposed()

    few = len(x) if adaptive is None else min(adaptive, len(x))

    def by(spec: str, victim: Model, ball: Threat = threat) -> Callable[[Tensor, Tensor], Tensor]:
        return lambda x, y: attack(spec)(victim, x, y, ball, seed=seed, keep="best").x_adv

    pgd = f"pgd:steps={attack_steps}"
    plan: list[tuple[str, str, bool, Callable[[Tensor, Tensor], Tensor]]] = [
        ("none", "none", True, lambda x, y: x),
        (f"FGSM {eps:g}, graph cut", "published", True, by("fgsm", full)),
        (f"FGSM {eps:g}", "oblivious", True, by("fgsm", model)),
        (f"RAND+FGSM {eps:g}", "oblivious", True, by("r-fgsm:alpha=1/6", model)),
        ("C&W L2", "oblivious", False, by("cw-l2:steps=100", model, Threat("L2", None))),
        (f"PGD-{attack_steps}", "oblivious", True, by(pgd, model)),
        (f"BPDA identity, PGD-{attack_steps}", "adaptive", True, by(pgd, craft())),
        (f"BPDA + EOT 4, PGD-{attack_steps}", "adaptive", True, by(f"{pgd},view=eot4", craft(restarts=1))),
        (
            f"unrolled, PGD-{attack_steps}",
            "adaptive",
            True,
            by(pgd, craft(restarts=1, backward="unrolled", unroll=10)),
        ),
        (f"Square, {queries} queries", "adaptive", True, by(f"square:queries={queries}", craft())),
        ("rival codes", "adaptive", True, lambda x, y: rival_attack(model, generator, x, y, threat, seed=seed)),
        (
            "latent, not bounded by eps",
            "adaptive",
            False,
            lambda x, y: latent_attack(model, generator, x, y, seed=seed).x_adv,
        ),
    ]
    rows, standing = [], torch.ones(few, dtype=torch.bool)
    for name, kind, counts, run in plan:
        some = few if kind == "adaptive" else len(x)
        say(f"{name}, {some} images")
        began = perf_counter()
        x_adv = run(x[:some], y[:some]).detach()
        right = correct(full, x_adv, y[:some])
        standing &= right[:few] | (not counts)
        rows.append(_row(name, kind, counts, right, x[:some], x_adv, perf_counter() - began))
    low, high = wilson(int(standing.sum()), few)
    return Outcome(
        images=len(x),
        adaptive=few,
        eps=eps,
        steps=steps,
        restarts=restarts,
        undefended=float(correct(model, x, y).float().mean()),
        ceiling=rows[0].accuracy,
        rows=rows,
        worst=float(standing.float().mean()),
        worst_low=low,
        worst_high=high,
    )


def correct(model: Model, x: Tensor, y: Tensor) -> Tensor:
    """bool [B], without gradients, in portions."""
    with model.guard(), torch.no_grad():
        return torch.cat([model.labels(part) for part in torch.split(x, 250)]) == y


def _row(name: str, kind: str, counts: bool, right: Tensor, x: Tensor, x_adv: Tensor, seconds: float) -> Row:
    apart = (x_adv - x).flatten(1)
    low, high = wilson(int(right.sum()), len(right))
    return Row(
        name=name,
        kind=kind,
        images=len(right),
        accuracy=float(right.float().mean()),
        low=low,
        high=high,
        moved=float(apart.abs().amax(1).median()),
        l2=float(apart.norm(dim=1).median()),
        counts=counts,
        seconds=round(seconds, 1),
    )
