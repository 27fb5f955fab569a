"""How the examiner watches a net: counts what passes through it, and compares its state before and after."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

HOOKS = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks")


@dataclass
class Tally:
    """Rows that went through a net. `steered`: forward passes that somebody could differentiate."""

    forward: int = 0
    backward: int = 0
    steered: int = 0


@contextmanager
def counted(net: nn.Module) -> Iterator[Tally]:
    """Count the rows that pass forwards and backwards through `net` while this is open, by hooks."""
    tally = Tally()

    def ahead(_: nn.Module, args: tuple[Any, ...]) -> None:
        tally.forward += len(args[0])
        tally.steered += len(args[0]) if args[0].requires_grad and torch.is_grad_enabled() else 0

    def back(_: nn.Module, to_input: Any, from_output: Any) -> None:
        tally.backward += len(from_output[0])

    hooks = [net.register_forward_pre_hook(ahead), net.register_full_backward_hook(back)]
    try:
        yield tally
    finally:
        for hook in hooks:
            hook.remove()


def state(net: nn.Module) -> dict[str, Any]:
    """All that an attack must leave alone, in a form that `differences` compares."""
    seen: dict[str, Any] = {"the global RNG": torch.random.get_rng_state()}
    seen["grad mode"] = torch.is_grad_enabled()
    for name, module in net.named_modules():
        label = name or type(module).__name__
        seen[f"the mode of {label}"] = module.training
        seen[f"the hooks of {label}"] = [len(getattr(module, hooks)) for hooks in HOOKS]
        seen[f"the attributes of {label}"] = sorted(module.__dict__)
    for name, parameter in net.named_parameters():
        seen[f"the weights {name}"] = parameter.detach().clone()
        seen[f"requires_grad of {name}"] = parameter.requires_grad
        seen[f"the gradient of {name}"] = None if parameter.grad is None else parameter.grad.clone()
    for name, buffer in net.named_buffers():
        seen[f"the buffer {name}"] = buffer.detach().clone()
    return seen


def differences(before: dict[str, Any], after: dict[str, Any]) -> list[str]:
    """What is not the same any more, in words."""
    return [name for name in {**before, **after} if not _same(before.get(name), after.get(name))]


def _same(a: Any, b: Any) -> bool:
    if isinstance(a, Tensor) and isinstance(b, Tensor):
        return a.shape == b.shape and torch.equal(a, b)
    return type(a) is type(b) and bool(a == b)
