"""`sparring serve MODEL`: a classifier as a web service on this machine, to be attacked as a black box."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from sparring.cli.app import SHOW, app
from sparring.cli.options import (
    DefenseOption,
    DeviceOption,
    MeanOption,
    SeedOption,
    StdOption,
    TrustOption,
    WeightsOption,
)

_SEEN = "What clients see"
_WHERE = "Where"


@app.command("serve", rich_help_panel=SHOW)
def serve(
    model: Annotated[str, typer.Argument(metavar="MODEL", help="The classifier, as for --model elsewhere.")],
    weights: WeightsOption = None,
    mean: MeanOption = None,
    std: StdOption = None,
    trust: TrustOption = False,
    defense: DefenseOption = None,
    device: DeviceOption = None,
    answers: Annotated[
        str, typer.Option(metavar="KIND", help="Answer with scores, topk or labels.", rich_help_panel=_SEEN)
    ] = "scores",
    k: Annotated[int, typer.Option(metavar="K", help="Name so many classes with topk.", rich_help_panel=_SEEN)] = 5,
    rate: Annotated[
        float | None,
        typer.Option(metavar="R", help="Answer at most R requests a second, others 429.", rich_help_panel=_SEEN),
    ] = None,
    max_queries: Annotated[
        int | None, typer.Option(metavar="N", help="Answer N requests in all, then 403.", rich_help_panel=_SEEN)
    ] = None,
    noise: Annotated[
        float, typer.Option(metavar="STD", help="Add noise to the logits, anew each time.", rich_help_panel=_SEEN)
    ] = 0.0,
    latency: Annotated[
        float, typer.Option(metavar="S", help="Wait S seconds before each answer.", rich_help_panel=_SEEN)
    ] = 0.0,
    failures: Annotated[
        float, typer.Option(metavar="SHARE", help="Answer this share of requests with 500.", rich_help_panel=_SEEN)
    ] = 0.0,
    seed: SeedOption = 0,
    host: Annotated[
        str, typer.Option(metavar="HOST", help="Listen there; other machines reach 0.0.0.0.", rich_help_panel=_WHERE)
    ] = "127.0.0.1",
    port: Annotated[
        int, typer.Option(metavar="PORT", help="Listen there; 0 = any that is free.", rich_help_panel=_WHERE)
    ] = 8000,
    mapping: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Write the mapping for clients here.", rich_help_panel=_WHERE),
    ] = None,
) -> None:
    """Serve a classifier over HTTP, as a black box to be attacked on this machine.

    [dim]sparring serve mnist-cnn --answers labels --rate 200 --mapping digits.json[/dim]

    [dim]sparring attack hopskipjump --norm L2 --model "http://127.0.0.1:8000/predict#mapping=digits.json" --n 5[/dim]

    The format of requests and answers is in docs/black_box.md.
    """
    from sparring.cli.console import note, stderr, working
    from sparring.cli.loading import ModelOptions
    from sparring.serve.listen import listen
    from sparring.serve.settings import ServeSettings
    from sparring.zoo.targets.words import public

    settings = ServeSettings(
        kind=answers,  # type: ignore[arg-type]  # checked there
        k=k,
        rate=rate,
        latency=latency,
        failures=failures,
        noise=noise,
        most=max_queries,
        seed=seed,
    )
    log = stderr()
    options = ModelOptions(model=model, weights=weights, trust=trust, mean=mean, std=std, device=device)
    with working(log, f"loading {public(model)}"):
        loaded = options.load_model()
        if defense:
            from sparring.defenses import defend

            loaded = defend(loaded, defense)
    if host not in ("127.0.0.1", "localhost", "::1"):
        note(log, f"every machine that can reach {host} may ask it")
    listen(loaded, settings, host, port, mapping, announce=typer.echo)
