"""ART's universal perturbation and patch beside ours: fitted on the same digits, tried on the same unseen ones.

    python benchmarks/learned_peers.py --only uap,patch       in the environment of benchmarks/peers/install.py

Each learns from the digits of `mnist5k` that `mnist-cnn` gets right (UAP: the first `--images` of them), and is tried
on those of the 1,000 test digits that the net gets right. ART's UAP makes as many passes as ours, with the settings of
DeepFool in the paper's code and ours: 10 steps, overshoot 0.02. A patch of ART is tried twice: as ART places it, and
averaged to our pixels and placed by ours, at the same places in the same images as ours. Each line is printed as it is
done.
"""

from __future__ import annotations

import argparse
import random
import time
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from common import Pixels, skip, sparring_or_skip
from peers import shims

EPS = 0.3
UAP_PASSES = 5
PATCHES = (0.1, 0.3)
"shares of the image"
PATCH_PASSES, BATCH = 10, 100
RATES = (0.05, 5.0)
"of Adam, for ART's patch: ours, and its own default"


def right_images(sp: Any, model: Any, split: str) -> tuple[Tensor, Tensor]:
    """The digits that the model gets right."""
    x, y = sp.load_data("mnist5k", split=split).tensors()
    right = fooled(model, x, y).logical_not()
    return x[right], y[right]


def fooled(model: nn.Module, z: Tensor, y: Tensor) -> Tensor:
    """[N] the model no longer says y."""
    with torch.no_grad():
        return torch.cat([model(part) for part in z.split(250)]).argmax(1) != y


def show(name: str, setting: str, hit: Tensor, seconds: float) -> None:
    """A line of the table."""
    print(f"| {name} | {setting} | {100 * float(hit.float().mean()):.1f} % | {seconds:.0f} |", flush=True)


def ours(sp: Any, spec: str, threat: tuple[str, float | None]) -> Any:
    """Our attack, fitted as in learned_attacks.py, and its line."""
    train, test = (sp.load_data("mnist5k", split=split) for split in ("train", "test"))
    fitted = sp.attack(spec).fit(sp.load_model("mnist-cnn"), train, threat, test=test)
    rate = fitted.card["success"]["test"]["untargeted"]
    hit = torch.arange(rate["of"]) < rate["fooled"]
    show(f"`{spec}`", f"{threat[0]} {threat[1] or ''}".strip(), hit, fitted.card["fit"]["seconds"])
    return fitted


def uap(sp: Any, net: nn.Module, classifier: Any, known: Any, images: int) -> None:
    """ART's UAP with DeepFool, its default: as documented, and with no box while it learns. Ours."""
    art_uap(sp, net, classifier, known, images, "")
    unclipped = type(classifier)(net, nn.CrossEntropyLoss(), (1, 28, 28), 10)
    art_uap(sp, net, unclipped, known, images, ", learns without the box")
    ours(sp, f"uap:images={images}", ("Linf", EPS))
    ours(sp, "uap-pgd", ("Linf", EPS))


def art_uap(sp: Any, net: nn.Module, classifier: Any, known: Any, images: int, note: str) -> None:
    """It keeps adv_xi - x_i of the last image it moved: inside the box that forgets what this image had clipped."""
    x, y = right_images(sp, net, "train")
    random.seed(0)
    np.random.seed(0)
    began = time.perf_counter()
    attack = known.UniversalPerturbation(
        classifier, attacker="deepfool", delta=0.05, max_iter=UAP_PASSES, eps=EPS, norm=np.inf, verbose=False,
        attacker_params={"max_iter": 10, "epsilon": 0.02, "verbose": False},
    )  # fmt: skip
    attack.generate(x[:images].numpy(), F.one_hot(y[:images], 10).numpy())
    seconds = time.perf_counter() - began
    v = torch.from_numpy(attack.noise).clamp(-EPS, EPS)
    x, y = right_images(sp, net, "test")
    show(f"ART UniversalPerturbation{note}", f"Linf {EPS}", fooled(net, (x + v).clamp(0, 1), y), seconds)


def patch(sp: Any, net: nn.Module, classifier: Any, known: Any, _: int) -> None:
    """ART's patch, untargeted, square, of one size."""
    for share in PATCHES:
        fitted = ours(sp, f"patch:size={share}", ("L0", None))
        scale = share**0.5
        for rate in RATES:
            x, y = right_images(sp, net, "train")
            np.random.seed(0)
            began = time.perf_counter()
            attack = known.AdversarialPatchPyTorch(
                classifier, rotation_max=22.5, scale_min=scale - 1e-6, scale_max=scale, learning_rate=rate,
                max_iter=PATCH_PASSES, batch_size=BATCH, patch_shape=(1, 28, 28), patch_type="square", targeted=False,
                verbose=False,
            )  # fmt: skip
            with torch.random.fork_rng():
                torch.manual_seed(0)
                colours, _ = attack.generate(x[:3200].numpy(), F.one_hot(y[:3200], 10).numpy())
            seconds = time.perf_counter() - began
            x, y = right_images(sp, net, "test")
            pasted = torch.from_numpy(attack.apply_patch(x.numpy(), scale=scale)).clamp(0, 1)
            show(f"ART patch {share}, lr {rate}", "its places", fooled(net, pasted, y), seconds)
            held = fitted.fitted_net(x)
            mine = held.colours.data.clone()
            held.colours.data.copy_(
                F.interpolate(torch.from_numpy(colours).float()[None], mine.shape[1:], mode="area")[0]
            )
            found = fitted(sp.load_model("mnist-cnn"), x, y, ("L0", None))
            held.colours.data.copy_(mine)
            show(f"ART patch {share}, lr {rate}", "our places", found.success, seconds)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", default="uap,patch")
    parser.add_argument("--images", type=int, default=500, help="that UAP learns from")
    options = parser.parse_args()
    sp = sparring_or_skip()
    shims.install()
    try:
        import art.attacks.evasion as known
        from art.estimators.classification import PyTorchClassifier
    except ImportError as error:
        skip(f"ART does not import here ({error}); run benchmarks/peers/install.py")
    net = Pixels(sp.load_model("mnist-cnn")).eval()
    classifier = PyTorchClassifier(net, nn.CrossEntropyLoss(), (1, 28, 28), 10, clip_values=(0.0, 1.0))
    print("| attack | threat | fooled | fit, s |\n|---|---|---|---|", flush=True)
    for name in options.only.split(","):
        {"uap": uap, "patch": patch}[name](sp, net, classifier, known, options.images)


if __name__ == "__main__":
    main()
