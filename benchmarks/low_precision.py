"""Searches in bfloat16 beside searches in float32: verdicts, passes and CPU time, on the same images, in turns.

    python benchmarks/low_precision.py --net mnist-cnn-pgd --n 240 --turns 4

Both are whole audits of attacks that go by gradients; each turn is another part of the images. The verdicts are the
model's own in both. The last line is about one gradient of a net of 4.7 million weights (untrained, 3 x 32 x 32), where
the net itself is what takes the time. Prints Markdown; says so where the processor does not know bfloat16.
"""

from __future__ import annotations

import argparse
import time

import torch
from torch import nn

import sparring as sp
from sparring.audit.cascade.precision import Lowered, pays

SUITE = (
    "fgsm",
    "pgd:steps=20",
    "pgd:loss=margin",
    "apgd-ce:steps=50",
    "apgd-dlr:steps=50",
    "apgd-t:steps=50,targets=3",
)


def main() -> None:
    """The table: a row for each precision."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--net", default="mnist-cnn-pgd")
    parser.add_argument("--n", type=int, default=240)
    parser.add_argument("--eps", type=float, default=0.3)
    parser.add_argument("--turns", type=int, default=4)
    args = parser.parse_args()
    model = sp.load_model(args.net)
    if not pays(model.device):
        print("skipped: this processor has no instructions for bfloat16")
        return
    torch.set_num_threads(1)
    x, y = sp.load_data("mnist", n=args.n).tensors()
    names = ["float32", "bfloat16"]
    stands: dict[str, list[bool]] = {name: [] for name in names}
    seconds, passes = dict.fromkeys(names, 0.0), dict.fromkeys(names, 0)
    for turn, part in enumerate(zip(x.chunk(args.turns), y.chunk(args.turns), strict=True)):
        for name in names[:: -1 if turn % 2 else 1]:
            began = time.process_time()
            report = sp.audit(model, part, ("Linf", args.eps), suite=SUITE, precision=name)
            seconds[name] += time.process_time() - began
            passes[name] += sum(one.queries + one.gradients for one in report.attacks)
            stands[name] += (~report.worst.success).tolist()
    print(f"\n{args.net}, Linf {args.eps:g}, {args.n} images in {args.turns} turns, one thread\n")
    print("| search | stand | attacks' passes | CPU s |\n|---|---|---|---|")
    for name in names:
        print(f"| {name} | {sum(stands[name])} | {passes[name]:,} | {seconds[name]:.1f} |")
    other = [sum(a and not b for a, b in zip(stands[p], stands[q], strict=True)) for p, q in (names, names[::-1])]
    print(f"\nonly bfloat16 breaks {other[0]}, only float32 breaks {other[1]}")
    print(f"CPU time: {seconds['float32'] / seconds['bfloat16']:.2f} times less")
    print(f"one gradient of a wide net: {wide():.2f} times less")


def wide(images: int = 16, rounds: int = 5) -> float:
    """How many times less CPU time a gradient of a wide net takes: the shortest of several rounds, in turns."""
    layers: list[nn.Module] = []
    for a, b, stride in ((3, 64, 1), (64, 64, 1), (64, 128, 2), (128, 128, 1), (128, 256, 2), (256, 256, 1)):
        layers += [nn.Conv2d(a, b, 3, stride, 1), nn.BatchNorm2d(b), nn.ReLU()]
    layers += [nn.Conv2d(256, 512, 3, 2, 1), nn.ReLU(), nn.Conv2d(512, 512, 3, 1, 1), nn.ReLU()]
    net = nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(512, 10))
    full = sp.wrap(net)
    looks, best = {"float32": full, "bfloat16": Lowered(full)}, dict.fromkeys(("float32", "bfloat16"), float("inf"))
    with full.guard():
        for _ in range(rounds):
            for name, look in looks.items():
                x = torch.rand(images, 3, 32, 32).requires_grad_()
                began = time.process_time()
                torch.autograd.grad(look.logits(x).sum(), x)
                best[name] = min(best[name], time.process_time() - began)
    return best["float32"] / best["bfloat16"]


if __name__ == "__main__":
    main()
