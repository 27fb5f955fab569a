"""The same attacks by Foolbox, ART and AutoAttack, at the points of the league: same nets, images and queries.

    SPARRING_DATA=... python benchmarks/league_peers.py --n 20
    python benchmarks/league_peers.py --models mnist-cnn --only geoda-art --rows rows.jsonl  # goes on from what is done
    python benchmarks/league_peers.py --rows rows.jsonl --league league.jsonl  # ours from the rows of league.py
    python benchmarks/league_peers.py --square --n 100               # Square within the league's radius: share fooled

Needs the peers' environment (benchmarks/peers/install.py). A peer is watched through the net: of the rows that it asks
about, the first so many of each image count, and the nearest that fools among them, whatever it hands back. One run
answers for all budgets, save where a peer plans by its budget (ART's GeoDA, Square): that is run for each; GeoDA has
no plan for less than about 500 queries, so there it begins that for 1,000. Foolbox's Boundary takes all images as one
batch, every other peer one image at a time.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import tempfile
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from black_box_peers import Enough, Rows
from common import peers_or_skip, sparring_or_skip, table
from league import RADII
from league import Rows as LeagueRows
from published_nets import images, load

ORDERS = {"L2": 2.0, "Linf": torch.inf}


class Watched(nn.Module):
    """A net that remembers, for each image and each budget, the nearest point that fooled it within the budget.

    Rows of a call belong to the images in turn; the rows that the largest budget does not reach for are not looked at,
    and end the attack.

    Attributes:
        near: [budgets, n] sizes, infinite where nothing fooled. asked: queries of each image so far.
    """

    def __init__(self, net: nn.Module, x: Tensor, y: Tensor, order: float, budgets: list[int]) -> None:
        super().__init__()
        self.net, self.x, self.y, self.order, self.budgets = net, x, y, order, budgets
        self.asked = 0
        self.near = torch.full((len(budgets), len(x)), torch.inf)

    def forward(self, z: Tensor) -> Tensor:
        left = max(self.budgets) - self.asked
        if left <= 0:
            raise Enough
        copies = min(len(z) // len(self.x), left)
        with torch.no_grad():
            logits: Tensor = self.net(z.to(self.x.dtype))  # ART makes some of its points in double
            seen = slice(0, copies * len(self.x))
            size = (z[seen] - self.x.repeat(copies, 1, 1, 1)).flatten(1).norm(self.order, dim=1)
            size[logits[seen].argmax(1) == self.y.repeat(copies)] = torch.inf
            size = size.view(copies, -1)
            for number, budget in enumerate(self.budgets):
                reached = size[: max(0, budget - self.asked)]
                if len(reached):
                    self.near[number] = self.near[number].minimum(reached.amin(0))
        self.asked += copies
        return logits


Attempt = Callable[[nn.Module, Tensor, Tensor, int], Any]
"(watched net, images, classes, budget): the attack of a peer"


def art(name: str, **settings: Any) -> Attempt:
    """An attack of ART; a setting that is a function is told the budget."""

    def run(net: nn.Module, x: Tensor, y: Tensor, budget: int) -> None:
        from art.attacks import evasion
        from art.estimators.classification import PyTorchClassifier

        wrapped = PyTorchClassifier(
            net, nn.CrossEntropyLoss(), tuple(x.shape[1:]), 10, clip_values=(0.0, 1.0), device_type="cpu"
        )
        told = {key: value(budget) if callable(value) else value for key, value in settings.items()}
        getattr(evasion, name)(wrapped, verbose=False, **told).generate(x.numpy(), y=y.numpy())

    return run


def foolbox(name: str, **settings: Any) -> Attempt:
    """An attack of Foolbox."""

    def run(net: nn.Module, x: Tensor, y: Tensor, budget: int) -> None:
        import foolbox as fb

        attack = getattr(fb.attacks, name)(**settings)
        attack.run(fb.PyTorchModel(net, bounds=(0, 1)), x, fb.criteria.Misclassification(y))

    return run


MANY = 10**6
"steps that no budget reaches"


def plan(budget: int) -> int:
    """The queries that ART's GeoDA plans for."""
    return max(1000, budget)


