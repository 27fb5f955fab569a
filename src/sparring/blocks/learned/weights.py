"""What an attack has learned: named tensors and a card, in memory or in a folder, and how a spec names it.

A folder holds `weights.safetensors` and `card.json`; nothing is unpickled. The card has the digest of the weights.
"""

from __future__ import annotations

import hashlib
import json
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import quote, unquote
from weakref import WeakValueDictionary

import safetensors.torch
from pydantic import BeforeValidator, PlainSerializer, WithJsonSchema
from safetensors import SafetensorError
from torch import Tensor

from sparring.checkpoint import to_safetensors
from sparring.errors import InputError
from sparring.storage import finite, write

FORMAT = "sparring-attack-1"
CARD, TENSORS = "card.json", "weights.safetensors"
LIMIT = 1 << 30
"bytes of a weights file that are read at most"
MEMORY = "memory-"
"how a spec names what was never saved: this, and the beginning of the digest"
_HELD: WeakValueDictionary[str, Weights] = WeakValueDictionary()


class Weights:
    """What one attack has learned. Equal if the tensors and the settings are.

    Args:
        card: plain values: what it is and how it was fitted, see `sparring.fitting`.
        tensors: the state of its net. folder: where it lies on disk; None = in memory alone.
    """

    def __init__(self, card: dict[str, Any], tensors: dict[str, Tensor], folder: Path | None = None) -> None:
        self.tensors, self.folder = tensors, folder
        self.contents = to_safetensors(tensors)
        self.digest = hashlib.sha256(self.contents).hexdigest()
        self.card = json.loads(json.dumps(finite(card)))
        self.nets: dict[str, Any] = {}
        "the net, built once for each device"
        if folder is None:
            _HELD[self.name] = self

    @property
    def name(self) -> str:
        """How a spec names it: the folder, or a name that this process knows."""
        if self.folder is None:
            return MEMORY + self.digest[:16]
        return quote(str(self.folder), safe="/:~ \\")

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Weights) and self.digest == other.digest

    def __hash__(self) -> int:
        return hash(self.digest)

    def __repr__(self) -> str:
        return f"<{self.name}>"

    def __deepcopy__(self, memo: dict[int, Any]) -> Weights:
        return self  # nothing writes to it

    def __reduce__(self) -> tuple[Any, ...]:
        return Weights, (self.card, self.tensors, self.folder)

    def save(self, folder: str | Path) -> Path:
        """Write both files; the card last, so that a folder with a card is whole. Returns the folder."""
        folder = Path(folder)
        write(folder / TENSORS, self.contents, durable=True)
        known = {"file": TENSORS, "bytes": len(self.contents), "sha256": self.digest}
        whole = {"format": FORMAT, **self.card, "weights": known}
        write(folder / CARD, json.dumps(whole, indent=1, ensure_ascii=False) + "\n", durable=True)
        return folder

    @classmethod
    def load(cls, folder: str | Path) -> Weights:
        """Read both files.

        Raises:
            InputError: the folder holds no fitted attack, or the weights are not those of the card.
        """
        folder = Path(folder)
        card = read_card(folder)
        path = folder / TENSORS
        if not path.is_file() or path.stat().st_size > LIMIT:
            raise InputError(f"{path} is missing or larger than the weights of an attack can be; fit it again")
        contents = path.read_bytes()
        if hashlib.sha256(contents).hexdigest() != card["weights"]["sha256"]:
            raise InputError(f"the weights in {folder} are not those of its card; fit it again or copy both files")
        try:
            return cls(card, safetensors.torch.load(contents), folder)
        except SafetensorError as error:
            raise InputError(f"{path} is no safetensors file: {error}") from None


def read_card(folder: str | Path) -> dict[str, Any]:
    """The card of a fitted attack.

    Raises:
        InputError: the folder holds none.
    """
    path = Path(folder) / CARD
    try:
        card: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        if card["format"] != FORMAT:
            raise KeyError(card["format"])
        _ = card["attack"], card["settings"], card["shape"], card["classes"], card["threat"], card["weights"]["sha256"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(
            f"{folder} holds no fitted attack ({error!r}); fit one: sparring attack uap --fit --model mnist-cnn "
            "--data mnist5k --eps 0.3 --out runs/uap"
        ) from None
    return card


def holds_attack(folder: str | Path) -> bool:
    """Whether the folder holds a fitted attack."""
    try:
        read_card(folder)
    except InputError:
        return False
    return True


def _read(value: Any) -> Any:
    """A field as people write it: a folder, or the name of what this process holds in memory."""
    if isinstance(value, Path):
        return Weights.load(value)
    if not isinstance(value, str):
        return value
    if value in _HELD:
        return _HELD[value]
    if value.startswith(MEMORY):
        raise InputError(f"the fitted attack {value} was in the memory of another process; save it: .save(folder)")
    folder = Path(unquote(value))
    card = folder / CARD
    return _unchanged(folder, card.stat().st_mtime_ns) if card.is_file() else Weights.load(folder)


@lru_cache(maxsize=4)
def _unchanged(folder: Path, written: int) -> Weights:
    """Read once a process, and again when its card was written anew: an audit builds a spec again and again."""
    return Weights.load(folder)


LearnedWeights = Annotated[
    Weights | None,
    BeforeValidator(_read),
    PlainSerializer(lambda weights: None if weights is None else weights.name, return_type=str | None),
    WithJsonSchema({"anyOf": [{"type": "string", "examples": ["runs/uap"]}, {"type": "null"}]}),
]
"""What the attack has learned, as a field: a folder in specs; none = it has to be fitted first."""
