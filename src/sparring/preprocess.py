"""A model behind transforms of its input, each of which declares how a gradient gets back through it (BPDA).

A stage that rounds, codes or shuffles pixels has no useful gradient, which stops an attacker only as long as he does
not put another in its place: forwards the stage, backwards a differentiable twin, or the identity where the stage
changes little. Athalye, Carlini & Wagner 2018, arXiv:1802.00420. Every stage here says what its twin is, so that every
defended model comes with the attack that is made for it: `Defended.exposed()`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Literal, TypeVar

import torch
from torch import Tensor, nn

from sparring.errors import InputError
from sparring.model import Model
from sparring.spec import Registry

Pixels = Callable[[Tensor], Tensor]
Backward = Literal["exact", "straight_through"] | Pixels


@dataclass(frozen=True)
class Stage:
    """One transform of the pixels, and what an attacker who knows it does about it.

    Args:
        run: pixels [B, ...] -> pixels, a function or a module.
        backward: "exact" = its own gradient is right; "straight_through" = as if it were the identity; or a
            differentiable twin: pixels -> what `run` gives, nearly.
        random: it draws anew at each call, so that gradients are worth averaging (`view="eot20"`).
        name: what reports call it.
    """

    run: Pixels
    backward: Backward
    random: bool = False
    name: str = ""

    def __post_init__(self) -> None:
        if not callable(self.run):
            raise InputError(f"the stage is a {type(self.run).__name__}; pass a function or module, pixels -> pixels")
        if not callable(self.backward) and self.backward not in ("exact", "straight_through"):
            raise InputError(
                f"the stage {self} declares backward={self.backward!r}; it must be 'exact', 'straight_through' (as if "
                "it were the identity) or a differentiable twin, a function of pixels"
            )

    def __str__(self) -> str:
        return self.name or getattr(self.run, "__name__", type(self.run).__name__)

    def exposed(self) -> Pixels:
        """The same forwards, with the declared way back."""
        if self.backward == "exact":
            return self.run
        return bpda(self.run, self.backward if callable(self.backward) else None)

    def surrogate(self) -> Stage:
        """A cheaper stage of the same kind, where `run` offers one by its method `surrogate`; else the same."""
        make = getattr(self.run, "surrogate", None)
        cheaper = make() if callable(make) else None
        return self if cheaper is None else cheaper


class Defended(Model):
    """A model whose images pass through stages first, the first stage first. Made by `sparring.defenses.defend`.

    Attributes:
        inner: the model behind the stages. stages: the stages. random: one of them draws anew at each call.
    """

    def __init__(self, inner: Model, stages: tuple[Stage, ...], *, adaptive: bool = False) -> None:
        super().__init__(
            inner.net, box=inner.box, access=inner.access, num_classes=inner.num_classes, outputs=inner.outputs,
            mode=inner.mode, name=f"{inner.name} behind {' | '.join(map(str, stages))}", input_size=inner.input_size,
            classes=inner.classes, success=inner.success, loss=inner.loss,
        )  # fmt: skip
        self.inner, self.stages, self.adaptive = inner, stages, adaptive
        self.random = any(stage.random for stage in stages) or getattr(inner, "random", False)
        self._path = [stage.exposed() if adaptive else stage.run for stage in stages]

    def raw(self, x: Tensor) -> Tensor:
        for stage, run in zip(self.stages, self._path, strict=True):
            seen, x = x, run(x)
            if not isinstance(x, Tensor) or len(x) != len(seen):
                what = f"shape {tuple(x.shape)}" if isinstance(x, Tensor) else f"a {type(x).__name__}"
                raise InputError(
                    f"the stage {stage} gave {what} for images of shape {tuple(seen.shape)}; it must map a batch of "
                    "images to as many"
                )
        return self.inner.raw(x)

    def read(self, raw: Tensor) -> Tensor:
        return self.inner.read(raw)

    def inspect(self, raw: Tensor, x: Tensor) -> None:
        """Refuse answers that can't be logits; a model that can only be asked says itself what its answers are."""
        if type(self.inner).inspect is Model.inspect:
            super().inspect(raw, x)
        else:
            self.inner.inspect(raw, x)

    def exposed(self) -> Defended:
        """The same classifier to the last bit, with gradients that pass through it as its stages declare."""
        return Defended(self.inner.exposed(), self.stages, adaptive=True)

    def surrogate(self) -> Defended | None:
        """The same classifier behind cheaper stages of the same kind, for searches; None where no stage offers one.

        It may answer otherwise, so what is found on it must be shown to the model itself.
        """
        cheaper = tuple(stage.surrogate() for stage in self.stages)
        return None if cheaper == self.stages else Defended(self.inner, cheaper, adaptive=self.adaptive)

    @contextmanager
    def guard(self) -> Iterator[None]:
        """As for any model; the modules among the stages and their twins are left as they were, too."""
        parts = [part for stage in self.stages for part in (stage.run, stage.backward) if isinstance(part, nn.Module)]
        with self.inner.guard(), Model(nn.ModuleList(parts), mode=self.mode).guard():
            yield


