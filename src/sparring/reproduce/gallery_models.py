"""The models of the gallery: honest nets, and nets behind every trick that has made one look robust.

Small nets are trained once, on the data that the package brings along, and kept in a folder.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn

from sparring.attacks.gradient.fgsm import FGSM
from sparring.data import load_data
from sparring.defenses import defend
from sparring.defenses.training.callbacks import Callback
from sparring.defenses.training.distillation import Distillation
from sparring.defenses.training.fit import fit
from sparring.defenses.training.loss import TrainingLoss
from sparring.defenses.training.madry import AdversarialTraining
from sparring.defenses.training.standard import Standard
from sparring.model import Model, wrap
from sparring.preprocess import Stage
from sparring.reproduce import gallery_masks as masks
from sparring.reproduce.gallery_layers import BlockCosine, GradientKiller, ResizePad, Rounded, Same, Times
from sparring.threat import Threat
from sparring.zoo.loaders import load_model
from sparring.zoo.nets import make_net

TEMPERATURE = 100.0


@dataclass(frozen=True)
class Workshop:
    """Where nets are made, and kept.

    Args:
        cache: trained nets, one folder each. seed: of all trainings. callbacks: for the training of that name.
    """

    cache: Path
    seed: int = 0
    callbacks: Callable[[str], list[Callback]] = lambda name: []

    def net(self, name: str, start: nn.Module, loss: TrainingLoss, epochs: int, lr: float) -> nn.Module:
        """`start` trained with `loss` on mnist5k, or as it was left the last time; in eval mode."""
        data = load_data("mnist5k", "train")
        out = self.cache / f"{name}-seed{self.seed}"
        fitted = fit(
            start, data, epochs=epochs, loss=loss, lr=lr, schedule="drop", batch_size=32, seed=self.seed, out=out,
            resume=True, device="cpu", callbacks=self.callbacks(name),
        )  # fmt: skip
        return fitted.net.eval()

    def hot(self) -> nn.Module:
        """Half-width Net F on hard labels at T = 100: what the report calls distilled."""
        return self.net("hot", make_net("net-f-half", seed=self.seed), Standard(temperature=TEMPERATURE), 4, 3e-3)

    def distilled(self) -> nn.Module:
        """The same net taught by the soft labels of another at T = 100, as in the paper."""
        return self.net(
            "distilled", make_net("net-f-half", seed=self.seed + 1), Distillation(self.hot(), TEMPERATURE), 4, 3e-3
        )

    def with_dropout(self) -> nn.Module:
        """Half-width Net F, ordinary training."""
        return self.net("dropout", make_net("net-f-half", seed=self.seed), Standard(), 2, 1e-3)

    def with_batch_norm(self) -> nn.Module:
        """A small net with batch normalisation, ordinary training."""
        return self.net("batch-norm", batch_norm_net(self.seed), Standard(), 3, 2e-3)

    def overfitted(self, eps: float = 0.3) -> nn.Module:
        """FGSM adversarial training from the images themselves: it overfits to the single step."""
        loss = AdversarialTraining(Threat("Linf", eps), FGSM(), warm_up=0.25)
        return self.net("overfitted", make_net("wong", seed=self.seed), loss, 15, 2e-3)


def batch_norm_net(seed: int) -> nn.Sequential:
    """Two strided convolutions with batch normalisation, for 28 x 28 grey pictures; the global RNG is left alone."""
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        return nn.Sequential(
            nn.Conv2d(1, 16, 4, stride=2, padding=1),
            nn.BatchNorm2d(16),
            nn.ReLU(),
            nn.Conv2d(16, 32, 4, stride=2, padding=1),
            nn.BatchNorm2d(32),
            nn.ReLU(),
            nn.Flatten(),
            nn.Linear(32 * 49, 10),
        )


def behind(layer: nn.Module, name: str = "mnist-cnn") -> nn.Module:
    """A shipped net behind a layer."""
    return nn.Sequential(layer, _plain(name)).eval()


def before(layer: nn.Module) -> nn.Module:
    """The plain net before a layer that changes its logits."""
    return nn.Sequential(_plain("mnist-cnn"), layer).eval()


def _plain(name: str) -> nn.Module:
    net = load_model(name).net
    assert isinstance(net, nn.Module)
    return net


def neighbours() -> nn.Module:
    """The 5 nearest of 1,500 training digits vote, in the last features of the plain net."""
    x, y = load_data("mnist5k", "train", n=1500).tensors()
    return masks.Neighbours(nn.Sequential(*list(_plain("mnist-cnn").children())[:-1]).eval(), x, y).eval()


def left_on(net: nn.Module) -> Model:
    """A net in train mode, measured so."""
    return wrap(net.train(), mode="as_is")


BUILDERS: dict[str, Callable[[Workshop], Model | nn.Module]] = {
    "plain": lambda shop: load_model("mnist-cnn"),
    "pgd": lambda shop: load_model("mnist-cnn-pgd"),
    "fast": lambda shop: load_model("mnist-cnn-fast"),
    "hot, train mode": lambda shop: left_on(shop.hot()),
    "hot, eval mode": lambda shop: shop.hot(),
    "distilled": lambda shop: shop.distilled(),
    "logits x 10,000": lambda shop: before(Times(1e4)),
    "zero backward": lambda shop: behind(GradientKiller()),
    "rounding layer": lambda shop: behind(Rounded(4)),
    "softmax output": lambda shop: before(nn.Softmax(1)),
    "softmax output, said": lambda shop: wrap(before(nn.Softmax(1)), outputs="probabilities"),
    "1 bit": lambda shop: defend(load_model("mnist-cnn"), "bits:1"),
    "JPEG": lambda shop: defend(
        load_model("mnist-cnn"), Stage(BlockCosine(25), "straight_through", name="JPEG-like, quality 25")
    ),
    "random resize": lambda shop: defend(
        load_model("mnist-cnn"), Stage(ResizePad(0.75), "exact", random=True, name="random resize and pad")
    ),
    "Defense-GAN": lambda shop: defend(load_model("mnist-cnn"), "defense-gan"),
    "MagNet": lambda shop: defend(load_model("mnist-cnn"), "magnet"),
    "DiffPure": lambda shop: defend(load_model("mnist-cnn"), "diffpure:steps=1"),
    "dropout on": lambda shop: left_on(shop.with_dropout()),
    "batch norm, train mode": lambda shop: left_on(shop.with_batch_norm()),
    "overfitted to one step": lambda shop: shop.overfitted(),
    "turned confidence": lambda shop: before(masks.Turned()),
    "flipped backward": lambda shop: before(masks.Flipped()),
    "counter": lambda shop: masks.Counting(_plain("mnist-cnn"), _plain("mnist-cnn-fast")).eval(),
    "cached answers": lambda shop: masks.Cached(_plain("mnist-cnn")).eval(),
    "first of the batch": lambda shop: masks.FirstOfBatch(_plain("mnist-cnn-fast"), _plain("mnist-cnn")).eval(),
    "grey is NaN": lambda shop: masks.Suspicious(_plain("mnist-cnn")).eval(),
    "20 / (1 + margin)": lambda shop: before(masks.UpsideDown()),
    "two decimals": lambda shop: before(masks.Cut()),
    "hard labels": lambda shop: before(nn.Sequential(masks.Hard(), Times(10))),
    "margins alike": lambda shop: before(masks.Alike()),
    "5 neighbours": lambda shop: neighbours(),
    "inference mode": lambda shop: masks.Detached(_plain("mnist-cnn"), "inference").eval(),
    "bare data": lambda shop: masks.Detached(_plain("mnist-cnn"), "data").eval(),
    "1 bit, L2": lambda shop: defend(load_model("mnist-cnn"), "bits:1"),
    "binary CNN, L2": lambda shop: masks.BinaryCNN(_plain("mnist-cnn")).eval(),
    "robust x 1,000": lambda shop: nn.Sequential(_plain("mnist-cnn-fast"), Times(1e3)).eval(),
    "robust, 8 bits": lambda shop: behind(Rounded(256), "mnist-cnn-fast"),
    "robust, bfloat16": lambda shop: _plain("mnist-cnn-pgd").bfloat16(),
    "constant": lambda shop: Same(1, 10),
}
"by the name of the gallery's member"
