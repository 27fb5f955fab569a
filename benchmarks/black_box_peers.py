"""Black-box attacks beside Foolbox and ART: how near in 5,000 queries, and how long 1,000 queries of 100 images take.

    python benchmarks/black_box_peers.py distance --n 20
    python benchmarks/black_box_peers.py time --only boundary,one-pixel
    python benchmarks/black_box_peers.py distance --rows rows.jsonl      # goes on from what is done

Needs the peers' environment (benchmarks/peers/install.py). Peers are watched through the net: the nearest point that
fools and was asked about within the budget counts, whatever the peer hands back. Foolbox's Hop-Skip-Jump takes one norm
of the gradient for all images of a batch, so it gets the images one by one; Boundary gets them as one batch.
Times are CPU seconds of one thread, which a busy machine disturbs less than wall time: ours on 100 images at once; a
peer that loops over images is timed on a few and scaled, one that takes batches on all 100. Both are per row that went
through the net, after a first call that is not timed.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import statistics
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from common import count_passes, load_images, load_net, peers_or_skip, sparring_or_skip, table

NET = "mnist-cnn"


class Enough(Exception):
    """The peer has asked as often as it may."""


class Watched(nn.Module):
    """A net that remembers, for each image, the nearest point that fooled it within the budget.

    Rows of a call belong to the images in turn: a call with as many rows as images asks once about each.
    """

    def __init__(self, net: nn.Module, x: Tensor, y: Tensor, order: float, budget: int) -> None:
        super().__init__()
        self.net, self.x, self.y, self.order, self.budget = net, x, y, order, budget
        self.asked = 0
        self.near = torch.full((len(x),), torch.inf)

    def forward(self, z: Tensor) -> Tensor:
        copies = len(z) // len(self.x)
        if self.asked + copies > self.budget:
            raise Enough
        self.asked += copies
        logits: Tensor = self.net(z)
        with torch.no_grad():
            size = (z - self.x.repeat(copies, 1, 1, 1)).flatten(1).norm(self.order, dim=1)
            size[logits.argmax(1) == self.y.repeat(copies)] = torch.inf
            self.near = self.near.minimum(size.view(copies, -1).amin(0))
        return logits


# ------------------------------------------------------------------------------------------------ distance
def foolbox_distance(name: str, order: float, net: nn.Module, x: Tensor, y: Tensor, queries: int) -> Tensor:
    """[n] the nearest points that an attack of Foolbox asks about."""
    import foolbox as fb

    parts = [slice(0, len(x))] if name == "boundary" else [slice(k, k + 1) for k in range(len(x))]
    near = []
    for part in parts:
        watched = Watched(net, x[part], y[part], order, queries).eval()
        attack = (
            fb.attacks.BoundaryAttack(steps=queries)
            if name == "boundary"
            else fb.attacks.HopSkipJumpAttack(constraint="l2" if order == 2 else "linf")
        )
        with contextlib.suppress(Enough):
            attack.run(fb.PyTorchModel(watched, bounds=(0, 1)), x[part], fb.criteria.Misclassification(y[part]))
        near.append(watched.near)
    return torch.cat(near)


DISTANCES = {"boundary L2": ("boundary", "L2", 2.0), "hopskipjump L2": ("hopskipjump", "L2", 2.0)}
DISTANCES["hopskipjump Linf"] = ("hopskipjump", "Linf", torch.inf)


def distance(options: argparse.Namespace, sp: Any, rows: Rows) -> None:
    """The median distance of both, and their ratio image by image."""
    net = load_net(NET)
    x, y = load_images(options.n, correct_for=net)
    out = []
    for title in options.only.split(",") if options.only else DISTANCES:
        name, norm, order = DISTANCES[title]
        theirs = rows.get(
            f"foolbox {title} {len(x)} {options.queries}",
            lambda name=name, order=order: foolbox_distance(name, order, net, x, y, options.queries).tolist(),
        )
        result = sp.attack(name)(net, x, y, sp.Threat(norm), budget=sp.Budget(queries=options.queries))
        mine, peer = result.distance, torch.tensor(theirs)
        ratio = float((mine / peer).log().mean().exp())
        middle = [float(d.quantile(0.5)) for d in (mine, peer)]
        out.append([title, *(f"{m:.3f}" for m in middle), f"{middle[0] / middle[1]:.3f}", f"{ratio:.3f}"])
    table(
        f"{NET}, {len(x)} images, {options.queries:,} queries: median distance",
        ["attack", "sparring", "Foolbox", "ratio of medians", "mean ratio"],
        out,
    )


# ------------------------------------------------------------------------------------------------ time
Run = Callable[[nn.Module, Tensor, Tensor], Any]


def art_classifier(net: nn.Module) -> Any:
    """The net as ART takes it."""
    from art.estimators.classification import PyTorchClassifier

    return PyTorchClassifier(net, nn.CrossEntropyLoss(), (1, 28, 28), 10, clip_values=(0.0, 1.0))


def art(name: str, **settings: Any) -> Run:
    """An attack of ART on NumPy arrays."""

    def run(net: nn.Module, x: Tensor, y: Tensor) -> Any:
        from art.attacks import evasion

        attack = getattr(evasion, name)(art_classifier(net), verbose=False, **settings)
        return attack.generate(x.numpy(), y=y.numpy())

    return run


def foolbox(name: str, targeted: bool = False, **settings: Any) -> Run:
    """An attack of Foolbox on a batch."""

    def run(net: nn.Module, x: Tensor, y: Tensor) -> Any:
        import foolbox as fb

        attack = getattr(fb.attacks, name)(**settings)
        criterion = (
            fb.criteria.TargetedMisclassification((y + 1) % 10) if targeted else fb.criteria.Misclassification(y)
        )
        keys = {"epsilon": 0.02} if targeted else {}
        return attack.run(fb.PyTorchModel(net, bounds=(0, 1)), x, criterion, **keys)

    return run


def torchattacks_one_pixel(net: nn.Module, x: Tensor, y: Tensor) -> Any:
    """SciPy's differential evolution, image by image."""
    import torchattacks

    return torchattacks.OnePixel(net, pixels=1, steps=10, popsize=10)(x, y)


