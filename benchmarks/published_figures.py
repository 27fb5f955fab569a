"""The papers' own MNIST figures, and ours on nets of the papers' architectures.

The papers' weights are not public, so the nets are trained here (a few epochs of Adam on the MNIST training images,
kept in `--nets`): figures can agree only as far as two trainings of one architecture do. A row says `same` within the
stated tolerance, `nearer` where ours needs less (a stronger attack or a softer net), `farther` where it needs more,
and why. `--live` runs a peer on the very same net and images: what is then left is the attack's own.

    SPARRING_DATA=... python benchmarks/published_figures.py --n 20
    python benchmarks/published_figures.py --only jsma,deepfool --n 100 --live

Published figures are data of this script; those marked (u) are quoted from memory of the paper by those who collected
them. C&W and EAD aim at each of the nine wrong classes: best, average and worst case are the smallest, mean and largest
of the nine, averaged over the images.
"""

from __future__ import annotations

import argparse
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from common import load_images, skip, small_cnn, sparring_or_skip, table
from watched import CHUNK, Outcome, ours, size, watch


class Centred(nn.Module):
    """Pixels in [0, 1] to the [-0.5, 0.5] that C&W's nets take; distances are the same in both."""

    def forward(self, x: Tensor) -> Tensor:
        return x - 0.5


def lenet() -> nn.Sequential:
    """LeNet with ReLU and max pooling: 20 and 50 maps of 5 x 5, 500 hidden units."""
    return nn.Sequential(
        nn.Conv2d(1, 20, 5), nn.MaxPool2d(2), nn.ReLU(), nn.Conv2d(20, 50, 5), nn.MaxPool2d(2), nn.ReLU(),
        nn.Flatten(), nn.Linear(800, 500), nn.ReLU(), nn.Linear(500, 10),
    )  # fmt: skip


def fc() -> nn.Sequential:
    """FC500-150-10 of the DeepFool paper."""
    return nn.Sequential(nn.Flatten(), nn.Linear(784, 500), nn.ReLU(), nn.Linear(500, 150), nn.ReLU(),
                         nn.Linear(150, 10))  # fmt: skip


def carlini() -> nn.Sequential:
    """C&W's MNIST net (EAD's too): four convolutions of 32, 32, 64, 64 maps, two layers of 200 with dropout."""
    layers = list(small_cnn())
    return nn.Sequential(Centred(), *layers[:13], nn.Dropout(0.5), *layers[13:])


NETS: dict[str, tuple[Callable[[], nn.Sequential], int]] = {"lenet": (lenet, 3), "fc": (fc, 5), "cw": (carlini, 2)}


