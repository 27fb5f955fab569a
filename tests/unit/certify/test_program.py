"""Mixed-integer programming settles what branch and bound leaves open, and agrees with it."""

from __future__ import annotations

import pytest
import torch
from torch import nn

import sparring as sp
from sparring.certify.methods import find_method

pytest.importorskip("highspy")


def case() -> tuple[nn.Module, torch.Tensor, torch.Tensor]:
    """A small net and images that it gets right."""
    torch.manual_seed(3)
    net = nn.Sequential(nn.Flatten(), nn.Linear(6, 12), nn.ReLU(), nn.Linear(12, 12), nn.ReLU(), nn.Linear(12, 3))
    x = torch.rand(12, 1, 2, 3)
    return net.requires_grad_(False), x, net(x).argmax(1)


@pytest.mark.parametrize(("norm", "eps"), [("Linf", 0.2), ("L1", 0.6)])
def test_it_settles_what_is_open_and_agrees_with_branch_and_bound(norm: str, eps: float) -> None:
    net, x, y = case()
    open_ = sp.certify(net, x, y, (norm, eps), "complete:seconds=0,attack=off")
    assert "unknown" in open_.status
    settled = sp.certify(net, x, y, (norm, eps), "complete:seconds=0,attack=off,program=20")
    searched = sp.certify(net, x, y, (norm, eps), "complete:seconds=20")
    assert {"attacked", "certified"} <= set(searched.status)
    assert settled.status == searched.status
    broken = settled.attacked
    assert bool((net(settled.x_adv[broken]).argmax(1) != y[broken]).all())


def test_under_another_norm_it_is_refused() -> None:
    net, x, y = case()
    with pytest.raises(sp.InputError, match="program works under Linf and L1, not under L2"):
        sp.certify(net, x, y, ("L2", 0.1), "complete:program=5")


def test_it_is_refused_before_an_audit_begins() -> None:
    net, x, y = case()
    asked = []
    net.register_forward_hook(lambda *_: asked.append(1))
    with pytest.raises(sp.InputError, match="program works under Linf and L1, not under L2"):
        sp.audit(net, (x, y), ("L2", 0.1), suite="quick", certify="complete:program=5", clean_floor=0)
    assert len(asked) < 5, "attacks ran before the option was read"


def test_a_second_proof_has_four_times_the_time() -> None:
    again = find_method("complete:seconds=3,program=5").patient()
    assert again.spec == "complete:seconds=12.0,attack=off,program=20.0"
