"""The momentum family: each member is the one below it when switched off, and the paper's loop when switched on."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

import sparring as sp
from sparring.blocks.directions import Memory, adam, gaussian, momentum, plain, smoothed
from sparring.errors import InputError
from sparring.rng import Noise
from sparring.testing.case import same
from sparring.testing.fixtures import Paper, affine, curved
from sparring.testing.watch import counted

NORMS = ["Linf", "L2", "L1"]
EPS = {"Linf": 0.1, "L2": 0.3, "L1": 0.8}


@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize(
    ("spec", "simpler"),
    [
        ("nifgsm:decay=0", "bim:steps=10,step=0.1"),
        ("mifgsm:decay=0", "bim:steps=10,step=0.1"),
        ("nifgsm:lookahead=false", "mifgsm"),
        ("sinifgsm:view=si1", "nifgsm"),
        ("difgsm:view=di0", "mifgsm"),
        ("difgsm:view=di0+si1", "mifgsm"),
        ("tifgsm:smooth=1", "mifgsm"),
        ("vmifgsm:neighbours=0", "mifgsm"),
        ("vmifgsm:spread=0", "mifgsm"),
        ("vnifgsm:neighbours=0", "nifgsm"),
        ("mifgsm:lookahead=true,view=si3,smooth=3", "sinifgsm:view=si3,smooth=3"),
    ],
)
def test_switched_off_it_is_the_simpler_attack(spec: str, simpler: str, norm: str) -> None:
    paper = curved()
    mine, theirs = (
        sp.attack(name)(paper.net, paper.x, paper.y, (norm, EPS[norm]), trace=True) for name in (spec, simpler)
    )
    same(mine, theirs, spec, tolerance=1e-12)
    assert mine.trace is not None
    assert theirs.trace is not None
    assert torch.allclose(mine.trace.margin, theirs.trace.margin, rtol=0, atol=1e-12, equal_nan=True)


@pytest.mark.parametrize("spec", ["nifgsm", "sinifgsm", "difgsm", "tifgsm:smooth=5", "vmifgsm", "vnifgsm"])
def test_switched_on_it_is_another_attack(spec: str) -> None:
    paper = curved((1, 8, 8))
    x_adv = [sp.attack(s)(paper.net, paper.x, paper.y, ("Linf", 0.02), keep="last").x_adv for s in (spec, "mifgsm")]
    assert not torch.equal(*x_adv)


# --- the papers' loops, written out ---------------------------------------------------------------------------

Gradient = Callable[[Tensor], Tensor]


def loop(paper: Paper, eps: float, *, ahead: bool, scales: int, taps: int, neighbours: int) -> Tensor:
    """NI-, SI-NI-, TI-, VMI- and VNI-FGSM for Linf, plainly: 10 steps of eps / 10, decay 1, spread 1.5."""

    def slope(z: Tensor) -> Tensor:
        total = torch.zeros_like(z)
        for i in range(scales):
            q = z.clone().requires_grad_()
            total += torch.autograd.grad(F.cross_entropy(paper.net(q / 2**i), paper.y, reduction="sum"), q)[0]
        return total / scales

    x, z, noise = paper.x, paper.x.clone(), Noise.of(paper.x, 0)
    m, v = torch.zeros_like(x), torch.zeros_like(x)
    for _ in range(10):
        g = slope(z + eps / 10 * m if ahead else z)
        tuned = g + v
        if taps > 1:
            kernel = gaussian(taps, x).expand(x.shape[1], 1, taps, taps)
            tuned = F.conv2d(tuned, kernel, padding="same", groups=x.shape[1])
        m = m + tuned / tuned.abs().mean((1, 2, 3), keepdim=True)
        if neighbours:
            around = [z + 1.5 * eps * (2 * noise.uniform(*x.shape[1:], dtype=x.dtype) - 1) for _ in range(neighbours)]
            v = torch.stack([slope(point) for point in around]).mean(0) - g
        z = (x + (z + eps / 10 * m.sign() - x).clamp(-eps, eps)).clamp(0, 1)
    return z


@pytest.mark.parametrize(
    ("spec", "ahead", "scales", "taps", "neighbours"),
    [
        ("mifgsm", False, 1, 1, 0),
        ("nifgsm", True, 1, 1, 0),
        ("sinifgsm", True, 5, 1, 0),
        ("tifgsm:smooth=5", False, 1, 5, 0),
        ("tifgsm", False, 1, 15, 0),
        ("vmifgsm:neighbours=3", False, 1, 1, 3),
        ("vnifgsm:neighbours=3", True, 1, 1, 3),
        ("vnifgsm:neighbours=2,smooth=3,view=si2", True, 2, 3, 2),
    ],
)
def test_it_is_the_papers_loop(spec: str, ahead: bool, scales: int, taps: int, neighbours: int) -> None:
    paper = curved((3, 6, 7))
    result = sp.attack(spec)(paper.net, paper.x, paper.y, ("Linf", 0.05), keep="last")
    expected = loop(paper, 0.05, ahead=ahead, scales=scales, taps=taps, neighbours=neighbours)
    assert torch.allclose(result.x_adv, expected, atol=1e-9)


# --- what it costs --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("spec", "gradients"),
    [
        ("mifgsm", 10),
        ("nifgsm", 10),
        ("sinifgsm", 50),
        ("sinifgsm:view=si2+eot3", 60),
        ("difgsm", 10),
        ("tifgsm", 10),
        ("vmifgsm", 10 + 9 * 20),  # the last step needs no neighbours
        ("vnifgsm:neighbours=3,view=si2", 10 * 2 + 9 * 3 * 2),
    ],
)
def test_passes_of_a_search_that_finds_nothing(spec: str, gradients: int) -> None:
    paper = affine()
    with counted(paper.net) as tally:
        result = sp.attack(spec)(paper.net, paper.x, paper.y, ("Linf", 1e-4))
    assert result.gradients.tolist() == [gradients] * len(paper)
    assert result.queries.tolist() == [gradients + 2] * len(paper)  # the clean images, and the last points
    assert (tally.forward, tally.backward) == (int(result.queries.sum()), int(result.gradients.sum()))


def test_a_sample_that_falls_pays_for_no_neighbours_any_more() -> None:
    paper = curved()
    result = sp.attack("vmifgsm:neighbours=20,step=1")(paper.net, paper.x, paper.y, ("Linf", 0.5))
    fell = result.success & (result.first_hit == 3)  # the clean image, the first gradient, and the second
    assert bool(fell.any())
    assert result.gradients[fell].tolist() == [2] * int(fell.sum())


# --- the look-ahead, the blur ---------------------------------------------------------------------------------


@pytest.mark.parametrize(("norm", "size"), [("Linf", 1.0), ("L2", 20**0.5), ("L1", 20.0)])
def test_the_look_ahead_is_a_step_long_under_every_norm(norm: str, size: float) -> None:
    paper = affine()
    once = sp.attack("mifgsm:steps=1,step=0.5")(paper.net, paper.x, paper.y, (norm, 0.01), keep="last").x_adv
    seen: list[Tensor] = []
    handle = paper.net.register_forward_pre_hook(lambda _, args: seen.append(args[0].detach().clone()))
    sp.attack("nifgsm:steps=2,step=0.5,decay=0.7")(paper.net, paper.x, paper.y, (norm, 0.01), keep="last")
    handle.remove()
    _, first, ahead, _ = seen
    q = paper.x.clone().requires_grad_()
    (g,) = torch.autograd.grad(F.cross_entropy(paper.net(q), paper.y, reduction="sum"), q)
    m = g / g.abs().mean((1, 2, 3), keepdim=True)
    assert torch.equal(first, paper.x)
    assert torch.allclose(ahead, once + 0.7 * 0.5 * 0.01 / size * m, rtol=0, atol=1e-9)


def test_kernels_sum_to_one_and_are_the_normal_density() -> None:
    like = torch.zeros(1, dtype=torch.float64)
    for side in (1, 3, 5, 15):
        kernel = gaussian(side, like)
        assert kernel.shape == (side, side)
        assert kernel.sum().item() == pytest.approx(1)
        assert torch.equal(kernel, kernel.flip(0, 1))
    assert gaussian(1, like).item() == 1
    ratio = gaussian(7, like)[3, 3] / gaussian(7, like)[3, 4]  # one standard deviation apart
    assert ratio.item() == pytest.approx(torch.tensor(0.5).exp().item())


def test_blur_leaves_vectors_alone_and_takes_any_number_of_channels() -> None:
    rule = smoothed(3, plain)
    vector = torch.randn(2, 9, generator=torch.Generator().manual_seed(0))
    assert torch.equal(rule(vector, {})[0], vector)
    spike = torch.zeros(1, 2, 5, 5)
    spike[0, 1, 2, 2] = 1
    blurred, _ = rule(spike, {})
    assert torch.equal(blurred[0, 0], torch.zeros(5, 5))
    assert torch.allclose(blurred[0, 1, 1:4, 1:4], gaussian(3, spike))


def test_rules_keep_what_others_put_into_the_memory() -> None:
    g, memory = torch.ones(2, 3), {"mine": torch.zeros(2)}
    for rule in (plain, momentum(1.0), smoothed(3, momentum(1.0)), adam()):
        kept: Memory = rule(g, dict(memory))[1]
        assert "mine" in kept
        assert torch.equal(rule(g, kept)[1]["mine"], memory["mine"])


def test_a_kernel_of_even_side_is_refused() -> None:
    with pytest.raises(InputError, match="a kernel of side 4 has no middle; give an odd number"):
        sp.attack("tifgsm:smooth=4")


# --- MultiTargeted --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("norm", NORMS)
def test_with_one_target_it_is_pgd_towards_the_runner_up(norm: str) -> None:
    paper = curved()
    runner_up = paper.logits(paper.x).detach().scatter(1, paper.y[:, None], -torch.inf).argmax(1)
    threat = sp.Threat(norm, EPS[norm])
    mine = sp.attack("multitargeted:targets=1,random_start=false")(paper.net, paper.x, paper.y, threat)
    pgd = sp.PGD(random_start=False, loss="logit-difference")  # type: ignore[arg-type]
    same(mine, pgd(paper.net, paper.x, sp.Untargeted(paper.y, runner_up), threat), "towards the runner-up")


def test_it_goes_on_to_other_classes_where_the_likeliest_cannot_be_reached() -> None:
    weight = torch.tensor([[0.0, 0.0], [0.0, 0.01], [1.0, 0.0]])  # class 1 is the runner-up, class 2 is within reach
    net = nn.Linear(2, 3)
    net.weight.data, net.bias.data = weight, torch.tensor([0.5, 0.3, -0.2])
    x, y, threat = torch.tensor([[0.5, 0.5]]), torch.tensor([0]), sp.Threat("Linf", 0.25)
    reached = [bool(sp.attack(f"multitargeted:targets={n},steps=5")(net, x, y, threat).success) for n in (1, 2)]
    assert reached == [False, True]
