"""Heads that do not give one class: several labels, detections. `wrap(..., success=, loss=)`."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

import sparring as sp
from sparring.errors import InputError

LABELS = 4


def one_label_lost(outputs: Tensor, y: Tensor) -> Tensor:
    """Above 0 where any label that is there is not found: by the least of its logits."""
    return -torch.where(y > 0, outputs, torch.inf).amin(1)


@pytest.fixture
def net() -> nn.Module:
    """Affine, so that the optimum is known: label k is there where pixel k is above 0.5."""
    net = nn.Sequential(nn.Flatten(), nn.Linear(LABELS, LABELS)).requires_grad_(False)
    net[1].weight.copy_(torch.eye(LABELS))
    net[1].bias.fill_(-0.5)
    return net


X = torch.tensor([[0.9, 0.7, 0.1, 0.2], [0.55, 0.2, 0.8, 0.1], [0.6, 0.3, 0.1, 0.3]])
Y = torch.tensor([[1.0, 1, 0, 0], [1, 0, 1, 0], [1, 1, 0, 0]])  # of the last, one is not found to begin with


@pytest.mark.parametrize(
    "spec", ["fgsm", "pgd:steps=10", "apgd-ce:steps=20", "apgd-dlr:steps=20", "apgd-t:steps=10", "square:queries=300"]
)
def test_attacks_that_fill_a_radius(net: nn.Module, spec: str) -> None:
    model = sp.wrap(net, success=one_label_lost)
    result = sp.attack(spec)(model, X, Y, sp.Threat("Linf", 0.1))
    assert result.clean_correct.tolist() == [True, True, False]
    assert result.success.tolist() == [False, True, True]
    assert torch.equal(one_label_lost(net(result.x_adv), Y) > 0, result.success)
    assert result.distance[2] == 0


@pytest.mark.parametrize("spec", ["deepfool", "fmn", "ddn", "boundary:queries=500", "hopskipjump:queries=500"])
def test_the_smallest_perturbation(net: nn.Module, spec: str) -> None:
    model = sp.wrap(net, success=one_label_lost)
    found = sp.attack(spec)(model, X, Y, sp.Threat("L2")).distance
    assert found[0] >= 0.2 - 1e-6
    assert found[1] >= 0.05 - 1e-6
    if spec in ("deepfool", "fmn", "ddn"):
        assert torch.allclose(found[:2], torch.tensor([0.2, 0.05]), rtol=0.05)


def test_a_loss_climbs_where_success_is_flat(net: nn.Module) -> None:
    def all_or_nothing(outputs: Tensor, y: Tensor) -> Tensor:
        return ((outputs > 0) != (y > 0)).any(1)

    threat = sp.Threat("Linf", 0.25)
    flat = sp.PGD(steps=10, random_start=False)(sp.wrap(net, success=all_or_nothing), X, Y, threat)
    steered = sp.PGD(steps=10, random_start=False)(
        sp.wrap(net, success=all_or_nothing, loss=one_label_lost), X, Y, threat
    )
    assert flat.success.tolist() == [False, False, True]
    assert "zero-gradients" in {doubt.code for doubt in flat.doubts}
    assert steered.success.tolist() == [True, True, True]
    assert set(steered.margin[:2].tolist()) == {0.5}


def test_outputs_of_any_shape() -> None:
    """Boxes and scores [B, n, 5], as a detector has them: fooled where no score is above one half."""

    class Detector(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return torch.stack([x.flatten(1)] * 5, 2)

    model = sp.wrap(Detector(), success=lambda outputs, y: 0.5 - outputs[:, :, 4].amax(1))
    result = sp.PGD(steps=5)(model, X, torch.zeros(3), sp.Threat("Linf", 0.15))
    assert result.success.tolist() == [False, False, True]


def test_what_does_not_fit_is_one_line(net: nn.Module) -> None:
    threat = sp.Threat("Linf", 0.1)
    model = sp.wrap(net, success=one_label_lost)
    with pytest.raises(InputError, match="success"):
        sp.FGSM()(model, X, sp.Targeted(torch.tensor([0, 0, 0])), threat)
    with pytest.raises(InputError, match=r"one number a sample is needed, shape \(3,\)"):
        sp.FGSM()(sp.wrap(net, success=lambda outputs, y: outputs), X, Y, threat)
    with pytest.raises(InputError, match="success="):
        sp.wrap(net, loss=one_label_lost)
    with pytest.raises(InputError, match="audit's checks are about classes"):
        sp.audit(model, (X, Y), threat)


def test_an_empty_batch_and_one_of_a_batch(net: nn.Module) -> None:
    model, threat = sp.wrap(net, success=one_label_lost), sp.Threat("Linf", 0.1)
    assert len(sp.FGSM()(model, X[:0], Y[:0], threat)) == 0
    alone = sp.PGD(steps=5)(model, X[1:2], Y[1:2], threat)
    together = sp.PGD(steps=5)(model, X, Y, threat)
    assert torch.allclose(alone.x_adv[0], together.x_adv[1])
