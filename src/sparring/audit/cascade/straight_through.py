"""Straight through: a model whose gradients go past whatever cuts or flattens them, without knowing what that is.

BPDA (Athalye, Carlini & Wagner 2018, arXiv:1802.00420) needs to know the stage that hides the gradient. Two searches
find most: operations that are flat or cut the graph (round, sign, comparisons, detach, no_grad) are stood in for by
the identity while the model runs (arg max and one-hot by the scores behind them), and what turns gradients off is
passed over. So are modules that hand on what they are given in the same shape, and give back
no gradient at all. Forwards nothing changes, to the last bit.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from copy import copy
from typing import Any
from unittest.mock import patch

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from sparring.audit.probes.wrapped import Wrapped
from sparring.model import Model
from sparring.preprocess import swap

FLAT = {"round", "floor", "ceil", "trunc", "fix", "sign", "sgn", "detach", "round_", "floor_", "sign_"}
COMPARED = {"gt": 1.0, "ge": 1.0, "__gt__": 1.0, "__ge__": 1.0, "lt": -1.0, "le": -1.0, "__lt__": -1.0, "__le__": -1.0}
"comparisons, and whether their answer rises or falls with what is compared"
LEAVES = {"numpy", "__array__", "tolist", "item"}
"where values leave for another library; what comes back has no gradient in any case"
CAST = {"float", "double", "to", "type", "type_as", "half", "bfloat16"}
WHOLE = {"int", "long", "short", "byte", "char", "to", "type"}
"casts to whole numbers"
ARITHMETIC = {
    "mul", "__mul__", "__rmul__", "div", "__truediv__", "true_divide", "add", "__add__", "__radd__", "sub", "__sub__",
    "__rsub__", "__rtruediv__",
}  # fmt: skip
LIMITS = {"clamp", "clip", "clamp_min", "clamp_max"}
"flat beyond their limits"


DATA = torch.Tensor.data.__get__  # type: ignore[attr-defined]


@contextmanager
def without_inference_mode() -> Iterator[None]:
    """Inside, `torch.inference_mode` does nothing: it is one more way to turn gradients off."""
    with ExitStack() as stack:
        for name in ("__enter__", "__exit__"):
            stack.enter_context(patch.object(torch.inference_mode, name, lambda *args: None))
        yield


class Straight(TorchFunctionMode):
    """Inside: flat operations pass gradients on as if they were the identity, and nothing turns gradients off."""

    def __init__(self) -> None:
        super().__init__()
        self._source: dict[int, tuple[Tensor, Tensor, float]] = {}  # truth values, what was compared, its direction
        self._ranked: dict[int, tuple[Tensor, Tensor]] = {}  # numbers of the largest, and what they are the largest of

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = getattr(func, "__name__", "")
        if name == "_set_grad_enabled":  # no_grad: as if it were not there
            return None
        first = args[0] if args and isinstance(args[0], Tensor) else None
        if name in LEAVES and first is not None and first.requires_grad:  # a detach before it was passed over
            return func(first.detach(), *args[1:], **(kwargs or {}))
        if func == DATA and first is not None and first.requires_grad:  # x.data: x itself
            return first
        answer = func(*args, **(kwargs or {}))
        if first is None or not isinstance(answer, Tensor):
            return answer
        if name == "argmax" and first.requires_grad and answer.dim() == first.dim() - 1:
            self._ranked[id(answer)] = (answer, first)
            return answer
        if name == "one_hot" and id(first) in self._ranked:
            ranked = self._ranked[id(first)][1]
            if ranked.shape == answer.shape:
                self._source[id(answer)] = (answer, ranked, 1.0)
            return answer
        if answer.shape != first.shape:
            return answer
        if name in ARITHMETIC and id(first) in self._source:
            _, compared, way = self._source[id(first)]
            smooth = func(way * compared, *args[1:], **(kwargs or {}))
            if answer.is_floating_point():
                return swap(answer.detach(), smooth)
            self._source[id(answer)] = (answer, smooth, 1.0)
            return answer
        if name in WHOLE and first.requires_grad and not answer.is_floating_point():
            self._source[id(answer)] = (answer, first, 1.0)
            return answer
        if name in LIMITS and first.requires_grad and not any(isinstance(one, Tensor) for one in args[1:]):
            return swap(answer.detach(), first)
        if name in FLAT and first.requires_grad and answer.is_floating_point():
            return swap(answer.detach(), first)
        if name in COMPARED and first.requires_grad:
            self._source[id(answer)] = (answer, first, COMPARED[name])
        elif name in CAST and id(first) in self._source and answer.is_floating_point():
            _, compared, way = self._source[id(first)]
            return swap(answer.detach(), way * compared)
        return answer


class Detoured(Wrapped):
    """The same classifier, its gradients past all that hides them.

    Args:
        blind: modules to be stood in for by the identity. straight: flat operations, too.
    """

    def __init__(self, inner: Model, blind: list[nn.Module], straight: bool = True) -> None:
        super().__init__(inner)
        self.blind, self.straight = blind, straight

    def raw(self, x: Tensor) -> Tensor:
        if not x.requires_grad:
            return self.inner.raw(x)
        with ExitStack() as stack:
            for module in self.blind:
                stack.callback(module.register_forward_hook(_pass_on).remove)
            if self.straight:
                stack.enter_context(without_inference_mode())
                stack.enter_context(Straight())
            return self._asked(x)

    def _asked(self, x: Tensor) -> Tensor:
        """What the model answers with the detours in place."""
        return self.inner.raw(x)


def detour(model: Model, x: Tensor) -> Detoured:
    """The model with a way past what hides its gradients. `x`: a few images to find it with.

    A model that cannot work where detach and no_grad do nothing (it changes its state in place, or optimises while it
    answers) is left its flat operations.
    """
    blind = blind_modules(model, x)
    made = Detoured(model, blind)
    with model.guard():
        try:
            point = model.accept(x).requires_grad_()
            answer = made.logits(point)
            if answer.requires_grad:
                torch.autograd.grad(answer.sum(), point, allow_unused=True)
        except (RuntimeError, TypeError):
            return Detoured(model, blind, straight=False)
    return made


def blind_modules(model: Model, x: Tensor) -> list[nn.Module]:
    """The modules that answer in the shape of their input, change with it, and give it no gradient."""
    net = copy(model).net
    if not isinstance(net, nn.Module):
        return []
    seen: dict[nn.Module, Tensor] = {}
    hooks = [
        module.register_forward_pre_hook(_keep(seen)) for module in net.modules() if not isinstance(module, nn.Dropout)
    ]
    with model.guard(), torch.no_grad():
        try:
            model.raw(model.accept(x))
        finally:
            for hook in hooks:
                hook.remove()
        with torch.enable_grad():
            return [module for module, given in seen.items() if _blind(module, given)]


def _keep(seen: dict[nn.Module, Tensor]) -> Callable[..., None]:
    def keep(module: nn.Module, args: tuple[Any, ...]) -> None:
        if len(args) == 1 and isinstance(args[0], Tensor) and args[0].is_floating_point():
            seen.setdefault(module, args[0].detach())

    return keep


def _blind(module: nn.Module, given: Tensor) -> bool:
    """No gradient at all, though the answer is no constant."""
    point = given.clone().requires_grad_()
    answer = module(point)
    if not isinstance(answer, Tensor) or answer.shape != given.shape or not answer.is_floating_point():
        return False
    if not answer.requires_grad:
        return True
    weight = torch.linspace(1.0, 2.0, answer.numel(), dtype=answer.dtype, device=answer.device).reshape(answer.shape)
    (slope,) = torch.autograd.grad((answer * weight).sum(), point, allow_unused=True)
    return slope is None or not bool(slope.any())


def _pass_on(module: nn.Module, args: tuple[Any, ...], answer: Tensor) -> Tensor | None:
    """A forward hook: the answer as it is, its gradient to the input."""
    return swap(answer.detach(), args[0]) if args[0].requires_grad else None
