"""A small audit that several tests look at from different sides."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from unittest.mock import patch

import pytest
import torch
from torch import Tensor, nn

import sparring as sp
from sparring.attack import Attack, register
from sparring.audit.report.report import Report
from sparring.bout import Bout
from sparring.norms import L0, L1, L2, Linf

sp.attacks()  # fills the register, so that tests may patch it and put it back whole


def linear() -> nn.Module:
    """Sixteen grey pixels, three classes, linear: each class is the sum of its own five pixels."""
    net = nn.Sequential(nn.Flatten(), nn.Linear(16, 3, bias=False))
    with torch.no_grad():
        net[1].weight.zero_()
        for k in range(3):
            net[1].weight[k, 5 * k : 5 * k + 5] = 1.0
    return net


def bright(n: int = 24) -> tuple[torch.Tensor, torch.Tensor]:
    """Images that the linear net gets right, from easy to hard to break, and a last one that is labelled wrongly."""
    x, y = torch.full((n, 1, 4, 4), 0.2), torch.arange(n) % 3
    for i, k in enumerate(y.tolist()):
        x[i].view(-1)[5 * k : 5 * k + 5] += 0.05 + 0.02 * (i // 3)
    y[-1] = (y[-1] + 1) % 3
    return x, y


@pytest.fixture(scope="session")
def small_report() -> Report:
    """24 images, of which FGSM, PGD and Square break some; two requirements, one of them not met."""
    return sp.audit(
        linear(),
        bright(),
        sp.Threat("Linf", 0.05),
        suite=["fgsm", "pgd:steps=5", "square:queries=20"],
        claims=["fgsm=0.9"],
        require=["robust@0.05 >= 90%", "clean >= 0.5"],
    )


@pytest.fixture(scope="session")
def small_net() -> nn.Module:
    """The linear net of `small_report`."""
    return linear()


@pytest.fixture(scope="session")
def small_images() -> tuple[torch.Tensor, torch.Tensor]:
    """The images of `small_report`."""
    return bright()


@pytest.fixture(scope="session")
def searching() -> Callable[..., Attack]:
    """Makes an attack, in no register, of a function that searches: `searching(run, sees="decision")`."""
    return _searching


def _searching(run: Callable[[Bout], Tensor | None], sees: str = "decision") -> Attack:
    """An attack that is the function `run`, in no register."""
    columns: Any = {"title": "S", "sees": sees, "norms": (L0, L1, L2, Linf), "aim": "both", "paper": "none"}
    with patch.dict("sparring.attack.REGISTRY"):
        made = register("searching", year=2024, **columns)(type("S", (Attack,), {"run": lambda self, bout: run(bout)}))
    attack: Attack = made()
    return attack
