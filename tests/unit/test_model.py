"""`Model`: nets that write into their input, one number for two classes, threads, and weights made in odd ways."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

import sparring as sp


def _images(count: int = 12) -> tuple[Tensor, Tensor]:
    return torch.rand(count, 1, 6, 6, generator=torch.Generator().manual_seed(0)), torch.arange(count) % 3


class Writing(nn.Module):
    """A linear net behind `change`, which may write into the images."""

    def __init__(self, change: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.change = change
        self.linear = nn.Linear(36, 3)
        with torch.no_grad():
            self.linear.weight.copy_(torch.randn(3, 36, generator=torch.Generator().manual_seed(1)))
            self.linear.bias.zero_()

    def forward(self, x: Tensor) -> Tensor:
        return self.linear(self.change(x).flatten(1))  # type: ignore[no-any-return]


def _through_data(x: Tensor) -> Tensor:
    x.data.clamp_(0.2, 0.8)  # torch does not count this write
    return x


def _without_grad(x: Tensor) -> Tensor:
    with torch.no_grad():
        x.clamp_(0.2, 0.8)
    return x


PAIRS = {
    "clamp_": (lambda x: x.clamp_(0.2, 0.8), lambda x: x.clamp(0.2, 0.8)),
    "sub_ and div_": (lambda x: x.sub_(0.5).div_(0.3), lambda x: x.sub(0.5).div(0.3)),
    "relu": (nn.ReLU(inplace=True), nn.ReLU()),
    "data": (_through_data, lambda x: x + (x.clamp(0.2, 0.8) - x).detach()),
    "no_grad": (_without_grad, lambda x: x + (x.clamp(0.2, 0.8) - x).detach()),
}


@pytest.mark.parametrize("kind", PAIRS)
@pytest.mark.parametrize("spec", ["square:queries=30", "pgd:steps=5", "bim", "deepfool"])
def test_a_net_that_writes_into_its_input_is_judged_like_one_that_does_not(kind: str, spec: str) -> None:
    x, _ = _images()
    writing, plain = (Writing(change) for change in PAIRS[kind])
    y, before = plain(x).argmax(1).detach(), x.clone()
    norm = "L2" if spec == "deepfool" else "Linf"
    got, want = (sp.attack(spec)(net, x, y, (norm, 0.1)) for net in (writing, plain))
    assert torch.equal(x, before)
    assert torch.equal(got.x_adv, want.x_adv)
    assert torch.equal(got.success, want.success)
    assert bool((got.x_adv - x).abs().amax() <= 0.1 + 1e-6) or norm == "L2"


def test_a_net_that_begins_to_write_later_is_refused() -> None:
    def late(x: Tensor) -> Tensor:
        return x.mul_(0.5) if len(x) == 12 and bool((x > 0.999).any()) else x

    x, y = _images()
    model = sp.wrap(Writing(late))
    with model.guard(), torch.no_grad():
        model.logits(x.clamp(max=0.9))
        with pytest.raises(sp.SparringError, match=r"wrote into its input.*clone"):
            model.logits(torch.ones_like(x))


class Binary(nn.Module):
    """A net that is sure: z = 40 (mean - 1/2), as one number or as two."""

    def __init__(self, kind: str) -> None:
        super().__init__()
        self.kind = kind

    def forward(self, x: Tensor) -> Tensor:
        z = 40 * (x.flatten(1).mean(1, keepdim=True) - 0.5)
        return {
            "one": z,
            "two": torch.cat([torch.zeros_like(z), z], 1) - 0.37 * z,
            "sigmoid": z.sigmoid(),
            "log_sigmoid": nn.functional.logsigmoid(z),
        }[self.kind]


@pytest.mark.parametrize(
    ("kind", "outputs"), [("one", "logits"), ("sigmoid", "probabilities"), ("log_sigmoid", "log_probabilities")]
)
def test_one_number_for_two_classes_has_the_margin_and_the_gradient_of_two(kind: str, outputs: str) -> None:
    levels = torch.tensor([0.02, 0.2, 0.45, 0.55, 0.8, 0.85, 0.98])  # z from -19 to 19
    x = levels[:, None, None, None].expand(-1, 1, 4, 4).clone()
    y = (levels > 0.5).long()
    model, two = sp.wrap(Binary(kind), outputs=outputs), sp.wrap(Binary("two"))
    sure = 20 * (1 if kind == "one" else 0.7)  # float32 ends at a probability of 1 - 6e-8, z = 16.6
    known = (40 * (levels - 0.5)) < sure
    for loss in ("cross_entropy", "margin"):
        slopes = []
        for each in (model, two):
            point = x.to(torch.float32 if each is model else torch.float64).requires_grad_()
            value = getattr(sp.losses, loss)(each.logits(point), sp.Untargeted(y)).sum()
            slopes.append(torch.autograd.grad(value, point)[0])
        mine, exact = (slope[known] for slope in slopes)
        share = mine / exact  # where one of the two logits' own gradients rounds to 0, a part is left
        assert bool(((share > 0.4) & (share < 1.1)).all())
    gap = model.logits(x).diff(dim=1).squeeze(1)
    torch.testing.assert_close(gap[known], 40 * (levels - 0.5)[known], rtol=1e-2, atol=1e-4)
    assert torch.equal(model.labels(x), y)


@pytest.mark.parametrize("level", [0.0, 1.0])
def test_a_probability_of_exactly_0_or_1_is_a_finite_logit(level: float) -> None:
    logits = sp.wrap(lambda x: torch.full((len(x), 1), level), outputs="probabilities").logits(torch.zeros(2, 1, 2, 2))
    assert logits.isfinite().all()
    assert logits.argmax(1).tolist() == [int(level)] * 2
