"""The first attacks, theirs and ours, on the same images: how far apart are the points, who breaks more.

Deterministic attacks are compared point by point, ours with keep="last" (the paper's algorithm: the last iterate,
nobody stops early), so that any difference is one of rules: FGSM with Foolbox, BIM and the least-likely-class method
with torchattacks, MI-FGSM with ART, the projection onto L1 ball and box with adv-lib and AutoAttack. `max` is the
largest difference of any pixel, `pixels` the share of pixels more than 1e-5 apart: where a gradient is almost zero, a
rounding error can turn its sign, and from there two runs part without either being wrong. `robust` is the robust
accuracy at that eps, theirs and ours, judged afresh. Random attacks (PGD with five restarts against adv-lib, and the
mean best loss of APGD-CE against AutoAttack) are compared by what they break.

    python benchmarks/attack_parity.py --n 200

Needs the peers' environment (benchmarks/peers/install.py); a peer that is missing is skipped.
"""

from __future__ import annotations

import argparse
import contextlib
import io
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from common import load_images, load_net, skip, sparring_or_skip, standing, table
from peers import shims

Row = list[object]


class Parity:
    """One net, one batch, one eps; each method returns the rows of one comparison."""

    def __init__(self, net: nn.Module, x: Tensor, y: Tensor, eps: float) -> None:
        self.sp = sparring_or_skip()
        self.net, self.x, self.y, self.eps = net, x, y, eps
        self.model, self.threat = self.sp.wrap(net), self.sp.Threat("Linf", eps=eps)

    def run(self, spec: str, *, keep: str = "last", y: Tensor | None = None, seed: int = 0) -> Any:
        """One of our attacks, by its spec; the result."""
        return self.sp.attack(spec)(self.model, self.x, self.y if y is None else y, self.threat, seed=seed, keep=keep)

    def same_points(self, name: str, peer: str, theirs: Tensor, spec: str) -> Row:
        """Compare points pixel by pixel, on images that the net gets right (ours leaves the others alone)."""
        ours = self.run(spec).x_adv
        right = self.net(self.x).argmax(1) == self.y
        apart = (theirs - ours)[right].abs()
        robust = [
            standing(self.net, self.x, self.y, points, self.eps).float().mean().item() for points in (theirs, ours)
        ]
        return [name, peer, f"{apart.max():.1e}", f"{(apart > 1e-5).float().mean():.2%}", *[f"{r:.3f}" for r in robust]]

    def fgsm(self) -> Row:
        import foolbox

        model = foolbox.PyTorchModel(self.net, bounds=(0, 1), device="cpu")
        theirs = foolbox.attacks.LinfFastGradientAttack()(model, self.x, self.y, epsilons=self.eps)[1]
        return self.same_points("FGSM", "foolbox", theirs, "fgsm")

    def bim(self) -> Row:
        from torchattacks import BIM

        theirs = BIM(self.net, eps=self.eps, alpha=self.eps / 10, steps=20)(self.x, self.y)
        return self.same_points("BIM, 20 steps of eps/10", "torchattacks", theirs, "bim:steps=20,step=0.1")

    def least_likely(self) -> Row:
        from torchattacks import BIM

        attack = BIM(self.net, eps=self.eps, alpha=self.eps / 10, steps=20)
        attack.set_mode_targeted_least_likely(quiet=True)
        return self.same_points(
            "ILCM, 20 steps of eps/10", "torchattacks", attack(self.x, self.y), "ilcm:steps=20,step=0.1"
        )

    def momentum(self) -> Row:
        import numpy as np
        from art.attacks.evasion import MomentumIterativeMethod
        from art.estimators.classification import PyTorchClassifier

        with contextlib.redirect_stderr(io.StringIO()):
            classifier = PyTorchClassifier(
                self.net, nn.CrossEntropyLoss(), tuple(self.x.shape[1:]), 10, clip_values=(0, 1), device_type="cpu"
            )
            attack = MomentumIterativeMethod(
                classifier, norm=np.inf, eps=self.eps, eps_step=self.eps / 10, decay=1.0, max_iter=10,
                batch_size=len(self.x), verbose=False,
            )  # fmt: skip
            labels = F.one_hot(self.y, 10).float().numpy()
            theirs = torch.from_numpy(attack.generate(self.x.numpy(), labels))
        return self.same_points("MI-FGSM, 10 steps of eps/10", "ART", theirs, "mifgsm:steps=10,step=0.1,decay=1")

    def pgd(self) -> Row:
        from adv_lib.attacks import pgd_linf

        torch.manual_seed(0)
        theirs = pgd_linf(self.net, self.x, self.y, self.eps, steps=40, restarts=5, relative_step_size=1 / 30)
        ours = self.run("pgd:steps=40,restarts=5,step=1/30", keep="best").x_adv
        robust = [
            standing(self.net, self.x, self.y, points, self.eps).float().mean().item() for points in (theirs, ours)
        ]
        return ["PGD, 5 restarts of 40 steps", "adv-lib", "", "", *[f"{r:.3f}" for r in robust]]


