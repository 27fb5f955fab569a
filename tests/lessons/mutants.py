"""Known bugs of other toolkits, re-created as attacks. Each names who makes the mistake, and stands beside a twin
without it. `MUTANTS` says which check of the exam must catch which.

The bugs were found by running or reading the toolkits (versions: foolbox 3.3.4, adv-lib 0.2.8, torchattacks 3.5.1,
ART 1.20.1, cleverhans 4.0, secml-torch and auto-attack at their heads of 2025).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any, NamedTuple
from unittest.mock import patch

import torch
from torch import Tensor

from sparring.attack import Attack, register
from sparring.bout import Bout
from sparring.losses import Loss, cross_entropy, margin
from sparring.norms import L1, L2, Linf, Norm, per
from sparring.threat import Goal, Targeted, Untargeted


class Lesson(NamedTuple):
    """A mutant, the same without the mistake, the check that tells them apart, and the norm it is asked under."""

    mutant: type[Attack]
    twin: type[Attack]
    check: str
    norm: Norm


MUTANTS: list[Lesson] = []


def unlisted(**columns: Any) -> Callable[[type[Any]], type[Any]]:
    """`register` without a trace in the register: mutants are no attacks of the package."""

    def enter(cls: type[Any]) -> type[Any]:
        plain = {"title": cls.__name__, "sees": "gradient", "norms": (Linf,), "paper": "none", "year": 2024}
        with patch.dict("sparring.attack.REGISTRY"):
            return register(cls.__name__.lower(), **{**plain, **columns})(cls)

    return enter


def caught(twin: type[Attack], by: str, under: Norm = Linf) -> Callable[[type[Any]], type[Any]]:
    """Decorator: puts a mutant on the list."""

    def enter(cls: type[Any]) -> type[Any]:
        MUTANTS.append(Lesson(cls, twin, by, under))
        return cls

    return enter


def climb(bout: Bout, z: Tensor, g: Tensor, step: float) -> Tensor:
    return bout.ball.project(z + per(step * bout.eps, z) * bout.ball.steepest(g))


@unlisted(norms=(L1, L2, Linf))
class Plain(Attack):
    """The honest twin of most mutants: a few steps of BIM."""

    steps: int = 8
    loss: Loss = cross_entropy

    def run(self, bout: Bout) -> Tensor:
        z = bout.x
        for _ in range(self.steps):
            z = climb(bout, z, bout.grad(z, self.loss), 0.3)
        return z


@unlisted()
class OneStep(Attack):
    """FGSM: the honest twin of a mutant with one step."""

    def run(self, bout: Bout) -> Tensor:
        return climb(bout, bout.x, bout.grad(bout.x, cross_entropy), 1.0)


@unlisted(random=True)
class RandomStart(Attack):
    """The honest twin of mutants with noise: one step from a random point."""

    def run(self, bout: Bout) -> Tensor:
        z = bout.ball.sample(bout.noise)
        return climb(bout, z, bout.grad(z, cross_entropy), 2.0)


@unlisted()
class WandersOff(Attack):
    """No mistake by itself: it goes to the best point, shows it, and hands over where it came from."""

    def run(self, bout: Bout) -> Tensor:
        bout.logits(climb(bout, bout.x, bout.grad(bout.x, cross_entropy), 1.0))
        return bout.x


# --- the search -----------------------------------------------------------------------------------------------


@caught(OneStep, by="known-optimum")
@unlisted()
class LastIterateNeverJudged(Attack):
    """adv-lib (projected_gradient_descent.py) and secml-torch (advlib_fgsm.py): the point is tested before the step
    and the last one never, so one step is no attack: 0.0 change, accuracy 100 % where FGSM's is 0 %."""

    def run(self, bout: Bout) -> None:
        z = bout.x
        for _ in range(1):
            z = climb(bout, z, bout.grad(z, cross_entropy), 1.0)


@caught(Plain, by="known-optimum")
@unlisted()
class WrongSign(Attack):
    """secml-torch (eot_gradient.py:173): the averaged gradient points the wrong way (cosine -0.95)."""

    def run(self, bout: Bout) -> Tensor:
        z = bout.x
        for _ in range(8):
            z = climb(bout, z, -bout.grad(z, cross_entropy), 0.3)
        return z


@caught(Plain, by="known-optimum")
@unlisted()
class StepsTooShort(Attack):
    """foolbox, adv-lib: ten default steps of eps / 30 end a third of the way to the edge of the ball."""

    def run(self, bout: Bout) -> Tensor:
        z = bout.x
        for _ in range(10):
            z = climb(bout, z, bout.grad(z, cross_entropy), 1 / 30)
        return z


