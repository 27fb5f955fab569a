"""`Report`: all that an audit found, ready to be read, stored and held against another."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from sparring.audit.checks.registry import WEAK
from sparring.audit.inputs.requirements import Requirement, judge, parse_requirement, too_weak
from sparring.audit.report.document import FILE, json_text
from sparring.audit.report.findings import Findings
from sparring.result import Doubt
from sparring.storage import write


@dataclass(frozen=True, repr=False)
class Report(Findings):
    """The outcome of an audit, with its files. Its fields: see `Findings`."""

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
        lines += [] if self.bracket is None else [f"the truth lies       {self.bracket}"]
        lines += [f"robust accuracy after {one.stage.title}: {one.robust.value:.2%}" for one in self.attacks]
        lines += [f"doubt: {doubt.code}: {doubt.message}" for doubt in self.doubts]
        lines += [str(one) for one in self.requirements]
        return "\n".join([*lines, self.verdict])

    @property
    def met(self) -> bool:
        """Every requirement is met; one that is not settled is not."""
        return all(one.met for one in self.requirements)

    @property
    def refuted(self) -> bool:
        """An attack has broken an image that this audit has proved: the run has failed, whatever its figures."""
        return self.bracket is not None and self.bracket.refuted > 0

    def requiring(self, requirements: Iterable[str | Requirement]) -> Report:
        """The same report with these requirements judged, after those that it has: "robust@0.3 >= 85%".

        Raises:
            InputError: one is not understood, or is about another eps.
        """
        eps = self.threat.eps
        assert eps is not None
        known = [parse_requirement(one).at(eps) for one in requirements]
        asked = any(one.metric == "robust" for one in known)
        ran = ((one.stage.family, one.stage.spec) for one in self.attacks if not one.stage.excluded)
        weak = too_weak(ran) if asked or self.requirements else None
        new = tuple(judge(one, self.clean if one.metric == "clean" else self.robust, weak) for one in known)
        doubts = [doubt for doubt in self.doubts if doubt.code != WEAK]
        if weak is not None and any(one.requirement.metric == "robust" for one in (*self.requirements, *new)):
            doubts = [Doubt(WEAK, weak), *doubts]
        return replace(self, requirements=(*self.requirements, *new), doubts=tuple(doubts))

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
