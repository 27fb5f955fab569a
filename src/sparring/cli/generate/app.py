"""`sparring generate ...`: generators of images, a command each."""

from __future__ import annotations

import typer

from sparring.cli.app import DEFEND, app

generate = typer.Typer(
    help="Train a GAN, WGAN, diffusion model or PixelCNN, sample from it, measure it.", no_args_is_help=True
)
app.add_typer(generate, name="generate", rich_help_panel=DEFEND)
