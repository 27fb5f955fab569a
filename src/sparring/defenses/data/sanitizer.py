"""What every sanitizer of training data gives: a score for each sample, and which samples to keep."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, field, fields
from typing import Any, ClassVar, dataclass_transform

import torch
from pydantic import ConfigDict
from pydantic.dataclasses import dataclass as validated
from torch import Tensor, nn

from sparring.data.images import ImageData
from sparring.defenses.training.learners import Learner, NetLearner
from sparring.errors import InputError
from sparring.spec import Registry


@dataclass(frozen=True)
class Sanitized:
    """What a sanitizer found.

    Attributes:
        scores: [N], higher = more suspicious. keep: bool [N], False = to be left out.
        notes: figures about the search.
    """

    scores: Tensor
    keep: Tensor
    notes: dict[str, Any] = field(default_factory=dict)

    @property
    def dropped(self) -> Tensor:
        """The numbers of the samples to leave out, int64."""
        found: Tensor = (~self.keep).nonzero().flatten()
        return found


@dataclass
class Evidence:
    """What a sanitizer may look at.

    Attributes:
        data: the training set under suspicion. learner: how nets are trained on it. seed: of every training.
        clean: a small trusted set, for those that need one.
    """

    data: ImageData
    learner: Learner
    seed: int
    clean: ImageData | None
    _net: nn.Module | None = None

    @property
    def net(self) -> nn.Module:
        """A net trained on the suspicious data: the one that was given, else one that is trained now."""
        if self._net is None:
            self._net = self.learner.learn(self.data, self.seed)
        return self._net

    def trusted(self, name: str) -> ImageData:
        """The trusted set.

        Raises:
            InputError: there is none.
        """
        if self.clean is None:
            raise InputError(f"{name} needs a small trusted set; give clean= (--clean on the command line)")
        return self.clean


class Sanitizer(ABC):
    """Finds suspicious samples of a training set. Subclasses are frozen dataclasses with one method, `inspect`.

    Args:
        data: the training set. learner: how nets are trained on it (default: `wong`). net: one that is trained on it
            already. clean: a small trusted set. seed: of every training.
    """

    name: ClassVar[str]
    paper: ClassVar[str]

    @abstractmethod
    def inspect(self, evidence: Evidence) -> Sanitized:
        """Scores and the keep-mask."""

    def __call__(
        self,
        data: ImageData,
        *,
        learner: Learner | None = None,
        net: nn.Module | None = None,
        clean: ImageData | None = None,
        seed: int = 0,
    ) -> Sanitized:
        return self.inspect(Evidence(data, learner or NetLearner(), seed, clean, net))

    @property
    def spec(self) -> str:
        """This sanitizer as text, with the fields that differ from the defaults."""
        default = type(self)()
        changed = [
            f"{one.name}={getattr(self, one.name)}"
            for one in fields(self)  # type: ignore[arg-type]
            if getattr(self, one.name) != getattr(default, one.name)
        ]
        return self.name + (":" + ",".join(changed) if changed else "")


SANITIZERS: Registry[type[Sanitizer]] = Registry("sanitizer")
"""The sanitizers imported so far, by name; `sparring.defenses.data` has them all."""


@dataclass_transform(frozen_default=True)
def register_sanitizer(name: str, *, paper: str) -> Callable[[type[Any]], type[Any]]:
    """Class decorator: makes a sanitizer a frozen validated dataclass and lists it."""

    def enter(cls: type[Any]) -> type[Any]:
        made: Any = validated(frozen=True, config=ConfigDict(extra="forbid"))(cls)
        made.name, made.paper = name, paper
        SANITIZERS.enter(made, name)
        return made  # type: ignore[no-any-return]

    return enter


def largest(scores: Tensor, count: int) -> Tensor:
    """bool [N]: True but for the `count` largest scores; of equal ones the first go."""
    keep = torch.ones(len(scores), dtype=torch.bool)
    keep[scores.argsort(descending=True, stable=True)[:count]] = False
    return keep