# --- gradients past a stage -----------------------------------------------------------------------------------


def bpda(stage: Pixels, twin: Pixels | None = None) -> nn.Module:
    """`stage` as a module with the gradient of `twin` (None = the identity): for any `nn.Sequential`.

    >>> rounded = bpda(torch.round)
    >>> x = torch.tensor([0.2, 0.7], requires_grad=True)
    >>> rounded(x).sum().backward()
    >>> rounded(x).tolist(), x.grad.tolist()
    ([0.0, 1.0], [1.0, 1.0])
    """
    return _Detour(stage, twin)


class _Detour(nn.Module):
    """Forwards the stage, to the last bit; backwards its twin."""

    def __init__(self, stage: Pixels, twin: Pixels | None) -> None:
        super().__init__()
        self.stage, self.twin = stage, twin

    def forward(self, x: Tensor) -> Tensor:
        with torch.no_grad():
            answer = self.stage(x.detach())
        if not (x.requires_grad and torch.is_grad_enabled()):
            return answer
        near = x if self.twin is None else self.twin(x)
        if near.shape != answer.shape:
            raise InputError(
                f"the stage turned shape {tuple(x.shape)} into {tuple(answer.shape)}, but the stand-in for its "
                f"gradient gives {tuple(near.shape)}; give a differentiable twin of the same shape"
            )
        return swap(answer.to(near), near)


def swap(answer: Tensor, near: Tensor) -> Tensor:
    """`answer` forwards, to the last bit; backwards the gradient goes to `near`, of the same shape."""
    swapped: Tensor = _Swap.apply(answer, near)  # type: ignore[no-untyped-call]
    return swapped


class _Swap(torch.autograd.Function):
    """The first forwards; the gradient goes to the second. Their sum and difference would round."""

    @staticmethod
    def forward(ctx: Any, answer: Tensor, near: Tensor) -> Tensor:
        return answer.view_as(answer)

    @staticmethod
    def backward(ctx: Any, slope: Tensor) -> tuple[None, Tensor]:
        return None, slope


# --- stages by name -------------------------------------------------------------------------------------------

STAGES: Registry[Callable[..., Pixels]] = Registry("stage")
"""The stages imported so far, by name; `sparring.defenses` has them all."""

Kind = TypeVar("Kind", bound=type)


def register_stage(name: str) -> Callable[[Kind], Kind]:
    """Class decorator: a stage that can be written by name, "name:value,field=value".

    The class has the attributes `backward` and `random` (see `Stage`); it is made with the values and `box=`, the box
    of the model's pixels, and called with pixels.
    """

    def enter(kind: Kind) -> Kind:
        for needed in ("backward", "random"):
            if not hasattr(kind, needed):
                raise InputError(f"the stage {name!r} does not declare {needed!r}; set it as an attribute of its class")
        STAGES.enter(kind, name)
        return kind

    return enter
