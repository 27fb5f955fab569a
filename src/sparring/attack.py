"""`Attack`: the search, and nothing else. And `register`, which enters attacks into the register.

The register is passive: it knows the attacks whose files have been imported. `sparring.attacks` is the catalogue, which
imports them all before it answers.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any, ClassVar, Literal, dataclass_transform

import torch
from pydantic import ConfigDict, TypeAdapter, ValidationError
from pydantic.dataclasses import dataclass as validated
from torch import Tensor

from sparring._callable import callable_by_name
from sparring.ball import Ball
from sparring.bout import Bout
from sparring.budget import Budget, BudgetSpent
from sparring.errors import AccessError, InputError
from sparring.model import LEVELS, Access, Model, check_labels, check_pixels, wrap
from sparring.norms import Norm
from sparring.referee import Keep, Referee, TrainingReferee
from sparring.result import Result
from sparring.rng import Noise, TrainingNoise
from sparring.seeds import whole_seed
from sparring.spec import Registry
from sparring.threat import Goal, Targeted, Threat, Untargeted

Aim = Literal["budget", "minimum", "both", "own"]


class Attack(ABC):
    """A way to search for adversarial examples. Subclasses are frozen dataclasses with one method, `run`.

    Calling an attack holds a bout against one batch:

    Args:
        model: a `Model`, or a net that already takes pixels in [0, 1].
        x: [B, ...] float images inside the model's box.
        y: [B] true classes, or a goal: `Targeted(t)`, `Untargeted(y)`.
        threat: what is allowed; a tuple ("Linf", 0.3) does.
        seed: the same seed gives the same result, whatever the batch, the order or the device.
        budget: hard limits of passes or time.
        keep: "best" (default), "margin" or "last", see `Referee`.
        trace: record what was seen on the way in `result.trace`.
        region: the pixels that may change; the same as `Threat(..., region=)`.

    Returns:
        `Result`, per sample, on the CPU. The model is left exactly as it was.
    """

    info: ClassVar[AttackInfo]
    exposes: ClassVar[bool] = False
    "it knows the defenses of the model, and gets gradients past them: see `Model.exposed`"

    @abstractmethod
    def run(self, bout: Bout) -> Tensor | None:
        """Search. A returned point [b, ...] is shown to the model and judged, like every point on the way."""

    def __call__(
        self,
        model: Model | Callable[..., Any],
        x: Tensor,
        y: Tensor | Goal,
        threat: Threat | tuple[Any, ...],
        *,
        seed: int = 0,
        budget: Budget | None = None,
        keep: Keep = "best",
        trace: bool = False,
        region: Tensor | None = None,
    ) -> Result:
        seed = whole_seed(seed)
        model = wrap(model).exposed() if self.exposes else wrap(model)
        threat = (threat if isinstance(threat, Threat) else Threat(*threat)).within(model.box)
        threat = threat if region is None else replace(threat, region=region)
        self._check(model, threat)
        with model.guard():
            x = model.accept(x)
            assert threat.box is not None
            check_pixels(x, threat.box)
            referee, bout = self._open(model, x, y, threat, seed, budget or Budget(), keep, trace)
            try:
                if len(bout):
                    answer = self.run(bout)
                    if answer is not None:
                        bout.submit(answer)
            except BudgetSpent:
                pass  # the referee has the best so far
        return referee.result(self.spec, seed)

    def craft(
        self,
        model: Model | Callable[..., Any],
        x: Tensor,
        y: Tensor | Goal,
        threat: Threat | tuple[Any, ...],
        *,
        seed: int = 0,
        noise: Noise | None = None,
    ) -> Tensor:
        """Examples to train on, or to show to another model: [B, ...], what the search ends with, for all images.

        Nothing is judged, so no pass is spent beyond the search itself, and nobody leaves early. The points are inside
        the threat; whether they fool is not known. Arguments: as for a call; `noise`: the random numbers of each image,
        None = by the seed and the pixels. The model is left exactly as it was.
        """
        seed = whole_seed(seed)
        model = wrap(model).exposed() if self.exposes else wrap(model)
        threat = (threat if isinstance(threat, Threat) else Threat(*threat)).within(model.box)
        self._check(model, threat)
        with model.guard():
            x = model.accept(x)
            ball = _ball(x, threat)
            own = model.goal(y, x.device)
            goal = self._goal(y, len(x), model.num_classes, x.device) if own is None else own
            referee = TrainingReferee(ball, goal, threat, Budget(), "last", trace=False)
            rows = torch.arange(len(x), device=x.device)
            noise = TrainingNoise.of(model.unit(x), seed) if noise is None else noise
            bout = Bout(model, referee, rows, goal, ball, noise, self.info.sees)
            answer = self.run(bout) if len(x) else None
            if answer is not None:
                bout.submit(answer)
        return referee.best

    def _open(
        self,
        model: Model,
        x: Tensor,
        y: Tensor | Goal,
        threat: Threat,
        seed: int,
        budget: Budget,
        keep: Keep,
        trace: bool,
    ) -> tuple[Referee, Bout]:
        """Look at the clean images once, check what can be checked, and let those in whom the model gets right."""
        assert threat.box is not None
        ball = _ball(x, threat)
        logits: Tensor | None = None
        own = model.goal(y, x.device)
        with torch.no_grad():
            if not len(x):
                prediction = torch.zeros(0, dtype=torch.int64, device=x.device)
            elif own is not None:
                logits = own.read(model.logits(x)).detach()
                model.refuse_broken(~logits.isfinite().all(1))
                prediction = logits.argmax(1)
            elif self.info.sees == "decision":
                prediction = model.labels(x)
                model.refuse_broken(prediction < 0)
            else:
                raw = model.raw(x)
                logits = model.read(raw).detach()
                model.inspect(raw, x)
                prediction = logits.argmax(1)
        classes = model.num_classes if logits is None else logits.shape[1]
        goal = self._goal(y, len(x), classes, x.device) if own is None else own
        referee = Referee(ball, goal, threat, budget, keep, trace, beyond=self.info.aim == "minimum")
        rows = torch.arange(len(x), device=x.device)
        if len(x):
            margin = torch.full_like(ball.eps, torch.nan) if logits is None else goal.margin(logits)
            referee.open(margin, prediction, logits)
        bout = Bout(model, referee, rows, goal, ball, Noise.of(model.unit(x), seed), self.info.sees)
        bout.active()
        return referee, bout

    def _goal(self, y: Tensor | Goal, batch: int, classes: int | None, device: torch.device) -> Goal:
        goal = _goal(y, batch, classes or 2**62, device)
        wanted = "targeted" if goal.targeted else "untargeted"
        if wanted not in self.info.specificity:
            raise InputError(f"{self.info.name} is not made for {wanted} goals; only {_names(self.info.specificity)}")
        return goal

    def _check(self, model: Model, threat: Threat) -> None:
        info = self.info
        if threat.norm not in info.norms:
            raise InputError(f"{info.name} works under {_names(info.norms)}, not {threat.norm}")
        if info.aim == "budget" and threat.eps is None:
            raise InputError(f"{info.name} needs a radius: Threat({str(threat.norm)!r}, eps=...)")
        if LEVELS.index(info.sees) > LEVELS.index(model.access):
            raise AccessError(f"{info.name} needs {info.sees} access, but the model grants only {model.access} access")

    def __repr__(self) -> str:
        values = ((field.name, getattr(self, field.name)) for field in fields(self))  # type: ignore[arg-type]
        return f"{type(self).__name__}({', '.join(f'{name}={_brief(value)}' for name, value in values)})"

    @property
    def spec(self) -> str:
        """This attack as text, with the fields that differ from the defaults: "pgd:steps=100,restarts=5"."""
        mine, default = self.settings(), type(self)().settings()
        changed = [f"{name}={value}" for name, value in mine.items() if value != default.get(name)]
        return self.info.name + (":" + ",".join(changed) if changed else "")

    def settings(self) -> dict[str, Any]:
        """The fields as plain values for JSON."""
        plain: dict[str, Any] = TypeAdapter(type(self)).dump_python(self, mode="json")
        return plain


@dataclass(frozen=True)
class AttackInfo:
    """What there is to know about a registered attack; the tables in the docs are made from these.

    Attributes:
        name: how specs and the command line call it. cls: the class. title: how the field calls it.
        sees: the access it needs. norms: those it works under. aim: "budget" = it fills a given eps, "minimum" = it
            looks for the smallest perturbation, "own" = it is after something that no norm measures (a smooth flow).
        scope, visibility, specificity, approach: the columns of the survey by Machado et al. (arXiv:2009.03728).
        year, paper: where it comes from. aliases: other names. peers: other toolkits that have it.
        random: whether a seed matters. survey: the name in the survey's table, if it is there.
        listed: False = found by its name alone; `sparring.attacks()`, help and docs leave it out.
        learns: the access that it needs while it learns from images, before it attacks, see `LearnedAttack`; None = it
            does not learn.
    """

    name: str
    cls: type[Attack]
    title: str
    sees: Access
    norms: tuple[Norm, ...]
    aim: Aim
    scope: tuple[str, ...]
    visibility: tuple[str, ...]
    specificity: tuple[str, ...]
    approach: str
    year: int
    paper: str
    aliases: tuple[str, ...] = ()
    peers: tuple[str, ...] = ()
    random: bool = False
    survey: str | None = None
    listed: bool = True
    learns: Access | None = None

    @property
    def knowledge(self) -> str:
        """The attacker's knowledge, in the survey's words; of an attack that learns, while it does."""
        words = {"gradient": "white-box", "score": "black-box (scores)", "decision": "black-box (classes)"}
        return words[self.sees] if self.learns is None else f"{words[self.learns]} to fit"

    @property
    def summary(self) -> str:
        """The first line of its documentation."""
        return (self.cls.__doc__ or "").strip().partition("\n")[0] or self.title

    def schema(self) -> dict[str, Any]:
        """JSON Schema of its fields, defaults as they are written in specs."""
        return TypeAdapter(self.cls).json_schema(mode="serialization")

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        other = ("cls", "norms", "listed")
        plain = {field.name: getattr(self, field.name) for field in fields(self) if field.name not in other}
        return {
            **plain,
            "norms": [str(n) for n in self.norms],
            "knowledge": self.knowledge,
            "fields": self.schema()["properties"],
        }


REGISTRY: Registry[AttackInfo] = Registry("attack", lambda info: info.cls)
"""The attacks imported so far, by name and alias; `sparring.attacks` has them all."""


@dataclass_transform(frozen_default=True)
def register(
    name: str,
    *,
    title: str,
    sees: Access,
    norms: tuple[Norm, ...],
    paper: str,
    year: int,
    aim: Aim = "budget",
    scope: tuple[str, ...] = ("individual",),
    visibility: tuple[str, ...] = ("optimal",),
    specificity: tuple[str, ...] = ("targeted", "untargeted"),
    approach: str = "gradient",
    aliases: tuple[str, ...] = (),
    peers: tuple[str, ...] = (),
    random: bool = False,
    survey: str | None = None,
    listed: bool = True,
    learns: Access | None = None,
) -> Callable[[type[Any]], type[Any]]:
    """Class decorator: makes an attack a frozen validated dataclass and lists it. Arguments: see `AttackInfo`."""

    def enter(cls: type[Any]) -> type[Any]:
        if not cls.__dict__.get("__doc__"):  # a dataclass would put its signature there
            cls.__doc__ = f"{title}."
        made: Any = validated(frozen=True, repr=False, config=ConfigDict(arbitrary_types_allowed=True, extra="forbid"))(
            cls
        )
        made.info = AttackInfo(
            name, made, title, sees, norms, aim, scope, visibility, specificity, approach, year, paper, aliases, peers,
            random, survey, listed, learns,
        )  # fmt: skip
        REGISTRY.enter(made.info, name, *aliases)
        return made  # type: ignore[no-any-return]

    return enter


def build(info: AttackInfo, values: dict[str, Any]) -> Attack:
    """An attack from its register entry and plain values, or one clear line about the first value that does not fit."""
    known = [field.name for field in fields(info.cls)]  # type: ignore[arg-type]
    for key in values:
        if key not in known:
            raise InputError(f"{info.name} has no field {key!r}; it has {', '.join(known) or 'none'}")
    try:
        return info.cls(**values)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        raise InputError(f"{info.name}: {where}={first.get('input')!r}: {first['msg']}") from None


def _brief(value: Any) -> str:
    """A field for people: functions by their name."""
    return str(getattr(value, "__name__", repr(value)))


def _ball(x: Tensor, threat: Threat) -> Ball:
    """What the threat allows around the images."""
    ball = threat.ball(x)
    if not ball.on_grid():
        raise InputError(
            f"the images are not on the grid of {threat.levels} levels that the threat demands; round them first"
        )
    return ball


def _goal(y: Tensor | Goal, batch: int, classes: int, device: torch.device) -> Goal:
    goal = y if isinstance(y, Goal) else Untargeted(y)
    wanted = None if goal.t is None else check_labels(goal.t, batch, classes, "target classes").to(device, copy=True)
    blind = goal.targeted and goal.y is None
    truth = None if blind else check_labels(goal.y, batch, classes, "labels").to(device, copy=True)
    if isinstance(goal, Targeted):
        assert wanted is not None
        if truth is not None and bool((truth == wanted).any()):
            raise InputError(
                f"{int((truth == wanted).sum())} of {batch} target classes are the true class; choose others to aim at"
            )
        return Targeted(wanted, truth)
    assert truth is not None
    return Untargeted(truth, wanted)


def _names(values: Sequence[Norm | str]) -> str:
    return ", ".join(map(str, values))


callable_by_name(__name__)
