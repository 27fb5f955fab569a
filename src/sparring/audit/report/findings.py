"""What an audit found, as one value. `Report` is this with its files; `serialize` makes plain values of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor

from sparring.audit.cascade.adaptive import Tried
from sparring.audit.cascade.curve import Curve
from sparring.audit.cascade.outcome import Outcome
from sparring.audit.cascade.proof import Example
from sparring.audit.cascade.receipt import Receipt
from sparring.audit.cascade.survival import Survival
from sparring.audit.checks.bracket import Bracket
from sparring.audit.checks.verdict import Status
from sparring.audit.inputs.claims import Checked
from sparring.audit.inputs.requirements import Judged
from sparring.audit.probes.probe import Probes
from sparring.audit.statistics.proportion import Figure
from sparring.result import Doubt, Result
from sparring.threat import Threat


@dataclass(frozen=True)
class Findings:
    """The outcome of an audit.

    Attributes:
        verdict: the headline and the evidence as one text. headline: one short sentence. evidence: more sentences, each
            with its counts. status: its kind, for machines. cause: the code of the doubt it names, if any.
        clean, robust, success: accuracy before and after all attacks, of all images; broken, of those right before.
        strongest: the attack that leaves least by itself, and what, on the sanity subset.
        doubts, claims: what is doubtful, what was claimed.
        attacks: what each stage did. alone: what it leaves by itself on the sanity subset, by title.
        left_out: stages that did not run, and why.
        matrix: images of the subset that the attack of the row breaks and that of the column does not.
        worst: the worst case of each image, as a `Result`. samples: one dict an image. examples: for the gallery.
        curve: robust accuracy over eps. probes: what the model is like.
        confirmed: successes that are wrong again when shown once more. rounded: those that 8 bits undo.
        threat, suite, seed, settings, model, data, versions, command: what was done, to what, by what.
        tried: remedies that the probes asked for. receipt: what the plain loop made of random images, if it ran.
        no_receipt: why it did not run.
        start: [N] margins of the clean images, > 0 = wrong. subset: [s] numbers of the images in the sanity subset.
        certified: proved to stand, of all; the truth lies between this and `robust`. None = nothing was proved.
        bracket: the same with how it was proved; None = the audit itself has proved nothing.
        survival: which successes outlive a file format. requirements: what was required, and whether it is met.
        passes: forward plus backward passes of all images together. cost: the same by part. seconds: wall time.
        in_order: what was checked and found in order, a statement each.
        shards: SHA-256 of each file of the run that the report was made from, by its name; empty without a folder.
    """

    verdict: str
    status: Status
    cause: str | None
    clean: Figure
    robust: Figure
    success: Figure
    strongest: tuple[str, Figure] | None
    doubts: tuple[Doubt, ...]
    claims: tuple[Checked, ...]
    attacks: tuple[Outcome, ...]
    alone: Mapping[str, Figure]
    left_out: tuple[str, ...]
    matrix: Mapping[str, Mapping[str, int]]
    worst: Result
    samples: tuple[dict[str, Any], ...]
    examples: tuple[Example, ...]
    curve: Curve | None
    probes: Probes
    confirmed: Figure
    rounded: Figure
    threat: Threat
    suite: str
    seed: int
    settings: Mapping[str, Any]
    model: Mapping[str, Any]
    data: Mapping[str, Any]
    versions: Mapping[str, str]
    cost: Mapping[str, int]
    seconds: float
    created: str
    command: str
    start: Tensor
    subset: Tensor
    survival: tuple[Survival, ...] = ()
    receipt: Receipt | None = None
    no_receipt: str | None = None
    tried: tuple[Tried, ...] = ()
    requirements: tuple[Judged, ...] = ()
    certified: Figure | None = None
    bracket: Bracket | None = None
    shards: Mapping[str, str] = field(default_factory=dict)
    in_order: tuple[str, ...] = ()
    headline: str = ""
    evidence: tuple[str, ...] = ()

    @property
    def clean_accuracy(self) -> float:
        """Right on the clean images, of all."""
        return self.clean.value

    @property
    def robust_accuracy(self) -> float:
        """Right on the worst case over all attacks, image by image, of all: an upper bound of the truth."""
        return self.robust.value

    @property
    def attack_success_rate(self) -> float:
        """Broken by any attack, of the images that were right before."""
        return self.success.value

    @property
    def passes(self) -> int:
        """Forward plus backward passes of all images together."""
        return sum(self.cost.values())

    @property
    def n(self) -> int:
        """Images."""
        return self.clean.of
