"""The options of `sparring train`, in groups."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from sparring.cli.exclusions import ExcludeOption
from sparring.cli.options import DataOption, NormOption, OptionalEpsOption

if TYPE_CHECKING:
    from sparring.threat import Threat

_TRAINING, _OUTPUT = "Training", "Output"


@dataclass(frozen=True, kw_only=True)
class Learning:
    """Which net is trained, and what it learns."""

    net: Annotated[
        str,
        typer.Option(
            metavar="NAME",
            help="Train this net: wong, trades, net-f, net-f-half, madry, resnet20 (for colour pictures), or "
            "file.py:factory. Your factory gets those of in_channels, num_classes and size that it takes.",
            rich_help_panel=_TRAINING,
        ),
    ]
    recipe: Annotated[
        str,
        typer.Option(
            help="Train with this recipe, such as trades:beta=1; see the list above.", rich_help_panel=_TRAINING
        ),
    ] = "standard"
    norm: NormOption = "Linf"
    eps: OptionalEpsOption = None
    steps: Annotated[
        int | None,
        typer.Option(
            min=1, help="Let the training attack take this many steps. Default: the recipe's.",
            rich_help_panel=_TRAINING,
        ),
    ] = None  # fmt: skip
    alarm: Annotated[
        bool,
        typer.Option(
            "--alarm/--no-alarm",
            help="Stop when accuracy under PGD collapses (catastrophic overfitting).",
            rich_help_panel=_TRAINING,
        ),
    ] = True

    def threat(self) -> Threat | None:
        """What the net is to withstand; None = nothing in particular."""
        from sparring.threat import Threat

        return None if self.eps is None else Threat(self.norm, self.eps)


@dataclass(frozen=True, kw_only=True)
class TrainData:
    """Which images it learns from."""

    data: DataOption = "mnist5k"
    exclude: ExcludeOption = None
    limit: Annotated[
        int | None,
        typer.Option(min=1, metavar="N", help="Train on the first N images only.", rich_help_panel=_TRAINING),
    ] = None
    augment: Annotated[
        str,
        typer.Option(
            metavar="NAMES",
            help="Change the images at random: crop,flip, or one of them. crop cuts each from 4 zeros around it.",
            rich_help_panel=_TRAINING,
        ),
    ] = ""


@dataclass(frozen=True, kw_only=True)
class Fitting:
    """How long and how fast it learns."""

    epochs: Annotated[int, typer.Option(min=1, help="Train for this many epochs.", rich_help_panel=_TRAINING)] = 5
    batch_size: Annotated[
        int | None,
        typer.Option(min=1, help="Use this batch size. Default: the recipe's.", rich_help_panel=_TRAINING),
    ] = None
    lr: Annotated[
        float | None, typer.Option(help="Use this learning rate. Default: the recipe's.", rich_help_panel=_TRAINING)
    ] = None
    optimizer: Annotated[
        str,
        typer.Option(help="Optimise with adam, adamw or sgd, also sgd:weight_decay=5e-4.", rich_help_panel=_TRAINING),
    ] = "adam"
    schedule: Annotated[
        str | None,
        typer.Option(
            help="Change the learning rate: constant, drop, triangular or cosine. Default: the recipe's.",
            rich_help_panel=_TRAINING,
        ),
    ] = None
    devices: Annotated[
        int, typer.Option(min=1, help="Train in this many processes, one per device.", rich_help_panel=_TRAINING)
    ] = 1
    precision: Annotated[
        str, typer.Option(help="Compute in 32-true, 16-mixed or bf16-mixed.", rich_help_panel=_TRAINING)
    ] = "32-true"


@dataclass(frozen=True, kw_only=True)
class TrainFiles:
    """Where everything goes, and what is measured at the end."""

    out: Annotated[
        Path, typer.Option("--out", "-o", metavar="DIR", help="Write everything here.", rich_help_panel=_OUTPUT)
    ]
    check: Annotated[
        int,
        typer.Option(
            min=0, metavar="N", help="Audit N test images at the end, if there is an --eps.", rich_help_panel=_OUTPUT
        ),
    ] = 1000
    suite: Annotated[
        str, typer.Option(help="Audit with this suite: quick, standard or full.", rich_help_panel=_OUTPUT)
    ] = "quick"
    tensorboard: Annotated[
        bool, typer.Option("--tensorboard", help="Also write a log for TensorBoard.", rich_help_panel=_OUTPUT)
    ] = False
    resume: Annotated[bool, typer.Option("--resume", help="Continue the run in DIR.", rich_help_panel=_OUTPUT)] = False
