"""Each minimum-norm attack of ours beside the best peer implementation of the same attack, at the same steps.

For each attack and net, on the first n test images that the net gets right: the median of d*, the smallest perturbation
*seen during the run* (for peers through a watched net, as AttackBench does it), the share of images broken, and all
forward and backward passes, counted exactly. The best peer is the one with the smallest median d*, failures counted
as infinite. A verdict names what is worse: the median (ours above 1.02 times the peer's), the success (lower), the
passes (more).

    python benchmarks/minimum_norm_peers.py --net plain --n 100
    python benchmarks/minimum_norm_peers.py --net ddn --n 500 --only ddn,fmn --norm L2
    python benchmarks/minimum_norm_peers.py --side peers --cache peers.json       # run the peers now, compare later

The peers need their environment (benchmarks/peers/install.py). Attacks that are not registered are skipped.
"""

from __future__ import annotations

import argparse
import warnings
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from common import load_net, skip, sparring_or_skip, table
from minimum_norm_rows import ROWS, Row
from watched import Cache, Outcome, images, in_chunks, ours, watch


def peer_outcome(name: str, row: Row, net_name: str, net: nn.Module, x: Tensor, y: Tensor, cache: Cache) -> Outcome:
    """One peer on all images; raises ImportError where it is not installed and the cache does not know it."""
    from peers.minimum_norm import PEERS

    settings = row.peers[name]
    said = ",".join(f"{key}={value}" for key, value in settings.items())
    key = f"{name}|{row.norm}|{row.steps}|{said}|{net_name}"

    def run(a: Tensor, b: Tensor) -> Outcome:
        return watch(PEERS[name](row.norm, row.steps, **settings), net, a, b, row.norm)

    return in_chunks(run, x, y, cache, key)


def our_outcome(row: Row, net: nn.Module, x: Tensor, y: Tensor) -> Outcome | str:
    """Ours on all images, or in one line why it cannot run."""
    sp = sparring_or_skip()
    name = row.ours.partition(":")[0]
    if name not in {known for info in sp.attacks() for known in (info.name, *info.aliases)}:
        return "not registered"
    try:
        return in_chunks(partial(_ours, sp.attack(row.ours), net, row.norm), x, y)
    except Exception as error:  # one attack that fails must not hide the others' figures
        return f"FAILED, {type(error).__name__}: {error}"


def _ours(attack: Any, net: nn.Module, norm: str, x: Tensor, y: Tensor) -> Outcome:
    return ours(attack, net, x, y, norm)


def median(d: Tensor) -> float:
    """The median, failures infinite."""
    return float(d.sort().values[(len(d) - 1) // 2 : len(d) // 2 + 1].mean())


def best(outcomes: dict[str, Outcome]) -> str:
    """The name of the outcome with the smallest median, then the most successes, then the fewest passes."""
    return min(outcomes, key=lambda k: (median(outcomes[k].seen), -outcomes[k].success, outcomes[k].passes))


def verdict(mine: Outcome, theirs: Outcome) -> str:
    """Empty where ours is at least as good, else what is worse."""
    worse = []
    if median(mine.seen) > 1.02 * median(theirs.seen):
        worse.append("median")
    if mine.success < theirs.success:
        worse.append("success")
    if mine.passes > theirs.passes:
        worse.append("passes")
    return "worse: " + ", ".join(worse) if worse else "ok"


def chosen(only: str | None, norm: str | None) -> list[Row]:
    """The rows asked for: by the name of our attack, by norm."""
    names = only.split(",") if only else None
    return [
        row
        for row in ROWS
        if (names is None or row.ours.partition(":")[0] in names) and (norm is None or row.norm == norm)
    ]


def compare(args: argparse.Namespace, net_name: str, cache: Cache) -> None:
    """All rows on one net."""
    net = load_net(net_name)
    x, y = images(net, args.n)
    lines: list[list[object]] = []
    for row in chosen(args.only, args.norm):
        theirs: dict[str, Outcome] = {}
        if args.side != "ours":
            for name in row.peers:
                try:
                    theirs[name] = peer_outcome(name, row, net_name, net, x, y, cache)
                except ImportError as error:
                    print(f"no {name}: {error}")
        mine = our_outcome(row, net, x, y) if args.side != "peers" else "not asked for"
        if isinstance(mine, str):
            print(f"{row.ours} at {row.norm}: {mine}", flush=True)
            continue
        label = f"{row.name} {row.norm}, {row.steps}"
        figures = [f"{median(mine.seen):.4g}", f"{mine.success:.1%}", mine.passes]
        if theirs:
            name = best(theirs)
            peer = theirs[name]
            ratio = median(mine.seen) / median(peer.seen)
            lines.append(
                [label, name, f"{median(peer.seen):.4g}", f"{peer.success:.1%}", peer.passes, *figures, f"{ratio:.3f}",
                 verdict(mine, peer)]
            )  # fmt: skip
        else:
            lines.append([label, "-", "-", "-", "-", *figures, "-", "-"])
        print("  ".join(map(str, lines[-1])), flush=True)
    if lines:
        header = ["attack", "best peer", "median", "broken", "passes", "ours: median", "broken", "passes", "ratio", ""]
        table(f"{net_name}, {len(x)} images: d* of the best peer and ours", header, lines)
        wrong = [f"{line[0]} ({line[-1]})" for line in lines if str(line[-1]).startswith("worse")]
        print(f"worse than the best peer: {'; '.join(wrong) or 'none'}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--net", default="plain,trades,ddn", help="comma separated; see common.load_net")
    parser.add_argument("--n", type=int, default=100, help="images that the net gets right")
    parser.add_argument("--only", help="our attacks, by registered name, comma separated")
    parser.add_argument("--norm", choices=("L0", "L1", "L2", "Linf"))
    parser.add_argument("--side", choices=("both", "peers", "ours"), default="both")
    parser.add_argument("--cache", type=Path, help="a JSON file that keeps what the peers found")
    parser.add_argument("--threads", type=int, default=1)
    args = parser.parse_args()
    if args.n < 1:
        skip("--n 0: no images")
    torch.set_num_threads(args.threads)
    warnings.simplefilter("ignore")  # the peers' own
    for name in args.net.split(","):
        compare(args, name, Cache(args.cache))


if __name__ == "__main__":
    main()
