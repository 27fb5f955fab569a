"""The gallery as a page of the documentation, and as JSON."""

from __future__ import annotations

import json
from collections.abc import Sequence

from sparring.reproduce.gallery import Row

HEAD = """# The gallery: the audit's own regression suite

`sparring reproduce gallery` builds honest and broken defenses with known verdicts and audits them. The claim of a
broken defense is what a careless evaluation of this very model gives: one attack, run once and believed. The audit
must name the right cause. It must not accuse the honest models (plain, pgd, fast, robust ...). A refusal counts as a
verdict too.
"""


def page(rows: Sequence[Row], n: int, seed: int) -> str:
    """Markdown: the table, then each verdict in the audit's words."""
    right = sum(row.right for row in rows)
    lines = [
        HEAD,
        f"{right} of {len(rows)} right; {n} images of mnist5k, seed {seed}.",
        "",
        "| model | eps | expected | seen | right | claimed | by the audit | passes | seconds |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    lines += [f"| {' | '.join(cells(row))} |" for row in rows]
    lines += ["", "## In words", ""]
    for row in rows:
        lines += [f"**{row.member.name}** ({row.member.about}). {row.verdict}", ""]
    return "\n".join(lines)


def cells(row: Row) -> list[str]:
    """A row as text: model, eps, expected, seen, right, claimed, by the audit, passes, seconds."""
    member, report = row.member, row.report
    claim = "" if row.claimed is None else f"{row.claimed:.1%} {member.claim or ''}".strip()
    return [
        member.name,
        f"{member.eps:g}" if member.norm == "Linf" else f"{member.norm} {member.eps:g}",
        _said(member.status, " or ".join(cause or "-" for cause in member.cause)),
        _said(row.status, row.cause or "-"),
        "yes" if row.right else "NO",
        claim + (" (one gradient re-used)" if member.fake else ""),
        "" if report is None else f"{report.robust_accuracy:.1%}",
        "" if report is None else f"{report.passes:,}",
        f"{row.seconds:.0f}",
    ]


def _said(status: str, cause: str) -> str:
    return status if cause == "-" else f"{status}: {cause}"


def json_text(rows: Sequence[Row], n: int, seed: int) -> str:
    """All of it for programs."""
    plain = {"n": n, "seed": seed, "right": sum(row.right for row in rows), "rows": [row.to_dict() for row in rows]}
    return json.dumps(plain, indent=1) + "\n"
