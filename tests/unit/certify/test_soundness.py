"""Attempts to get a false certificate: nets whose large terms cancel, and radii as large as can be certified.

A certificate is false if the net in exact arithmetic has an adversarial example inside the radius (found by a linear
program for each activation pattern), or if the model as it computes is fooled by an attack there.
"""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import linprog
from torch import Tensor, nn

import sparring as sp

PIXELS, HIDDEN, CLASSES = 4, 5, 3


def tiny(seed: int, scale: float, offset: float) -> nn.Sequential:
    """4 pixels, 5 ReLUs, 3 classes.

    `scale` multiplies the first layer and divides the second; `offset` is added by each ReLU's bias and taken away by
    the last bias: large terms that cancel.
    """
    draw = torch.Generator().manual_seed(seed)
    net = nn.Sequential(nn.Flatten(), nn.Linear(PIXELS, HIDDEN), nn.ReLU(), nn.Linear(HIDDEN, CLASSES)).double()
    first, second = net[1], net[3]
    first.weight.data = 2 * torch.randn(HIDDEN, PIXELS, generator=draw, dtype=torch.float64)
    first.bias.data = torch.randn(HIDDEN, generator=draw, dtype=torch.float64) - first.weight.data.sum(1) / 2
    second.weight.data = torch.randn(CLASSES, HIDDEN, generator=draw, dtype=torch.float64)
    on = torch.arange(HIDDEN) % 2 == 0  # half of the ReLUs are shifted far into their linear part
    first.bias.data += offset * on
    second.bias.data = 0.1 * torch.randn(CLASSES, generator=draw, dtype=torch.float64)
    second.bias.data -= offset * second.weight.data[:, on].sum(1)
    first.weight.data *= scale
    first.bias.data *= scale
    second.weight.data /= scale
    return net.requires_grad_(False)


def nearest(net: nn.Sequential, x: Tensor, y: int) -> float:
    """The exact smallest Linf distance in the box, by 2^5 linear programs a class."""
    w1, b1, w2, b2 = (value.double() for value in (net[1].weight, net[1].bias, net[3].weight, net[3].bias))
    best = np.inf
    for pattern in itertools.product((0.0, 1.0), repeat=HIDDEN):
        on = torch.tensor(pattern, dtype=torch.float64)
        w, b, side = w2 @ (on[:, None] * w1), w2 @ (on * b1) + b2, (1 - 2 * on)[:, None]
        unit = w1.abs().amax(1, keepdim=True)  # constraints in sensible units, for the solver
        for t in {0, 1, 2} - {y}:
            rows = torch.cat([side * w1 / unit, (w[y] - w[t])[None]]).numpy()
            limits = torch.cat([-side[:, 0] * b1 / unit[:, 0], (b[t] - b[y])[None]]).numpy()
            pixels, eye, one = x.flatten().double().numpy(), np.eye(PIXELS), np.ones((PIXELS, 1))
            a = np.block([[rows, np.zeros((len(rows), 1))], [eye, -one], [-eye, -one]])
            solved = linprog(
                [0.0] * PIXELS + [1.0], A_ub=a, b_ub=np.concatenate([limits, pixels, -pixels]), bounds=(0, 1)
            )
            best = min(best, solved.fun) if solved.status == 0 else best
    return float(best)


def largest_certified(net: nn.Module, x: Tensor, y: Tensor, norm: str, method: str, top: float) -> float:
    """The largest radius up to `top` at which the image is certified, by bisection; 0 = none."""
    low, high = 0.0, top
    for _ in range(14):
        middle = (low + high) / 2
        certified = bool(sp.certify(net, x, y, (norm, middle), method).certified[0])
        low, high = (middle, high) if certified else (low, middle)
    return low


@pytest.mark.long
@given(
    seed=st.integers(0, 10_000),
    scale=st.sampled_from([1.0, 1e6, 1e-6]),
    offset=st.sampled_from([0.0, 1e3, 1e6]),
    method=st.sampled_from(["crown", "alpha-crown:steps=5"]),
)
@settings(max_examples=12, deadline=None)
def test_no_certified_radius_is_above_the_exact_distance(seed: int, scale: float, offset: float, method: str) -> None:
    net = tiny(seed, scale, offset)
    x = torch.rand(1, 1, 2, 2, generator=torch.Generator().manual_seed(seed))
    narrow = nn.Sequential(*(nn.Flatten(), nn.Linear(PIXELS, HIDDEN), nn.ReLU(), nn.Linear(HIDDEN, CLASSES)))
    narrow.load_state_dict({name: value.float() for name, value in net.state_dict().items()})
    narrow.requires_grad_(False)
    y = narrow(x).argmax(1)
    exact = nearest(narrow, x, int(y))  # of the float32 weights, in float64
    radius = largest_certified(narrow, x, y, "Linf", method, 0.5)
    assert radius <= exact + 1e-9
    if radius:
        attacked = sp.PGD(steps=30, restarts=2)(narrow, x, y, ("Linf", radius))
        assert not bool(attacked.success.any())