def trained(name: str, folder: Path, seed: int = 0) -> nn.Module:
    """The net of this name with weights trained here, or read from `folder` if they were trained before."""
    from safetensors.torch import load_file, save_file

    make, epochs = NETS[name]
    torch.manual_seed(seed)
    net = make()
    path = folder / f"{name}.safetensors"
    if path.exists():
        net.load_state_dict(load_file(path))
        return net.eval().requires_grad_(False)
    x, y = _training_images()
    steps = epochs * (len(x) // 128)
    optimizer = torch.optim.Adam(net.parameters(), lr=1e-3)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 3e-3, total_steps=steps)
    began = time.perf_counter()
    net.train()
    for _ in range(epochs):
        for batch in torch.randperm(len(x))[: len(x) // 128 * 128].split(128):
            optimizer.zero_grad()
            F.cross_entropy(net(x[batch]), y[batch]).backward()
            optimizer.step()
            schedule.step()
    folder.mkdir(parents=True, exist_ok=True)
    save_file(net.state_dict(), path)
    print(f"trained {name}: {epochs} epochs of {len(x)} images in {time.perf_counter() - began:.0f} s", flush=True)
    return net.eval().requires_grad_(False)


def _training_images() -> tuple[Tensor, Tensor]:
    from sparring.data import load_data

    try:
        x, y = load_data("mnist", split="train").tensors()
    except (ValueError, OSError) as error:
        print(f"no MNIST training images ({error}): mnist5k's take their place, the nets are weaker")
        x, y = load_data("mnist5k", split="train").tensors()
    return x, y


def accuracy(net: nn.Module) -> float:
    x, y = load_images(10_000)
    with torch.no_grad():
        return float((torch.cat([net(b) for b in x.split(500)]).argmax(1) == y).double().mean())


@dataclass(frozen=True)
class Figure:
    """One published figure beside ours. `up`: a larger value means a stronger attack (a rate of success)."""

    what: str
    published: float
    mine: float
    tolerance: float
    why: str
    up: bool = False
    peer: float | None = None

    @property
    def verdict(self) -> str:
        if abs(self.mine - self.published) <= self.tolerance * abs(self.published):
            return "same"
        return "nearer" if (self.mine > self.published) == self.up else "farther"


def grid(x: Tensor, y: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Every image [n*9, ...] with every wrong class as target [n*9]."""
    targets = torch.stack([(y + k) % 10 for k in range(1, 10)], 1).flatten()
    return x.repeat_interleave(9, 0), y.repeat_interleave(9), targets


def aimed(net: nn.Module, x: Tensor, y: Tensor, run: Callable[[Tensor, Tensor, Tensor], Outcome]) -> Outcome:
    """`run(x, y, targets)` on all nine targets of each image, in batches."""
    x, y, t = grid(x, y)
    parts = zip(x.split(CHUNK), y.split(CHUNK), t.split(CHUNK), strict=True)
    total: Outcome | None = None
    for part in parts:
        outcome = run(*part)
        total = outcome if total is None else total + outcome
    assert total is not None
    return total


def cases(d: Tensor) -> tuple[float, float, float]:
    """Best, average and worst case over the nine targets; the average over those that were hit."""
    nine = d.reshape(-1, 9)
    return float(nine.amin(1).mean()), float(d[d.isfinite()].mean()), float(nine.amax(1).mean())


OTHER_NET = "another training of the same architecture"


def jsma(args: argparse.Namespace) -> list[Figure]:
    """Papernot et al. 2016: 97.05 % hit, 4.45 % of the pixels changed, 4.03 % where it hit (abstract: 97 %, 4.02 %)."""
    sp = sparring_or_skip()
    net = trained("lenet", args.nets)
    x, y = load_images(args.n, correct_for=net)
    attack = sp.attack("jsma:gamma=0.145")
    found = aimed(net, x, y, lambda a, b, t: ours(attack, net, a, b, "L0", targets=t))
    hit = found.seen.isfinite()
    rate, peer_rate, peer_share = float(hit.double().mean()), None, None
    if args.live:
        theirs = aimed(net, x, y, lambda a, b, t: watch(_torchattacks_jsma(t), net, a, b, "L0", targets=t))
        reached = theirs.returned[theirs.returned.isfinite()]
        peer_rate, peer_share = len(reached) / len(theirs.returned), float(reached.mean()) / 784
    share = float(found.seen[hit].mean()) / 784
    return [
        Figure("JSMA, LeNet: targets hit", 0.97, rate, 0.03, OTHER_NET, up=True, peer=peer_rate),
        Figure("JSMA, LeNet: pixels changed where hit", 0.0403, share, 0.15, OTHER_NET, peer=peer_share),
    ]


def _torchattacks_jsma(targets: Tensor) -> Callable[[nn.Module, Tensor, Tensor], Tensor]:
    """torchattacks' JSMA aims at the class after the label: it is given the class before the target as label."""

    def run(net: nn.Module, x: Tensor, _y: Tensor) -> Tensor:
        from torchattacks import JSMA

        points: Tensor = JSMA(net, theta=1.0, gamma=0.145)(x, (targets - 1) % 10)
        return points

    return run


def deepfool(args: argparse.Namespace) -> list[Figure]:
    """Moosavi-Dezfooli et al. 2016, rho = mean |r| / |x| (u): 0.20 on LeNet, 0.11 on FC500-150-10; Linf LeNet 0.10."""
    from peers.minimum_norm import PEERS

    sp = sparring_or_skip()
    figures = []
    for net_name, norm, published in (("lenet", "L2", 0.20), ("fc", "L2", 0.11), ("lenet", "Linf", 0.10)):
        net = trained(net_name, args.nets)
        x, y = load_images(5 * args.n, correct_for=net)
        attack, scale = sp.attack("deepfool:steps=50"), size(x, norm)

        def rho(outcome: Outcome, scale: Tensor = scale) -> float:
            found = outcome.seen.isfinite()
            return float((outcome.seen[found] / scale[found]).mean())

        mine = rho(ours(attack, net, x, y, norm))
        peer = rho(watch(PEERS["Foolbox DeepFool"](norm, 50), net, x, y, norm)) if args.live else None
        figures.append(Figure(f"DeepFool {norm}, {net_name}: rho", published, mine, 0.25, OTHER_NET, peer=peer))
    return figures


def cw(args: argparse.Namespace) -> list[Figure]:
    """Carlini & Wagner 2017 (u), 100 % hit: L2 1.36 / 1.76 / 2.60, L0 8.5 / 16 / 33, Linf 0.13 / 0.16 / 0.23."""
    sp = sparring_or_skip()
    net = trained("cw", args.nets)
    x, y = load_images(args.n, correct_for=net)
    published = {"L2": (1.36, 1.76, 2.60), "L0": (8.5, 16.0, 33.0), "Linf": (0.13, 0.16, 0.23)}
    figures = []
    for norm, values in published.items():
        spec = args.specs[f"cw-{norm.lower()}"]
        if not _known(spec):
            print(f"{spec}: not registered")
            continue
        attack = sp.attack(spec)
        found = aimed(net, x, y, lambda a, b, t, attack=attack, norm=norm: ours(attack, net, a, b, norm, targets=t))
        peers: tuple[float | None, ...] = (None, None, None)
        if args.live and norm != "L0":
            theirs = aimed(
                net, x, y, lambda a, b, t, norm=norm: watch(_adv_lib_cw(norm, t), net, a, b, norm, targets=t)
            )
            peers = cases(theirs.seen)
        rate = found.success
        figures.append(Figure(f"C&W {norm}: targets hit", 1.0, rate, 0.0, "fewer steps than the paper", up=True))
        for case, value, mine, peer in zip(("best", "average", "worst"), values, cases(found.seen), peers, strict=True):
            figures.append(Figure(f"C&W {norm}, {case} case", value, mine, 0.15, OTHER_NET, peer=peer))
    return figures


def _adv_lib_cw(norm: str, targets: Tensor) -> Callable[[nn.Module, Tensor, Tensor], Tensor]:
    from peers import shims

    shims.install()
    from adv_lib.attacks import carlini_wagner_l2, carlini_wagner_linf

    def run(net: nn.Module, x: Tensor, _y: Tensor) -> Tensor:
        points: Tensor
        if norm == "L2":
            points = carlini_wagner_l2(net, x, targets, targeted=True, max_iterations=200, learning_rate=0.1,
                                       initial_const=0.1, binary_search_steps=5)  # fmt: skip
        else:
            points = carlini_wagner_linf(net, x, targets, targeted=True, max_iterations=100)
        return points

    return run


def ead(args: argparse.Namespace) -> list[Figure]:
    """Chen et al. 2018 (u), average case: EN rule L1 17.4, L2 2.00, Linf 0.59; L1 rule 14.1, 2.21, 0.77."""
    sp = sparring_or_skip()
    net = trained("cw", args.nets)
    x, y = load_images(args.n, correct_for=net)
    figures = []
    for rule, values in (("en", (17.4, 2.00, 0.59)), ("l1", (14.1, 2.21, 0.77))):
        spec = args.specs[f"ead-{rule}"]
        if not _known(spec):
            print(f"{spec}: not registered")
            continue
        attack = sp.attack(spec)
        points: list[Tensor] = []

        def run(a: Tensor, b: Tensor, t: Tensor, attack: Any = attack, points: list[Tensor] = points) -> Outcome:
            result = attack(sp.wrap(net), a, sp.Targeted(t, b), sp.Threat("L1"), seed=0)
            points.append(result.x_adv)
            d = result.distance.double()
            return Outcome(d, d, int(result.queries.sum()), int(result.gradients.sum()), result.seconds)

        found = aimed(net, x, y, run)
        hit = found.seen.isfinite()
        change = torch.cat(points) - x.repeat_interleave(9, 0)
        peers: tuple[float | None, ...] = (None, None, None)
        if args.live:
            peers = _foolbox_ead(net, x, y, rule)
        figures.append(Figure(f"EAD, {rule} rule: targets hit", 1.0, found.success, 0.0, "fewer steps", up=True))
        for norm, value, peer in zip(("L1", "L2", "Linf"), values, peers, strict=True):
            mine = float(size(change[hit], norm).mean())
            figures.append(Figure(f"EAD, {rule} rule: {norm}, average case", value, mine, 0.2, OTHER_NET, peer=peer))
    return figures


def _foolbox_ead(net: nn.Module, x: Tensor, y: Tensor, rule: str) -> tuple[float | None, ...]:
    """Mean L1, L2 and Linf of what Foolbox's EAD hits, at the same steps."""
    import foolbox

    model = foolbox.PyTorchModel(net, bounds=(0, 1), device="cpu")
    attack = foolbox.attacks.EADAttack(
        binary_search_steps=9, steps=100, regularization=1e-3, decision_rule=rule.upper(), abort_early=False
    )
    x, y, t = grid(x, y)
    done = []
    for a, b in zip(x.split(CHUNK), t.split(CHUNK), strict=True):
        done.append(attack(model, a, foolbox.criteria.TargetedMisclassification(b), epsilons=None)[1])
    points = torch.cat(done)
    with torch.no_grad():
        hit = net(points).argmax(1) == t
    return tuple(float(size((points - x)[hit], norm).mean()) for norm in ("L1", "L2", "Linf"))


def _known(spec: str) -> bool:
    """Whether an attack of this spec is registered."""
    sp = sparring_or_skip()
    return spec.partition(":")[0] in {known for info in sp.attacks() for known in (info.name, *info.aliases)}


SPECS = {
    "cw-l2": "cw-l2:steps=200,search=5,lr=0.1,c=0.1",
    "cw-l0": "cw-l0",
    "cw-linf": "cw-linf:steps=100",
    "ead-en": "ead:steps=100,search=9,beta=0.001,rule=en",
    "ead-l1": "ead:steps=100,search=9,beta=0.001,rule=l1",
}
SECTIONS = {"jsma": jsma, "deepfool": deepfool, "cw": cw, "ead": ead}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", default=",".join(SECTIONS), help="comma separated")
    parser.add_argument("--n", type=int, default=20, help="images that the net gets right (DeepFool: five times that)")
    parser.add_argument("--live", action="store_true", help="a peer on the same nets and images as well")
    parser.add_argument("--nets", type=Path, default=Path("runs/published"), help="a folder for the trained nets")
    parser.add_argument("--threads", type=int, default=1)
    args = parser.parse_args()
    args.specs = SPECS
    torch.set_num_threads(args.threads)
    warnings.simplefilter("ignore")
    sparring_or_skip()
    figures: list[Figure] = []
    for name in args.only.split(","):
        if name not in SECTIONS:
            skip(f"no section {name!r}; there are {', '.join(SECTIONS)}")
        if not _known(name if name != "cw" else "cw-l2"):
            print(f"{name}: not registered")
            continue
        figures += SECTIONS[name](args)
    for name in NETS:
        if (args.nets / f"{name}.safetensors").exists():
            print(f"{name}: {accuracy(trained(name, args.nets)):.2%} clean")
    rows = [
        [f.what, f"{f.published:.4g}", f"{f.mine:.4g}", "-" if f.peer is None else f"{f.peer:.4g}",
         f"{f.tolerance:.0%}", f.verdict, "" if f.verdict == "same" else f.why]
        for f in figures
    ]  # fmt: skip
    table(f"{args.n} images", ["figure", "published", "ours", "peer, same net", "tolerance", "", "why"], rows)


if __name__ == "__main__":
    main()
