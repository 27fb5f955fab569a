"""The options of `sparring attack` beside model and images, in groups."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Annotated, Any

import typer

from sparring.cli.options import ForceOption, JsonOption, OptionalEpsOption, OutOption, QuietOption

if TYPE_CHECKING:
    from rich.console import Console

    from sparring.budget import Budget
    from sparring.cli.attack.found import Found
    from sparring.export import Saved

_HOW, _RUN = "Threat", "Run"


@dataclass(frozen=True, kw_only=True)
class Reach:
    """What the attacker may do, wants, and knows."""

    norm: Annotated[
        str | None,
        typer.Option(
            metavar="NORM",
            help="Measure perturbations in Linf, L2, L1 or L0. Default: Linf where the attack works under it.",
            rich_help_panel=_HOW,
        ),
    ] = None
    eps: OptionalEpsOption = None
    target: Annotated[
        str | None,
        typer.Option(
            metavar="CLASS",
            help="Drive images to a class: its number, least-likely, second-best or next. Default: any wrong one.",
            rich_help_panel=_HOW,
        ),
    ] = None
    levels: Annotated[
        int | None,
        typer.Option(
            metavar="L",
            help="Search only among images of L levels a pixel; 256: those that survive being saved with 8 bits.",
            rich_help_panel=_HOW,
        ),
    ] = None
    region: Annotated[
        str | None,
        typer.Option(
            metavar="PIXELS",
            help="Change only these pixels: TOP:BOTTOM,LEFT:RIGHT, or the white ones of a black-and-white picture.",
            rich_help_panel=_HOW,
        ),
    ] = None
    surrogate: Annotated[
        list[str] | None,
        typer.Option(
            metavar="SPEC",
            help="Make the points on this model instead, and ask --model for its class alone, once an image. "
            "Give it again for several: their logits are averaged.",
            rich_help_panel=_HOW,
        ),
    ] = None
    as_is: Annotated[
        bool,
        typer.Option(
            "--as-is",
            help="Attack a --defense with its own gradient, not through the backward passes that its "
            "stages declare: this is how defenses were overrated.",
            rich_help_panel=_HOW,
        ),
    ] = False


@dataclass(frozen=True, kw_only=True)
class Budgets:
    """How much an attack may cost."""

    queries: Annotated[
        int | None, typer.Option(help="Stop after this many forward passes per image.", rich_help_panel=_RUN)
    ] = None
    gradients: Annotated[
        int | None, typer.Option(help="Stop after this many backward passes per image.", rich_help_panel=_RUN)
    ] = None
    passes: Annotated[
        int | None, typer.Option(help="Stop after this many passes of both kinds per image.", rich_help_panel=_RUN)
    ] = None
    seconds: Annotated[
        float | None, typer.Option(help="Stop after this many seconds in all.", rich_help_panel=_RUN)
    ] = None

    def budget(self) -> Budget | None:
        """The limits; None where there are none."""
        from sparring.budget import Budget

        limits: dict[str, Any] = asdict(self)
        return Budget(**limits) if any(limit is not None for limit in limits.values()) else None


@dataclass(frozen=True, kw_only=True)
class Output:
    """Where the result goes."""

    out: OutOption = None
    force: ForceOption = False
    json: JsonOption = None
    quiet: QuietOption = False

    def check(self) -> None:
        """Find out before the work whether all can be written.

        Raises:
            OutputPathError: something cannot.
        """
        from sparring.export import check_writable, open_folder

        if self.out is not None:
            open_folder(self.out, force=self.force)
        if self.json is not None:
            check_writable(self.json)

    def write(self, found: Found, log: Console) -> Saved | None:
        """Write the folder and the file, as far as they are wanted."""
        from sparring.cli.console import working
        from sparring.export import sample_rows, save_result
        from sparring.export.save import report
        from sparring.storage import write_json

        saved = None
        if self.out is not None:
            with working(log, f"writing {self.out} and checking what was written"):
                saved = save_result(
                    found.result, found.x, found.goal, self.out,
                    model=found.model, classes=found.classes, index=found.index, about=found.about,
                    batch_size=found.batch_size, force=self.force,
                )  # fmt: skip
        if self.json is not None:
            rows = sample_rows(found.result, found.goal, index=found.index)
            write_json(self.json, saved.report if saved else report(found.result, found.about, rows))
        return saved
