"""What `sparring attack` prints: each figure with the counts behind it, and what there is to doubt."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from rich.table import Table
from rich.text import Text

from sparring.cli.console import Stdout

if TYPE_CHECKING:
    from torch import Tensor

    from sparring.export import Saved
    from sparring.result import Result


def print_result(result: Result, about: Mapping[str, Any], saved: Saved | None) -> None:
    """Print to stdout: a line on what was done, the figures, the doubts, where the files are."""
    console = Stdout()
    aim = "untargeted" if about["target"] is None else f"towards {_target(about['target'])}"
    subject = f"{result.attack} on {about['model']}, {about['data']} {about['split']}"
    head = f"{subject}, {result.threat}, {aim}, seed {result.seed}"
    table = Table.grid(padding=(0, 2))
    table.add_column(no_wrap=True)
    table.add_column(no_wrap=True, justify="right", style="bold")
    table.add_column()
    for name, value, meaning in figures(result, about, saved):
        table.add_row(Text(name), Text(value), Text(meaning))
    console.print(Text(head), "", table, "", sep="\n")
    for doubt in result.doubts:
        console.print(Text.assemble(("doubt: ", "bold yellow"), f"{doubt.code}: {doubt.message}"))
    if not result.doubts:
        console.print(Text("no doubts about this run; one attack alone never proves robustness", "dim"))
    if saved is not None:
        console.print(Text(f"wrote {saved.folder}: {', '.join(saved.files)}"), soft_wrap=True)


def figures(result: Result, about: Mapping[str, Any], saved: Saved | None) -> list[tuple[str, str, str]]:
    """(name, value, what it counts) of each figure."""
    n, right = len(result), int(result.clean_correct.sum())
    fooled = int((result.success & result.clean_correct).sum())
    targeted = about["target"] is not None
    done = "driven to their target" if targeted else "fooled"
    stands = "not driven to their target" if targeted else "right, and not fooled within the threat"
    rows = [
        ("clean accuracy", _percent(result.clean_accuracy), f"{right} of {n} right before the attack"),
        ("robust accuracy", _percent(result.robust_accuracy()), f"{int((~result.success).sum())} of {n} {stands}"),
        ("attack success rate", _percent(result.attack_success_rate), f"{fooled} of {right} that were right {done}"),
        ("median distance", _number(result.median_distance), f"{result.threat.norm} of the {fooled} {done}"),
        ("queries a sample", *_passes(result.queries)),
        ("gradients a sample", *_passes(result.gradients)),
        ("seconds", f"{result.seconds:.2f}", f"{n / result.seconds:.1f} images a second" if result.seconds > 0 else ""),
    ]
    if targeted:
        moved = about["misclassified"]
        rows.insert(
            3, ("misclassified", _percent(moved / (right or 1)), f"{moved} of {right} that were right end up wrong")
        )
    recheck = saved.recheck if saved is not None else None
    if recheck is not None:
        rows.append(
            ("read back, exact", f"{recheck.exact}", f"of the {recheck.reported} {done}: still, from safetensors")
        )
        if recheck.png is not None:
            note = (
                f"; {recheck.png_outside} more fool, but rounding took them out of eps" if recheck.png_outside else ""
            )
            if recheck.png < recheck.reported and result.threat.levels is None:
                note += "; --levels 256 searches among such pictures only"
            meaning = f"of the {recheck.reported} {done}: still, as pictures{note}"
            rows.append(("read back, 8-bit PNG", f"{recheck.png}", meaning))
    return rows


def _target(name: str) -> str:
    return f"class {name}" if name.isdecimal() else f"the {name} class"


def _percent(share: float) -> str:
    return "-" if share != share else f"{share:.1%}".replace("%", " %")


def _number(value: float) -> str:
    return "-" if value != value else f"{value:.4g}"


def _passes(counts: Tensor) -> tuple[str, str]:
    if not len(counts):
        return "-", ""
    return f"{float(counts.double().mean()):.1f}", f"mean; at most {int(counts.max())}, {int(counts.sum())} in all"
