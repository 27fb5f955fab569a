"""Figures 3.10 and 3.11 of the report drawn anew, and the one that is missing there: claim beside truth."""

from __future__ import annotations

import io
from collections.abc import Sequence

from sparring.reproduce.distillation import EPSILONS, REPORTED, Line, Outcome

COLOURS = ("#1f6feb", "#bf8700", "#1a7f37")
TITLES = {
    "undefended": "Figure 3.10, reproduced: no defense, as published",
    "published": "Figure 3.11, reproduced: “distilled”, as published",
}
NAMES = {"undefended": "no defense", "published": "“distilled” as published", "distilled": "truly distilled"}


def published_figure(outcome: Outcome, net: str) -> bytes:
    """Accuracy over eps under the three attacks of the notebook, by its protocol: a PNG."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6.4, 4.2), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots()
    for (attack, accuracies), colour in zip(outcome.claimed[net].items(), COLOURS, strict=True):
        axes.plot(EPSILONS, [100 * a for a in accuracies], "o-", color=colour, markersize=4, label=attack)
    before, after = REPORTED[net]
    axes.plot([0, EPSILONS[-1]], [100 * before, 100 * after], "kx", label="the report's figures")
    axes.set(
        title=TITLES[net],
        xlabel="eps (Linf)",
        ylabel="accuracy, %",
        ylim=(0, 102),
    )
    axes.legend(frameon=False, loc="lower left")
    axes.grid(alpha=0.25)
    axes.spines[["top", "right"]].set_visible(False)
    return _png(figure)


def truth_figure(outcome: Outcome) -> bytes:
    """One bar a net and attack at eps 0.3: what the report would have seen with other attacks. A PNG."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    lines: Sequence[Line] = [line for line in outcome.truth if "zero gradients" not in line.what]
    audits = {name: report.robust_accuracy for name, report in outcome.audits.items()}
    rows = [*((line.what, line.values) for line in lines), ("all attacks of the audit", audits)]
    figure = Figure(figsize=(8.6, 6.2), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots()
    tall = 0.26
    for k, (net, name) in enumerate(NAMES.items()):
        at = [i + (k - 1) * tall for i in range(len(rows))]
        values = [100 * values[net] for _, values in rows]
        axes.barh(at, values, tall * 0.9, color=COLOURS[k], label=name)
        for place, value in zip(at, values, strict=True):
            axes.text(value + 0.8, place, f"{value:.1f}", va="center", fontsize=7, color="#24292f")
    axes.set_yticks(range(len(rows)), [what for what, _ in rows], fontsize=8)
    axes.invert_yaxis()
    axes.set(xlabel="accuracy left at eps 0.3, %", xlim=(0, 108), title="What is left, attack by attack (eval mode)")
    axes.legend(frameon=False, loc="lower right")
    axes.grid(alpha=0.25, axis="x")
    axes.spines[["top", "right"]].set_visible(False)
    return _png(figure)


def _png(figure: object) -> bytes:
    out = io.BytesIO()
    figure.savefig(out, format="png", dpi=130)  # type: ignore[attr-defined]
    return out.getvalue()