@caught(RandomStart, by="known-optimum")
@unlisted(random=True)
class ClampInsideTheGraph(Attack):
    """A common idiom: clamp(x + delta) inside autograd kills the gradient of each pixel that is pushed outside, on
    MNIST 40 % of them after a random start; 1.6 times the optimum instead of 1.02."""

    def run(self, bout: Bout) -> Tensor:
        z = bout.x + per(bout.eps, bout.x) * (2 * bout.noise.uniform(*bout.x.shape[1:], dtype=bout.x.dtype) - 1)
        for _ in range(2):
            z = z.detach().requires_grad_()
            loss = cross_entropy(bout.logits(z.clamp(*bout.ball.box)), bout.goal)
            (g,) = torch.autograd.grad(loss.sum(), z)
            z = z + per(bout.eps, z) * g.sign()
            z = bout.x + (z - bout.x).clamp(-per(bout.eps, z), per(bout.eps, z))
        return z.detach().clamp(*bout.ball.box)


class _TanhSpace(Attack):
    """Steps in the space of w with x = (tanh w + 1) / 2, so that the box needs no clipping."""

    shrink: float

    def run(self, bout: Bout) -> Tensor:
        low, high = bout.ball.box
        w = ((2 * (bout.x - low) / (high - low) - 1) * self.shrink).atanh()
        z = bout.x
        for _ in range(20):
            inner = w.tanh()
            g = bout.grad(bout.ball.project((inner + 1) / 2 * (high - low) + low), cross_entropy)
            w = w + 0.4 * (g * (1 - inner.square())).sign()
            z = bout.ball.project((w.tanh() + 1) / 2 * (high - low) + low)
        return z


@unlisted()
class TanhSpace(_TanhSpace):
    """The honest twin: the box is mapped a little inside."""

    shrink: float = 1 - 1e-6


@caught(TanhSpace, by="pixels-at-bounds")
@unlisted()
class FrozenPixels(_TanhSpace):
    """torchattacks (cw.py:124): pixels that are exactly 0 or 1 are mapped to -inf and inf and never move; 83 % of an
    MNIST image."""

    shrink: float = 1.0


def masked_by_zero(logits: Tensor, goal: Goal) -> Tensor:
    own = torch.nn.functional.one_hot(goal.label, logits.shape[1]).to(logits.dtype)
    gap = ((1 - own) * logits).amax(1) - (own * logits).sum(1)
    return -gap if goal.targeted else gap


@unlisted()
class MarginLoss(Plain):  # type: ignore[valid-type, misc]
    """The honest twin: the margin, masked with -inf."""

    loss: Loss = margin


@caught(MarginLoss, by="shift-invariance")
@unlisted()
class MaskedByZero(Plain):  # type: ignore[valid-type, misc]
    """torchattacks (cw.py:134): the own logit is masked by a product, so that 0 competes; wrong for negative logits."""

    loss: Loss = masked_by_zero


@caught(Plain, by="zero-gradient", under=L2)
@unlisted(norms=(L2, Linf))
class MomentumOfNaN(Attack):
    """torchattacks (mifgsm and its kin): g / mean|g| of a zero gradient is NaN, and stays in the momentum for ever."""

    def run(self, bout: Bout) -> Tensor:
        z, m = bout.x, torch.zeros_like(bout.x)
        for _ in range(8):
            g = bout.grad(z, cross_entropy)
            m = m + g / per(g.flatten(1).abs().mean(1), g)
            z = climb(bout, z, m, 0.3)
        return z


@unlisted()
class TargetByTarget(Attack):
    """The honest twin: as many targets as there are wrong classes."""

    def run(self, bout: Bout) -> None:
        for b in bout.targets(9):
            b.submit(climb(b, b.x, b.grad(b.x, cross_entropy), 1.0))


@caught(TargetByTarget, by="two-classes")
@unlisted()
class NineTargets(Attack):
    """auto-attack, torchattacks (n_target_classes=9): with fewer classes a logged warning, then an IndexError."""

    def run(self, bout: Bout) -> None:
        ranks = bout.clean_logits.argsort(dim=1, descending=True)
        for rank in range(1, 10):
            b = bout.child(rank, Untargeted(bout.goal.label, ranks[:, rank]))
            b.submit(climb(b, b.x, b.grad(b.x, cross_entropy), 1.0))


