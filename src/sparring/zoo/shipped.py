"""The trained nets that the package brings along: weights (safetensors) beside a card (JSON) in `weights/`.

Everything said of them here is read from the cards, which `sparring train` wrote.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sparring.errors import InputError
from sparring.threat import eps_text

if TYPE_CHECKING:
    from sparring.model import Model

WEIGHTS = Path(__file__).parent / "weights"
SHIPPED = tuple(sorted(path.stem for path in WEIGHTS.glob("*.json")))
"the names that `shipped` knows"


@dataclass(frozen=True)
class ModelInfo:
    """What `sparring models` shows of a shipped net.

    Attributes:
        name: for `load_model`. net: of `sparring.zoo.nets`. parameters: how many. bytes: of the weights file.
        data: what it was trained on. recipe: how, in words.
        clean_accuracy, clean_images: right on so many test images, in [0, 1].
        robust_accuracy, robust_images: standing after `attacks` within `threat`, of so many test images; None
            where it was not measured. certified_accuracy: proved to stand, of these; None where nobody asked.
        card: all that is known of it.
    """

    name: str
    net: str
    parameters: int
    bytes: int
    data: str
    recipe: str
    clean_accuracy: float
    clean_images: int
    robust_accuracy: float | None
    robust_images: int
    threat: str
    attacks: tuple[str, ...]
    certified_accuracy: float | None
    card: dict[str, Any]


def list_models() -> list[ModelInfo]:
    """The shipped nets, by name."""
    return [_info(_card(name)) for name in SHIPPED]


def shipped(name: str) -> Model:
    """Load a shipped net, on the CPU, in eval mode.

    Raises:
        InputError: no such net, or its file is not the one that its card describes.
    """
    import safetensors.torch

    from sparring.model import wrap
    from sparring.zoo.nets import make_net

    card = _card(name)
    contents = (WEIGHTS / f"{name}.safetensors").read_bytes()
    if hashlib.sha256(contents).hexdigest() != card["weights"]["sha256"]:
        raise InputError(f"the weights of {name} are not those of its card; install the package again")
    made = card["net"]
    net = make_net(made["name"], in_channels=made["in_channels"], num_classes=made["num_classes"], size=made["size"])
    net.load_state_dict(safetensors.torch.load(contents))
    return wrap(
        net.eval(),
        box=tuple(card["box"]),
        name=name,
        num_classes=made["num_classes"],
        input_size=(made["in_channels"], made["size"], made["size"]),
        classes=card["classes"],
    )


def _card(name: str) -> dict[str, Any]:
    if name not in SHIPPED:
        raise InputError(f"the package ships no net called {name!r}; there are: {', '.join(SHIPPED)}")
    card: dict[str, Any] = json.loads((WEIGHTS / f"{name}.json").read_text())
    return card


def _info(card: dict[str, Any]) -> ModelInfo:
    clean, robust = card["metrics"]["clean"], card["metrics"]["robust"]
    return ModelInfo(
        name=card["name"],
        net=card["net"]["name"],
        parameters=card["net"]["parameters"],
        bytes=card["weights"]["bytes"],
        data=card["data"]["spec"],
        recipe=card["recipe"],
        clean_accuracy=clean["accuracy"],
        clean_images=clean["images"],
        robust_accuracy=robust and robust["accuracy"],
        robust_images=robust["images"] if robust else 0,
        threat=f"{robust['threat']['norm']} {eps_text(robust['threat']['eps'])}" if robust else "",
        attacks=tuple(leg["attack"] for leg in robust["attacks"]) if robust else (),
        certified_accuracy=robust["certified"]["accuracy"] if robust and "certified" in robust else None,
        card=card,
    )
