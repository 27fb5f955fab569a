"""`Report`: all that an audit found, ready to be read, stored and held against another."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sparring.audit.cascade import Outcome
from sparring.audit.claims import Checked
from sparring.audit.curve import Curve
from sparring.audit.doubts import meaning
from sparring.audit.intervals import Figure
from sparring.audit.probes import Probes
from sparring.audit.proof import Example
from sparring.audit.verdict import Status
from sparring.result import Doubt, Result, finite
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
        passes: forward plus backward passes of all images together. cost: the same by part. seconds: wall time.
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
        lines += [f"robust accuracy after {one.stage.title}: {one.robust.value:.2%}" for one in self.attacks]
        lines += [f"doubt: {doubt.code}: {doubt.message}" for doubt in self.doubts]
        return "\n".join([*lines, self.verdict])

    def _alone(self, title: str) -> dict[str, Any] | None:
        figure = self.alone.get(title)
        return None if figure is None else figure.to_dict()

    # --- files ------------------------------------------------------------------------------------------------

    def to_dict(self) -> dict[str, Any]:
        """All of it, without pictures, as plain values for JSON."""
        figures = {
            "clean_accuracy": self.clean,
            "robust_accuracy": self.robust,
            "attack_success_rate": self.success,
        }
        strongest = None
        if self.strongest is not None:
            strongest = {"attack": self.strongest[0], **self.strongest[1].to_dict()}
        plain = {
            "verdict": self.verdict,
            "status": self.status,
            "cause": self.cause,
            **{name: figure.value for name, figure in figures.items()},
            "worst_case_accuracy": self.robust.value,
            "strongest_attack_alone": strongest,
            "n": self.n,
            "initially_correct": self.clean.hits,
            "standing": self.robust.hits,
            "intervals": {name: [figure.low, figure.high] for name, figure in figures.items()},
            "confidence": 0.95,
            "threat": self.worst.threat.to_dict(),
            "suite": self.suite,
            "seed": self.seed,
            "passes": self.passes,
            "cost": dict(self.cost),
            "seconds": self.seconds,
            "doubts": [_explained(doubt) for doubt in self.doubts],
            "claims": [one.to_dict() for one in self.claims],
            "attacks": [{**one.to_dict(), "alone": self._alone(one.stage.title)} for one in self.attacks],
            "left_out": list(self.left_out),
            "broken_by_row_not_by_column": {row: dict(cells) for row, cells in self.matrix.items()},
            "curve": None if self.curve is None else self.curve.to_dict(),
            "probes": self.probes.to_dict(),
            "confirmed": self.confirmed.to_dict(),
            "undone_by_rounding": self.rounded.to_dict(),
            "model": dict(self.model),
            "data": dict(self.data),
            "settings": dict(self.settings),
            "versions": dict(self.versions),
            "created": self.created,
            "command": self.command,
            "samples": list(self.samples),
        }
        strict: dict[str, Any] = finite(plain)
        return strict

    def to_json(self, path: str | Path | None = None) -> str:
        """Strict JSON; written to `path` too, if one is given."""
        text = json.dumps(self.to_dict(), indent=1) + "\n"
        if path is not None:
            write(path, text)
        return text

    def to_csv(self, path: str | Path) -> Path:
        """The table of samples as CSV."""
        from sparring.audit.tables import csv_text

        return write(path, csv_text(self))

    def to_markdown(self, path: str | Path | None = None) -> str:
        """A summary for a README, a pull request or a model card; written to `path` too, if one is given."""
        from sparring.audit.tables import markdown

        text = markdown(self)
        if path is not None:
            write(path, text)
        return text

    def to_html(self, path: str | Path) -> Path:
        """One file with everything in it, pictures and plots included; it needs no network."""
        from sparring.audit.html import render

        return write(path, render(self))

    def save(self, folder: str | Path) -> dict[str, Path]:
        """report.html, report.json, report.md and samples.csv in `folder`: name -> path."""
        folder = Path(folder)
        self.to_json(folder / "report.json")
        self.to_markdown(folder / "report.md")
        self.to_csv(folder / "samples.csv")
        self.to_html(folder / "report.html")
        return {name: folder / name for name in ("report.html", "report.json", "report.md", "samples.csv")}


def write(path: str | Path, text: str) -> Path:
    """Write a text file whole or not at all, its folders included."""
    from sparring.export.files import replacing

    path = Path(path)
    with replacing(path) as waiting:
        waiting.write_text(text, encoding="utf-8")
    return path


def _explained(doubt: Doubt) -> dict[str, Any]:
    known = meaning(doubt.code)
    return {**doubt.to_dict(), "severe": known.severe, "means": known.means, "remedy": known.remedy}
