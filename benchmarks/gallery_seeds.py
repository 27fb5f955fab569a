"""Are honest nets left alone, whatever the seed? Audits of the plain, the adversarially trained and the fast net.

    python benchmarks/gallery_seeds.py --n 60 --seeds 5

Every seed also draws other images. Prints Markdown; exit code 1 if a severe doubt was raised about any of them.
"""

from __future__ import annotations

import argparse
import time

import sparring as sp
from sparring.audit.checks.registry import CAUSES
from sparring.audit.suites.builtin import SUITES
from sparring.audit.suites.stage import Suite

NETS = ("mnist-cnn", "mnist-cnn-pgd", "mnist-cnn-fast", "mnist-cnn-trades")


def main() -> int:
    """The table, a row for each net and seed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--n", type=int, default=60, help="images of each audit, other ones for each seed")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--eps", type=float, default=0.3)
    parser.add_argument("--short", action="store_true", help="without the long attacks: the doubts are about gradients")
    args = parser.parse_args()
    x, y = sp.load_data("mnist5k", n=args.n * args.seeds).tensors()
    quick = SUITES["quick"]
    stages = tuple(stage for stage in quick.stages if stage.full_on_subset) if args.short else quick.stages
    suite = Suite("quick", quick.about, stages, subset=args.n, receipt=False)
    print("| net | seed | clean | robust | status | severe doubts | other doubts | passes | seconds |")
    print("|---|---|---|---|---|---|---|---|---|")
    accused = 0
    for name in NETS:
        try:
            model = sp.load_model(name)
        except sp.errors.InputError:
            continue
        for seed in range(args.seeds):
            rows = slice(seed * args.n, (seed + 1) * args.n)
            began = time.perf_counter()
            report = sp.audit(model, (x[rows], y[rows]), ("Linf", args.eps), suite=suite, seed=seed)
            codes = [doubt.code for doubt in report.doubts]
            severe = [code for code in codes if code in CAUSES]
            accused += bool(severe)
            print(
                f"| {name} | {seed} | {report.clean_accuracy:.1%} | {report.robust_accuracy:.1%} | {report.status} | "
                f"{', '.join(severe) or '-'} | {', '.join(c for c in codes if c not in CAUSES) or '-'} | "
                f"{report.passes:,} | {time.perf_counter() - began:.0f} |",
                flush=True,
            )
    return int(accused > 0)


if __name__ == "__main__":
    raise SystemExit(main())
