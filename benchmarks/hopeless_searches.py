"""What do random searches lose that give up hopeless images? On nets and pictures the bars were not learned on.

    SPARRING_DATA=... python benchmarks/hopeless_searches.py

The published CIFAR-10 nets of $SPARRING_DATA/published (cnn-a), Linf 2/255, their test pictures: first PGD with 40
steps on the margin, then each search on what stands, to its end and with `give_up` (`blocks/prospects.py`, learned on
digits).
"""

from __future__ import annotations

import argparse

import numpy as np
import torch
from safetensors.torch import load_file
from torch import Tensor, nn

import sparring as sp
from common import data_dir, skip, table

NETS = ("cifar-cnn-a-adv", "cifar-cnn-a-adv4", "cifar-cnn-a-mix", "cifar-cnn-a-mix4")
SPECS = ("apgd-square:queries=1000", "apgd-square:loss=dlr,queries=1500", "square:queries=5000")
MEAN, STD = (125.3, 123.0, 113.9), (63.0, 62.1, 66.7)


class Normalized(nn.Module):
    """Pixels of [0, 1], normalised as the nets want them."""

    def forward(self, x: Tensor) -> Tensor:
        mean, std = (torch.tensor(values).view(3, 1, 1) / 255 for values in (MEAN, STD))
        return (x - mean) / std


def load(name: str) -> nn.Module:
    """A published net, in eval mode."""
    folder = data_dir()
    if folder is None:
        skip("SPARRING_DATA is not set")
    net = nn.Sequential(
        nn.Conv2d(3, 16, 4, 2, 1), nn.ReLU(), nn.Conv2d(16, 32, 4, 2, 1), nn.ReLU(), nn.Flatten(),
        nn.Linear(2048, 100), nn.ReLU(), nn.Linear(100, 10),
    )  # fmt: skip
    net.load_state_dict(load_file(folder / "published" / f"{name}.safetensors"))
    return nn.Sequential(Normalized(), net).eval().requires_grad_(False)


def main() -> None:
    """Measure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--n", type=int, default=100)
    parser.add_argument("--eps", type=float, default=2 / 255)
    parser.add_argument("--nets", nargs="*", default=NETS)
    args = parser.parse_args()
    torch.set_num_threads(1)
    folder = data_dir()
    if folder is None:
        skip("SPARRING_DATA is not set")
    file = np.load(folder / "published" / "cifar10-test200.npz")
    x = torch.from_numpy(file["x"][: args.n]).permute(0, 3, 1, 2).float() / 255
    y = torch.from_numpy(file["y"][: args.n]).long()
    threat, rows = sp.Threat("Linf", args.eps), []
    for name in args.nets:
        model = sp.wrap(load(name))
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
