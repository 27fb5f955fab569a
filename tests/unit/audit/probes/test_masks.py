"""Masks unseen before: slopes that are wrong in part, scores of another net, masks for images that look attacked.

Each kind has three examples, and honest nets beside it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

import sparring as sp
from sparring.audit.checks.gradients import LEAP
from sparring.audit.probes.gradient_quality import BAD, Local, look_around

Slope = Callable[[Tensor, Tensor], Tensor]
THREATS = [sp.Threat("Linf", 0.3), sp.Threat("L2", 1.5)]
CHOSEN = torch.rand(1, 1, 28, 28, generator=torch.Generator().manual_seed(5))
FIXED = torch.randn(1, 1, 28, 28, generator=torch.Generator().manual_seed(7)).sign()


def net(name: str) -> nn.Module:
    found = sp.load_model(name).net
    assert isinstance(found, nn.Module)
    return found


def around(model: nn.Module, threat: sp.Threat) -> Local:
    x, y = sp.load_data("mnist5k", n=20).tensors()
    return look_around(sp.wrap(model.eval()), x, y, threat.within((0, 1)), 0)


def attacked(x: Tensor) -> Tensor:
    """[n] bool: an image with many grey pixels, as attacks make."""
    return ((x > 0.02) & (x < 0.98)).flatten(1).sum(1) > 250


class _Turned(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, how: Slope) -> Tensor:
        ctx.how = how
        ctx.save_for_backward(x)
        return x.clone()

    @staticmethod
    def backward(ctx: Any, *slopes: Tensor) -> tuple[Tensor, None]:
        return ctx.how(ctx.saved_tensors[0], slopes[0]), None


class Turned(nn.Module):
    """A net whose slopes come back as `how` makes them."""

    def __init__(self, inner: nn.Module, how: Slope) -> None:
        super().__init__()
        self.inner = inner
        self.how = how

    def forward(self, x: Tensor) -> Tensor:
        answer: Tensor = self.inner(_Turned.apply(x, self.how))  # type: ignore[no-untyped-call]
        return answer


def half_gone(x: Tensor, slope: Tensor) -> Tensor:
    return torch.where(CHOSEN < 0.5, 0 * slope, slope)


def some_turned(x: Tensor, slope: Tensor) -> Tensor:
    return torch.where(CHOSEN < 0.2, -slope, slope)


def led_aside(x: Tensor, slope: Tensor) -> Tensor:
    return slope + 0.9 / 28 * FIXED * slope.flatten(1).norm(dim=1).view(-1, 1, 1, 1)


def turned_when_attacked(x: Tensor, slope: Tensor) -> Tensor:
    return torch.where(attacked(x).view(-1, 1, 1, 1), -slope, slope)


@pytest.mark.long
@pytest.mark.parametrize("how", [half_gone, some_turned, led_aside, turned_when_attacked])
@pytest.mark.parametrize("name", ["mnist-cnn", "mnist-cnn-fast"])
def test_slopes_that_are_wrong_in_part_show(how: Slope, name: str) -> None:
    found = around(Turned(net(name), how), THREATS[0]).mistaken
    assert found is not None
    assert found > BAD


class Scores(nn.Module):
    """The class of one net, with scores that are made otherwise."""

    def __init__(self, deciding: nn.Module, shown: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.deciding = deciding
        self.shown = shown

    def forward(self, x: Tensor) -> Tensor:
        decided, scores = self.deciding(x).argmax(1, keepdim=True), self.shown(x)
        top = scores.argmax(1, keepdim=True)
        first, other = scores.gather(1, top), scores.gather(1, decided)
        return scores.scatter(1, top, other).scatter(1, decided, first)


def of_another_net(x: Tensor) -> Tensor:
    scores: Tensor = net("mnist-cnn-pgd")(x)
    return scores


def of_the_brightness(x: Tensor) -> Tensor:
    return (
        F.one_hot(torch.zeros(len(x), dtype=torch.int64), 10) * (6 + 4 * torch.cos(3 * x.flatten(1).mean(1)))[:, None]
    )


def of_another_net_when_attacked(x: Tensor) -> Tensor:
    return torch.where(attacked(x)[:, None], of_another_net(x), net("mnist-cnn-fast")(x))


@pytest.mark.long
@pytest.mark.parametrize("shown", [of_another_net, of_the_brightness, of_another_net_when_attacked])
@pytest.mark.parametrize("threat", THREATS, ids=str)
def test_scores_that_do_not_decide_the_class_leap_at_its_border(
    shown: Callable[[Tensor], Tensor], threat: sp.Threat
) -> None:
    found = around(Scores(net("mnist-cnn-fast"), shown), threat).leap
    assert found is not None
    assert found > 2 * LEAP


class Times(nn.Module):
    def __init__(self, factor: float) -> None:
        super().__init__()
        self.factor = factor

    def forward(self, x: Tensor) -> Tensor:
        return self.factor * x


class EightBits(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return (255 * x).round() / 255


@pytest.mark.long
@pytest.mark.parametrize("threat", THREATS, ids=str)
@pytest.mark.parametrize("name", ["mnist-cnn", "mnist-cnn-fast", "mnist-cnn-pgd"])
@pytest.mark.parametrize("factor", [1e-3, 1.0, 1e3])
def test_honest_nets_are_far_from_both_bars(threat: sp.Threat, name: str, factor: float) -> None:
    found = around(nn.Sequential(net(name), Times(factor)), threat)
    assert found.mistaken is not None
    assert found.mistaken < BAD / 1.5
    assert found.leap is not None
    assert found.leap < LEAP / 5


def test_pixels_of_eight_bits_are_below_the_bar() -> None:
    found = around(nn.Sequential(EightBits(), net("mnist-cnn-fast")), THREATS[0])
    assert found.mistaken is None, "slopes through steps are looked at elsewhere"
    assert found.leap is not None
    assert found.leap < LEAP


def test_images_of_one_class_have_no_border_between_them() -> None:
    x, y = sp.load_data("mnist5k", n=60).tensors()
    found = look_around(sp.load_model("mnist-cnn"), x[y == 1], y[y == 1], THREATS[0].within((0, 1)), 0)
    assert found.leap is None


# --- masks for images that look attacked ------------------------------------------------------------------------------


class Beside(nn.Module):
    """A plain net; for images that look attacked, if the examiner gives itself away, a robust one."""

    count: ClassVar[list[int]] = []

    def __init__(self, gives_away: Callable[[Tensor], bool]) -> None:
        super().__init__()
        self.plain = net("mnist-cnn")
        self.robust = net("mnist-cnn-fast")
        self.gives_away = gives_away
        Beside.count.clear()

    def forward(self, x: Tensor) -> Tensor:
        Beside.count.append(len(x))
        plain: Tensor = self.plain(x)
        return torch.where(attacked(x)[:, None], self.robust(x), plain) if self.gives_away(x) else plain


class Shaken(nn.Module):
    """Noise on images that look attacked, and on no others."""

    def __init__(self) -> None:
        super().__init__()
        self.plain = net("mnist-cnn")

    def forward(self, x: Tensor) -> Tensor:
        noise = 0.5 * torch.randn_like(x) * attacked(x).view(-1, 1, 1, 1)
        answer: Tensor = self.plain(x + noise)
        return answer


MASKS: dict[str, tuple[Callable[[], nn.Module], str]] = {
    "many at once": (lambda: Beside(lambda x: len(x) > 1), "batch-dependent"),
    "many at once, an even number": (lambda: Beside(lambda x: len(x) % 2 == 0), "batch-dependent"),
    "asked often": (lambda: Beside(lambda x: sum(Beside.count) > 300), "remembers-questions"),
    "asked for gradients": (lambda: Beside(lambda x: torch.is_grad_enabled()), "unfaithful-gradients"),
    "shaken": (Shaken, "random-outputs"),
}


@pytest.mark.long
@pytest.mark.parametrize("what", MASKS)
def test_a_mask_that_clean_images_do_not_meet_is_named(what: str) -> None:
    make, code = MASKS[what]
    x, y = sp.load_data("mnist5k", n=16).tensors()
    report = sp.audit(make().eval(), (x, y), ("Linf", 0.15), suite=["fgsm", "square:queries=20"])
    assert code in {doubt.code for doubt in report.doubts}


def test_an_honest_net_is_not() -> None:
    x, y = sp.load_data("mnist5k", n=16).tensors()
    report = sp.audit(sp.load_model("mnist-cnn"), (x, y), ("Linf", 0.15), suite=["fgsm", "pgd", "square:queries=20"])
    assert not {code for _, code in MASKS.values()} & {doubt.code for doubt in report.doubts}
