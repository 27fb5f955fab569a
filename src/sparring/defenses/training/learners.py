"""Learners: an algorithm with its settings as one value, from training images to a net. `learner("wong:epochs=8")`.

    wong, net-f, ...              a net of the zoo, trained by `fit`
    logistic, svm, ridge          linear classifiers of scikit-learn on the pixels, as a net with one layer

Experiments that train many nets alike (poisoning, sanitising) take one; what it does depends on nothing but the
images and the seed.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable
from copy import deepcopy
from dataclasses import dataclass, fields, replace
from typing import Any

import torch
from torch import Tensor, nn

from sparring.data.images import ImageData
from sparring.defenses.training.fit import STANDARD, fit
from sparring.defenses.training.loss import TrainingLoss
from sparring.defenses.training.standard import Standard
from sparring.errors import InputError
from sparring.seeds import derived_seed, private_rng
from sparring.spec import number, parse_spec, unknown
from sparring.zoo.extras import need
from sparring.zoo.nets import NETS, make_net

LINEAR_EPOCHS, LINEAR_LR = 40, 5e-3
"of a linear classifier that learns by descent: on 1,000 digits it ends within 3 % of scikit-learn's optimum"


class Learner(ABC):
    """From images to a net that takes pixels [B, C, H, W] in [0, 1]."""

    @abstractmethod
    def learn(self, data: ImageData, seed: int = 0) -> nn.Module:
        """A net in eval mode, a pure function of the images and the seed."""

    @property
    @abstractmethod
    def spec(self) -> str:
        """This learner as text."""


@dataclass(frozen=True)
class NetLearner(Learner):
    """A net of the zoo, trained by `fit` with Adam; the rate falls to a tenth after 70 % of the run.

    Attributes:
        net: its name. epochs, lr, batch_size: see `fit`. loss: what is learned.
    """

    net: str = "wong"
    epochs: int = 8
    lr: float = 2e-3
    batch_size: int = 64
    loss: TrainingLoss = STANDARD

    def learn(self, data: ImageData, seed: int = 0) -> nn.Module:
        """See `Learner.learn`. The seed sets the first weights and the order of the images."""
        channels, side, _ = data.shape
        net = make_net(self.net, in_channels=channels, num_classes=len(data.classes), size=side, seed=seed)
        return self.refine(net, data, seed)

    def refine(self, net: nn.Module, data: ImageData, seed: int = 0, *, lr: float | None = None) -> nn.Module:
        """Train a net further, in place, with the same settings; weights that are frozen stay."""
        return fit(
            net, data, epochs=self.epochs, loss=self.loss, lr=lr or self.lr, schedule="drop",
            batch_size=self.batch_size, seed=seed, device="cpu",
        ).net  # fmt: skip

    @property
    def spec(self) -> str:
        """Name and what differs from the defaults; the loss is not part of it."""
        return _spec(self.net, self, NetLearner(self.net), ("net", "loss"))


@dataclass(frozen=True)
class LinearLearner(Learner):
    """A linear classifier of scikit-learn on the pixels, deterministic: the seed plays no part.

    Attributes:
        kind: "logistic" (multinomial), "svm" (one against the rest, squared hinge) or "ridge" (least squares).
        C: the inverse weight of the L2 penalty, as scikit-learn counts it; ridge takes 1 / C as its alpha.
        loss: in place of the cross-entropy of "logistic". The same layer with the same penalty then learns by `fit`,
            from zero weights; the seed sets the order of the images and the noise.
    """

    kind: str = "logistic"
    C: float = 0.1
    loss: TrainingLoss = STANDARD

    def learn(self, data: ImageData, seed: int = 0) -> nn.Module:
        """See `Learner.learn`.

        Raises:
            InputError: a loss is given for another kind than "logistic".
            MissingExtra: scikit-learn is not installed.
        """
        if self.loss != STANDARD:
            return self._descend(data, seed)
        models = need("sklearn.linear_model", f"the learner {self.kind}", "poisoning")
        x, y = data.tensors()
        if self.kind == "logistic":
            made = models.LogisticRegression(C=self.C, max_iter=300)
        elif self.kind == "ridge":
            made = models.RidgeClassifier(alpha=1 / self.C)
        else:
            made = need("sklearn.svm", "the learner svm", "poisoning").LinearSVC(C=self.C, max_iter=2000, dual=False)
        made.fit(x.flatten(1).double().numpy(), y.numpy())
        weight = torch.from_numpy(made.coef_).float().reshape(-1, x[0].numel())
        bias = torch.from_numpy(made.intercept_).float().reshape(-1)
        if len(weight) == 1:  # two classes: one row, the second class against the first
            weight, bias = torch.cat([-weight, weight]) / 2, torch.cat([-bias, bias]) / 2
        layer = nn.Linear(weight.shape[1], len(data.classes))
        with torch.no_grad():
            layer.weight.zero_()
            layer.bias.fill_(-1e4)  # a class that the data do not hold is never the answer
            present = torch.from_numpy(made.classes_)
            layer.weight[present], layer.bias[present] = weight, bias
        return nn.Sequential(nn.Flatten(), layer).eval()

    def _descend(self, data: ImageData, seed: int) -> nn.Module:
        """The mean of `loss` and |W|^2 / (2 C n), as scikit-learn weighs them, by Adam."""
        if self.kind != "logistic":
            raise InputError(f"{self.kind} learns with its own loss only; take logistic, or a net of the zoo")
        layer = nn.Linear(data.tensors()[0][0].numel(), len(data.classes))
        with torch.no_grad():
            layer.weight.zero_()
            layer.bias.zero_()

        def adam(parameters: Iterable[nn.Parameter], lr: float) -> torch.optim.Optimizer:
            weight, bias = parameters
            penalty = 1 / (self.C * len(data))
            groups: list[dict[str, Any]] = [{"params": [weight], "weight_decay": penalty}, {"params": [bias]}]
            return torch.optim.Adam(groups, lr=lr)

        net = nn.Sequential(nn.Flatten(), layer)
        return fit(
            net, data, epochs=LINEAR_EPOCHS, loss=self.loss, optimizer=adam, lr=LINEAR_LR, schedule="drop",
            batch_size=64, seed=seed, device="cpu",
        ).net  # fmt: skip

    @property
    def spec(self) -> str:
        """Name and what differs from the defaults; the loss is not part of it."""
        return _spec(self.kind, self, LinearLearner(self.kind), ("kind", "loss"))


@dataclass(frozen=True)
class HeadLearner(Learner):
    """Transfer learning: a new last layer on a frozen net, trained by `fit`.

    The frozen part is in eval mode. Its features of the training images are computed once, unless the loss changes
    the pixels.

    Attributes:
        body: the trained net; all but its last layer is kept as it is. inner: how the layer is trained.
    """

    body: nn.Sequential
    inner: NetLearner

    def learn(self, data: ImageData, seed: int = 0) -> nn.Module:
        """See `Learner.learn`."""
        net = deepcopy(self.body).requires_grad_(False).eval()
        old = net[-1]
        if not isinstance(old, nn.Linear):
            raise InputError(f"the last layer is a {type(old).__name__}; transfer learning here needs a Linear")
        with private_rng(torch.device("cpu"), derived_seed(seed, "last layer")):
            layer = nn.Linear(old.in_features, len(data.classes))
        net[-1] = layer
        if not isinstance(self.inner.loss, Standard):
            return self.inner.refine(net, data, seed)
        with torch.no_grad():
            features = torch.cat([net[:-1](x) for x, _ in data.loader(500)])
        low, span = features.min(), (features.max() - features.min()).clamp(min=1e-12)
        scaled = ((features - low) / span).clamp(0, 1)[:, :, None, None]  # in the range of pixels, which `fit` expects
        seen = ImageData(scaled, data.labels, classes=data.classes, name=f"features of {data.name}")
        self.inner.refine(nn.Sequential(nn.Flatten(), _Scale(low, span), layer), seen, seed)
        return net

    @property
    def spec(self) -> str:
        """The learner of the last layer."""
        return f"last layer of {self.inner.spec}"


class _Scale(nn.Module):
    """span x + low."""

    low: Tensor
    span: Tensor

    def __init__(self, low: Tensor, span: Tensor) -> None:
        super().__init__()
        self.register_buffer("low", low)
        self.register_buffer("span", span)

    def forward(self, x: Tensor) -> Tensor:
        return x * self.span + self.low


LINEAR = ("logistic", "svm", "ridge")


def learner(spec: str) -> NetLearner | LinearLearner:
    """A learner from its spec: "wong", "wong:epochs=4,lr=0.001", "logistic:C=1".

    Raises:
        InputError: no such learner or setting.

    >>> learner("wong:epochs=4")
    NetLearner(net='wong', epochs=4, lr=0.002, batch_size=64, loss=Standard(smoothing=0.0, temperature=1.0))
    >>> learner("logistic:C=1").spec
    'logistic:C=1'
    """
    read = parse_spec(spec)
    made: NetLearner | LinearLearner
    if read.name in NETS:
        made = NetLearner(read.name)
    elif read.name in LINEAR:
        made = LinearLearner(read.name)
    else:
        raise unknown("learner", read.name, (*LINEAR, *NETS))
    known = [one.name for one in fields(made) if one.name not in ("net", "kind", "loss")]
    values: dict[str, Any] = {}
    for key, text in read.fields.items():
        value = number(text)
        if key not in known:
            raise InputError(f"the learner {read.name} has no setting {key!r}; it has {', '.join(known)}")
        if isinstance(value, str) or value <= 0 or (key in ("epochs", "batch_size") and isinstance(value, float)):
            raise InputError(f"{read.name}: {key}={text} is not understood; give a number above 0")
        values[key] = value
    return replace(made, **values)


def _spec(name: str, mine: Any, default: Any, skip: tuple[str, ...]) -> str:
    changed = [
        f"{one.name}={getattr(mine, one.name)}"
        for one in fields(mine)
        if one.name not in skip and getattr(mine, one.name) != getattr(default, one.name)
    ]
    return name + (":" + ",".join(changed) if changed else "")
