"""A report on the terminal, the verdict last."""

from __future__ import annotations

import shlex
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

    from sparring.audit.report import Report

DEFAULTS: dict[str, Any] = {"split": "test", "norm": "Linf", "suite": "standard", "seed": 0, "batch_size": 256}
STYLES = {
    "claim-holds": "green",
    "overestimated": "red",
    "gradient-masking": "red",
    "inconclusive": "yellow",
    "no-claim": "bold",
}


def print_report(report: Report, page: Path | None, least: float | None) -> None:
    """Cascade, figures, claims, doubts, verdict, and where the page lies; to stdout."""
    from rich.console import Console
    from rich.text import Text

    console = Console()
    if not console.is_terminal:
        console = Console(width=max(console.width, 110))  # piped, rich assumes 80 columns and would cut the tables
    tables = [_attacks(report), _figures(report)] + ([_claims(report)] if report.claims else [])
    for table in tables:
        console.print(table)
        console.print()
    _print_doubts(report, console)
    if least is not None:
        met = report.robust_accuracy >= least
        console.print(Text(f"required {least:.1%}: {'met' if met else 'not met'}", "green" if met else "red"))
    console.print(Text(report.verdict, STYLES[report.status]))
    if page is not None:
        console.print(f"report: {page}", markup=False, highlight=False, soft_wrap=True)


def _table(*columns: str, title: str | None = None) -> Table:
    from rich.table import Table

    table = Table(title=title, title_justify="left", title_style="", box=None, pad_edge=False, header_style="bold")
    for k, column in enumerate(columns):
        table.add_column(column, justify="right" if k else "left", no_wrap=True)
    return table


def _attacks(report: Report) -> Table:
    title = (
        f"{report.model['name']} on {report.n} images of {report.data['name']}, {report.threat}, suite {report.suite}"
    )
    table = _table("attack", "tried on", "broke", "robust accuracy after", "alone", "passes", "seconds", title=title)
    for one in report.attacks:
        alone = report.alone.get(one.stage.title)
        table.add_row(
            one.stage.title,
            str(one.tried),
            str(len(one.broke)),
            f"{one.robust.value:.2%}",
            "" if alone is None else f"{alone.value:.1%}",
            f"{one.queries + one.gradients:,}",
            f"{one.result.seconds:.1f}",
        )
    return table


def _figures(report: Report) -> Table:
    table = _table("figure", "share", "counted", "95 % interval")
    rows = [
        ("clean accuracy", report.clean),
        (f"robust accuracy, worst of {len(report.attacks)} attacks", report.robust),
        ("attack success rate, of initially correct", report.success),
    ]
    if report.strongest is not None:
        name, figure = report.strongest
        rows.append((f"survive {name} alone, of the sanity subset", figure))
    for title, figure in rows:
        interval = f"{figure.low * 100:.1f} to {figure.high * 100:.1f} %"
        table.add_row(title, f"{figure.value:.1%}" if figure.of else "-", f"{figure.hits} of {figure.of}", interval)
    return table


def _claims(report: Report) -> Table:
    table = _table("claim", "claimed", "the same attack here", "survives everything")
    for one in report.claims:
        title = "clean accuracy" if one.claim.clean else f"{one.claim.title or 'any attack'} at eps {one.eps:.4g}"
        again = "" if one.reproduced is None else f"{one.reproduced.value:.1%}"
        truth = f"{one.truth.value:.1%}" + (" (measured)" if one.claim.clean else "")
        table.add_row(title, f"{one.claim.accuracy:.1%}", again, truth)
    return table


def _print_doubts(report: Report, console: Console) -> None:
    from rich.text import Text

    from sparring.audit.doubts import meaning

    for doubt in report.doubts:
        known = meaning(doubt.code)
        console.print(Text.assemble((f"doubt: {known.title}", "red" if known.severe else "yellow"), f" ({doubt.code})"))
        console.print(Text(f"  {doubt.message}. {known.remedy}"))
    if report.doubts:
        console.print()


def fraction(text: str | None) -> float | None:
    """A share from 0.85, 85 or 85%.

    >>> fraction("85%"), fraction("0.85")
    (0.85, 0.85)
    """
    from sparring.errors import InputError

    if text is None:
        return None
    try:
        value = float(text.strip().removesuffix("%"))
    except ValueError:
        value = float("nan")
    value = value / 100 if text.strip().endswith("%") or value > 1 else value
    if not 0 <= value <= 1:
        raise InputError(f"--fail-under is {text!r}; write a share or a percentage: 0.85, 85 or 85%")
    return value


def command_line(report: Report, **options: Any) -> Report:
    """The report with the command that repeats it, and the options in its settings."""
    words = ["sparring", "audit"]
    for name, value in options.items():
        if value is None or value is False or (name in DEFAULTS and value == DEFAULTS[name]):
            continue
        for item in value if isinstance(value, list) else [value]:
            words += [f"--{name.replace('_', '-')}"] + ([] if item is True else [str(item)])
    plain = {name: str(value) if isinstance(value, Path) else value for name, value in options.items()}
    return replace(report, command=shlex.join(words), settings={**report.settings, "options": plain})
