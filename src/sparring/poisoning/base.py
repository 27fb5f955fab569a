"""`Poison`: a change of a training set with a record of it, and `register`, which enters attacks into the register.

An attack decides which samples change and how. Everything else is done here for all of them: what the adversary sees,
the budget, rounding to 8 bits, the view of the data set, the manifest.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, field, fields
from typing import Annotated, Any, ClassVar, dataclass_transform

import torch
from pydantic import BeforeValidator, ConfigDict, TypeAdapter, ValidationError
from pydantic.dataclasses import dataclass as validated
from torch import Tensor

from sparring._version import __version__
from sparring.data.images import ImageData
from sparring.defenses.training.learners import Learner, LinearLearner, NetLearner
from sparring.errors import InputError
from sparring.poisoning.knowledge import Knowledge
from sparring.poisoning.triggers import Trigger
from sparring.seeds import derived_seed, whole_seed
from sparring.shares import parse_share
from sparring.spec import Registry

Share = Annotated[float, BeforeValidator(lambda value: parse_share(value, "share"))]
"""A share in [0, 1], written 0.05 or 5%."""


@dataclass(frozen=True)
class Target:
    """One image of the held-out data that the victim shall take for another class.

    Attributes:
        number: its place in the held-out data. x: pixels [C, H, W]. true: its class.
        label: the class that it shall get.
    """

    number: int
    x: Tensor
    true: int
    label: int


@dataclass(frozen=True)
class View:
    """What the adversary works with.

    Attributes:
        data: the training images that it sees. budget: how many of them it may change.
        seed: for everything it draws. knows: its knowledge. victim: the learner under attack, as far as it knows it.
        features: the frozen net of a transfer learner, where there is one. held_out: images outside the training set.
    """

    data: ImageData
    budget: int
    seed: int
    knows: Knowledge
    victim: Learner
    features: torch.nn.Sequential | None
    held_out: ImageData | None

    def draw(self, count: int, among: Tensor, tag: str = "samples") -> Tensor:
        """`count` different entries of `among`, int64 [N], at random and sorted."""
        generator = torch.Generator().manual_seed(derived_seed(self.seed, tag))
        return among[torch.randperm(len(among), generator=generator)[:count]].sort().values

    def surrogate(self) -> Learner:
        """The learner that the adversary trains itself."""
        return self.knows.surrogate(self.victim)


@dataclass(frozen=True)
class Change:
    """What an attack asks for.

    Attributes:
        rows: int64 [M], places in the view's data. images: float [M, C, H, W] in [0, 1], or None = as they were.
        labels: int64 [M], or None = as they were. trigger: what makes the victim answer `aim`, where there is one.
        target: the one image that is aimed at, where there is one. aim: the class that is wanted, where there is one.
        notes: figures about the search, for the manifest.
    """

    rows: Tensor
    images: Tensor | None = None
    labels: Tensor | None = None
    trigger: Trigger | None = None
    target: Target | None = None
    aim: int | None = None
    notes: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Poisoned:
    """A poisoned training set.

    Attributes:
        data: the images, a view over the clean ones. clean: the clean ones. changed: the numbers of the samples that
            differ, int64 [M], sorted. change: what the attack asked for. manifest: plain values that repeat it.
    """

    data: ImageData
    clean: ImageData
    changed: Tensor
    change: Change
    manifest: dict[str, Any]

    @property
    def mask(self) -> Tensor:
        """bool [N]: which samples differ."""
        found = torch.zeros(len(self.data), dtype=torch.bool)
        found[self.changed] = True
        return found


class Poison(ABC):
    """An attack on training data. Subclasses are frozen dataclasses with one method, `change`.

    Calling one gives a poisoned view of a training set; the clean one stays as it is.

    Args:
        data: the training images. seed: the same seed gives the same set. knows: what the adversary knows.
        victim: the learner under attack (default: `wong` with its defaults). features: the frozen net of a transfer
            learner. held_out: images outside the training set, for attacks on one of them.
    """

    info: ClassVar[PoisonInfo]
    share: Share

    @abstractmethod
    def change(self, view: View) -> Change:
        """What to change in the data that the adversary sees."""

    def __call__(
        self,
        data: ImageData,
        *,
        seed: int = 0,
        knows: Knowledge | None = None,
        victim: Learner | None = None,
        features: torch.nn.Sequential | None = None,
        held_out: ImageData | None = None,
    ) -> Poisoned:
        seed, knows = whole_seed(seed), knows or Knowledge()
        seen = _seen(data, knows, seed)
        budget = self.budget(len(data))
        if budget > len(seen):
            raise InputError(
                f"share={self.share:g} of {len(data)} images is {budget}, but the adversary sees {len(seen)}; "
                "lower the share, or let it know the data"
            )
        learner = victim or (LinearLearner() if self.info.linear else NetLearner())
        found = self.change(View(data.subset(seen), budget, seed, knows, learner, features, held_out))
        rows = seen[found.rows]
        poisoned = data.replaced(rows, images=found.images, labels=found.labels)
        changed = rows.sort().values
        return Poisoned(
            poisoned, data, changed, found, self._manifest(data, poisoned, changed, found, seed, knows, learner)
        )

    def budget(self, n: int) -> int:
        """How many of n samples may change: the share, rounded to the nearest whole number."""
        return int(self.share * n + 0.5)

    @property
    def spec(self) -> str:
        """This attack as text, with its share and the fields that differ from the defaults."""
        mine, default = self.settings(), type(self)().settings()
        changed = [f"{name}={value}" for name, value in mine.items() if name == "share" or value != default[name]]
        return f"{self.info.name}:{','.join(changed)}"

    def settings(self) -> dict[str, Any]:
        """The fields as plain values for JSON."""
        plain: dict[str, Any] = TypeAdapter(type(self)).dump_python(self, mode="json")
        return plain

    def _manifest(
        self,
        clean: ImageData,
        poisoned: ImageData,
        changed: Tensor,
        change: Change,
        seed: int,
        knows: Knowledge,
        victim: Learner,
    ) -> dict[str, Any]:
        target = change.target
        return {
            "poison": self.spec,
            "settings": self.settings(),
            "seed": seed,
            "knows": knows.to_dict(),
            "victim": victim.spec,
            "data": clean.name,
            "split": clean.split,
            "n": len(clean),
            "classes": list(clean.classes),
            "clean_fingerprint": clean.fingerprint(),
            "fingerprint": poisoned.fingerprint(),
            "changed": changed.tolist(),
            "labels_before": clean.labels[changed].tolist(),
            "labels_after": poisoned.labels[changed].tolist(),
            "pixels_changed": change.images is not None,
            "aim": change.aim,
            "target": None if target is None else {
                "number": target.number, "true": target.true, "label": target.label
            },
            "trigger": None if change.trigger is None else change.trigger.to_dict(),
            "notes": change.notes,
            "sparring": __version__,
        }  # fmt: skip


def _seen(data: ImageData, knows: Knowledge, seed: int) -> Tensor:
    """The numbers of the training images that the adversary sees: all, or a random half."""
    if knows.data:
        return torch.arange(len(data))
    generator = torch.Generator().manual_seed(derived_seed(seed, "seen"))
    return torch.randperm(len(data), generator=generator)[: (len(data) + 1) // 2].sort().values


# --- the register -------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class PoisonInfo:
    """What there is to know about an attack on training data.

    Attributes:
        name: how specs call it. cls: the class. title: how the field calls it. paper, year: where it comes from.
        goal: "availability" = accuracy falls, "backdoor" = a trigger decides, "target" = one image is misclassified.
        uses: the parts of the knowledge that it makes use of. clean_label: labels stay right.
        linear: the surrogate is a linear learner.
    """

    name: str
    cls: type[Poison]
    title: str
    paper: str
    year: int
    goal: str
    uses: tuple[str, ...]
    clean_label: bool
    linear: bool = False

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        plain = {one.name: getattr(self, one.name) for one in fields(self) if one.name != "cls"}
        return plain | {"fields": self.cls().settings()}


POISONS: Registry[PoisonInfo] = Registry("poison", lambda info: info.cls)
"""The attacks imported so far, by name and alias; `sparring.poisoning` has them all."""


@dataclass_transform(frozen_default=True)
def register(
    name: str,
    *aliases: str,
    title: str,
    paper: str,
    year: int,
    goal: str,
    uses: tuple[str, ...] = ("data",),
    clean_label: bool = False,
    linear: bool = False,
) -> Callable[[type[Any]], type[Any]]:
    """Class decorator: makes an attack a frozen validated dataclass and lists it. Arguments: see `PoisonInfo`."""

    def enter(cls: type[Any]) -> type[Any]:
        made: Any = validated(frozen=True, config=ConfigDict(extra="forbid"))(cls)
        made.info = PoisonInfo(name, made, title, paper, year, goal, uses, clean_label, linear)
        POISONS.enter(made.info, name, *aliases)
        return made  # type: ignore[no-any-return]

    return enter


def build(info: PoisonInfo, values: dict[str, Any]) -> Poison:
    """An attack from its register entry and plain values.

    Raises:
        InputError: about the first value that does not fit.
    """
    known = [one.name for one in fields(info.cls)]  # type: ignore[arg-type]
    for key in values:
        if key not in known:
            raise InputError(f"{info.name} has no field {key!r}; it has {', '.join(known)}")
    try:
        return info.cls(**values)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        raise InputError(f"{info.name}: {where}={first.get('input')!r}: {first['msg']}") from None
