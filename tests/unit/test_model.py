"""`Model`: nets that write into their input, one number for two classes, threads, and weights made in odd ways."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import sparring as sp
from sparring.batches import batches
from sparring.model import check_labels


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


class Straight(torch.autograd.Function):
    """Clamped on the way there, to the bit; the gradient passes as it is."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        return x.clamp(0.2, 0.8)

    @staticmethod
    def backward(ctx: Any, slope: Tensor) -> Tensor:  # type: ignore[override]
        return slope


PAIRS = {
    "clamp_": (lambda x: x.clamp_(0.2, 0.8), lambda x: x.clamp(0.2, 0.8)),
    "sub_ and div_": (lambda x: x.sub_(0.5).div_(0.3), lambda x: x.sub(0.5).div(0.3)),
    "relu": (nn.ReLU(inplace=True), nn.ReLU()),
    "data": (_through_data, Straight.apply),
    "no_grad": (_without_grad, Straight.apply),
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

    x, _ = _images()
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


def test_threads_take_turns_and_leave_the_net_as_it_was() -> None:
    x, y = _images(24)
    net = nn.Sequential(nn.Flatten(), nn.Linear(36, 16), nn.BatchNorm1d(16), nn.Dropout(0.5), nn.Linear(16, 3)).train()
    before = {name: value.clone() for name, value in net.state_dict().items()}
    attack = sp.attack("pgd:steps=5")
    alone = [attack(net, x, y, ("Linf", 0.1), seed=seed).x_adv for seed in range(6)]
    with ThreadPoolExecutor(6) as pool:
        together = list(pool.map(lambda seed: attack(net, x, y, ("Linf", 0.1), seed=seed).x_adv, range(6)))
    assert all(torch.equal(a, b) for a, b in zip(alone, together, strict=True))
    assert all(module.training for module in net.modules())
    assert all(parameter.requires_grad for parameter in net.parameters())
    assert all(torch.equal(value, before[name]) for name, value in net.state_dict().items())


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16])
@pytest.mark.parametrize(("spec", "norm", "eps"), [("ddn", "L2", 1.0), ("fab", "L2", None), ("cw-linf", "Linf", 0.1)])
def test_torchs_default_dtype_changes_nothing(dtype: torch.dtype, spec: str, norm: str, eps: float | None) -> None:
    x, y = _images()
    net = Writing(nn.Identity())
    budget = sp.Budget(passes=60)
    want = sp.attack(spec)(net, x, y, (norm, eps), budget=budget)
    torch.set_default_dtype(dtype)
    try:
        got = sp.attack(spec)(net, x, y, (norm, eps), budget=budget)
        assert torch.get_default_dtype() is dtype
    finally:
        torch.set_default_dtype(torch.float32)
    assert torch.equal(got.x_adv, want.x_adv)
    assert torch.equal(got.distance, want.distance)


def test_the_users_net_runs_under_the_users_default_dtype() -> None:
    x, y = _images()
    weight = torch.randn(36, 3, dtype=torch.float64)
    seen = []

    def net(z: Tensor) -> Tensor:
        seen.append(torch.get_default_dtype())
        return z.flatten(1).double() @ weight

    torch.set_default_dtype(torch.float64)
    try:
        sp.FGSM()(net, x, y, ("Linf", 0.1))
    finally:
        torch.set_default_dtype(torch.float32)
    assert set(seen) == {torch.float64}


def test_lazy_modules_are_named_before_anything_is_asked() -> None:
    x, y = _images()
    net = nn.Sequential(nn.Flatten(), nn.LazyLinear(3))
    with pytest.raises(sp.InputError, match=r"lazy modules.*net\(x\[:1\]\)"):
        sp.FGSM()(net, x, y, ("Linf", 0.1))
    net(x[:1])
    assert sp.FGSM()(net, x, y, ("Linf", 0.1)).success.shape == (12,)


def test_weights_made_in_inference_mode_are_named_where_gradients_are_wanted() -> None:
    x, y = _images()
    with torch.inference_mode():
        net = nn.Sequential(nn.Flatten(), nn.Linear(36, 3))
    with pytest.raises(sp.InputError, match="inference_mode"):
        sp.FGSM()(net, x, y, ("Linf", 0.1))
    assert sp.attack("square:queries=5")(sp.wrap(net, access="score"), x, y, ("Linf", 0.1)).success.shape == (12,)


LABELS = [0, 1, 2, 0]
GOOD: dict[str, Any] = {
    "uint16": np.array(LABELS, "uint16"),
    "uint32": np.array(LABELS, "uint32"),
    "uint64": np.array(LABELS, "uint64"),
    "int8": np.array(LABELS, "int8"),
    "big-endian": np.array(LABELS, ">i4"),
    "backwards": np.array(LABELS[::-1])[::-1],
    "objects": np.array(LABELS, object),
    "list": LABELS,
    "list of tensors": [torch.tensor(label) for label in LABELS],
    "torch uint16": torch.tensor(LABELS).to(torch.uint16),
    "torch uint64": torch.tensor(LABELS).to(torch.uint64),
    "one-hot": np.eye(3)[LABELS],
}
BAD: dict[str, Any] = {
    "text": "7",
    "texts": ["0", "1", "2", "0"],
    "names": np.array(["cat", "dog", "cat", "dog"]),
    "objects": np.array([0, 1, "2", 0], object),
    "none among them": [0, 1, None, 2],
    "list of one tensor": [torch.tensor(LABELS)],
    "ragged": [[0, 1], [2], [0], [1]],
    "floats": np.array([0.0, 1.0, 2.0, 0.0]),
    "huge": np.array([0, 1, 2, 2**64 - 1], "uint64"),
    "beyond 64 bits": [0, 1, 2, 2**70],
    "negative": [-1, 0, 1, 2],
    "dates": np.array(["2020-01-01"] * 4, "datetime64[D]"),
    "complex": np.array(LABELS, complex),
    "a mapping": {0: 1},
    "None": None,
}


@pytest.mark.parametrize("kind", GOOD)
def test_whole_numbers_of_every_type_are_labels(kind: str) -> None:
    assert check_labels(GOOD[kind], 4, 3).tolist() == LABELS
    x, _ = _images(4)
    model = Writing(nn.Identity())
    want = sp.FGSM()(model, x, torch.tensor(LABELS), ("Linf", 0.1))
    assert torch.equal(sp.FGSM()(model, x, GOOD[kind], ("Linf", 0.1)).success, want.success)
    if kind != "one-hot":
        assert next(iter(batches((x, GOOD[kind]), 4)))[1].tolist() == LABELS


@pytest.mark.parametrize("kind", BAD)
def test_anything_else_is_refused_in_one_line(kind: str) -> None:
    with pytest.raises(sp.InputError) as caught:
        check_labels(BAD[kind], 4, 3)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("seed", [2**64 + 5, -(2**65), 2**63, np.int64(3)])
def test_seeds_of_any_size_are_taken(seed: Any) -> None:
    x, y = _images(4)
    first, again = (sp.PGD(steps=2)(Writing(nn.Identity()), x, y, ("Linf", 0.1), seed=seed).x_adv for _ in range(2))
    assert torch.equal(first, again)


@pytest.mark.parametrize("seed", [None, 1.5, "1", True])
def test_other_seeds_are_refused(seed: Any) -> None:
    x, y = _images(4)
    with pytest.raises(sp.InputError, match="seed is"):
        sp.PGD(steps=2)(Writing(nn.Identity()), x, y, ("Linf", 0.1), seed=seed)
