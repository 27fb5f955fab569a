"""What is left of each purifier: clean, under an attack that does not know of it, and under one that does.

    python benchmarks/purifiers.py --n 50 --eps 0.3
    python benchmarks/purifiers.py magnet "diffpure:t=0.3,steps=5" --n 100 --eps 0.3 --sheet purified.png
    python benchmarks/purifiers.py diffpure:steps=20 --on diffpure:steps=1 diffpure:steps=20 --copies 4

The oblivious attack is PGD on the bare net; the adaptive one the same PGD through `exposed()`, with averaged gradients
where the stage draws noise; its images are judged by fresh draws. With --detector, MagNet's detectors are attacked,
too. With --on, PGD on the margin climbs other stages in their place, and the majority of ten answers of each stage
decides.
Prints Markdown.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import torch
from torch import Tensor

import sparring as sp
from sparring.audit.cascade.majority_vote import DRAWS, judged
from sparring.audit.statistics.proportion import wilson
from sparring.defenses import defend
from sparring.defenses.detect.evade import evasion_attack
from sparring.defenses.detect.magnet import MagnetDetector
from sparring.defenses.detect.roc import roc
from sparring.generators.sheets import write_sheet
from sparring.model import Model
from sparring.result import Result

SPECS = ("magnet", "pixel-defend", "diffpure")


def main() -> None:
    """The table, a row for each stage."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("specs", nargs="*", default=SPECS)
    parser.add_argument("--n", type=int, default=50)
    parser.add_argument("--eps", type=float, default=0.3)
    parser.add_argument("--steps", type=int, default=40, help="of the oblivious and the adaptive PGD")
    parser.add_argument("--copies", type=int, default=4, help="draws that a gradient is averaged over")
    parser.add_argument("--detector", action="store_true", help="attack MagNet's detectors, too")
    parser.add_argument("--on", nargs="+", default=(), help="stages that are climbed in the place of the others")
    parser.add_argument("--sheet", type=Path, help="images, purified, attacked, purified, as a PNG")
    args = parser.parse_args()
    x, y = sp.load_data("mnist5k", n=args.n).tensors()
    bare = sp.load_model("mnist-cnn")
    if args.on:
        transferred(bare, x, y, args)
        return
    oblivious = sp.PGD(steps=args.steps)(bare, x, y, ("Linf", args.eps), keep="last").x_adv
    print(f"\n{args.n} images, Linf {args.eps}, PGD-{args.steps}; the bare net: {right(bare, oblivious, y)}\n")
    print("| stage | clean | oblivious | adaptive | seconds |")
    print("|---|---|---|---|---|")
    for spec in args.specs:
        began, safe = time.perf_counter(), defend(bare, spec)
        view = f",view=eot{args.copies}" if safe.random and args.copies > 1 else ""
        attack = sp.attack(f"pgd:steps={args.steps}{view}")
        adaptive = attack(safe.exposed(), x, y, ("Linf", args.eps), keep="last").x_adv
        cells = [right(safe, images, y) for images in (x, oblivious, adaptive)]
        print(f"| `{spec}` | {' | '.join(cells)} | {time.perf_counter() - began:.0f} |", flush=True)
        if args.sheet:
            stage = safe.stages[0].run
            with torch.no_grad():
                rows = [part for images in (x, oblivious, adaptive) for part in (images[:10], stage(images[:10]))]
            write_sheet(torch.cat(rows), args.sheet.with_stem(f"{args.sheet.stem}-{spec.partition(':')[0]}"))
    if args.detector:
        detected(bare, x, y, oblivious, args.eps)


def transferred(bare: Model, x: Tensor, y: Tensor, args: argparse.Namespace) -> None:
    """How many images each stage answers rightly after climbs on another, and what the climbs cost."""
    print(f"\n{args.n} images, Linf {args.eps}, PGD-{args.steps} on the margin, EOT {args.copies}\n")
    print(f"| climbed | CPU seconds an image | {' | '.join(args.specs)} |")
    print("|---|---|" + "---|" * len(args.specs))
    for spec in args.on:
        climbed, began = defend(bare, spec), time.process_time()
        view = f",view=eot{args.copies}" if climbed.random and args.copies > 1 else ""
        attack = sp.attack(f"pgd:loss=margin,steps={args.steps}{view}")
        found = attack(climbed.exposed(), x, y, ("Linf", args.eps), keep="last")
        spent = (time.process_time() - began) / len(x)
        cells = [stands(judged(defend(bare, one), found, x, y, DRAWS, 0, 64)) for one in args.specs]
        print(f"| `{spec}` | {spent:.2f} | {' | '.join(cells)} |", flush=True)


def stands(result: Result) -> str:
    """How many images stand, and the mean share of right answers."""
    return f"{int((~result.success).sum())} ({float((1 - result.margin).mean() / 2):.1%})"


def detected(bare: Model, x: Tensor, y: Tensor, oblivious: Tensor, eps: float) -> None:
    """Reformer and detectors against both attackers."""
    clean = sp.load_data("mnist5k", "train", n=1000).tensors()[0]
    parts = {"l2, l1": ("l2", "l1"), "l2, l1, jsd10, jsd40": ("l2", "l1", "jsd10", "jsd40")}
    print("\n| detectors | false alarms | area | oblivious get past | adaptive get past |\n|---|---|---|---|---|")
    for name, some in parts.items():
        detector = MagnetDetector(bare, clean, parts=some)
        past = detector.evades(oblivious, y, 1.0)
        with torch.no_grad():
            first, second = detector.score(x), detector.score(oblivious)
        _, found = evasion_attack(detector, x, y, ("Linf", eps), steps=100)
        alarms, area = float((first > 1).float().mean()), roc(first, second).area
        print(f"| {name} | {alarms:.1%} | {area:.3f} | {share(past)} | {share(found)} |", flush=True)


def right(model: Model, x: Tensor, y: Tensor) -> str:
    """The share that the model gets right, with its interval."""
    with model.guard(), torch.no_grad():
        return share(model.labels(x) == y)


def share(hits: Tensor) -> str:
    """As text, with a 95 % interval."""
    count, n = int(hits.sum()), len(hits)
    low, high = wilson(count, n)
    return f"{count / n:.1%} ({100 * low:.0f} to {100 * high:.0f})"


if __name__ == "__main__":
    main()
