"""`sparring crosscheck`: the same attacks from every toolkit that is installed, on one model, judged alike."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

import typer

from sparring.cli.app import ATTACK, app
from sparring.cli.loading import LoadOptions
from sparring.cli.options import CountOption, JsonOption, QuietOption, SeedOption, ThreatOptions, takes_options

if TYPE_CHECKING:
    from sparring.crosscheck.check import Crosscheck, Row


@dataclass(frozen=True, kw_only=True)
class FewImages(LoadOptions):
    """The same, with fewer images unless said."""

    n: CountOption = 64


@app.command("crosscheck", rich_help_panel=ATTACK)
@takes_options
def crosscheck(
    load: FewImages,
    threat: ThreatOptions,
    peers: Annotated[
        str | None,
        typer.Option(
            "--peers",
            metavar="NAME,...",
            help="Run only these: sparring, foolbox, torchattacks, art, adv_lib, autoattack.",
            rich_help_panel="Run",
        ),
    ] = None,
    seed: SeedOption = 0,
    json: JsonOption = None,
    quiet: QuietOption = False,
) -> None:
    """Run the same attacks from every installed toolkit on a model, and compare what they find, cost and claim.

    FGSM, PGD, APGD-CE, C&W, DDN and FMN, as far as each toolkit has them under the norm, with the same steps. Robust:
    images for which the run saw no success within eps. Optimality: 100 % = no attack is nearer on any image
    (AttackBench, exact areas up to twice eps; attacks that use all of eps reach about half). Outside, beyond: points
    outside the box or the ball. Silent: claimed successes that do not fool the model when it is asked again. Lost:
    successes during the run that the attack did not return.

    [dim]sparring crosscheck --model mnist-cnn --eps 0.1[/dim]

    [dim]sparring crosscheck --model net.py:build --data folder:pictures --norm L2 --eps 0.5 --n 32[/dim]
    """
    from sparring.cli.console import stderr, working
    from sparring.cli.progress import Bar
    from sparring.crosscheck.check import crosscheck as run
    from sparring.export.files import check_writable
    from sparring.storage import write_json
    from sparring.threat import Threat

    log = stderr(quiet)
    threat.check()
    chosen, allowed = _peers(peers), Threat(threat.norm, threat.eps)
    if json is not None:
        check_writable(json)
    with working(log, load.title):
        loaded, images = load.load(log)
    with Bar(log, "attacking", len(chosen)) as bar:
        found = run(
            loaded, *images.tensors(), allowed,
            peers=chosen, seed=seed, progress=lambda done, peer: bar.update(done, what=f"attacking with {peer}"),
        )  # fmt: skip
    if json is not None:
        about = {"model": loaded.name, "data": load.data, "split": load.split, "seed": seed}
        write_json(json, {**about, **found.to_dict()})
    if not quiet:
        _print(found, loaded.name)


def _peers(text: str | None) -> tuple[str, ...]:
    """The toolkits that are named, or all.

    Raises:
        InputError: one is not known.
    """
    from sparring.crosscheck.check import PEERS
    from sparring.spec import unknown

    chosen = tuple(part.strip().replace("-", "_") for part in text.split(",")) if text else PEERS
    for name in chosen:
        if name not in PEERS:
            raise unknown("peer", name, PEERS)
    return chosen


def _print(found: Crosscheck, name: str) -> None:
    from sparring.cli.console import Stdout
    from sparring.cli.tables import table

    console = Stdout()
    console.say(f"{name}, {found.n} images, {found.clean_correct} right, {found.threat}")
    rows = table(
        "attack", "toolkit", "robust", "optimality", "forward", "backward", "outside", "beyond", "silent", "lost",
        left=("toolkit",),
    )  # fmt: skip
    for row in found.rows:
        rows.add_row(*_cells(row, found.n))
    console.print(rows)
    best = f"the envelope of all: mean distance {found.envelope_area:.4g}, capped at twice eps"
    console.say(f"{best}; forward and backward: passes an image")
    for row in found.rows:
        if row.error is not None:
            console.say(f"{row.peer} {row.attack} failed: {row.error}", "yellow")
    for peer, reason in found.missing.items():
        console.say(f"without {peer}: {reason}", "dim")


def _cells(row: Row, n: int) -> list[str]:
    if row.error is not None:
        return [row.attack, row.peer, "failed", *[""] * 7]
    score = "-" if row.optimality != row.optimality else f"{row.optimality:.1%}"
    claims = "-" if row.silent is None else str(row.silent)
    counts = [f"{row.forward / n:.0f}", f"{row.backward / n:.0f}", str(row.outside), str(row.beyond), claims]
    return [row.attack, row.peer, f"{row.standing / n:.1%}", score, *counts, str(row.lost)]
