"""What do random searches lose that give up hopeless images? On nets and pictures the bars were not learned on.

    SPARRING_DATA=... python benchmarks/hopeless_searches.py

The published CIFAR-10 nets of $SPARRING_DATA/published (cnn-a), Linf 2/255, their test pictures: first PGD with 40
steps on the margin, then each search on what stands, to its end and with `give_up` (`blocks/prospects.py`, learned on
digits).
"""

from __future__ import annotations

import argparse

import torch

import sparring as sp
from common import table
from published_nets import images, load

NETS = ("cifar-cnn-a-adv", "cifar-cnn-a-adv4", "cifar-cnn-a-mix", "cifar-cnn-a-mix4")
SPECS = ("apgd-square:queries=1000", "apgd-square:loss=dlr,queries=1500", "square:queries=5000")


def main() -> None:
    """Measure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--n", type=int, default=100)
    parser.add_argument("--eps", type=float, default=2 / 255)
    parser.add_argument("--nets", nargs="*", default=NETS)
    args = parser.parse_args()
    torch.set_num_threads(1)
    threat, rows = sp.Threat("Linf", args.eps), []
    for name in args.nets:
        model, (x, y) = sp.wrap(load(name)), images(name, args.n)
        first = sp.attack("pgd:loss=margin")(model, x, y, threat)
        at = (~first.success).nonzero().squeeze(1)
        print(f"{name}: {int(first.clean_correct.sum())} of {len(y)} right, {len(at)} left by PGD", flush=True)
        for spec in SPECS:
            runs = [sp.attack(f"{spec}{more}")(model, x[at], y[at], threat) for more in ("", ",give_up=true")]
            broke = [int(run.success.sum()) for run in runs]
            passes = [int((run.queries + run.gradients).sum()) for run in runs]
            rows.append([name, spec, broke[0], f"{passes[0]:,}", broke[1], f"{passes[1]:,}"])
            print(*rows[-1], flush=True)
    table(f"Linf {args.eps:.4g}", ["net", "search", "broke", "passes", "kept", "passes then"], rows)


if __name__ == "__main__":
    main()
