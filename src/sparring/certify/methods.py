"""The methods by name, each with its options: "crown", "alpha-crown:steps=50"."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import Any, ClassVar

import torch
from torch import Tensor

from sparring.certify.branch_and_bound import verify
from sparring.certify.margins import Bound, by_alpha_crown, by_crown, by_intervals, proved
from sparring.certify.question import Question
from sparring.certify.smoothing import certified
from sparring.errors import InputError
from sparring.norms import L1, L2, Linf, Norm
from sparring.spec import Registry, parse_spec
from sparring.zoo.extras import need


@dataclass(frozen=True)
class Outcome:
    """What a method found about B images; for the attributes see `Certificates`.

    `right`: bool [B], where the method's own answer to the clean images counts; None = the model's. `points`: [B, ...]
    where `margin` was seen; None = the clean images.
    """

    certified: Tensor
    bound: Tensor
    margin: Tensor
    attacked: Tensor
    right: Tensor | None = None
    points: Tensor | None = None


@dataclass(frozen=True)
class Method:
    """A way to prove. Its fields are its options."""

    name: ClassVar[str]
    paper: ClassVar[str]
    norms: ClassVar[tuple[Norm, ...]] = (Linf, L2, L1)
    passes: ClassVar[int] = 50
    "of a pass of the model, about what an image costs: for estimates of the time left"
    compares: ClassVar[bool] = True
    "its bounds are the same each time; otherwise they depend on the time it has"
    reads_layers: ClassVar[bool] = True
    "it needs the net's layers; otherwise it asks the model for answers only, and about all images"

    def check(self, norm: Norm) -> None:
        """Find out before the work whether it can prove anything under this norm, with these options, here.

        Raises:
            InputError: another norm is needed, or an extra.
        """
        if norm not in self.norms:
            raise InputError(f"{self.name} works under {', '.join(map(str, self.norms))}, not {norm}")

    def prove(self, question: Question, margin: Tensor, seed: int) -> Outcome:
        """Prove what can be proved; margin [B] is that of the clean images."""
        sure, least = proved(question, self.bounds())
        return Outcome(sure, least, margin, torch.zeros_like(sure))

    def bounds(self) -> Bound:
        """How margins are bounded."""
        raise NotImplementedError

    def bounds_only(self) -> Method:
        """Its bounds, without a search that takes long; never more than this method proves."""
        return self

    def patient(self) -> Method:
        """The same with more time, to prove once more what it has proved on a faster machine."""
        return self

    @property
    def spec(self) -> str:
        """This method as text, with the options that differ from the defaults."""
        changed = [f"{f.name}={getattr(self, f.name)}" for f in fields(self) if getattr(self, f.name) != f.default]
        return self.name + (":" + ",".join(changed) if changed else "")


@dataclass(frozen=True)
class IBP(Method):
    """Interval bound propagation."""

    name = "ibp"
    passes = 5
    paper = "arXiv:1810.12715"

    def bounds(self) -> Bound:
        return by_intervals


@dataclass(frozen=True)
class Crown(Method):
    """Linear bounds pulled back."""

    name = "crown"
    paper = "arXiv:1811.00866"

    def bounds(self) -> Bound:
        return by_crown


@dataclass(frozen=True)
class AlphaCrown(Method):
    """Linear bounds with optimised slopes.

    Args:
        steps: of gradient ascent.
    """

    name = "alpha-crown"
    paper = "arXiv:2011.13824"
    passes = 1000
    steps: int = 20

    def __post_init__(self) -> None:
        if self.steps < 1:
            raise InputError(f"alpha-crown: steps is {self.steps}; it must be at least 1")

    def bounds(self) -> Bound:
        return lambda question: by_alpha_crown(question, self.steps)


@dataclass(frozen=True)
class Complete(Method):
    """Bounds, attacks, then branch and bound until every image is settled or its time is over.

    Args:
        seconds: for branch and bound, an image. attack: what tries before, names joined by "+", or "off". nodes:
            parts that are bounded at once. program: seconds of mixed-integer programming for each image that is open
            then, Linf and L1 (extra `certify`: HiGHS); 0 = none.
    """

    name = "complete"
    compares = False
    paper = "arXiv:2103.06624"
    passes = 2000
    seconds: float = 30.0
    attack: str = "apgd-ce+apgd-t+fmn:steps=200"
    nodes: int = 64
    program: float = 0.0

    def __post_init__(self) -> None:
        if not (self.seconds >= 0 and self.program >= 0) or self.nodes < 2:
            raise InputError(
                f"complete: seconds={self.seconds}, program={self.program}, nodes={self.nodes}; seconds >= 0, "
                "program >= 0 and nodes >= 2 needed"
            )

    def check(self, norm: Norm) -> None:
        super().check(norm)
        if self.program and norm not in (Linf, L1):
            raise InputError(f"complete: program works under Linf and L1, not under {norm}; leave it out")
        if self.program:
            need("highspy", "complete with program", "certify")

    def bounds_only(self) -> Method:
        return Crown()

    def patient(self) -> Method:
        return replace(self, attack="off", seconds=4 * self.seconds, program=4 * self.program)

    def prove(self, question: Question, margin: Tensor, seed: int) -> Outcome:
        found = verify(question, margin, self.attack, self.seconds, self.nodes, self.program, seed)
        return Outcome(found.certified, found.bound, found.margin, found.attacked, points=found.points)


@dataclass(frozen=True)
class Smoothing(Method):
    """Randomized smoothing: certificates of the majority vote under Gaussian noise, of any classifier.

    Args:
        sigma: of the noise, in pixels. n0, n: draws to select the class and to bound its probability. alpha: the chance
            that a certificate is wrong, image by image.
    """

    name = "smoothing"
    paper = "arXiv:1902.02918"
    reads_layers = False
    sigma: float = 0.25
    n0: int = 100
    n: int = 1000
    alpha: float = 0.001

    def __post_init__(self) -> None:
        if not self.sigma > 0 or self.n0 < 1 or self.n < 1 or not 0 < self.alpha < 1:
            raise InputError(
                f"smoothing: sigma={self.sigma}, n0={self.n0}, n={self.n}, alpha={self.alpha}; sigma > 0, n0, n >= 1 "
                "and 0 < alpha < 1 are needed"
            )

    def prove(self, question: Question, margin: Tensor, seed: int) -> Outcome:
        ball = question.ball
        found = certified(question.model, ball.x, sigma=self.sigma, n0=self.n0, n=self.n, alpha=self.alpha, seed=seed)
        right = found.label == question.y
        radius = found.under(ball.norm, ball.x[0].numel()).masked_fill(~right, 0)
        unknown = torch.full_like(radius, torch.nan)
        return Outcome(right & (radius >= ball.eps), radius, unknown, torch.zeros_like(right), right)


METHODS: Registry[type[Method]] = Registry("method")
for _kind in (IBP, Crown, AlphaCrown, Complete, Smoothing):
    METHODS.enter(_kind, _kind.name)


def find_method(spec: str | Method) -> Method:
    """A method from its spec.

    Raises:
        InputError: no such method or option, or a value that does not fit.
    """
    if isinstance(spec, Method):
        return spec
    written = parse_spec(spec)
    kind = METHODS.find(written.name)
    known = {field.name: field for field in fields(kind)}
    values: dict[str, Any] = {}
    for key, value in written.fields.items():
        if key not in known:
            raise InputError(f"{kind.name} has no option {key!r}; it has {', '.join(known) or 'none'}")
        read: type[Any] = type(known[key].default)
        try:
            values[key] = read(value)
        except ValueError:
            raise InputError(f"{kind.name}: {key}={value!r} is not understood; give a number") from None
    return kind(**values)
