"""`keep="last"`: the point that an attack ends with, also where it leaves without handing one over."""

from __future__ import annotations

import torch
from torch import Tensor, nn

import sparring as sp
from sparring.bout import Bout
from sparring.losses import margin


def _affine() -> nn.Module:
    net = nn.Linear(2, 2, bias=False)
    net.weight.data.copy_(torch.eye(2))
    return net


class Looks(sp.FGSM):
    """Looks at points, hands over one of them or none."""

    def run(self, bout: Bout) -> Tensor | None:
        for move in (0.5, 0.3):  # both fool; the second is nearer
            bout.logits(bout.x + move * torch.tensor([-1.0, 1.0]))
        return bout.x + 0.4 * torch.tensor([-1.0, 1.0]) if self.loss is margin else None


X, Y, THREAT = torch.tensor([[0.6, 0.4]]), torch.tensor([0]), sp.Threat("Linf", 0.5)


def test_without_a_point_handed_over_the_last_look_counts() -> None:
    result = Looks()(_affine(), X, Y, THREAT, keep="last")
    torch.testing.assert_close(result.x_adv, torch.tensor([[0.3, 0.7]]))
    assert bool(result.success)
    assert abs(result.distance.item() - 0.3) < 1e-6


def test_a_point_handed_over_counts_alone() -> None:
    result = Looks(loss=margin)(_affine(), X, Y, THREAT, keep="last")
    torch.testing.assert_close(result.x_adv, torch.tensor([[0.2, 0.8]]))


def test_a_last_look_that_does_not_fool_is_no_success() -> None:
    class Back(Looks):
        def run(self, bout: Bout) -> None:
            bout.logits(bout.x + 0.5 * torch.tensor([-1.0, 1.0]))
            bout.logits(bout.x)

    result = Back()(_affine(), X, Y, THREAT, keep="last")
    assert not bool(result.success)
    assert torch.isinf(result.distance).all()


def test_searches_go_on_from_the_nearest_success_whatever_is_kept() -> None:
    seen: list[float] = []

    class Asks(Looks):
        def run(self, bout: Bout) -> None:
            super().run(bout)
            bout.logits(bout.x)
            seen.append(float(bout.nearest_success[1]))

    for keep in ("last", "margin"):
        Asks()(_affine(), X, Y, THREAT, keep=keep)
    assert [round(value, 3) for value in seen] == [0.3, 0.3]


def test_rows_that_leave_early_end_with_their_last_point() -> None:
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(16, 12), nn.Tanh(), nn.Linear(12, 4)).requires_grad_(False)
    x = torch.rand(8, 16)
    result = sp.DeepFool()(net, x, net(x).argmax(1), sp.Threat("L2"), keep="last")
    assert bool(result.success.all())
