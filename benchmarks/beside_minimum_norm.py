"""Does a suite leave images that the search for the least perturbation does not? `quick` beside `sp.minimum_norm`.

    python benchmarks/beside_minimum_norm.py --out runs/beside.jsonl
    python benchmarks/beside_minimum_norm.py --case "mnist-cnn-fast L1 8" --case "smallcnn-trades Linf 0.3"

A net that was trained against one norm may withstand climbs at a fixed radius under another. `minimum_norm` takes 2,000
passes an image, the audit's own are counted by the audit. "+ 8 bits": the net behind rounding to 256 levels, where
`minimum_norm` is asked of the bare net. Rows that lie in `--out` are not made again.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import torch
from torch import Tensor, nn

import sparring as sp
from common import load_net, table

CASES = (
    "mnist-cnn-fast L1 5",
    "mnist-cnn-fast L1 8",
    "mnist-cnn-pgd L1 8",
    "mnist-cnn L1 8",
    "mnist-cnn-fast L2 1",
    "mnist-cnn-fast L2 1.5",
    "mnist-cnn-pgd L2 1.5",
    "mnist-cnn L2 1",
    "mnist-cnn-fast L0 8",
    "mnist-cnn-fast L0 15",
    "mnist-cnn-pgd L0 10",
    "mnist-cnn L0 10",
    "mnist-cnn-fast Linf 0.2",
    "mnist-cnn-fast Linf 0.3",
    "mnist-cnn-fast Linf 0.35",
    "mnist-cnn-pgd Linf 0.3",
    "mnist-cnn Linf 0.05",
    "mnist-cnn Linf 0.1",
    "mnist-cnn-fast + 8 bits Linf 0.3",
    "mnist-cnn-fast + 8 bits L1 8",
    "mnist-cnn-fast + 8 bits L2 1.5",
    "mnist-cnn-fast + 8 bits L0 15",
)


class EightBits(nn.Module):
    """Pixels at the nearest of 256 levels."""

    def forward(self, x: Tensor) -> Tensor:
        return (x * 255).round() / 255


def measured(case: str, n: int, suite: str) -> dict[str, object]:
    """The row of a case: images that the suite and `minimum_norm` leave, and the audit's passes."""
    name, norm, eps = case.rsplit(" ", 2)
    net = load_net(name.removesuffix(" + 8 bits").removeprefix("smallcnn-"))
    net = getattr(net, "net", net)
    x, y = sp.load_data("mnist5k", n=n).tensors()
    seen = nn.Sequential(EightBits(), net).eval() if name.endswith(" + 8 bits") else net
    report = sp.audit(seen, (x, y), (norm, float(eps)), suite=suite, clean_floor=0.0)
    least = sp.minimum_norm(net, x, y, norm).distance
    left = {suite: report.robust.hits, "minimum_norm": int((least > float(eps)).sum())}
    return {"case": case, "n": n, **left, "passes": report.passes, "status": report.status, "cause": report.cause}


def main() -> None:
    """Rows that are missing, then the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--case", action="append", help="NET NORM EPS; may be given more than once")
    parser.add_argument("--n", type=int, default=32)
    parser.add_argument("--suite", default="quick")
    parser.add_argument("--out", type=Path, default=Path("runs/beside.jsonl"), help="the rows; those there are kept")
    args = parser.parse_args()
    torch.set_num_threads(1)
    args.out.parent.mkdir(parents=True, exist_ok=True)
    lines = args.out.read_text().splitlines() if args.out.exists() else []
    known = {(row["case"], row["n"]): row for row in map(json.loads, lines) if args.suite in row}
    rows = []
    for case in args.case or CASES:
        row = known.get((case, args.n))
        if row is None:
            row = measured(case, args.n, args.suite)
            with args.out.open("a") as file:
                file.write(json.dumps(row) + "\n")
        rows.append(row)
    heads = ["case", args.suite, "minimum_norm", "passes", "status"]
    table(f"images left of {args.n}", heads, [[str(row[head]) for head in heads] for row in rows])


if __name__ == "__main__":
    main()
