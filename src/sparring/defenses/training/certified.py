"""Training for certificates: the loss at the worst logits that bounds cannot rule out.

    kappa CE(f(x), y)  +  (1 - kappa) CE(-m, y),    m the lower bounds of the margins over the ball

IBP: m by intervals; Gowal et al. 2018, arXiv:1810.12715. CROWN-IBP: m mixed with bounds pulled back through intervals;
Zhang et al. 2020, arXiv:1906.06316. SABR: m by intervals in a small box around an adversarial example; Mueller et al.
2023, arXiv:2210.04871. eps grows from 0 over the first part of the run, kappa falls from 1 to 1/2 with it.
Differs from the papers: no separate warm-up at eps 0, no elision of the regularisers; dropout is off in the bounds.
Fails on: batch norm (its statistics belong to the batch), and layers that bounds do not know.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from sparring.attack import Attack
from sparring.attacks.gradient.pgd import PGD
from sparring.ball import Ball
from sparring.bounds.backward import Form, lines_around, pull_back, settle
from sparring.bounds.ball import Region
from sparring.bounds.crown import interval_margins, margin_rows
from sparring.bounds.graph import Graph
from sparring.bounds.interval import interval_bounds
from sparring.bounds.read import read_graph
from sparring.defenses.training.loss import Step, batch_accuracy
from sparring.errors import InputError
from sparring.model import wrap
from sparring.norms import Linf
from sparring.threat import Threat


@dataclass(frozen=True)
class IBP:
    """Cross-entropy, clean and at the worst case by intervals; `verified` is noted, the share proved by them.

    Args:
        threat: Linf and the radius to be certified at. ramp: the part of the run over which eps grows and kappa falls.
        kappa: the weight of the clean loss at the end. widen: train for so many times the radius, 1.1 in the paper.
    """

    threat: Threat
    ramp: float = 0.6
    kappa: float = 0.5
    widen: float = 1.1

    def __post_init__(self) -> None:
        if self.threat.norm is not Linf or self.threat.eps is None:
            raise InputError(f"training for certificates needs a Linf radius, not {self.threat}: Threat('Linf', 0.1)")
        if not 0 < self.ramp <= 1 or not 0 <= self.kappa <= 1 or not self.widen > 0:
            raise InputError(f"ramp={self.ramp}, kappa={self.kappa}, widen={self.widen}; ramp in (0, 1], kappa in "
                             "[0, 1] and widen > 0 are needed")  # fmt: skip

    def __call__(self, model: nn.Module, x: Tensor, y: Tensor, step: Step) -> Tensor:
        """See `TrainingLoss`."""
        done = min(1.0, step.progress / self.ramp)
        assert self.threat.eps is not None
        eps, kappa = self.threat.eps * self.widen * done, 1 - (1 - self.kappa) * done
        logits: Tensor = model(x)
        graph = read_graph(wrap(model), tuple(x.shape[1:]), check=False, attached=True)
        margins = self.margins(model, graph, x, y, eps, done, step.seed)
        worst = torch.cat([margins.new_zeros(len(x), 1), -margins], 1)
        step.note(accuracy=batch_accuracy(logits, y), verified=float((margins > 0).all(1).float().mean()), eps=eps)
        return kappa * cross_entropy(logits, y) + (1 - kappa) * worst.logsumexp(1).mean()

    def margins(
        self, model: nn.Module, graph: Graph, x: Tensor, y: Tensor, eps: float, done: float, seed: int
    ) -> Tensor:
        """[B, K - 1] lower bounds of the margins."""
        rows, owner = margin_rows(y, graph.classes, x.dtype)
        return interval_margins(graph, self.region(x, eps), rows, owner).reshape(len(x), -1)

    def region(self, x: Tensor, eps: float) -> Region:
        """The ball around each image."""
        return Region.of(Ball(x, Linf, x.new_full((len(x),), eps), (0.0, 1.0)))


@dataclass(frozen=True)
class CrownIBP(IBP):
    """The same with margins by CROWN over intervals, of a weight that falls from 1 to `final` with the ramp.

    Args:
        final: the weight of CROWN's margins at the end; the rest is by intervals.
    """

    final: float = 0.0

    def margins(
        self, model: nn.Module, graph: Graph, x: Tensor, y: Tensor, eps: float, done: float, seed: int
    ) -> Tensor:
        """[B, K - 1] lower bounds of the margins."""
        loose = super().margins(model, graph, x, y, eps, done, seed)
        weight = 1 - (1 - self.final) * done
        if not weight:
            return loose
        region = self.region(x, eps)
        rows, owner = margin_rows(y, graph.classes, x.dtype)
        found = interval_bounds(graph, *region.box)
        around = {number: lines_around(*found[graph.nodes[number].inputs[0]])[owner] for number in graph.relus}
        pulled = pull_back(graph, settle(graph, Form.of(graph.last, rows)), around)
        tight = (region[owner].least(pulled.a) + pulled.shift).reshape(len(x), -1)
        return weight * tight + (1 - weight) * loose


@dataclass(frozen=True)
class SABR(IBP):
    """Intervals in a box of `share` of the radius, around an adversarial example that lies in the rest of it.

    Args:
        share: of the radius, in (0, 1]; 1 = IBP. attack: what makes the example.
    """

    share: float = 0.4
    attack: Attack = field(default_factory=lambda: PGD(steps=8))

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 < self.share <= 1:
            raise InputError(f"share is {self.share}; it is a part of the radius, above 0 and at most 1")

    def margins(
        self, model: nn.Module, graph: Graph, x: Tensor, y: Tensor, eps: float, done: float, seed: int
    ) -> Tensor:
        """[B, K - 1] lower bounds of the margins, in the small box."""
        around = self.attack.craft(model, x, y, ("Linf", eps * (1 - self.share)), seed=seed)
        return super().margins(model, graph, around, y, eps * self.share, done, seed)
