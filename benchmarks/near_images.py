"""Which cheap attack tells who is near enough for a long one? Margin progress after each, beside who falls.

    SPARRING_DATA=... python benchmarks/near_images.py --net mnist-cnn-pgd --n 500
    SPARRING_DATA=... python benchmarks/near_images.py --net smallcnn-trades --n 100

The short attacks of `standard` run first. On what stands, each cheap attack runs alone, then the long searches. A row
is an image that only these break: its progress (1 - best margin / clean margin) after the short attacks, and after each
cheap one. The last rows are of the images that nothing breaks, and of how many would go on from a bar.
"""

from __future__ import annotations

import argparse
from fractions import Fraction

import torch
from torch import Tensor

import sparring as sp
from common import table
from published_nets import images, load
from sparring.audit.suites.builtin import SHORT
from sparring.audit.suites.stage import unfit
from sparring.threat import Untargeted

CHEAP = (
    "square:queries=100",
    "square:queries=300",
    "square:queries=500",
    "apgd-t:steps=10,targets=9",
    "apgd-t:steps=25,targets=9",
)
LONG = ("square:queries=5000", "apgd-t:steps=50,targets=9")


def main() -> None:
    """Measure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--net", default="mnist-cnn-pgd")
    parser.add_argument("--n", type=int, default=100)
    parser.add_argument("--eps", type=lambda text: float(Fraction(text)), default=0.3)
    args = parser.parse_args()
    torch.set_num_threads(1)
    model, (x, y), threat = sp.wrap(load(args.net)), images(args.net, args.n), sp.Threat("Linf", args.eps)

    def run(spec: str, at: Tensor) -> sp.Result:
        return sp.attack(spec)(model, x[at], y[at], threat)

    clean = Untargeted(y).margin(model(x)).double()
    best, stands = clean.clone(), clean < 0
    print(f"{args.net}: {int(stands.sum())} of {len(y)} right")
    for stage in SHORT:
        if not stage.subset_only and unfit(stage, model, threat) is None:
            at = stands.nonzero().squeeze(1)
            result = run(stage.spec, at)
            best[at] = torch.fmax(best[at], result.margin.double())
            stands[at[result.success]] = False
    at = stands.nonzero().squeeze(1)
    results = {spec: run(spec, at) for spec in CHEAP + LONG}
    falls = torch.stack([result.success for result in results.values()]).any(0)
    progress = {"short attacks": 1 - (best / clean)[at]}
    progress |= {spec: 1 - results[spec].margin.double() / clean[at] for spec in CHEAP}
    passes = [""] + [f"{float((r.queries + r.gradients).double().mean()):.0f}" for r in map(results.get, CHEAP) if r]
    rows = [["passes an image", *passes]]
    for i in falls.nonzero().squeeze(1).tolist():
        rows.append([f"image {int(at[i])}", *(f"{float(share[i]):.2f}" for share in progress.values())])
    kept = [f"{float(share[~falls].quantile(0.9)):.2f}" for share in progress.values()]
    rows.append(["nine tenths of the others: below", *kept])
    for bar in (0.4, 0.5):
        rows.append([f"images from {bar} on", *(int((share >= bar).sum()) for share in progress.values())])
    title = f"{args.net}, Linf {args.eps:.4g}: {len(at)} stand after the short attacks, {int(falls.sum())} fall later"
    table(title, ["margin progress after", *progress], rows)


if __name__ == "__main__":
    main()
