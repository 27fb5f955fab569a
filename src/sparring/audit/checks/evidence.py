"""What checks read: everything that an audit has measured, as one frozen value."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor

from sparring.audit.cascade.cascade import Cascade
from sparring.audit.cascade.curve import Curve
from sparring.audit.cascade.outcome import Outcome
from sparring.audit.cascade.receipt import Receipt
from sparring.audit.inputs.claims import Checked
from sparring.audit.probes.probe import Probes
from sparring.audit.statistics.proportion import Figure
from sparring.result import Result

NOTHING = Figure(0, 0)


@dataclass(frozen=True)
class OnSubset:
    """Who broke which image of the sanity subset, [s] bool each; None = no such attack ran.

    Attributes:
        single: single-step attacks on a saturating loss. iterative: iterative attacks on the same loss.
        gradient: all attacks that see gradients. query: attacks that do not. noise: random noise.
        transfer: examples made for another net. adaptive: attacks that answer what the probes found.
        blind: attacks of one step or many on a saturating loss.
    """

    single: Tensor | None = None
    iterative: Tensor | None = None
    gradient: Tensor | None = None
    query: Tensor | None = None
    noise: Tensor | None = None
    transfer: Tensor | None = None
    adaptive: Tensor | None = None
    blind: Tensor | None = None

    @classmethod
    def of(cls, cascade: Cascade) -> OnSubset:
        """What the attacks of a cascade did."""
        return cls(
            single=cascade.broken_on_subset("single-step", saturating_loss=True),
            iterative=cascade.broken_on_subset("iterative", saturating_loss=True),
            gradient=cascade.broken_on_subset("single-step", "iterative"),
            query=cascade.broken_on_subset("query"),
            noise=cascade.broken_on_subset("noise"),
            transfer=cascade.broken_on_subset("transfer"),
            adaptive=cascade.broken_on_subset("adaptive"),
            blind=cascade.broken_on_subset("single-step", "iterative", saturating_loss=True),
        )


@dataclass(frozen=True)
class Evidence:
    """All that checks are drawn from. Before any attack has run, only `probes` and `classes` are known.

    Attributes:
        probes: what the model is like. classes: how many it has. claims: claims beside what was found.
        on: who broke what on the sanity subset. climbs: the same of each iterative attack that saw all of it, by title;
            those whose loss is saturated are left out. families: of all attacks that were planned.
        outcomes: what each attack did. subset: [s] numbers of the sanity subset. standing: [N] bool, unbroken images.
        curve: the security curve. curve_family: of the attack that drew it.
        undone: successes that 8-bit rounding undoes. confirmed: successes that fool again when shown once more.
        again: clean images that are answered at the end as at first, of those asked.
        worst: the worst case of each image. certified: [N] radii that somebody gave. proved: [N] radii
            that this audit has proved. receipt: what the plain loop found.
        draws: fresh looks that decide success; 0 = the model answers the same twice.
    """

    probes: Probes
    classes: int
    claims: tuple[Checked, ...] = ()
    on: OnSubset = field(default_factory=OnSubset)
    climbs: tuple[tuple[str, Tensor], ...] = ()
    families: frozenset[str] = frozenset()
    outcomes: tuple[Outcome, ...] = ()
    subset: Tensor = field(default_factory=lambda: torch.zeros(0, dtype=torch.int64))
    standing: Tensor = field(default_factory=lambda: torch.zeros(0, dtype=torch.bool))
    curve: Curve | None = None
    curve_family: str | None = None
    undone: Figure = NOTHING
    confirmed: Figure = NOTHING
    again: Figure = NOTHING
    worst: Result | None = None
    certified: Tensor | None = None
    proved: Tensor | None = None
    receipt: Receipt | None = None
    draws: int = 0

    @property
    def gradients(self) -> bool:
        """Gradients could be measured."""
        return self.probes.flat_ce is not None and self.probes.flat_margin is not None and self.probes.n > 0
