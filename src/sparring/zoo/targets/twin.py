"""`--twin`: a deployed file judges, a differentiable net that is nearly the same shows the way.

The class is always the file's, so no success is the twin's alone. Where both name the same class the logits are the
twin's: an 8-bit softmax says 0 of nearly every class, which leads nowhere. Where they differ, the logit of the file's
class is raised above the twin's largest, by as much as the file says.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor

from sparring.errors import InputError, OutputError
from sparring.model import Model
from sparring.outputs import classes

LEAST, MOST = 1e-3, 10.0
"of the file's lead, in logits"


class Twinned(Model):
    """`deployed` with the gradients of `twin`. A query asks both; a gradient is one backward pass of the twin.

    Raises:
        InputError: they take pixels in different boxes, or the twin has no gradients or another number of classes.
    """

    def __init__(self, deployed: Model, twin: Model) -> None:
        if twin.access != "gradient":
            raise InputError(f"the twin {twin.name} grants only {twin.access} access; a differentiable net is needed")
        if tuple(deployed.box) != tuple(twin.box):
            raise InputError(f"{deployed.name} takes pixels in {deployed.box}, its twin {twin.name} in {twin.box}")
        super().__init__(
            twin.net,
            box=deployed.box,
            num_classes=deployed.num_classes or twin.num_classes,
            mode=twin.mode,
            name=f"{deployed.name} with the gradients of {twin.name}",
            input_size=deployed.input_size or twin.input_size,
            classes=deployed.classes or twin.classes,
        )
        self.deployed, self.twin = deployed, twin
        self.resize = twin.resize if self.input_size == twin.input_size else None
        self.sha256 = getattr(deployed, "sha256", None)

    def raw(self, x: Tensor) -> Tensor:
        """Logits [B, K]: the class of the file, the slopes of the twin."""
        near = self.twin.logits(x)
        with torch.no_grad():
            said = self.deployed.logits(x.detach()).to(near)
            if said.shape != near.shape:
                raise OutputError(
                    f"{self.deployed.name} has {said.shape[1]} classes, its twin {near.shape[1]}: "
                    "they are not the same classifier (1,001 classes: number 0 is the background)"
                )
            label, top = classes(said), near.argmax(1)
            here = label.clamp(min=0)[:, None]
            lead = (said.gather(1, here) - said.gather(1, top[:, None])).clamp(LEAST, MOST)
            lift = near.gather(1, top[:, None]) + lead - near.gather(1, here)
            moved = torch.zeros_like(near).scatter(1, here, lift).masked_fill((label == top)[:, None], 0.0)
            moved = moved.masked_fill((label < 0)[:, None], float("nan"))
        return near + moved

    def read(self, raw: Tensor) -> Tensor:
        """They are logits already."""
        return raw

    def answer(self, x: Tensor) -> Any:
        """Refused: what lies outside the box is no picture for the file."""
        raise OutputError(f"{self.name} can be asked about pictures only, pixels in {self.box}")

    def inspect(self, raw: Tensor, x: Tensor) -> None:
        """Refuse NaN and Inf in answers to clean images."""
        self.refuse_broken(~raw.reshape(len(x), -1).isfinite().all(1))

    @contextmanager
    def guard(self) -> Iterator[None]:
        """Both are left exactly as they were."""
        with self.deployed.guard(), self.twin.guard(), super().guard():
            yield


def with_twin(deployed: Model, twin: Model) -> Model:
    """`deployed` as it is, except that attacks get the gradients of `twin`, see `Twinned`."""
    return Twinned(deployed, twin)