PEERS: dict[str, tuple[str, str, bool, bool, Attempt]] = {
    "boundary-foolbox": ("boundary", "L2", True, False, foolbox("BoundaryAttack", steps=MANY)),
    "boundary-art": ("boundary", "L2", False, False, art("BoundaryAttack", targeted=False, max_iter=MANY)),
    "hopskipjump-foolbox": (
        "hopskipjump", "L2", False, False, foolbox("HopSkipJumpAttack", steps=1000, constraint="l2")
    ),
    "hopskipjump-art": ("hopskipjump", "L2", False, False, art("HopSkipJump", max_iter=1000, norm=2)),
    "hopskipjump-linf-foolbox": (
        "hopskipjump", "Linf", False, False, foolbox("HopSkipJumpAttack", steps=1000, constraint="linf")
    ),
    "hopskipjump-linf-art": ("hopskipjump", "Linf", False, False, art("HopSkipJump", max_iter=1000, norm="inf")),
    "geoda-art": ("geoda", "L2", False, True, art("GeoDA", norm=2, max_iter=plan)),
    "geoda-linf-art": ("geoda", "Linf", False, True, art("GeoDA", norm="inf", max_iter=plan)),
    "signopt-art": (
        "signopt", "L2", False, False, art("SignOPTAttack", targeted=False, max_iter=MANY, query_limit=MANY)
    ),
}  # fmt: skip
"""By name: our attack, the norm, whether it takes all images as one batch, whether it plans by its budget, the run."""


def measure(peer: str, net: nn.Module, x: Tensor, y: Tensor, budgets: list[int]) -> list[list[float]]:
    """[budgets][n] the nearest points that a peer asks about in so many queries."""
    _, norm, batch, plans, run = PEERS[peer]
    if plans and len(budgets) > 1:
        return [measure(peer, net, x, y, [budget])[0] for budget in budgets]
    parts = [slice(0, len(x))] if batch else [slice(k, k + 1) for k in range(len(x))]
    near = []
    for part in parts:
        watched = Watched(net, x[part], y[part], ORDERS[norm], budgets).eval()
        with contextlib.suppress(Enough):
            run(watched, x[part], y[part], max(budgets))
        near.append(watched.near)
    found: list[list[float]] = torch.cat(near, 1).tolist()
    return found


def ratio(mine: Tensor, theirs: Tensor) -> str:
    """The geometric mean of the ratio image by image, its standard error in brackets, where both found something."""
    logs = (mine / theirs).log()
    logs = logs[logs.isfinite()]
    if not len(logs):
        return "-"
    middle = logs.mean().exp()
    return f"{middle:.3f} ({middle * logs.std() / len(logs) ** 0.5:.3f})"


def league(options: argparse.Namespace, sp: Any) -> None:
    """Median distance of ours and of each peer at each budget, and their ratio image by image."""
    budgets, rows = [int(q) for q in options.queries.split(",")], Rows(options.rows)
    ours = LeagueRows(options.league)
    for name in options.models.split(","):
        net = load(name)
        x, y = images(name, options.n, net)
        out = []
        for peer in options.only.split(",") if options.only else PEERS:
            spec, norm = PEERS[peer][:2]
            try:
                found = rows.get(
                    f"{name} {peer} {len(x)} {options.queries}",
                    lambda peer=peer, net=net, x=x, y=y: measure(peer, net, x, y, budgets),
                )
            except Exception as error:
                out.append([peer, f"cannot run: {type(error).__name__}: {error}"[:60], *[""] * 4])
                continue
            for queries, distance in zip(budgets, found, strict=True):
                mine = own(sp, ours, rows, net, x, y, (name, norm, spec, queries))
                peers = torch.tensor(distance)
                middles = [f"{float(d.quantile(0.5)):.3f}" for d in (mine, peers)]
                missed = f"{int((~peers.isfinite()).sum())}"
                out.append([f"{spec} {norm}", peer, f"{queries:,}", *middles, ratio(mine, peers), missed])
        table(
            f"{name}, {len(x)} images: median distance",
            ["attack", "peer", "queries", "sparring", "peer's", "image by image", "peer found none"],
            [row + [""] * (7 - len(row)) for row in out],
        )


def own(
    sp: Any, league: LeagueRows, rows: Rows, net: nn.Module, x: Tensor, y: Tensor, what: tuple[str, str, str, int]
) -> Tensor:
    """[n] our distances: from the league's rows, as images do not depend on each other, or measured now."""
    name, norm, spec, queries = what
    for key, distance in league.known.items():
        parts = key.split(" ")
        if parts[:3] == [name, norm, spec] and int(parts[4]) == queries and int(parts[3]) >= len(x):
            return distance[: len(x)]

    def run() -> list[float]:
        found: list[float] = sp.attack(spec)(
            net, x, y, sp.Threat(norm), budget=sp.Budget(queries=queries)
        ).distance.tolist()
        return found

    return torch.tensor(rows.get(f"{name} sparring {spec} {norm} {len(x)} {queries}", run))


