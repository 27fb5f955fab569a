"""The gallery as a page of the documentation, and as JSON; a row is what `Row.to_dict` gives, and files keep."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from sparring.storage import write

Plain = dict[str, Any]
"""A row as plain values."""

HEAD = """# The gallery: the audit's own regression suite

`sparring reproduce gallery` builds honest and broken defenses with known verdicts and audits them. The claim of a
broken defense is what a careless evaluation of this very model gives: one attack, run once and believed. The audit
must name the right cause. It must not accuse the honest models (plain, pgd, fast, robust ...). A refusal counts as a
verdict too.
"""


def page(rows: Sequence[Plain], n: int, seed: int) -> str:
    """Markdown: the table, then each verdict in the audit's words."""
    right = sum(row["right"] for row in rows)
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
        lines += [f"**{row['model']}** ({row['about']}). {row['verdict']}", ""]
    return "\n".join(lines)


def cells(row: Plain) -> list[str]:
    """A row as text: model, eps, expected, seen, right, claimed, by the audit, passes, seconds."""
    claim = "" if row["claimed"] is None else f"{row['claimed']:.1%} {row['claim'] or ''}".strip()
    return [
        row["model"],
        f"{row['eps']:g}" if row["norm"] == "Linf" else f"{row['norm']} {row['eps']:g}",
        _said(row["expected"]["status"], " or ".join(cause or "-" for cause in row["expected"]["cause"])),
        _said(row["seen"]["status"], row["seen"]["cause"] or "-"),
        "yes" if row["right"] else "NO",
        claim + (" (one gradient re-used)" if row["fake"] else ""),
        "" if row["robust_accuracy"] is None else f"{row['robust_accuracy']:.1%}",
        "" if row["passes"] is None else f"{row['passes']:,}",
        f"{row['seconds']:.0f}",
    ]


def _said(status: str, cause: str) -> str:
    return status if cause == "-" else f"{status}: {cause}"


def json_text(rows: Sequence[Plain], n: int, seed: int) -> str:
    """All of it for programs."""
    plain = {"n": n, "seed": seed, "right": sum(row["right"] for row in rows), "rows": list(rows)}
    return json.dumps(plain, indent=1) + "\n"


def keep(folder: Path, row: Plain, n: int, seed: int) -> None:
    """Write a row to the folder, where `kept` finds it."""
    write(_file(folder, row["model"], n, seed), json.dumps(row, indent=1) + "\n")


def kept(folder: Path, name: str, n: int, seed: int) -> Plain | None:
    """The row of a member that an earlier call has kept; None = there is none."""
    file = _file(folder, name, n, seed)
    if not file.exists():
        return None
    row: Plain = json.loads(file.read_text())
    return row


def _file(folder: Path, name: str, n: int, seed: int) -> Path:
    plain = "".join(letter if letter.isalnum() else "-" for letter in name)
    return folder / f"{plain}-n{n}-seed{seed}.json"