PEERS: dict[str, dict[str, tuple[int, Run]]] = {
    "one-pixel": {
        "ART PixelAttack": (2, art("PixelAttack", th=1, es=1, max_iter=2)),
        "torchattacks OnePixel": (10, torchattacks_one_pixel),
    },
    "zoo": {"ART ZooAttack": (2, art("ZooAttack", max_iter=20, use_resize=False, use_importance=False))},
    "boundary": {
        "ART BoundaryAttack": (2, art("BoundaryAttack", targeted=False, max_iter=100)),
        "Foolbox BoundaryAttack": (100, foolbox("BoundaryAttack", steps=300)),
    },
    "genattack": {"Foolbox GenAttack": (100, foolbox("GenAttack", targeted=True, steps=30))},
    "hopskipjump": {
        "ART HopSkipJump": (2, art("HopSkipJump", max_iter=4)),
        "Foolbox HopSkipJumpAttack": (100, foolbox("HopSkipJumpAttack", steps=3)),
    },
}
"""The peer's implementations: on how many images each is timed, and how it is run."""


def our_run(sp: Any, name: str) -> Run:
    """Ours with 500 queries for each image; where it would stop at a success, in a ball too small for one."""

    def run(net: nn.Module, x: Tensor, y: Tensor) -> Any:
        norm = {"one-pixel": "L0", "genattack": "Linf"}.get(name, "L2")
        threat = sp.Threat(norm, {"one-pixel": 1, "genattack": 0.02}.get(name))
        goal = sp.Targeted((y + 1) % 10, y) if name == "genattack" else y
        return sp.attack(name)(net, x, goal, threat, budget=sp.Budget(queries=500))

    return run


def clock(run: Run, x: Tensor, y: Tensor) -> tuple[float, float]:
    """Seconds for 1,000 queries of 100 images, and the rows that went through the net for each image."""
    net = load_net(NET)
    torch.set_num_threads(1)
    run(net, x[:1], y[:1])  # imports, first kernels
    with count_passes(net) as passes:
        started = time.process_time()
        run(net, x, y)
        seconds = time.process_time() - started
    rows = passes.forward / len(x)
    return seconds / len(x) / rows * 1000 * 100, rows


def paired(mine: Run, theirs: Run, x: Tensor, y: Tensor, count: int, rounds: int) -> list[list[float]]:
    """Seconds of both, one after the other, `rounds` times: what else runs on the machine disturbs both alike."""
    return [[clock(mine, x, y)[0], clock(theirs, x[:count], y[:count])[0]] for _ in range(rounds)]


def timed(options: argparse.Namespace, sp: Any, rows: Rows) -> None:
    """Ours beside each peer: medians, and the ratio of each round."""
    x, y = load_images(100, correct_for=load_net(NET))
    out = []
    for name in options.only.split(",") if options.only else PEERS:
        for peer, (count, run) in PEERS[name].items():
            try:
                pairs = rows.get(
                    f"time {name} {peer} {options.rounds}",
                    lambda name=name, run=run, count=count: paired(our_run(sp, name), run, x, y, count, options.rounds),
                )
            except Exception as error:
                out.append([name, "", peer, f"cannot run: {type(error).__name__}", "", "", ""])
                continue
            mine, theirs = (statistics.median(pair[k] for pair in pairs) for k in (0, 1))
            ratios = sorted(pair[0] / pair[1] for pair in pairs)
            spread = f"{ratios[0]:.3f}-{ratios[-1]:.3f}"
            out.append([name, f"{mine:.1f}", peer, f"{theirs:.1f}", count, f"{statistics.median(ratios):.3f}", spread])
    table(
        f"{NET}: seconds for 1,000 queries of 100 images, {options.rounds} rounds",
        ["attack", "sparring", "peer", "its seconds", "timed on images", "ratio", "of single rounds"],
        out,
    )


# ------------------------------------------------------------------------------------------------ rows
class Rows:
    """Answers by name, kept line by line in a file, so that a stop loses one of them."""

    def __init__(self, path: Path | None) -> None:
        self.path = path
        lines = path.read_text().splitlines() if path and path.exists() else []
        self.known: dict[str, Any] = dict(json.loads(line) for line in lines)

    def get(self, name: str, make: Callable[[], Any]) -> Any:
        """What is known under this name, or made now and written down."""
        if name not in self.known:
            self.known[name] = make()
            print(name, self.known[name] if name.startswith("time") else "", flush=True)
            if self.path:
                with self.path.open("a") as file:
                    file.write(json.dumps([name, self.known[name]]) + "\n")
        return self.known[name]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("what", choices=["distance", "time"])
    parser.add_argument("--n", type=int, default=20, help="images for the distance")
    parser.add_argument("--queries", type=int, default=5000)
    parser.add_argument("--rounds", type=int, default=3, help="of the times: ours and the peer's in turn")
    parser.add_argument("--only", default="", help="rows of the table, joined by commas")
    parser.add_argument("--rows", type=Path, help="a file that keeps what is done; the next call goes on from it")
    options = parser.parse_args()
    sp = sparring_or_skip()
    peers_or_skip("foolbox")
    warnings.filterwarnings("ignore")
    (distance if options.what == "distance" else timed)(options, sp, Rows(options.rows))


if __name__ == "__main__":
    main()
