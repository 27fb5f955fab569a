"""`sparring bundle`: a finished audit as signed evidence."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from sparring.cli.app import AUDIT, app
from sparring.cli.options import ForceOption, QuietOption, takes_options


@app.command("bundle", rich_help_panel=AUDIT)
@takes_options
def bundle(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="The folder of a finished audit. It is copied.")],
    key: Annotated[
        Path, typer.Option("--key", metavar="FILE", help="Private key in PEM (PKCS 8): Ed25519, ECDSA or RSA.")
    ],
    out: Annotated[Path, typer.Option("--out", metavar="DIR", help="Folder of the bundle.")],
    force: ForceOption = False,
    quiet: QuietOption = False,
) -> None:
    """Make an evidence bundle: run, environment, attack classes of the AI Act, one signature over all.

    The signature is a DSSE envelope with an in-toto statement, as supply-chain tools read it. Send the folder; whoever
    has your public key checks it offline with sparring verify. Needs the extra sparring[sign].

    [dim]openssl genpkey -algorithm ed25519 -out key.pem[/dim]

    [dim]sparring bundle runs/mine --key key.pem --out evidence[/dim]

    [dim]sparring verify evidence --public-key signer.pem[/dim]

    Exit code: 0 = done, 2 = bad input.
    """
    from sparring.attestation.bundle import check, make
    from sparring.scale.remote import brought

    with brought(run) as folder:
        found = check(make(folder, key, out, force=force))
    if not quiet:
        typer.echo(f"{out}: {found.files} files signed by {found.signer}")
