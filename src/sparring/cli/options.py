"""The options that several commands share, each said once. A command writes `model: ModelOption`.

Nothing heavy is imported here: what the texts mean (a model, a radius) is found out inside the commands.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

_WHAT = "Model and data"
_HOW = "Threat"
_RUN = "Run"
_OUT = "Output"

ModelOption = Annotated[
    str,
    typer.Option(
        "--model",
        "-m",
        metavar="SPEC",
        help="The classifier: a shipped name (see [bold]sparring models[/bold]), file.py:factory, "
        "pkg.mod:factory, a folder made by sparring train, net:NAME, imagenet:NAME, hf:NAME_OR_DIR, timm:NAME, "
        "torchvision:NAME, torchscript:FILE.",
        rich_help_panel=_WHAT,
    ),
]
WeightsOption = Annotated[
    Path | None,
    typer.Option(
        "--weights",
        metavar="FILE",
        help="Weights for it: .safetensors, .pt or .pth.",
        rich_help_panel=_WHAT,
    ),
]
MeanOption = Annotated[
    str | None,
    typer.Option(
        "--mean",
        metavar="M,...",
        help="Normalisation before the net, one number or one a channel; where the model's source says none.",
        rich_help_panel=_WHAT,
    ),
]
StdOption = Annotated[
    str | None,
    typer.Option("--std", metavar="S,...", help="As --mean: what is divided by.", rich_help_panel=_WHAT),
]
TrustOption = Annotated[
    bool,
    typer.Option(
        "--trust",
        help="Let weights files and hub models run the code that they carry.",
        rich_help_panel=_WHAT,
    ),
]
DefenseOption = Annotated[
    str | None,
    typer.Option(
        "--defense",
        metavar="STAGES",
        help="Stages that images pass through first: jpeg:quality=75|bits:4, median:3, tv, nlm, quilting, resize-pad, "
        "defense-gan:steps=200,restarts=10, ...",
        rich_help_panel=_WHAT,
    ),
]
DataOption = Annotated[
    str,
    typer.Option(
        "--data",
        "-d",
        metavar="SPEC",
        help="The images: mnist5k, mnist, fashion_mnist, folder:PATH, npz:FILE, ... (see [bold]sparring data[/bold]).",
        rich_help_panel=_WHAT,
    ),
]
SplitOption = Annotated[
    str,
    typer.Option("--split", metavar="NAME", help="Which part of the data.", rich_help_panel=_WHAT),
]
CountOption = Annotated[
    int | None,
    typer.Option("--n", "-n", min=1, metavar="N", help="Only the first N images.", rich_help_panel=_WHAT),
]
NormOption = Annotated[
    str,
    typer.Option(
        "--norm",
        metavar="NORM",
        help="How a perturbation is measured: Linf, L2, L1 or L0.",
        rich_help_panel=_HOW,
    ),
]
EpsOption = Annotated[
    str,
    typer.Option(
        "--eps",
        metavar="EPS",
        help="The largest perturbation allowed, in pixels of the model's box: 0.3 or 8/255.",
        rich_help_panel=_HOW,
    ),
]
OptionalEpsOption = Annotated[
    str | None,
    typer.Option(
        "--eps",
        metavar="EPS",
        help="The largest perturbation allowed: 0.3 or 8/255. Without it, attacks that look for the "
        "smallest perturbation have no limit.",
        rich_help_panel=_HOW,
    ),
]
SeedOption = Annotated[
    int,
    typer.Option("--seed", metavar="S", help="The same seed gives the same result.", rich_help_panel=_RUN),
]
BatchSizeOption = Annotated[
    int,
    typer.Option(
        "--batch-size",
        min=1,
        metavar="B",
        help="Images at once; the result does not depend on it.",
        rich_help_panel=_RUN,
    ),
]
DeviceOption = Annotated[
    str | None,
    typer.Option("--device", metavar="DEVICE", help="Where to compute: cpu, cuda, cuda:1, mps.", rich_help_panel=_RUN),
]
OutOption = Annotated[
    Path | None,
    typer.Option("--out", "-o", metavar="DIR", help="Write everything into this folder.", rich_help_panel=_OUT),
]
JsonOption = Annotated[
    Path | None,
    typer.Option("--json", metavar="FILE", help="Write the figures as JSON.", rich_help_panel=_OUT),
]
MarkdownOption = Annotated[
    Path | None,
    typer.Option("--markdown", metavar="FILE", help="Write a summary for a pull request.", rich_help_panel=_OUT),
]
JunitOption = Annotated[
    Path | None,
    typer.Option(
        "--junit",
        metavar="FILE",
        help="Write JUnit XML: a test case a requirement and an attack.",
        rich_help_panel=_OUT,
    ),
]
SarifOption = Annotated[
    Path | None,
    typer.Option(
        "--sarif",
        metavar="FILE",
        help="Write SARIF 2.1.0: verdict, doubts and requirements, for code hosts.",
        rich_help_panel=_OUT,
    ),
]
HubOption = Annotated[
    Path | None,
    typer.Option(
        "--hf",
        metavar="DIR",
        help="Write .eval_results/sparring.yaml and model-index.yaml for the Hugging Face Hub into this folder.",
        rich_help_panel=_OUT,
    ),
]
RequireOption = Annotated[
    list[str] | None,
    typer.Option(
        "--require",
        metavar="LIMIT",
        help='What must be reached, beyond chance: "robust@0.3 >= 85%", "clean >= 97%". Exit code 1 unless a 95 % '
        "interval, valid at every moment, lies above. May be given again.",
        rich_help_panel="Judgement",
    ),
]
QuietOption = Annotated[
    bool,
    typer.Option("--quiet", "-q", help="No table and no progress; only files and the exit code.", rich_help_panel=_OUT),
]
ForceOption = Annotated[
    bool,
    typer.Option("--force", help="Write into the folder even if it holds other files.", rich_help_panel=_OUT),
]