def l1_projections(sp: Any, x: Tensor) -> list[Row]:
    """Our projection onto L1 ball and box against adv-lib's and AutoAttack's, at three radii; and who lies nearer."""
    from adv_lib.attacks.auto_pgd import l1_projection
    from pyautoattack.autopgd_base import L1_projection

    x = x.double()  # in float32 the sums of squares below would only be good to 1e-4
    noise = 0.5 * torch.randn(x.shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    rows: list[Row] = []
    for eps in (2.0, 10.0, 40.0):
        radius = torch.full((len(x),), eps, dtype=torch.float64)
        ours = sp.norms.L1.project(noise, radius, -x, 1 - x)
        for peer, move in (
            ("adv-lib", l1_projection(x.clone(), noise.clone(), radius)),
            ("AutoAttack", L1_projection(x.clone(), noise.clone(), eps)),
        ):
            theirs = noise + move
            nearer = ((noise - ours).square().flatten(1).sum(1) - (noise - theirs).square().flatten(1).sum(1)).max()
            over = (ours.flatten(1).abs().sum(1) - radius).max()
            rows.append(
                [
                    "L1 projection",
                    peer,
                    f"{eps:g}",
                    f"{(ours - theirs).abs().max():.1e}",
                    f"{nearer:+.1e}",
                    f"{over:+.1e}",
                ]
            )
    return rows


@contextlib.contextmanager
def largest_loss(net: nn.Module, y: Tensor) -> Iterator[Tensor]:
    """The largest cross-entropy [B] that the net showed for each sample, watched from outside on both sides alike."""
    largest = torch.full((len(y),), -torch.inf)

    def saw(_module: nn.Module, _inputs: object, output: Tensor) -> None:
        torch.maximum(largest, F.cross_entropy(output.detach(), y, reduction="none"), out=largest)

    handle = net.register_forward_hook(saw)
    try:
        yield largest
    finally:
        handle.remove()


def best_losses(net: nn.Module, n: int, eps: float, seeds: int) -> list[Row]:
    """APGD-CE as a maximiser, on samples that the net gets right: the mean of the largest cross-entropy reached."""
    from pyautoattack.autopgd_base import APGDAttack

    sp = sparring_or_skip()
    x, y = load_images(n, correct_for=net)
    threat, attack = sp.Threat("Linf", eps=eps), sp.attack("apgd-ce:steps=100")
    rows: list[Row] = []
    for seed in range(seeds):
        peer = APGDAttack(net, n_iter=100, norm="Linf", eps=eps, seed=seed, loss="ce", device="cpu")
        with largest_loss(net, y) as theirs:
            peer.perturb(x, y, best_loss=True)
        with largest_loss(net, y) as ours:
            attack(net, x, y, threat, seed=seed, keep="margin")
        rows.append(
            [f"seed {seed}", f"{theirs.mean():.4f}", f"{ours.mean():.4f}", f"{ours.mean() / theirs.mean():.3f}"]
        )
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--net", default="trades", help="plain | trades | ddn | FILE.safetensors | a zoo model")
    parser.add_argument("--eps", type=float, default=0.3, help="Linf radius in pixels of [0, 1]")
    parser.add_argument("--n", type=int, default=200, help="the first n test images")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument(
        "--losses", type=int, default=0, metavar="SEEDS", help="also compare APGD-CE's best loss (slow)"
    )
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    shims.install()
    sp = sparring_or_skip()
    net = load_net(args.net)
    x, y = load_images(args.n)
    parity = Parity(net, x, y, args.eps)

    rows: list[Row] = []
    missing: list[str] = []
    for compare in (parity.fgsm, parity.bim, parity.least_likely, parity.momentum, parity.pgd):
        try:
            rows.append(compare())
        except ImportError as error:
            missing.append(f"{compare.__name__}: {error}")
    if rows:
        title = f"{args.net}, Linf {args.eps:g}, {len(x)} images, ours against a peer's"
        table(title, ["attack", "peer", "max", "pixels", "robust theirs", "ours"], rows)
    try:
        header = ["projection onto ball and box", "peer", "eps", "max", "ours farther by", "over eps"]
        table("L1", header, l1_projections(sp, x))
        if args.losses:
            title = f"APGD-CE, 100 steps, the mean over {args.n} samples of the largest cross-entropy reached"
            table(title, ["run", "AutoAttack", "ours", "ratio"], best_losses(net, args.n, args.eps, args.losses))
    except ImportError as error:
        missing.append(str(error))
    for line in missing:
        print(f"left out: {line}")
    if not rows:
        skip("no peer imports here; run benchmarks/peers/install.py")


if __name__ == "__main__":
    main()