# ------------------------------------------------------------------------------------------------ Square
def square_art(net: nn.Module, x: Tensor, y: Tensor, eps: float, norm: str, queries: int) -> Tensor:
    """[n, ...] ART's points."""
    from art.attacks.evasion import SquareAttack
    from art.estimators.classification import PyTorchClassifier

    wrapped = PyTorchClassifier(
        net, nn.CrossEntropyLoss(), tuple(x.shape[1:]), 10, clip_values=(0.0, 1.0), device_type="cpu"
    )
    attack = SquareAttack(
        wrapped, norm=ORDERS[norm], eps=eps, max_iter=queries, p_init=0.8, nb_restarts=1, verbose=False
    )
    return torch.tensor(attack.generate(x.numpy(), y=y.numpy()))


def square_autoattack(net: nn.Module, x: Tensor, y: Tensor, eps: float, norm: str, queries: int) -> Tensor:
    """[n, ...] the points of AutoAttack's Square."""
    from pyautoattack.square import SquareAttack

    attack = SquareAttack(
        net, p_init=0.8, n_queries=queries, resc_schedule=False, eps=eps, norm=norm, seed=0, device="cpu"
    )
    points: Tensor = attack.perturb(x, y)
    return points


def squares(options: argparse.Namespace, sp: Any) -> None:
    """Share fooled by Square within the league's radius, ours and theirs, judged afresh."""
    budgets, rows = [int(q) for q in options.queries.split(",")], Rows(options.rows)
    for name in options.models.split(","):
        net, out = load(name), []
        x, y = images(name, options.n, net)
        for norm, eps in RADII[name].items():
            makers: dict[str, Callable[[int], Tensor]] = {
                "sparring": lambda q, net=net, norm=norm, eps=eps, x=x, y=y: (
                    sp.attack(f"square:queries={q}")(net, x, y, sp.Threat(norm, eps)).x_adv
                ),
                "AutoAttack": lambda q, net=net, norm=norm, eps=eps, x=x, y=y: square_autoattack(
                    net, x, y, eps, norm, q
                ),
                "ART": lambda q, net=net, norm=norm, eps=eps, x=x, y=y: square_art(net, x, y, eps, norm, q),
            }
            for who in options.only.split(",") if options.only else makers:
                shares = []
                for queries in budgets:

                    def judged(
                        make: Callable[[int], Tensor] = makers[who],
                        q: int = queries,
                        eps: float = eps,
                        norm: str = norm,
                        net: nn.Module = net,
                        x: Tensor = x,
                        y: Tensor = y,
                    ) -> float:
                        z = make(q)
                        inside = (z - x).flatten(1).norm(ORDERS[norm], dim=1) <= eps * (1 + 1e-4)
                        inside &= ((z >= 0) & (z <= 1)).flatten(1).all(1)
                        with torch.no_grad():
                            return float((inside & (net(z).argmax(1) != y)).float().mean())

                    shares.append(f"{rows.get(f'square {name} {norm} {who} {len(x)} {queries}', judged):.0%}")
                out.append([f"{norm} {eps:.3g}", who, *shares])
        table(f"Square, {name}, {len(x)} images: share fooled", ["", "", *(f"{q:,}" for q in budgets)], out)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--n", type=int, default=20, help="images")
    parser.add_argument("--models", default="mnist-cnn,mnist-rays-2020")
    parser.add_argument("--queries", default="100,300,1000,4000")
    parser.add_argument("--only", default="", help="peers of the table, joined by commas")
    parser.add_argument("--square", action="store_true", help="Square within the radius instead")
    parser.add_argument("--rows", type=Path, help="a file that keeps what is done; the next call goes on from it")
    parser.add_argument("--league", type=Path, help="rows of benchmarks/league.py, for our own distances")
    options = parser.parse_args()
    sp = sparring_or_skip()
    peers_or_skip("art", "foolbox")
    warnings.filterwarnings("ignore")
    for path in ("rows", "league"):
        if getattr(options, path):
            setattr(options, path, getattr(options, path).resolve())
    os.chdir(tempfile.mkdtemp())  # ART's GeoDA leaves a file where it runs
    (squares if options.square else league)(options, sp)


if __name__ == "__main__":
    main()
