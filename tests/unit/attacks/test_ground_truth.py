"""The Ground-Truth attack: against enumeration of activation patterns, proved optima, and every other attack."""

from __future__ import annotations

import itertools
import os
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import sparring as sp

pytest.importorskip("highspy", reason="needs the extra 'certify'")
DATA = os.environ.get("SPARRING_DATA")


def tiny(seed: int) -> nn.Sequential:
    """4 pixels, 6 ReLUs, 3 classes."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        net = nn.Sequential(nn.Flatten(), nn.Linear(4, 6), nn.ReLU(), nn.Linear(6, 3))
        net[1].weight.data.mul_(2)
        return net.requires_grad_(False)


def smallest(net: nn.Sequential, x: Tensor, y: int, targets: set[int], norm: str) -> float:
    """The smallest size, by a linear program for each of the 2^6 activation patterns and each class."""
    from scipy.optimize import linprog

    w1, b1, w2, b2 = (value.double() for value in (net[1].weight, net[1].bias, net[3].weight, net[3].bias))
    d, best = 4, np.inf
    sizes = d if norm == "L1" else 1
    spend = np.eye(d) if norm == "L1" else np.ones((d, 1))
    for pattern in itertools.product((0.0, 1.0), repeat=6):
        on = torch.tensor(pattern, dtype=torch.float64)
        w, b, side = w2 @ (on[:, None] * w1), w2 @ (on * b1) + b2, (1 - 2 * on)[:, None]
        for t in targets:
            ahead = [k for k in range(3) if k != t] if len(targets) == 1 else [y]
            rows = torch.cat([side * w1, w[ahead] - w[t]]).numpy()
            limits = torch.cat([-side[:, 0] * b1, b[t] - b[ahead]]).numpy()
            pixels = x.flatten().double().numpy()
            a = np.block([[rows, np.zeros((len(rows), sizes))], [np.eye(d), -spend], [-np.eye(d), -spend]])
            solved = linprog(
                [0.0] * d + [1.0] * sizes, A_ub=a, b_ub=np.concatenate([limits, pixels, -pixels]), bounds=(0, 1)
            )
            best = min(best, solved.fun) if solved.status == 0 else best
    return best


@pytest.mark.long
@pytest.mark.parametrize("norm", ["Linf", "L1"])
@pytest.mark.parametrize("seed", [0, 1])
def test_it_is_the_smallest_by_enumeration(norm: str, seed: int) -> None:
    net, x = tiny(seed), torch.rand(3, 1, 2, 2, generator=torch.Generator().manual_seed(seed))
    y = net(x).argmax(1)
    found = sp.attack("ground-truth:passes=60")(net, x, y, (norm, None))
    truth = [smallest(net, x[i], int(y[i]), {0, 1, 2} - {int(y[i])}, norm) for i in range(3)]
    assert found.distance.tolist() == pytest.approx(truth, rel=2e-3, abs=2e-5)
    assert not found.doubts
    target = (y + 1) % 3
    aimed = sp.attack("ground-truth:passes=60")(net, x, sp.Targeted(target, y), (norm, None))
    truth = [smallest(net, x[i], int(y[i]), {int(target[i])}, norm) for i in range(3)]
    assert aimed.distance.tolist() == pytest.approx(truth, rel=2e-3, abs=2e-5)


@pytest.mark.long
def test_no_attack_is_nearer() -> None:
    net, x = tiny(4), torch.rand(4, 1, 2, 2, generator=torch.Generator().manual_seed(4))
    y = net(x).argmax(1)
    truth = sp.attack("ground-truth:passes=60")(net, x, y, ("Linf", None)).distance
    for other in ("fmn", "fab", "min-norm:passes=300", "cw-linf"):
        assert bool((sp.attack(other)(net, x, y, ("Linf", None)).distance >= truth * (1 - 1e-4)).all()), other


def test_what_is_not_proven_is_a_doubt_and_keeps_the_attack_before() -> None:
    net = nn.Sequential(nn.Flatten(), nn.Linear(4, 6), nn.Tanh(), nn.Linear(6, 3)).requires_grad_(False)
    x = torch.rand(2, 1, 2, 2, generator=torch.Generator().manual_seed(0))
    found = sp.attack("ground-truth:passes=60")(net, x, net(x).argmax(1), ("Linf", None))
    assert [doubt.code for doubt in found.doubts] == ["not-proven"]
    assert found.doubts[0].share == 1


@pytest.mark.long
@pytest.mark.skipif(DATA is None, reason="SPARRING_DATA names no folder with the net of the four proved optima")
@pytest.mark.parametrize(
    ("image", "optimum"),
    [
        (0, 0.03458),
        pytest.param(1, 0.05893, marks=pytest.mark.exam),
        pytest.param(3, 0.04737, marks=pytest.mark.exam),
        pytest.param(4, 0.02676, marks=pytest.mark.exam),
    ],
)
def test_the_four_proved_optima(image: int, optimum: float) -> None:
    """784-24-24-10, towards the second class on the clean image: proved by another program and solver."""
    from safetensors.torch import load_file

    net = nn.Sequential(
        nn.Flatten(), nn.Linear(784, 24), nn.ReLU(), nn.Linear(24, 24), nn.ReLU(), nn.Linear(24, 10)
    ).requires_grad_(False)
    net.load_state_dict(load_file(Path(str(DATA)) / "nets" / "fc-784-24-24-10.safetensors"))
    x, y = (value[image : image + 1] for value in sp.load_data("mnist", "test", 5).tensors())
    second = net(x).topk(2).indices[:, 1]
    found = sp.attack("ground-truth:passes=600")(net, x, sp.Targeted(second, y), ("Linf", None))
    assert not found.doubts
    assert float(found.distance[0]) == pytest.approx(optimum, abs=1e-4)
