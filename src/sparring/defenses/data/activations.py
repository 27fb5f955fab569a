"""The activations before the last layer: what several defenses look at."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from sparring.data.images import ImageData
from sparring.errors import InputError
from sparring.model import wrap


def last_linear(net: nn.Module) -> nn.Linear:
    """The last linear layer, the one that gives the logits.

    Raises:
        InputError: there is none.
    """
    found = [module for module in net.modules() if isinstance(module, nn.Linear)]
    if not found:
        raise InputError(f"the net ({type(net).__name__}) has no linear layer; its activations cannot be found")
    return found[-1]


def activations(net: nn.Module, data: ImageData, batch_size: int = 500) -> tuple[Tensor, Tensor]:
    """What the last linear layer is given, float64 [N, d], and the logits [N, K], in eval mode."""
    seen: list[Tensor] = []

    def watch(module: nn.Module, inputs: tuple[Any, ...]) -> None:
        seen.append(inputs[0].detach().flatten(1).double().cpu())

    model, logits = wrap(net), []
    handle = last_linear(net).register_forward_pre_hook(watch)
    try:
        with model.guard(), torch.no_grad():
            logits = [model.logits(model.accept(x)).cpu() for x, _ in data.loader(batch_size)]
    finally:
        handle.remove()
    return torch.cat(seen), torch.cat(logits)
