"""The reference table of minimum-norm distances, and ours beside it: 50 images, three nets, 21 rows.

The reference figures are data of this script (`minimum_norm_rows.py`): mean and median distance of the successes and
the success rate, measured with adv-lib 0.2.8 (FAB: AutoAttack) on the first 50 MNIST test images that each net gets
right. With `--live` the peers are run again, here, on the very same images; then theirs is the best peer's.

Ours is ok if it breaks at least as many images and its mean is at most 1.03 times the reference (L0: or within one
pixel). Where ours breaks more images than the reference, its mean is taken over as many of its nearest successes: an
image that only ours breaks must not count against it.

    SPARRING_DATA=... python benchmarks/minimum_norm_table.py                       # the reference nets
    python benchmarks/minimum_norm_table.py --net plain --live --cache peers.json   # and live peers
    python benchmarks/minimum_norm_table.py --net mnist-cnn --live                  # a net without reference figures
"""

from __future__ import annotations

import argparse
import warnings
from pathlib import Path

import torch
from torch import Tensor

from common import load_net, table
from minimum_norm_peers import best, chosen, our_outcome, peer_outcome
from minimum_norm_rows import Figures
from watched import Cache, Outcome, images


def figures(d: Tensor) -> Figures:
    """Mean and median of what was broken, and the share of it."""
    found = d[d.isfinite()]
    if not len(found):
        return float("nan"), float("nan"), 0.0
    return float(found.mean()), float(found.quantile(0.5)), len(found) / len(d)


def fair_mean(d: Tensor, share: float) -> float:
    """The mean of the nearest successes, at most `share` of all samples."""
    found = d[d.isfinite()].sort().values[: max(1, round(share * len(d)))]
    return float(found.mean()) if len(found) else float("inf")


def verdict(mine: Outcome, reference: Figures, norm: str) -> str:
    """Empty where ours is as good as the reference, else what is worse."""
    mean, _, share = reference
    worse = []
    if mine.success < share - 1e-9:
        worse.append("success")
    if fair_mean(mine.seen, share) > max(1.03 * mean, mean + (1.0 if norm == "L0" else 0.0)):
        worse.append("mean")
    return "worse: " + ", ".join(worse) if worse else "ok"


def show(f: Figures) -> str:
    return f"{f[0]:.4g} / {f[1]:.4g}" + ("" if f[2] == 1 else f" ({f[2]:.0%})")


def compare(args: argparse.Namespace, net_name: str, cache: Cache) -> list[str]:
    """All rows on one net; returns those that are worse."""
    net = load_net(net_name)
    x, y = images(net, args.n)
    lines: list[list[object]] = []
    for row in chosen(args.only, args.norm):
        if not row.reference:
            continue
        reference = row.reference.get(net_name) if args.n == 50 else None
        mine = our_outcome(row, net, x, y)
        if isinstance(mine, str):
            print(f"{row.ours} at {row.norm}: {mine}", flush=True)
            continue
        label = f"{row.norm} {row.name} {row.steps}"
        said = "-" if reference is None else verdict(mine, reference, row.norm)
        line: list[object] = [label, "-" if reference is None else show(reference), show(figures(mine.seen)), said]
        if args.live:
            theirs = {}
            for name in row.peers:
                try:
                    theirs[name] = peer_outcome(name, row, net_name, net, x, y, cache)
                except ImportError as error:
                    print(f"no {name}: {error}")
            if theirs:
                name = best(theirs)
                live = figures(theirs[name].seen)
                line += [name, show(live), theirs[name].passes, mine.passes, verdict(mine, live, row.norm)]
            else:
                line += ["-", "-", "-", mine.passes, "-"]
        else:
            line.append(mine.passes)
        print("  ".join(map(str, line)), flush=True)
        lines.append(line)
    header = ["attack, steps", "reference", "ours", "verdict"]
    header += ["best live peer", "its figures", "its passes", "our passes", "verdict"] if args.live else ["our passes"]
    if lines:
        table(f"{net_name}, {len(x)} images: mean / median distance (success if below 100 %)", header, lines)
    return [f"{net_name} {line[0]}" for line in lines if any(str(cell).startswith("worse") for cell in line)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--net", default="plain,trades,ddn", help="comma separated; see common.load_net")
    parser.add_argument("--n", type=int, default=50, help="images that the net gets right; the reference has 50")
    parser.add_argument("--only", help="our attacks, by registered name, comma separated")
    parser.add_argument("--norm", choices=("L0", "L1", "L2", "Linf"))
    parser.add_argument("--live", action="store_true", help="run the peers too, on the same images")
    parser.add_argument("--cache", type=Path, help="a JSON file that keeps what the peers found")
    parser.add_argument("--threads", type=int, default=1)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    warnings.simplefilter("ignore")  # the peers' own
    worse = [line for name in args.net.split(",") for line in compare(args, name, Cache(args.cache))]
    print(f"\nworse than the reference or the best live peer: {'; '.join(worse) or 'none'}")


if __name__ == "__main__":
    main()