@caught(Plain, by="other-box")
@unlisted()
class ClipsToUnitBox(Attack):
    """foolbox (hop_skip_jump.py:171, 181, 207, 255): clips to [0, 1] whatever the bounds are."""

    def run(self, bout: Bout) -> Tensor:
        z = bout.x
        for _ in range(8):
            z = climb(bout, z, bout.grad(z, cross_entropy), 0.3).clamp(0, 1)
        return z


@caught(Plain, by="other-box")
@unlisted()
class StepsOfAHundredth(Attack):
    """A length in raw pixel units (our own EAD and RP2 once): a hundredth of 1 is nothing where pixels reach 255."""

    def run(self, bout: Bout) -> Tensor:
        z = bout.x
        for _ in range(40):
            z = bout.ball.clip(z + 0.01 * bout.grad(z, cross_entropy).sign())
        return bout.ball.project(z)


@caught(Plain, by="targeted")
@unlisted()
class TargetsIgnored(Attack):
    """adv-lib (df, tr, sdf, sigma-zero): targeted=True gives back the inputs with a warning; foolbox's FGSM raises."""

    def run(self, bout: Bout) -> Tensor:
        if isinstance(bout.goal, Targeted):
            raise NotImplementedError("this attack has no targeted version")
        return Plain().run(bout)


# --- neighbours in the batch ----------------------------------------------------------------------------------


@caught(Plain, by="batch-of-one")
@unlisted()
class StopsWithTheBatch(Attack):
    """foolbox, torchattacks (carlini_wagner.py:175, cw.py, EAD): stops when the loss summed over the batch no longer
    falls, so a result depends on its neighbours (0.09 in L2 for the same image alone)."""

    def run(self, bout: Bout) -> Tensor:
        z, before = bout.x, -torch.inf
        for _ in range(8):
            value, g = bout.value_and_grad(z, cross_entropy)
            if float(value.sum()) < before * 1.4:
                break
            before, z = float(value.sum()), climb(bout, z, g, 0.3)
        return z


@caught(Plain, by="batch-of-one", under=L1)
@unlisted(norms=(L1,))
class LargestOfTheBatch(Attack):
    """secml-torch (gradient_processing.py:25): takes the largest gradient of the whole batch; one image moves."""

    def run(self, bout: Bout) -> Tensor:
        z = bout.x
        for _ in range(8):
            g = bout.grad(z, cross_entropy)
            z = climb(bout, z, torch.where(g.abs() == g.abs().max(), g, 0), 0.3)
        return z


@caught(RandomStart, by="batch-of-one")
@unlisted(random=True)
class OneNoiseForAll(Attack):
    """foolbox (boundary_attack.py:355): one noise vector for the whole batch."""

    def run(self, bout: Bout) -> Tensor:
        shared = (2 * bout.noise.uniform(*bout.x.shape[1:], dtype=bout.x.dtype) - 1)[:1]
        z = bout.ball.project(bout.x + per(bout.eps, bout.x) * shared)
        return climb(bout, z, bout.grad(z, cross_entropy), 2.0)


@caught(RandomStart, by="batch-of-one")
@unlisted(random=True)
class ScaledByTheBatch(Attack):
    """foolbox (gradient_estimators.py:45): each sample's noise is weighed by the loss summed over the batch."""

    def run(self, bout: Bout) -> Tensor:
        step = bout.ball.sample(bout.noise) - bout.x
        value = bout.value_and_grad(bout.x + step, cross_entropy)[0]
        return bout.ball.project(bout.x + step * value.sum())


@caught(RandomStart, by="batch-of-one")
@unlisted(random=True)
class BestRestartOfTheBatch(Attack):
    """ART (fast_gradient.py:283): keeps the restart with the best rate over the batch; 5.0 % fooled with 20 restarts
    where the worst case for each sample is 9.5 %."""

    def __call__(self, *args: Any, seed: int = 0, **options: Any) -> Any:
        results = [RandomStart()(*args, seed=seed + 10 * k, **options) for k in range(5)]
        return max(results, key=lambda result: int(result.success.sum()) + float(result.margin.sum()) * 1e-3)

    def run(self, bout: Bout) -> None:
        raise NotImplementedError


# --- what is reported -----------------------------------------------------------------------------------------


class _Reports(Attack):
    """An attack that changes its result afterwards."""

    def run(self, bout: Bout) -> Tensor:
        return Plain().run(bout)


@caught(Plain, by="fresh-evaluation")
@unlisted()
class EverythingIsSuccess(_Reports):
    """ART (BoundaryAttack): given true labels as targets it returns the inputs and logs "Success rate 100.00%"."""

    def __call__(self, *args: Any, **options: Any) -> Any:
        result = super().__call__(*args, **options)
        return replace(result, success=torch.ones_like(result.success))


