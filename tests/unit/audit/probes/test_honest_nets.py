"""Whatever a probe finds in an honest family of nets is a wrong threshold: untrained, trained, in low precision."""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from functools import cache

import pytest
import torch
from torch import Tensor, nn

import sparring as sp
from sparring.audit.cascade.hidden import look_inside
from sparring.audit.checks.run import early_doubts
from sparring.audit.checks.settled import FAITHFUL
from sparring.audit.inputs.clean import look
from sparring.audit.inputs.source import Source
from sparring.audit.probes.probe import probe
from sparring.threat import Threat

ACCUSING = {
    "zero-gradients",
    "loss-saturation",
    "piecewise-constant",
    "unfaithful-gradients",
    "misaligned-gradients",
    "unstable-outputs",
    "budget-not-used",
    "random-outputs",
    "batch-dependent",
    "dynamic-inference",
}


class Transformer(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.patch = nn.Linear(49, 32)
        self.position = nn.Parameter(torch.randn(1, 16, 32) * 0.1)
        layer = nn.TransformerEncoderLayer(32, 4, 64, batch_first=True, dropout=0.1)
        self.encoder = nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)
        self.head = nn.Linear(32, 10)

    def forward(self, x: Tensor) -> Tensor:
        patches = x.unfold(2, 7, 7).unfold(3, 7, 7).reshape(len(x), 16, 49)
        return self.head(self.encoder(self.patch(patches) + self.position).mean(1))  # type: ignore[no-any-return]


class Residual(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.stem, self.block = nn.Conv2d(1, 8, 3, 2, 1), nn.Conv2d(8, 8, 3, 1, 1)
        self.norm, self.head = nn.BatchNorm2d(8), nn.Linear(8 * 14 * 14, 10)

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x).relu()
        return self.head((x + self.norm(self.block(x))).relu().flatten(1))  # type: ignore[no-any-return]


def _mlp(activation: Callable[[], nn.Module]) -> nn.Module:
    return nn.Sequential(
        nn.Flatten(), nn.Linear(784, 48), activation(), nn.Linear(48, 48), activation(), nn.Linear(48, 10)
    )


FAMILIES: dict[str, Callable[[], nn.Module]] = {
    "linear": lambda: nn.Sequential(nn.Flatten(), nn.Linear(784, 10)),
    **{
        each.__name__: lambda each=each: _mlp(each) for each in (nn.ReLU, nn.Tanh, nn.Sigmoid, nn.GELU, nn.SiLU, nn.ELU)
    },
    "cnn": lambda: nn.Sequential(
        nn.Conv2d(1, 8, 3, 2), nn.ReLU(), nn.Conv2d(8, 16, 3, 2), nn.ReLU(), nn.Flatten(), nn.Linear(576, 10)
    ),
    "batch norm": lambda: nn.Sequential(
        nn.Conv2d(1, 8, 3, 2), nn.BatchNorm2d(8), nn.ReLU(), nn.Flatten(), nn.Linear(8 * 169, 10)
    ),
    "layer norm": lambda: nn.Sequential(
        nn.Flatten(), nn.Linear(784, 48), nn.LayerNorm(48), nn.ReLU(), nn.Linear(48, 10)
    ),
    "transformer": Transformer,
    "residual": Residual,
}


@cache
def _net(family: str, trained: bool) -> nn.Module:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        net = FAMILIES[family]()
        if trained:
            x, y = sp.load_data("mnist5k", split="train", n=500).tensors()
            optimizer = torch.optim.Adam(net.parameters(), 3e-3)
            for _ in range(6):
                for part, labels in zip(x.split(50), y.split(50), strict=True):
                    optimizer.zero_grad()
                    nn.functional.cross_entropy(net(part), labels).backward()
                    optimizer.step()
    return net.eval()


def _doubts(net: nn.Module | Callable[[Tensor], Tensor], norm: str, eps: float) -> set[str]:
    model, threat = sp.wrap(net), Threat(norm, eps)
    x = sp.load_data("mnist5k", n=24).tensors()[0]
    source = Source((x, model.labels(x)))  # all of them right: what is wrong is not attacked
    clean, _, _ = look(model, source, 24, 24, 24)
    found = probe(model, clean, torch.arange(24), threat.within(model.box), 0, 24, ())
    return {doubt.code for doubt in early_doubts(found, clean.classes)}


@pytest.mark.parametrize("trained", [False, pytest.param(True, marks=pytest.mark.long)], ids=["untrained", "trained"])
@pytest.mark.parametrize("family", FAMILIES)
def test_no_probe_accuses_a_plain_net(family: str, trained: bool) -> None:
    for norm, eps in (("Linf", 0.1), ("Linf", 0.3), ("L2", 2.0), ("L0", 784), ("L0", 5.9)):
        assert not _doubts(_net(family, trained), norm, eps) & ACCUSING, (norm, eps)


@pytest.mark.long
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("family", ["ReLU", "Tanh", "cnn", "residual"])
def test_low_precision_is_named_as_such(family: str, dtype: torch.dtype) -> None:
    net = deepcopy(_net(family, True)).to(dtype)
    for norm, eps in (("Linf", 0.1), ("L2", 2.0)):
        found = _doubts(net, norm, eps)
        assert not found & ACCUSING, found
        assert "low-precision" in found or norm == "L2" or family == "residual" or dtype is torch.float16


class Jumping(nn.Module):
    """A plain net, and noise that is a function of the pixels."""

    def __init__(self) -> None:
        super().__init__()
        self.net = _net("ReLU", True)

    def forward(self, x: Tensor) -> Tensor:
        noise = (1e5 * x.flatten(1) @ torch.linspace(1, 2, 7840).reshape(784, 10)).sin()
        return self.net(x) + 20 * noise.sign()  # type: ignore[no-any-return]


def test_outputs_that_do_jump_are_found() -> None:
    assert "unstable-outputs" in _doubts(Jumping(), "Linf", 0.1)


@pytest.mark.parametrize(("norm", "eps"), [("Linf", 0.3), ("L2", 1.5), ("L1", 10.0)])
def test_gradients_past_a_fine_rounding_match_the_model(norm: str, eps: float) -> None:
    net = sp.load_model("mnist-cnn-fast").net
    assert isinstance(net, nn.Module)
    model, (x, y) = sp.wrap(nn.Sequential(Rounded(255), net).eval()), sp.load_data("mnist5k", n=24).tensors()
    clean, _, _ = look(model, Source((x, y)), 24, 24, 24)
    threat = Threat(norm, eps).within(model.box)
    found = look_inside(model, x, y, threat, 0, probe(model, clean, torch.arange(24), threat, 0, 24, ()))
    assert found.rescued is not None
    assert found.rescued >= FAITHFUL


def test_a_mask_in_low_precision_is_not_excused_by_it() -> None:
    net = _net("ReLU", True)
    steps = nn.Sequential(Rounded(), deepcopy(net)).bfloat16()
    assert _doubts(steps, "Linf", 0.1) & {"zero-gradients", "piecewise-constant"}


class Rounded(nn.Module):
    """Pixels at the nearest of `steps` + 1 levels."""

    def __init__(self, steps: int = 3) -> None:
        super().__init__()
        self.steps = steps

    def forward(self, x: Tensor) -> Tensor:
        return (x * self.steps).round() / self.steps
