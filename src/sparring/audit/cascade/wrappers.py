"""How an adaptive attacker looks at a model: the same classifier, seen so that attacks can steer.

Every subject gives the same classes as the model itself, so what fools one fools the other; the proof shows all
adversarial images to the model as it is once more.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from torch import Tensor

from sparring.audit.cascade.inner_tensor import climbed
from sparring.audit.cascade.straight_through import detour
from sparring.errors import InputError
from sparring.model import Model


class Seen(Model):
    """A model, looked at in another way: what `inner` is, unless a subclass says otherwise."""

    def __init__(self, inner: Model) -> None:
        self.__dict__.update(inner.__dict__)
        self.inner = inner

    def raw(self, x: Tensor) -> Tensor:
        return self.inner.raw(x)

    def read(self, raw: Tensor) -> Tensor:
        return self.inner.read(raw)

    @contextmanager
    def guard(self) -> Iterator[None]:
        """As for the model itself."""
        with self.inner.guard():
            yield


class Rescaled(Seen):
    """Logits divided by a constant, so that a softmax of them can be differentiated."""

    def __init__(self, inner: Model, scale: float) -> None:
        super().__init__(inner)
        self.scale = scale

    def read(self, raw: Tensor) -> Tensor:
        return self.inner.read(raw) / self.scale


def subject(model: Model, name: str, x: Tensor) -> Model:
    """The model as `name` says: "" = as it is, "exposed", "detour", "rescaled:T", "inner:N:K" (the N-th
    inner tensor, of K classes).

    `x`: a few images, to find a detour with.
    """
    kind, _, value = name.partition(":")
    if not kind:
        return model
    if kind == "exposed":
        return model.exposed()
    if kind == "detour":
        return detour(model, x[:2])
    if kind == "rescaled":
        return Rescaled(model, float(value))
    if kind == "inner":
        number, _, classes = value.partition(":")
        return climbed(model, int(number), x, int(classes))
    raise InputError(f"a model cannot be looked at as {name!r}; there are exposed, detour, rescaled:T and inner:N:K")