@caught(Plain, by="inside-threat")
@unlisted()
class BlackImageOnFailure(_Reports):
    """foolbox (CW, EAD): returns an all-zero image where it fails; a digit net errs on it: 82 % "success"."""

    def __call__(self, *args: Any, **options: Any) -> Any:
        result = super().__call__(*args, **options)
        stands = per(~result.success, result.x_adv)
        return replace(result, x_adv=torch.where(stands, 0, result.x_adv), success=torch.ones_like(result.success))


@caught(Plain, by="already-wrong")
@unlisted()
class SuccessIsChange(_Reports):
    """ART (utils.py:1001): success is a prediction other than the clean *prediction*; wrong-to-right counts, and a
    sample that was wrong anyway is attacked."""

    def __call__(self, model: Any, x: Tensor, y: Any, *args: Any, **options: Any) -> Any:
        predicted = model(x).argmax(1)
        return super().__call__(model, x, predicted, *args, **options)


@caught(Plain, by="counts")
@unlisted()
class HiddenQueries(Attack):
    """adv-lib, foolbox: forward passes beside the counted ones, here one to choose between two points."""

    def run(self, bout: Bout) -> Tensor:
        z = climb(bout, bout.x, bout.grad(bout.x, cross_entropy), 1.0)
        with torch.no_grad():
            better = bout.goal.margin(bout._model.logits(z)) > bout.goal.margin(bout._model.logits(bout.x))
        return torch.where(per(better, z), z, bout.x)


@unlisted(sees="decision", approach="decision", random=True)
class GuessesByLabels(Attack):
    """The honest twin: random points, judged by their class alone."""

    def run(self, bout: Bout) -> None:
        for b in bout.restarts(5):
            b.fooled(b.ball.sample(b.noise))


@caught(GuessesByLabels, by="access")
@unlisted(sees="decision", approach="decision", random=True)
class PeeksAtLogits(Attack):
    """No toolkit enforces access: a "black-box" attack may use whatever its model object offers."""

    def run(self, bout: Bout) -> Tensor:
        z = bout.x.clone().requires_grad_()
        (g,) = torch.autograd.grad(cross_entropy(bout._model.logits(z), bout.goal).sum(), z)
        return bout.ball.project(bout.x + per(bout.eps, z) * g.sign())


# --- state and randomness -------------------------------------------------------------------------------------


@caught(Plain, by="odd-batches")
@unlisted()
class RadiusFromTheLastBatch(Attack):
    """secml-torch (modular_attack_min_distance.py:188): the radii of the batch before are still there, and a smaller
    last batch crashes."""

    def run(self, bout: Bout) -> Tensor:
        if "radius" not in self.__dict__:
            self.__dict__["radius"] = bout.eps
        g = bout.grad(bout.x, cross_entropy)
        return bout.ball.project(bout.x + per(self.__dict__["radius"], g) * g.sign())


@caught(Plain, by="frozen")
@unlisted()
class SwitchesItsLoss(Attack):
    """auto-attack (self.apgd.loss = ...), torchattacks (set_mode_targeted_*): a call depends on the calls before."""

    def run(self, bout: Bout) -> Tensor:
        object.__setattr__(self, "loss", margin if hasattr(self, "loss") else cross_entropy)
        return climb(bout, bout.x, bout.grad(bout.x, self.loss), 1.0)  # type: ignore[attr-defined]


@caught(RandomStart, by="global-rng")
@unlisted(random=True)
class DrawsFromTheGlobalGenerator(Attack):
    """foolbox's Boundary attack and others: unseeded, "almost unusable" for repeating a result."""

    def run(self, bout: Bout) -> Tensor:
        z = bout.ball.project(bout.x + per(bout.eps, bout.x) * (2 * torch.rand_like(bout.x) - 1))
        return climb(bout, z, bout.grad(z, cross_entropy), 2.0)


@caught(RandomStart, by="same-seed")
@unlisted(random=True)
class Reseeds(Attack):
    """auto-attack, torchattacks: reseed the global generator, here with a constant: the seed given means nothing."""

    def run(self, bout: Bout) -> Tensor:
        torch.manual_seed(0)
        start = torch.rand(bout.x.shape[1:], dtype=bout.x.dtype)
        z = bout.ball.project(bout.x + per(bout.eps, bout.x) * (2 * start - 1))
        return climb(bout, z, bout.grad(z, cross_entropy), 2.0)
