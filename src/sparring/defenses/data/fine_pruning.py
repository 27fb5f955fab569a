"""Fine-pruning: remove units that clean images leave idle, then train on (Liu et al. 2018, arXiv:1805.12185).

A backdoor lives in units that clean images do not use. The units before the last layer are ranked by their mean
activation on clean images; the idlest share is set to zero; the net is trained on for a little while on clean images.

Differs from the paper: the units before the last linear layer, not channels of the last convolution, since small nets
have few of those; a fixed share instead of pruning until accuracy falls. Fails where trigger and classes share units.
"""

from __future__ import annotations

from copy import deepcopy

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from sparring.data.images import ImageData
from sparring.defenses.data.activations import activations, last_linear
from sparring.defenses.training.learners import NetLearner
from sparring.errors import InputError


def prune(net: nn.Module, clean: ImageData, share: float) -> tuple[nn.Module, Tensor]:
    """A copy of the net without its idlest units, and their numbers, int64.

    Args:
        share: of the units before the last layer, in [0, 1).
    """
    if not 0 <= share < 1:
        raise InputError(f"share={share} of the units; it must be at least 0 and below 1")
    features, _ = activations(net, clean)
    idle = features.abs().mean(0).argsort(stable=True)[: int(share * features.shape[1])]
    pruned = deepcopy(net)
    with torch.no_grad():
        last_linear(pruned).weight[:, idle] = 0.0
    return pruned.eval(), idle


def fine_prune(
    net: nn.Module, clean: ImageData, learner: NetLearner, *, share: float = 0.5, seed: int = 0
) -> nn.Module:
    """A copy of the net, pruned and trained on with a tenth of the learner's rate; pruned units stay at zero.

    Args:
        clean: trusted images. learner: how it is trained on. share: of the units to prune.
    """
    pruned, idle = prune(net, clean, share)
    layer = last_linear(pruned)
    parametrize.register_parametrization(layer, "weight", _Pruned(idle, layer.in_features))
    tuned = learner.refine(pruned, clean, seed, lr=learner.lr / 10)
    parametrize.remove_parametrizations(last_linear(tuned), "weight")
    return tuned


class _Pruned(nn.Module):
    """Weights whose columns `idle` are zero."""

    kept: Tensor

    def __init__(self, idle: Tensor, columns: int) -> None:
        super().__init__()
        self.register_buffer("kept", torch.ones(columns).index_fill(0, idle, 0.0))

    def forward(self, weight: Tensor) -> Tensor:
        return weight * self.kept
