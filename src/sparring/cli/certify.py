"""`sparring certify`: which images are provably safe, with figures for people and a file for programs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from sparring.cli.app import ATTACK, app
from sparring.cli.loading import LoadOptions
from sparring.cli.options import (
    BatchSizeOption,
    ForceOption,
    JsonOption,
    OutOption,
    QuietOption,
    SeedOption,
    ThreatOptions,
    takes_options,
)

if TYPE_CHECKING:
    from sparring.certify.result import Certificates


@app.command("certify", rich_help_panel=ATTACK)
@takes_options
def certify(
    load: LoadOptions,
    threat: ThreatOptions,
    method: Annotated[
        str,
        typer.Option(
            help="Choose how to prove: ibp, crown, alpha-crown or complete for ReLU nets, smoothing for any "
            "classifier. With options: complete:seconds=30, smoothing:sigma=0.5,n=10000.",
            metavar="METHOD",
            rich_help_panel="Run",
        ),
    ] = "crown",
    resume: Annotated[
        bool,
        typer.Option("--resume", help="Continue the run in --out; keep finished shards.", rich_help_panel="Long runs"),
    ] = False,
    shard_size: Annotated[
        int,
        typer.Option(
            "--shard-size",
            help="Put this many images into one shard.",
            metavar="IMAGES",
            min=1,
            rich_help_panel="Long runs",
        ),
    ] = 250,
    out: OutOption = None,
    force: ForceOption = False,
    seed: SeedOption = 0,
    batch_size: BatchSizeOption = 64,
    json: JsonOption = None,
    quiet: QuietOption = False,
) -> None:
    """Prove which images no attack can break, and count them.

    The certified accuracy is a lower bound of the robust accuracy; an attack gives an upper bound.

    [dim]sparring certify --model net:wong --weights weights.safetensors --n 100 --eps 0.1 --method crown[/dim]

    [dim]sparring certify --model mnist-cnn-ibp --n 1000 --eps 0.3 --method complete --out runs/proof[/dim] (after a
    stop: add --resume)

    [dim]sparring certify --model mnist-cnn --n 20 --norm L2 --eps 0.25 --method smoothing:sigma=0.25,n=1000[/dim]
    """
    from sparring.audit.inputs.clean import data_sha256
    from sparring.audit.inputs.provenance import about_model, code_name
    from sparring.certify.api import certify as prove
    from sparring.certify.folder import CertifyRun
    from sparring.certify.methods import find_method
    from sparring.cli.app import Stopped
    from sparring.cli.console import stderr, working
    from sparring.cli.progress import Bar
    from sparring.errors import InputError
    from sparring.export import check_writable
    from sparring.storage import write_json
    from sparring.threat import Threat

    log = stderr(quiet)
    threat.check()
    chosen, allowed = find_method(method), Threat(threat.norm, threat.eps)
    if json is not None:
        check_writable(json)
    if resume and out is None:
        raise InputError("--resume needs the folder that the work is kept in: --out DIR")
    with working(log, load.title):
        loaded, images = load.load(log)
    x, y = images.tensors()
    with Bar(log, chosen.name, len(x)) as bar:
        if out is None:
            found = prove(
                loaded, x, y, allowed, chosen, seed=seed, batch_size=batch_size,
                progress=lambda done, _: bar.update(done),
            )  # fmt: skip
        else:
            model = {name: value for name, value in about_model(loaded).items() if name != "name"}
            known = {"model": model, "data": data_sha256(x, y), "code": code_name()}
            run = CertifyRun(loaded, x, y, allowed, chosen, seed, known, batch_size, shard_size)
            try:
                found = run.work(run.open(out, resume=resume, force=force), bar.update)
            except KeyboardInterrupt:
                raise Stopped(f"the run lies in {out}; go on with the same command and --resume") from None
    weights = None if load.weights is None else str(load.weights)
    about = {"model": load.model, "weights": weights, "data": load.data, "split": images.split}
    if json is not None:
        write_json(json, {**about, **found.summary(), "images": found.rows()})
    if out is not None:
        write_json(out / "certificates.json", {**about, **found.summary(), "images": found.rows()})
    if not quiet:
        _print(found, about)


def _print(found: Certificates, about: dict[str, Any]) -> None:
    """A line on what was done, and the figures."""
    from rich.table import Table
    from rich.text import Text

    from sparring.cli.console import Stdout

    n, status = len(found), found.status
    low, high = found.interval
    seconds = float(found.seconds.sum())
    table = Table.grid(padding=(0, 2))
    for style in ({"no_wrap": True}, {"no_wrap": True, "justify": "right", "style": "bold"}, {}):
        table.add_column(**style)
    proved, right = status.count("certified"), int(found.clean_correct.sum())
    rows = [
        ("clean accuracy", _percent(found.clean_accuracy), f"{right} of {n} right"),
        (
            "certified accuracy",
            _percent(found.certified_accuracy),
            f"{proved} of {n} proved safe; 95 % interval {low * 100:.1f} to {high * 100:.1f} %",
        ),
    ]
    if "attacked" in status:
        rows.append(("attacked", f"{status.count('attacked')}", "broken by an example that was found on the way"))
    rows.append(("unknown", f"{status.count('unknown')}", "neither proved nor broken"))
    rows.append(("seconds", f"{seconds:.2f}", f"{n / seconds:.1f} images a second" if seconds > 0 else ""))
    for name, value, meaning in rows:
        table.add_row(Text(name), Text(value), Text(meaning))
    subject = f"{found.method} on {about['model']}, {about['data']} {about['split']}, {found.threat}, seed {found.seed}"
    Stdout().print(Text(subject), "", table, sep="\n")


def _percent(share: float) -> str:
    return "-" if share != share else f"{share:.1%}".replace("%", " %")
