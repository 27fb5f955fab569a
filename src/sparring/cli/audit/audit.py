"""`sparring audit`: how robust a classifier is, with what there is to doubt, and a verdict in one sentence."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from sparring.cli.app import app
from sparring.cli.options import (
    BatchSizeOption,
    CountOption,
    DataOption,
    DefenseOption,
    DeviceOption,
    EpsOption,
    ForceOption,
    HubOption,
    JsonOption,
    JunitOption,
    MarkdownOption,
    MeanOption,
    ModelOption,
    NormOption,
    OutOption,
    QuietOption,
    RequireOption,
    SarifOption,
    SeedOption,
    SplitOption,
    StdOption,
    TrustOption,
    WeightsOption,
)

_JUDGE = "Judgement"
_STORE = "Long runs"


@app.command("audit")
def audit(
    model: ModelOption = "",
    weights: WeightsOption = None,
    trust: TrustOption = False,
    mean: MeanOption = None,
    std: StdOption = None,
    defense: DefenseOption = None,
    data: DataOption = "mnist5k",
    split: SplitOption = "test",
    n: CountOption = None,
    norm: NormOption = "Linf",
    eps: EpsOption = "",
    suite: Annotated[
        str,
        typer.Option(
            metavar="NAME",
            help="quick (about a minute for 200 digits), standard (at least AutoAttack's strength), full (brute "
            "force), rand (for models that answer at random), black-box (no gradients), or a YAML file of your own "
            "(docs/audit_speed.md).",
            rich_help_panel=_JUDGE,
        ),
    ] = "standard",
    claim: Annotated[
        list[str] | None,
        typer.Option(
            "--claim",
            metavar="CLAIM",
            help="What is said of the model, to be checked: fgsm:0.3=0.88, 0.3=88%, 0.88, clean=0.99. "
            "May be given again.",
            rich_help_panel=_JUDGE,
        ),
    ] = None,
    require: RequireOption = None,
    fail_under: Annotated[
        str | None,
        typer.Option(
            "--fail-under",
            metavar="P",
            help="Exit code 1 if the robust accuracy of these very images is below: 0.85, 85 or 85%.",
            rich_help_panel=_JUDGE,
        ),
    ] = None,
    clean_floor: Annotated[
        float | None,
        typer.Option(
            min=0,
            max=1,
            metavar="SHARE",
            help="Refuse a model below this clean accuracy. Default: near chance; 0 = never.",
            rich_help_panel=_JUDGE,
        ),
    ] = None,
    plan_only: Annotated[
        bool,
        typer.Option(
            "--plan",
            help="Probe for 20 seconds, say what each number of images buys, and stop.",
            rich_help_panel=_JUDGE,
        ),
    ] = False,
    replay: Annotated[
        Path | None,
        typer.Option(
            "--replay",
            metavar="RUN",
            help="Begin with the adversarial examples that another audit has stored in its folder.",
            rich_help_panel=_JUDGE,
        ),
    ] = None,
    certified: Annotated[
        Path | None,
        typer.Option(
            "--certified",
            metavar="FILE",
            help="Radii that somebody has proved, one an image (.npy, or a number a line): a lower bound, held "
            "against the attacks.",
            rich_help_panel=_JUDGE,
        ),
    ] = None,
    order_from: Annotated[
        Path | None,
        typer.Option(
            "--order-from",
            metavar="RUN",
            help="Run the suite's attacks in the order that would have paid best in another audit, of an earlier "
            "checkpoint for instance.",
            rich_help_panel=_JUDGE,
        ),
    ] = None,
    precision: Annotated[
        str,
        typer.Option(
            metavar="TYPE",
            help="What attacks search in: float32 (the model's own), bfloat16, or auto: bfloat16 where the processor "
            "knows it. Verdicts are always the model's own.",
            rich_help_panel=_JUDGE,
        ),
    ] = "float32",
    resume: Annotated[
        bool,
        typer.Option(
            "--resume", help="Go on with the run in --out; what is done is not done again.", rich_help_panel=_STORE
        ),
    ] = False,
    workers: Annotated[
        int | None,
        typer.Option("--workers", min=1, metavar="N", help="Processes, with one thread each.", rich_help_panel=_STORE),
    ] = None,
    shard: Annotated[
        str | None,
        typer.Option(
            "--shard",
            metavar="I/N",
            help="Only this machine's share of the work, as 2/4; sparring merge brings them together.",
            rich_help_panel=_STORE,
        ),
    ] = None,
    shard_size: Annotated[
        int,
        typer.Option(
            "--shard-size", min=1, metavar="IMAGES", help="Images that are kept together.", rich_help_panel=_STORE
        ),
    ] = 250,
    worker: Annotated[int | None, typer.Option("--worker", hidden=True)] = None,
    seed: SeedOption = 0,
    batch_size: BatchSizeOption = 256,
    device: DeviceOption = None,
    out: OutOption = None,
    force: ForceOption = False,
    json: JsonOption = None,
    markdown: MarkdownOption = None,
    junit: JunitOption = None,
    sarif: SarifOption = None,
    hf: HubOption = None,
    quiet: QuietOption = False,
) -> None:
    """Audit a classifier: attacks in a cascade, checks of the attacks themselves, and an honest verdict.

    Four figures with their intervals, which attack broke what, what a claim is worth, and what there is to doubt.
    With --out: report.html (one file, no network), report.json, and every other form of the report.

    [dim]sparring audit --model mnist-cnn --n 200 --eps 0.3 --suite quick --out runs/mine[/dim]

    [dim]sparring audit --model net.py:build --weights net.pt --data folder:pictures --eps 8/255 --claim pgd=0.45[/dim]

    [dim]sparring audit --model net.py:build --eps 0.3 --require "robust@0.3 >= 85%" --junit audit.xml[/dim]

    [dim]sparring audit --model mnist-cnn --eps 0.3 --out runs/mine --workers 2[/dim] (after a crash: add --resume)

    [dim]sparring audit --model mnist-cnn --eps 0.3 --plan[/dim] (what would 1,000 images take?)

    Exit code: 0 = done, 1 = below --fail-under or a --require that is not met, 2 = bad input.
    """
    from rich.console import Console
    from rich.markup import escape

    from sparring.audit.inputs.requirements import Requirement, parse_requirement
    from sparring.audit.suites.builtin import suite as find_suite
    from sparring.cli.audit.files import Files
    from sparring.cli.audit.progress import watching
    from sparring.cli.audit.run_options import plan_of
    from sparring.cli.audit.show import command_line, fraction, print_report
    from sparring.cli.audit.work import Work, parse_share
    from sparring.errors import InputError
    from sparring.threat import Threat

    log = Console(stderr=True, quiet=quiet)
    if not eps:
        raise InputError("say how large a perturbation may be: --eps 0.3 (digits, Linf) or --eps 8/255")
    threat, least = Threat(norm, eps), fraction(fail_under)
    find_suite(suite)
    required = [parse_requirement(text).at(threat.eps or 0.0) for text in require or ()]
    if least is not None:
        required.append(Requirement("robust", least, counted=True))
    wanted = Files(json=json, markdown=markdown, junit=junit, sarif=sarif, hf=hf)
    work = Work(out, resume or worker is not None, force, workers, parse_share(shard), worker)
    work.check()
    wanted.check()
    options = {
        "model": model, "weights": weights, "trust": trust, "mean": mean, "std": std, "defense": defense,
        "data": data, "split": split, "n": n, "norm": norm, "eps": eps, "suite": suite, "claim": claim or [],
        "require": require or [], "clean_floor": clean_floor, "replay": replay, "certified": certified, "seed": seed,
        "batch_size": batch_size, "device": device, "shard_size": shard_size, "order_from": order_from,
        "precision": precision,
    }  # fmt: skip
    with log.status(f"loading {escape(model)} and {escape(data)}"):
        plan = plan_of(options)
    if plan_only:
        from sparring.cli.audit.forecast import print_forecast

        with log.status("probing for 20 seconds"):
            print_forecast(plan, json, quiet)
        return
    with watching(log) as progress:
        report = work.carry_out(plan, options, progress, log)
    if report is None:
        log.print(f"this share is done; when all are: sparring merge {out}", markup=False, soft_wrap=True)
        return
    report = command_line(report.requiring(required), **options)
    saved = report.save(out) if out is not None else {}
    plain = report.to_dict()
    wanted.write(plain)
    if not quiet:
        print_report(plain, saved.get("report.html"))
    if not report.met:
        raise typer.Exit(1)
