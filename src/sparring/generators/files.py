"""Generators on disk: one safetensors file (with the encoder, if there is one) beside a card in JSON; those we ship.

A folder that `sparring generate train` wrote is loaded by its path, a shipped generator by its name. Nothing is
unpickled.
"""

from __future__ import annotations

import hashlib
import json
import platform
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sparring._version import __version__
from sparring.errors import InputError

if TYPE_CHECKING:
    from torch import Tensor
    from torch.nn import Module

    from sparring.generators.pairs import Generator

WEIGHTS = Path(__file__).parent / "weights"
SHIPPED = tuple(sorted(path.stem for path in WEIGHTS.glob("*.json")))
"the names that `load_generator` knows"
FORMAT = "sparring-generator-1"
LIMIT = 1 << 30
"bytes of a weights file that are read at most"


def list_generators() -> list[dict[str, Any]]:
    """The cards of the shipped generators, by name."""
    return [_card(WEIGHTS / f"{name}.json") for name in SHIPPED]


def load_generator(spec: str | Path) -> Generator:
    """A shipped generator by name, or the one in a folder; on the CPU, in eval mode, weights frozen.

    Raises:
        InputError: no such generator, not a card of ours, or weights that are not those of the card.
    """
    from sparring.generators.models import make_generator
    from sparring.generators.small_nets import conv_encoder

    card, tensors = read_weights(spec, WEIGHTS, "generator")
    generator = make_generator(card["net"]["name"])
    if any(name.startswith("encoder.") for name in tensors):
        generator.encoder = conv_encoder(generator.latent)
    try:
        generator.load_state_dict(tensors)
    except RuntimeError as error:
        raise InputError(
            f"the weights of {spec} do not fit {card['net']['name']}: {str(error).splitlines()[0]}"
        ) from None
    generator.name = card["name"]
    made: Generator = generator.eval().requires_grad_(False)
    return made


def read_weights(spec: str | Path, shipped: Path, what: str) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """The card and the tensors of what is in the folder `shipped` by name, or in a folder of its own.

    Raises:
        InputError: there is none, not a card of ours, or weights that are not those of the card.
    """
    import safetensors.torch

    names = sorted(path.stem for path in shipped.glob("*.json"))
    if str(spec) in names:
        card_path, weights = shipped / f"{spec}.json", shipped / f"{spec}.safetensors"
    else:
        card_path, weights = Path(spec) / "card.json", Path(spec) / "weights.safetensors"
        if not card_path.is_file():
            raise InputError(
                f"no {what} {str(spec)!r}: it is neither shipped ({', '.join(names) or 'none is'}) nor a folder "
                "that sparring generate wrote"
            )
    card = _card(card_path)
    if not weights.is_file() or weights.stat().st_size > LIMIT:
        raise InputError(f"{weights} is missing or larger than a {what}'s weights can be")
    contents = weights.read_bytes()
    if hashlib.sha256(contents).hexdigest() != card["weights"]["sha256"]:
        raise InputError(f"the weights of {spec} are not those of its card; train it again or fetch both again")
    return card, safetensors.torch.load(contents)


def save_generator(generator: Generator, folder: Path, card: dict[str, Any], stem: str | None = None) -> dict[str, Any]:
    """Write weights and card into `folder`: weights.safetensors and card.json, or STEM.safetensors and STEM.json.

    Args:
        card: what is known of it; format, nets, versions and the digest of the weights are added.

    Returns:
        The card as it was written.
    """
    net = {
        "name": card["training"]["net"],
        "latent": generator.latent,
        "parameters": sum(p.numel() for p in generator.net.parameters()),
        "encoder": generator.encoder is not None,
    }
    return write_weights(generator, folder, {"net": net, **card}, stem)


def write_weights(net: Module, folder: Path, card: dict[str, Any], stem: str | None = None) -> dict[str, Any]:
    """The weights of any net beside its card, whole; what `read_weights` reads."""
    from sparring.checkpoint import to_safetensors
    from sparring.storage import write

    weights = folder / f"{stem or 'weights'}.safetensors"
    contents = to_safetensors(net.state_dict())
    whole = {
        "format": FORMAT,
        "name": stem or folder.resolve().name,
        **card,
        "versions": {"sparring": __version__, "python": platform.python_version(), "torch": version("torch")},
        "weights": {
            "file": weights.name,
            "bytes": len(contents),
            "sha256": hashlib.sha256(contents).hexdigest(),
        },
    }
    write(weights, contents, durable=True)
    write(folder / f"{stem or 'card'}.json", json.dumps(whole, indent=1) + "\n", durable=True)
    return whole


def _card(path: Path) -> dict[str, Any]:
    try:
        card: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        if card["format"] != FORMAT:
            raise KeyError(card["format"])
        _ = card["net"]["name"], card["weights"]["sha256"], card["name"]
    except (ValueError, KeyError, TypeError) as error:
        raise InputError(f"{path} is not a card of sparring generate train ({error!r})") from None
    return card
