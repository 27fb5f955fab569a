"""OptMargin: it is C&W L2 without its copies, and passes by places where only the point itself fools."""

from __future__ import annotations

import torch
from torch import Tensor, nn

import sparring as sp
from sparring.bout import Bout


class Sliver(nn.Module):
    """One pixel: class 1 in a sliver around 0.51, and from 0.7 on."""

    def forward(self, x: Tensor) -> Tensor:
        sliver = (0.25 - 25 * (x - 0.51).abs()).relu()
        return torch.cat([torch.zeros_like(x), 10 * (x - 0.7 + sliver)], 1)


def test_without_copies_it_is_carlini_wagner() -> None:
    torch.manual_seed(0)
    small_net = nn.Sequential(nn.Linear(8, 16), nn.Tanh(), nn.Linear(16, 4)).requires_grad_(False)
    x = torch.rand(6, 8)
    y = small_net(x).argmax(1)
    alone = sp.attack("optmargin:copies=1,steps=20,search=3")(small_net, x, y, sp.Threat("L2"))
    plain = sp.attack("cw-l2:steps=20,search=3")(small_net, x, y, sp.Threat("L2"))
    assert torch.equal(alone.x_adv, plain.x_adv)
    assert torch.equal(alone.gradients, plain.gradients)


def test_it_passes_by_a_sliver_that_the_nearest_point_is_in() -> None:
    x = torch.linspace(0.39, 0.41, 8)[:, None]
    y, threat = torch.zeros(8, dtype=torch.long), sp.Threat("L2")
    nearest = sp.attack("cw-l2:steps=60,lr=0.02")(Sliver(), x, y, threat)
    safe = sp.OptMargin(steps=60, copies=2, radius=0.1)(Sliver(), x, y, threat, keep="last")
    assert bool((nearest.x_adv < 0.53).all())
    # A row's one copy is 0.1 above it, so that 0.7 will do, or 0.1 below it, and it has to go to 0.8.
    above, below = (safe.x_adv - 0.7).abs() < 0.02, (safe.x_adv - 0.8).abs() < 0.02
    assert bool((above | below).all())
    assert bool(above.any())
    assert bool(below.any())


def test_directions_are_orthogonal_and_of_the_radius_that_is_asked_for() -> None:
    from sparring.blocks.views.shift import orthogonal

    seen: list[Tensor] = []

    def spy(bout: Bout) -> None:
        seen.append(orthogonal(bout, 5, 0.3))

    class Spy(sp.FGSM):
        def run(self, bout: Bout) -> None:
            spy(bout)

    net = nn.Sequential(nn.Flatten(), nn.Linear(16, 3))
    x = torch.rand(3, 1, 4, 4)
    Spy()(net, x, net(x).argmax(1), sp.Threat("L2", 1.0))
    directions = seen[0].flatten(2)
    assert directions.shape == (3, 5, 16)
    expected = 0.3**2 * 16 * torch.eye(5).expand(3, 5, 5)
    torch.testing.assert_close(directions @ directions.transpose(1, 2), expected, atol=1e-5, rtol=1e-5)