@pytest.mark.parametrize("seed", range(3))
def test_complete_stops_right_before_the_exact_distance(seed: int) -> None:
    """Where a certificate could be false, it is nearest to being so; elsewhere it must not be timid."""
    net = tiny(seed, 1.0, 0.0)
    x = torch.rand(1, 1, 2, 2, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    y = net(x).argmax(1)
    exact = nearest(net, x, int(y))
    if not np.isfinite(exact):
        pytest.skip("no other class anywhere")
    assert sp.certify(net, x, y, ("Linf", exact * (1 - 1e-3)), "complete").status == ["certified"]
    assert sp.certify(net, x, y, ("Linf", exact * (1 + 1e-3)), "complete").status == ["attacked"]


@pytest.mark.long
def test_large_terms_that_cancel_are_no_proof_in_float32() -> None:
    """The logits are x - 0.25 behind two terms of 1e6 that cancel: float32 sees steps of 0.06, and proves nothing."""
    net = nn.Sequential(nn.Flatten(), nn.Linear(1, 1), nn.ReLU(), nn.Linear(1, 2)).requires_grad_(False)
    net[1].weight.fill_(1.0)
    net[1].bias.fill_(1e6)
    net[3].weight.copy_(torch.tensor([[1.0], [-1.0]]))
    net[3].bias.copy_(torch.tensor([-1e6 - 0.25, 1e6 + 0.25]))
    x, y = torch.tensor([[[[0.5]]]]), torch.tensor([0])
    for method in ("ibp", "crown", "alpha-crown", "complete:seconds=1"):
        assert not bool(sp.certify(net, x, y, ("Linf", 0.2499), method).certified.any()), method
    plain = nn.Sequential(nn.Flatten(), nn.Linear(1, 2)).requires_grad_(False)
    plain[1].weight.copy_(torch.tensor([[1.0], [-1.0]]))
    plain[1].bias.copy_(torch.tensor([-0.25, 0.25]))
    assert bool(sp.certify(plain, x, y, ("Linf", 0.2499), "crown").certified.all())


@pytest.mark.long
@pytest.mark.parametrize("norm", ["Linf", "L2", "L1"])
@pytest.mark.parametrize("name", ["batch norm", "average", "maximum", "residual"])
def test_layers_at_the_largest_certified_radius(name: str, norm: str) -> None:
    """Each kind of layer, adversarially scaled: what is just certified is not broken by a strong attack."""
    net = layered(name)
    x = torch.rand(2, 1, 4, 4, generator=torch.Generator().manual_seed(1))
    y = net(x).argmax(1)
    for i in range(2):
        one, label = x[i : i + 1], y[i : i + 1]
        radius = largest_certified(net, one, label, norm, "crown", {"Linf": 0.5, "L2": 2.0, "L1": 4.0}[norm])
        assert radius > 0, name
        attacked = sp.PGD(steps=40, restarts=2)(net, one, label, (norm, radius))
        assert not bool(attacked.success.any()), name


class Residual(nn.Module):
    """x + f(x), twice."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Conv2d(1, 1, 3, padding=1), nn.Conv2d(1, 1, 3, padding=1)
        self.last = nn.Linear(16, 3)

    def forward(self, x: Tensor) -> Tensor:
        z = x + torch.relu(self.first(x))
        z = torch.relu(z + self.second(z))
        logits: Tensor = self.last(z.flatten(1))
        return logits


def layered(name: str) -> nn.Module:
    """A net around one kind of layer, its weights scaled up by 1e6 and down again."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(7)
        if name == "residual":
            return Residual().requires_grad_(False)
        middle = {"batch norm": nn.BatchNorm2d(2), "average": nn.AvgPool2d(2, 1), "maximum": nn.MaxPool2d(2, 1)}[name]
        side = 3 if name == "batch norm" else 2
        net = nn.Sequential(
            nn.Conv2d(1, 2, 2), middle, nn.ReLU(), nn.Flatten(), nn.Linear(2 * side * side, 3),
        )  # fmt: skip
        if isinstance(middle, nn.BatchNorm2d):
            middle.running_var.fill_(1e-6)
            middle.running_mean.normal_()
        net[0].weight.data *= 1e6 if name != "batch norm" else 1
        net[4].weight.data /= 1e6 if name != "batch norm" else 1
        return net.eval().requires_grad_(False)
