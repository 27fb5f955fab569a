"""`Report`: all that an audit found, ready to be read, stored and held against another."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from torch import Tensor

from sparring.audit.cascade.adaptive import Tried
from sparring.audit.cascade.curve import Curve
from sparring.audit.cascade.outcome import Outcome
from sparring.audit.cascade.proof import Example
from sparring.audit.cascade.receipt import Receipt
from sparring.audit.cascade.survival import Survival
from sparring.audit.checks.verdict import Status
from sparring.audit.inputs.claims import Checked
from sparring.audit.inputs.requirements import Judged, Requirement, judge, parse_requirement
from sparring.audit.probes.probe import Probes
from sparring.audit.report.document import FILE, json_text, write
from sparring.audit.statistics.proportion import Figure
from sparring.result import Doubt, Result
from sparring.threat import Threat


@dataclass(frozen=True)
class Report:
    """The outcome of an audit.

    Attributes:
        verdict: one sentence. status: its kind, for machines. cause: the code of the doubt it names, if any.
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
        start: [N] margins of the clean images, > 0 = wrong.
        certified: proved to stand, of all; the truth lies between this and `robust`. None = nothing was proved.
        survival: which successes outlive a file format. requirements: what was required, and whether it is met.
        passes: forward plus backward passes of all images together. cost: the same by part. seconds: wall time.
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
    survival: tuple[Survival, ...] = ()
    receipt: Receipt | None = None
    tried: tuple[Tried, ...] = ()
    requirements: tuple[Judged, ...] = ()
    certified: Figure | None = None
    shards: Mapping[str, str] = field(default_factory=dict)

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

    def __len__(self) -> int:
        return self.n

    def __repr__(self) -> str:
        return f"<Report: {self.verdict}>"

    def __str__(self) -> str:
        lines = [
            f"clean accuracy       {self.clean}",
            f"robust accuracy      {self.robust}, {self.threat}, worst of {len(self.attacks)} attacks",
            f"attack success rate  {self.success}",
        ]
        lines += [] if self.certified is None else [f"certified accuracy   {self.certified}"]
        lines += [f"robust accuracy after {one.stage.title}: {one.robust.value:.2%}" for one in self.attacks]
        lines += [f"doubt: {doubt.code}: {doubt.message}" for doubt in self.doubts]
        lines += [str(one) for one in self.requirements]
        return "\n".join([*lines, self.verdict])

    @property
    def met(self) -> bool:
        """Every requirement is met; one that is not settled is not."""
        return all(one.met for one in self.requirements)

    def requiring(self, requirements: Iterable[str | Requirement]) -> Report:
        """The same report with these requirements judged, after those that it has: "robust@0.3 >= 85%".

        Raises:
            InputError: one is not understood, or is about another eps.
        """
        eps = self.threat.eps
        assert eps is not None
        known = [parse_requirement(one).at(eps) for one in requirements]
        new = tuple(judge(one, self.clean if one.metric == "clean" else self.robust) for one in known)
        return replace(self, requirements=(*self.requirements, *new))

    # --- files ------------------------------------------------------------------------------------------------

    def to_dict(self) -> dict[str, Any]:
        """All of it as plain values for JSON: what every page, table and export is made from."""
        from sparring.audit.report.serialize import plain

        return plain(self)

    def to_json(self, path: str | Path | None = None) -> str:
        """Strict JSON; written to `path` too, if one is given."""
        text = json_text(self.to_dict())
        if path is not None:
            write(path, text)
        return text

    def to_csv(self, path: str | Path) -> Path:
        """The table of samples as CSV."""
        from sparring.audit.report.formats.tables import csv_text

        return write(path, csv_text(self.to_dict()))

    def to_markdown(self, path: str | Path | None = None) -> str:
        """A summary for a README, a pull request or a model card; written to `path` too, if one is given."""
        from sparring.audit.report.formats.tables import markdown

        text = markdown(self.to_dict())
        if path is not None:
            write(path, text)
        return text

    def to_html(self, path: str | Path) -> Path:
        """One file with everything in it, pictures and plots included; it needs no network."""
        from sparring.audit.report.html.page import render

        return write(path, render(self.to_dict()))

    def to_junit(self, path: str | Path) -> Path:
        """JUnit XML: a test case a requirement, a test case an attack."""
        from sparring.audit.report.formats.junit import junit

        return write(path, junit(self.to_dict()))

    def to_sarif(self, path: str | Path) -> Path:
        """SARIF 2.1.0: verdict, doubts and requirements as results."""
        from sparring.audit.report.formats.sarif import sarif

        return write(path, sarif(self.to_dict()))

    def to_huggingface(self, folder: str | Path) -> list[Path]:
        """`.eval_results/sparring.yaml` and `model-index.yaml` below `folder`, for a model's page on the Hub."""
        from sparring.audit.report.formats.huggingface import write as write_blocks

        return write_blocks(self.to_dict(), Path(folder))

    def save(self, folder: str | Path) -> dict[str, Path]:
        """Every form of the report in `folder`: report.html, .json, .md, .sarif, .junit.xml, samples.csv and the
        blocks for the Hugging Face Hub. Name -> path."""
        from sparring.audit.report.formats.all import save

        plain = self.to_dict()
        json_file = write(Path(folder) / FILE, json_text(plain))
        return {FILE: json_file, **save(plain, folder)}
