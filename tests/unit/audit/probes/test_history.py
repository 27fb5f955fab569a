"""Models that answer by what they were asked before: seen, and put back before each question."""

from __future__ import annotations

from typing import ClassVar

import pytest
import torch
from torch import Tensor, nn

from sparring.audit.cascade.cascade import shuffled, subset_of
from sparring.audit.inputs.clean import Clean
from sparring.audit.probes.history import Memory, Restored, answers, differ, remembers
from sparring.model import Model
from sparring.reproduce.gallery_masks import Cached, Counting
from sparring.testing.fixtures import Affine


def affine(seed: int) -> nn.Module:
    generator = torch.Generator().manual_seed(seed)
    return Affine(torch.randn(3, 16, generator=generator), torch.zeros(3))


X = torch.rand(8, 1, 4, 4, generator=torch.Generator().manual_seed(5))
Z = (X + 0.1 * torch.randn(8, 1, 4, 4, generator=torch.Generator().manual_seed(6))).clamp(0, 1)


class Running(nn.Module):
    """Adds a running mean of what it has seen, kept as a plain attribute."""

    def __init__(self) -> None:
        super().__init__()
        self.net = affine(0)
        self.mean = 0.0

    def forward(self, x: Tensor) -> Tensor:
        self.mean = 0.9 * self.mean + float(x.mean())
        answer: Tensor = self.net(x + 0.3 * self.mean)
        return answer


def closure() -> nn.Module | object:
    asked: list[int] = []
    plain, other = affine(0), affine(1)

    def net(x: Tensor) -> Tensor:
        asked.append(len(x))
        answer: Tensor = (plain if sum(asked) < 40 else other)(x)
        return answer

    return net


class Hashed(Cached):
    def forward(self, x: Tensor) -> Tensor:
        answers = self.net(x)
        for row, answer in zip(x, answers.detach(), strict=True):
            self.known.setdefault(str((row.flatten()[:2] > 0.5).tolist()).encode(), answer.clone())
        return torch.stack([self.known[str((row.flatten()[:2] > 0.5).tolist()).encode()] for row in x]) + 0 * answers


class OnItsClass(nn.Module):
    """A counter that no instance holds."""

    asked = 0

    def __init__(self) -> None:
        super().__init__()
        type(self).asked = 0
        self.plain = affine(0)
        self.other = affine(1)

    def forward(self, x: Tensor) -> Tensor:
        OnItsClass.asked += len(x)
        answer: Tensor = (self.plain if self.asked <= 40 else self.other)(x)
        return answer


class InAList(OnItsClass):
    """The same in a list, in the class above."""

    log: ClassVar[list[int]] = []

    def __init__(self) -> None:
        super().__init__()
        self.log.clear()

    def forward(self, x: Tensor) -> Tensor:
        self.log.append(len(x))
        answer: Tensor = (self.plain if sum(self.log) <= 40 else self.other)(x)
        return answer


ASKED = {"times": 0}


class InTheModule(OnItsClass):
    """The same beside all classes."""

    def __init__(self) -> None:
        super().__init__()
        ASKED["times"] = 0

    def forward(self, x: Tensor) -> Tensor:
        ASKED["times"] += len(x)
        answer: Tensor = (self.plain if ASKED["times"] <= 40 else self.other)(x)
        return answer


MAKERS = [
    lambda: Counting(affine(0), affine(1), 40), lambda: Hashed(affine(0)), closure, OnItsClass, InAList, InTheModule,
]  # fmt: skip


def test_a_list_that_others_hold_is_put_back_in_place() -> None:
    model = Model(InAList())
    memory, held = Memory(model), InAList.log
    answers(model, X, 8)
    assert held
    memory.restore()
    assert held is InAList.log
    assert held == []


@pytest.mark.parametrize("make", MAKERS)
def test_memory_shows_and_can_be_put_back(make: object) -> None:
    model = Model(make())  # type: ignore[operator]
    memory = Memory(model)
    first = answers(model, X, 8)
    for _ in range(6):
        answers(model, X, 8)
    share, passes = remembers(model, memory, X, Z, 8)
    assert share > 0
    assert passes == 5 * len(X)
    fresh = Restored(model, memory)
    assert torch.equal(answers(fresh, X, 8), first)
    assert torch.equal(answers(fresh, X, 8), first)
    again = Memory(Model(make()))  # type: ignore[operator]
    assert again is not memory


def test_honest_models_remember_nothing() -> None:
    for net in (affine(0), nn.Sequential(nn.BatchNorm2d(1), affine(0)).eval(), lambda x: x.flatten(1)[:, :3]):
        model = Model(net)
        memory = Memory(model)
        answers(model, X, 8)
        assert remembers(model, memory, X, Z, 8)[0] == 0.0


def test_what_draws_at_random_does_not_count_as_memory() -> None:
    import numpy as np

    class Noisy(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.net = affine(0)
            self.rng = np.random.default_rng(0)

        def forward(self, x: Tensor) -> Tensor:
            answer: Tensor = self.net(x + torch.as_tensor(self.rng.normal(size=x.shape)).to(x))
            return answer

    for net in (Noisy(), Running()):  # the probe of random answers sees these: they never settle
        model = Model(net)
        assert remembers(model, Memory(model), X, Z, 8)[0] == 0.0


def test_nan_is_like_nan() -> None:
    one = torch.tensor([[1.0, torch.nan], [1.0, 2.0]])
    assert differ(Model(affine(0)), one, one).tolist() == [False, False]
    assert differ(Model(affine(0)), one, one.nan_to_num(0.0)).tolist() == [True, False]


def test_the_sanity_subset_is_drawn_from_all_images() -> None:
    y = torch.zeros(1000, dtype=torch.int64)
    clean = Clean(torch.zeros(1000, 1), y, torch.tensor([[1.0, 0.0]]).repeat(1000, 1))
    drawn = subset_of(clean, 100, 0, "ab" * 32)
    assert len(drawn) == len(set(drawn.tolist())) == 100
    assert drawn.tolist() == sorted(drawn.tolist())
    assert 300 < float(drawn.double().mean()) < 700
    assert torch.equal(drawn, subset_of(clean, 100, 0, "ab" * 32))
    assert not torch.equal(drawn, subset_of(clean, 100, 1, "ab" * 32))
    assert not torch.equal(drawn, subset_of(clean, 100, 0, "cd" * 32))
    assert subset_of(clean, 5000).tolist() == list(range(1000))
    assert sorted(shuffled(50, 3).tolist()) == list(range(50))
