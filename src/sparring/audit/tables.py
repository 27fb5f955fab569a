"""A report as text: the CSV of its samples, the Markdown summary."""

from __future__ import annotations

import csv
import io
from typing import TYPE_CHECKING

from sparring.audit.doubts import meaning
from sparring.audit.intervals import percent

if TYPE_CHECKING:
    from sparring.audit.report import Report


def csv_text(report: Report) -> str:
    """One line an image; empty where there is nothing to say (not broken: no distance)."""
    buffer = io.StringIO()
    writer = csv.DictWriter(buffer, fieldnames=list(report.samples[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(report.samples)
    return buffer.getvalue()


def markdown(report: Report) -> str:
    """Verdict, figures, attacks, claims and doubts."""
    model, data = report.model, report.data
    lines = [
        f"## Robustness audit: {model['name']}",
        "",
        f"**{report.verdict}**",
        "",
        f"{report.n} images of {data['name']}, {report.threat}, suite `{report.suite}`, seed {report.seed}.",
        "",
        "| figure | share | counted | 95 % interval |",
        "|---|---:|---:|---:|",
    ]
    for title, figure in (
        ("clean accuracy", report.clean),
        (f"robust accuracy, worst of {len(report.attacks)} attacks", report.robust),
        ("attack success rate, of initially correct", report.success),
    ):
        lines.append(
            f"| {title} | {percent(figure.value)} | {figure.hits} of {figure.of} | "
            f"{figure.low * 100:.1f} to {figure.high * 100:.1f} % |"
        )
    if report.claims:
        lines += ["", "| claim | reproduced here | survives everything |", "|---|---:|---:|"]
        for one in report.claims:
            again = "-" if one.reproduced is None else percent(one.reproduced.value)
            lines.append(f"| {one.claim} | {again} | {percent(one.truth.value)} |")
    lines += ["", "| attack | tried on | broke | robust accuracy after |", "|---|---:|---:|---:|"]
    for stage in report.attacks:
        after = f"{stage.robust.value:.2%}"
        lines.append(f"| {stage.stage.title} | {stage.tried} | {len(stage.broke)} | {after} |")
    if report.doubts:
        lines += [
            "",
            *(f"- **{meaning(doubt.code).title}** (`{doubt.code}`): {doubt.message}." for doubt in report.doubts),
        ]
    about = ", ".join(f"{name} {version}" for name, version in report.versions.items())
    lines += ["", f"{report.passes:,} passes in {report.seconds:.0f} s; {about}. Repeat it: `{report.command}`", ""]
    return "\n".join(lines)
