"""`hf:NAME_OR_DIR#prompts=FILE`: a model of pictures and texts (CLIP, SigLIP) as a classifier by prompts.

Each class is a text. Its features are computed once; the logit of a class is the cosine between the features of
picture and text, times the scale that the model has learned. Radford et al. 2021, arXiv:2103.00020.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from sparring.errors import InputError

TEMPLATE = "a photo of a {}."
"what CLIP's paper puts around a class name"


def read_prompts(path: Path) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Class names and their texts, from a file with one class a line: its name, or its name, a tab and the whole text.

    Raises:
        InputError: no such file, no text, fewer than two classes, or a class twice.
    """
    try:
        lines = [line.strip() for line in path.expanduser().read_text(encoding="utf-8").splitlines()]
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"prompts={path} cannot be read ({type(error).__name__}); give a text file") from None
    parts = [line.partition("\t") for line in lines if line]
    names = tuple(name.strip() for name, _, _ in parts)
    if len(names) < 2 or len(set(names)) < len(names):
        seen = f"{len(set(names))} different classes in {len(names)} lines"
        raise InputError(f"prompts={path} has {seen}; give each of two or more classes a line")
    return names, tuple(text.strip() or TEMPLATE.format(name.strip()) for name, _, text in parts)


class ZeroShot(nn.Module):
    """The classifier [B, 3, H, W] -> [B, K] made of a two-tower model and K texts.

    Args:
        towers: a transformers model with `get_image_features`, `get_text_features` and `logit_scale`.
        tokens: the K texts as its tokenizer gives them, padded alike.
    """

    texts: Tensor

    def __init__(self, towers: Any, tokens: dict[str, Tensor]) -> None:
        super().__init__()
        self.towers = towers
        with torch.no_grad():
            self.register_buffer("texts", _unit(towers.get_text_features(**tokens)))

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = (
            _unit(self.towers.get_image_features(pixel_values=x)) @ self.texts.T * self.towers.logit_scale.exp()
        )
        bias = getattr(self.towers, "logit_bias", None)
        return logits if bias is None else logits + bias


def zero_shot(transformers: Any, towers: Any, source: str, prompts: Sequence[str]) -> ZeroShot:
    """`towers` with the texts of its classes.

    Raises:
        InputError: it has no such towers, or no tokenizer is in `source`.
    """
    if not all(hasattr(towers, name) for name in ("get_image_features", "get_text_features", "logit_scale")):
        raise InputError(f"hf:{source} is a {type(towers).__name__}, which does not compare pictures with texts")
    try:
        tokenizer = transformers.AutoTokenizer.from_pretrained(source)
    except Exception as error:  # whatever the hub, the files or a missing package raise
        raise InputError(
            f"hf:{source} has no tokenizer that loads ({type(error).__name__}); save it beside the model"
        ) from error
    long = getattr(getattr(towers.config, "text_config", None), "max_position_embeddings", None)
    tokens = tokenizer(list(prompts), padding="max_length", max_length=long, truncation=True, return_tensors="pt")
    wanted = {"input_ids", "attention_mask"} & set(tokenizer.model_input_names)
    return ZeroShot(towers, {key: tokens[key] for key in wanted})


def _unit(features: Any) -> Tensor:
    rows: Tensor = features if isinstance(features, Tensor) else features.pooler_output
    unit: Tensor = rows / rows.norm(dim=-1, keepdim=True)
    return unit
