"""How the questions of an audit are put to a model, whoever asks: attacks, the judge, the proof, `sparring verify`.

Some models look at more than the image: at what they were asked before (`history.Restored`), or at the images beside
it (`Alone`). What an `Asked` model says is what the model itself says, asked so that there is nothing else to look at.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence

import torch
from torch import Tensor

from sparring.audit.probes.wrapped import Wrapped
from sparring.model import Model

AHEAD = 32
"clean images before those that are asked about: a model may be robust for the first of a batch"


class Asked(Wrapped):
    """The model `inner`, asked in another way."""

    @abstractmethod
    def around(self, other: Model) -> Asked:
        """Another model, asked in the same way."""

    def exposed(self) -> Model:
        """See `Model.exposed`."""
        other = self.inner.exposed()
        return self if other is self.inner else self.around(other)

    def surrogate(self) -> Model | None:
        """See `Defended.surrogate`."""
        make = getattr(self.inner, "surrogate", None)
        found = make() if callable(make) else None
        return self.around(found) if isinstance(found, Model) else None


class Alone(Asked):
    """The same model, asked for one image at a time: no image has neighbours, and each costs a pass of its own."""

    def around(self, other: Model) -> Alone:
        return Alone(other)

    def raw(self, x: Tensor) -> Tensor:
        asked, parts = questions(self, x)
        return torch.cat([asked.raw(part) for part in parts])


class Company(Asked):
    """The same model, asked in batches that begin with the images `ahead` [k, ...]: nothing else is among the first."""

    def __init__(self, inner: Model, ahead: Tensor) -> None:
        super().__init__(inner)
        self.ahead = ahead

    def around(self, other: Model) -> Company:
        return Company(other, self.ahead)

    def raw(self, x: Tensor) -> Tensor:
        return self.inner.raw(torch.cat([self.ahead.to(x), x]))[len(self.ahead) :]


def in_company(model: Model, x: Tensor) -> Model:
    """The model behind one that is asked for one image at a time, asked in batches, after some clean images of
    x [n, ...]; any other as it is."""
    return Company(model.inner, model.accept(x[:AHEAD])) if isinstance(model, Alone) else model


def questions(model: Model, x: Tensor) -> tuple[Model, Sequence[Tensor]]:
    """What is asked when the model is shown images x [n, ...], and the batches that it is asked for."""
    return (model.inner, torch.split(x, 1)) if isinstance(model, Alone) else (model, (x,))


def itself(model: Model) -> Model:
    """The model that is asked, however it is asked."""
    while isinstance(model, Asked):
        model = model.inner
    return model
