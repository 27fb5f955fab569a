"""What the referee costs: sparring's PGD against a hand-written loop on the same net and the same batch.

The loop is what a careful user would write: weights frozen, `autograd.grad`, a sign step and one fused clamp into
ball and box, no bookkeeping at all (it does not even know whether a sample was fooled). Both take the same steps
from the same kind of start, interleaved, median of 7 rounds; ratios are taken within a round, in CPU time.

(a) nobody leaves: correct samples and an eps so small that no sample is ever fooled. Aim: at most 1.05.
(b) samples leave: an eps that fools them on the way. Aim: far below 1, since ours goes on with survivors only.

    python benchmarks/pgd_overhead.py                       # 128 images, 40 steps
    python benchmarks/pgd_overhead.py --n 64 --steps 20 --rounds 11 --peers
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from common import count_passes, interleave, load_images, load_net, sparring_or_skip, standing, table


def raw_pgd(net: nn.Module, x: Tensor, y: Tensor, eps: float, steps: int, step: float) -> Tensor:
    """PGD with nothing around it: [B,C,H,W] in, the last iterate out."""
    lower, upper = (x - eps).clamp(min=0), (x + eps).clamp(max=1)
    z = torch.empty_like(x).uniform_(-eps, eps).add_(x).clamp_(lower, upper)
    for _ in range(steps):
        z.requires_grad_()
        (gradient,) = torch.autograd.grad(F.cross_entropy(net(z), y, reduction="sum"), z)
        z = z.detach().add_(gradient.sign_(), alpha=step).clamp_(lower, upper)
    return z


def peers(net: nn.Module, x: Tensor, y: Tensor, eps: float, steps: int, step: float) -> dict[str, Callable[[], object]]:
    """The PGD of every peer that imports here, with the same eps, steps and step size."""
    from peers import shims

    shims.install()
    runs: dict[str, Callable[[], object]] = {}
    try:
        from torchattacks import PGD

        runs["torchattacks"] = lambda: PGD(net, eps=eps, alpha=step, steps=steps)(x, y)
    except ImportError as error:
        print(f"no torchattacks: {error}")
    try:
        from adv_lib.attacks import pgd_linf

        runs["adv-lib"] = lambda: pgd_linf(net, x, y, eps, steps=steps, absolute_step_size=step)
    except ImportError as error:
        print(f"no adv-lib: {error}")
    try:
        import foolbox

        model = foolbox.PyTorchModel(net, bounds=(0, 1), device="cpu")
        attack = foolbox.attacks.LinfPGD(abs_stepsize=step, steps=steps)
        runs["foolbox"] = lambda: attack(model, x, y, epsilons=eps)
    except ImportError as error:
        print(f"no foolbox: {error}")
    return runs


def race(title: str, runs: dict[str, Callable[[], object]], rounds: int) -> None:
    """Time the runs interleaved and print one table."""
    rows: list[list[object]] = []
    for name, t in interleave(runs, rounds).items():
        times = [f"{t.cpu * 1e3:.0f}", f"{t.wall * 1e3:.0f}"]
        low, high = t.spread
        rows.append([name, *times, f"{t.cpu_ratio:.3f}", f"{low:.2f}-{high:.2f}", f"{t.fastest_ratio:.3f}"])
    table(title, ["PGD", "CPU ms", "wall ms", "ratio to raw", "range", "fastest rounds"], rows)


def compare(args: argparse.Namespace, net: nn.Module, x: Tensor, y: Tensor, title: str, eps: float) -> None:
    """One case: time both, then say how many passes each took and what it broke."""
    sp = sparring_or_skip()
    step = 2.5 / args.steps  # sparring's default, a fraction of eps
    model, threat, attack = sp.wrap(net), sp.Threat("Linf", eps=eps), sp.PGD(steps=args.steps, step=step)
    raw = partial(raw_pgd, net, x, y, eps, args.steps, step * eps)
    ours = partial(attack, model, x, y, threat, seed=0)
    runs: dict[str, Callable[[], object]] = {"raw loop": raw, "sparring": ours}
    if args.peers:
        runs |= peers(net, x, y, eps, args.steps, step * eps)
    race(f"{title}: {args.net}, Linf {eps:g}, {len(x)} images, {args.steps} steps", runs, args.rounds)
    broken = {}
    for name, run in (("raw loop", raw), ("sparring", ours)):
        with count_passes(net) as passes:
            found = run()
        x_adv = found if isinstance(found, Tensor) else found.x_adv
        broken[name] = 1 - standing(net, x, y, x_adv, eps).float().mean().item()
        forward, backward = passes.forward / len(x), passes.backward / len(x)
        print(f"{name}: {forward:.1f} forward and {backward:.1f} backward passes a sample, fools {broken[name]:.1%}")
    if eps == args.small and broken["sparring"] > 0:
        print("NOTE: samples left in case (a); a smaller --small makes it a clean comparison")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--net", default="trades", help="plain | trades | ddn | FILE.safetensors | a zoo model")
    parser.add_argument("--n", type=int, default=128, help="images in the batch")
    parser.add_argument("--steps", type=int, default=40)
    parser.add_argument("--small", type=float, default=0.002, help="eps of case (a): fools nobody")
    parser.add_argument("--large", type=float, default=0.4, help="eps of case (b): fools many on the way")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--peers", action="store_true", help="time the peers' PGD beside them")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    torch.manual_seed(0)
    net = load_net(args.net)
    x, y = load_images(args.n, correct_for=net)
    compare(args, net, x, y, "(a) nobody leaves", args.small)
    compare(args, net, x, y, "(b) samples leave", args.large)


if __name__ == "__main__":
    main()
