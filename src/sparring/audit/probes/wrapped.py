"""A model around another: the same classifier, looked at or asked in another way."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from torch import Tensor

from sparring.model import Model


class Wrapped(Model):
    """What the model `inner` is, unless a subclass says otherwise."""

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
