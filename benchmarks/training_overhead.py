"""One adversarial training step of ours beside one written by hand: CPU time, interleaved, the median of many.

Both do the same: PGD from a random start against the net in eval mode with frozen weights, then one step of Adam on the
examples. By hand means: nothing else at all, no checks, no counting, no noise that belongs to the image. Also RS-FGSM
("fast"), where the attack is a single step and any overhead weighs most.

    python benchmarks/training_overhead.py --steps 40
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from common import load_images, sparring_or_skip, table

EPS = 0.3


def by_hand(net: nn.Module, x: Tensor, y: Tensor, optimizer: torch.optim.Optimizer, steps: int, step: float) -> None:
    """What a careful person writes in a notebook."""
    net.eval()
    for parameter in net.parameters():
        parameter.requires_grad_(False)
    low, high = (x - EPS).clamp(min=0), (x + EPS).clamp(max=1)
    z = low + (high - low) * torch.rand_like(x)
    for _ in range(steps):
        z.requires_grad_()
        (g,) = torch.autograd.grad(cross_entropy(net(z), y, reduction="sum"), z)
        z = torch.minimum(torch.maximum(z.detach() + step * EPS * g.sign(), low), high)
    for parameter in net.parameters():
        parameter.requires_grad_(True)
    net.train()
    loss = cross_entropy(net(z), y)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()


def measure(name: str, batch: int, steps: int, step: float, rounds: int) -> list[object]:
    sp = sparring_or_skip()
    from sparring.defenses.training import AdversarialTraining, Step
    from sparring.zoo.nets import make_net

    x, y = load_images(batch * 4)
    loss = AdversarialTraining(sp.Threat("Linf", EPS), sp.PGD(steps=steps, step=step), warm_up=0.0)
    nets = [make_net(name, seed=0) for _ in range(2)]
    optimizers = [torch.optim.Adam(net.parameters(), 1e-3) for net in nets]

    def ours(x: Tensor, y: Tensor, number: int) -> None:
        nets[0].train()
        value = loss(nets[0], x, y, Step(number, 0, 1, number, rounds))
        optimizers[0].zero_grad()
        value.backward()
        optimizers[0].step()

    def hand(x: Tensor, y: Tensor, number: int) -> None:
        by_hand(nets[1], x, y, optimizers[1], steps, step)

    times: tuple[list[float], list[float]] = ([], [])
    runs: tuple[Callable[[Tensor, Tensor, int], None], ...] = (ours, hand)
    for number in range(rounds + 3):
        part = slice(number % 4 * batch, (number % 4 + 1) * batch)
        for which in (0, 1) if number % 2 else (1, 0):
            began = time.process_time()
            runs[which](x[part], y[part], number)
            if number >= 3:
                times[which].append(time.process_time() - began)
    a, b = (statistics.median(each) for each in times)
    return [name, batch, steps, f"{1000 * a:.1f}", f"{1000 * b:.1f}", f"{a / b:.3f}"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=40, help="timed training steps of each kind")
    parser.add_argument("--nets", nargs="+", default=["wong", "trades"])
    options = parser.parse_args()
    torch.set_num_threads(1)
    rows = []
    for name in options.nets:
        rows.append(measure(name, 128, 7, 2.5 / 7, options.steps))
        rows.append(measure(name, 100, 1, 1.25, options.steps))
    header = ["net", "batch", "PGD steps", "ours, ms", "by hand, ms", "ratio"]
    table("One adversarial training step, CPU time", header, rows)


if __name__ == "__main__":
    main()
