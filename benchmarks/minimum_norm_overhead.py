"""What a minimum-norm attack costs beside its passes: sparring, adv-lib, and the bare passes alone.

The bare passes are a forward and a backward pass of the loss at the images, again and again, and nothing else: no step,
no projection, no judging. What the others take beside them is the attack and its bookkeeping. All run interleaved on
the same net and batch, in CPU time of one thread; a round's times are divided by the passes that hooks on the net
count, as the numbers of passes differ a little. Ratios are taken within a round; the median of the rounds is shown.

    python benchmarks/minimum_norm_overhead.py                            # both nets, all attacks
    python benchmarks/minimum_norm_overhead.py --net wide --only fmn --rounds 5
    python benchmarks/minimum_norm_overhead.py --net mnist-cnn --only "pdpgd Linf" --profile

`wide` is a net of 1.9 million parameters for 3x32x32 pixels; its weights are drawn, only the last layer is fitted to
digits in colour, by least squares. Without the peers' environment (benchmarks/peers/install.py) adv-lib is left out.
"""

from __future__ import annotations

import argparse
import cProfile
import pstats
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from common import Timing, count_passes, interleave, load_images, load_net, sparring_or_skip, table

Run = Callable[[], object]
STEPS = {"wide": 20, "mnist-cnn": 100}
"steps of an attack, where --steps does not say it: two passes each"


# ------------------------------------------------------------------------------------------------ nets
def wide(seed: int = 0) -> nn.Sequential:
    """A net of 1,903,906 parameters over pixels [B, 3, 32, 32] in [0, 1]; the last layer is still to be fitted."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return nn.Sequential(
            nn.Conv2d(3, 32, 3), nn.ReLU(), nn.Conv2d(32, 64, 3), nn.ReLU(), nn.MaxPool2d(2),
            nn.Conv2d(64, 128, 3), nn.ReLU(), nn.MaxPool2d(2),
            nn.Flatten(), nn.Linear(4608, 392), nn.ReLU(), nn.Linear(392, 10),
        ).requires_grad_(False)  # fmt: skip


def in_colour(x: Tensor) -> Tensor:
    """Grey digits [n, 1, 28, 28] in [0, 1] as noisy pictures [n, 3, 32, 32] away from the ends of the box."""
    maker = torch.Generator().manual_seed(0)
    paint = torch.rand(len(x), 3, 1, 1, generator=maker)
    paper = torch.rand(len(x), 3, 1, 1, generator=maker)
    picture = paper + (paint - paper) * F.pad(x, (2, 2, 2, 2))
    return 0.1 + 0.75 * picture + 0.05 * torch.rand(picture.shape, generator=maker)


def fit_last(net: nn.Sequential, x: Tensor, y: Tensor, ridge: float = 1e-2) -> None:
    """Fit the last layer to classes [n] by least squares on what the layers before it say of `x` [n, ...]."""
    with torch.no_grad():
        told = torch.cat([net[:-1](part) for part in x.split(250)])
        told = torch.cat([told, torch.ones_like(told[:, :1])], 1).double()
        wanted = F.one_hot(y, 10).double()
        square = told.T @ told
        square += ridge * square.trace() / len(square) * torch.eye(len(square), dtype=torch.float64)
        weight = 10 * torch.linalg.solve(square, told.T @ wanted)  # as steep as logits of trained nets
        last = net[-1]
        assert isinstance(last, nn.Linear)
        last.weight.copy_(weight[:-1].T)
        last.bias.copy_(weight[-1])


def net_and_images(name: str, n: int) -> tuple[nn.Module, Tensor, Tensor]:
    """A net by name, and the first `n` images that it gets right with their classes."""
    if name != "wide":
        net = load_net(name)
        return (net, *load_images(n, correct_for=net))
    grey, y = load_images(1500)
    x = in_colour(grey)
    digits = wide()
    fit_last(digits, x[-1000:], y[-1000:])
    with torch.no_grad():
        right = digits(x[:500]).argmax(1) == y[:500]
    print(f"wide: right on {int(right.sum())} of 500 pictures that it was not fitted to")
    return digits.eval(), x[:500][right][:n].clone(), y[:500][right][:n].clone()


# ------------------------------------------------------------------------------------------------ attacks
@dataclass(frozen=True)
class Case:
    """An attack under a norm: the spec of ours without steps, and adv-lib's as (name, other arguments)."""

    name: str
    norm: str
    peer: tuple[str, dict[str, object]] | None
    length: str = "steps"

    @property
    def title(self) -> str:
        return f"{self.name} {self.norm}"


def _cases() -> tuple[Case, ...]:
    order = {"Linf": float("inf"), "L2": 2, "L1": 1}
    fmn = (Case("fmn", norm, ("fmn", {"norm": p})) for norm, p in order.items())
    pdpgd = (Case("pdpgd", norm, ("pdpgd", {"norm": p}), "num_steps") for norm, p in order.items())
    ddn = Case("ddn", "L2", ("ddn", {"levels": None}))
    alma = Case("alma", "L2", ("alma", {"distance": "l2", "init_lr_distance": 1.0}), "num_steps")
    return *fmn, ddn, *pdpgd, alma


CASES = _cases()


def adv_lib() -> object | None:
    """The module of its attacks, or None where it does not import."""
    try:
        from peers import shims

        shims.install()
        from adv_lib import attacks
    except ImportError as error:
        print(f"no adv-lib here: {error}")
        return None
    return attacks


def passes_alone(net: nn.Module, x: Tensor, y: Tensor, forward: int, backward: int) -> None:
    """So many forward passes of the whole batch, and through the first of them so many backward passes."""
    for k in range(forward):
        if k < backward:
            z = x.detach().requires_grad_()
            torch.autograd.grad(F.cross_entropy(net(z), y, reduction="sum"), z)
        else:
            with torch.no_grad():
                net(x)


def counted(net: nn.Module, run: Run, n: int) -> tuple[float, float]:
    """Forward and backward passes an image."""
    with count_passes(net) as passes:
        run()
    return passes.forward / n, passes.backward / n


# ------------------------------------------------------------------------------------------------ the race
def compare(case: Case, net: nn.Module, x: Tensor, y: Tensor, steps: int, peers: object, rounds: int) -> list[object]:
    """One row: milliseconds a pass of the batch, and ratios."""
    sp = sparring_or_skip()
    model, threat, attack = sp.wrap(net), sp.Threat(case.norm), sp.attack(f"{case.name}:steps={steps}")

    def ours() -> object:
        return attack(model, x, y, threat, seed=0)

    forward, backward = counted(net, ours, len(x))
    mine = forward + backward
    turns = round(forward), round(backward)
    runs: dict[str, Run] = {"passes": lambda: passes_alone(net, x, y, *turns), "sparring": ours}
    per = {"passes": sum(turns), "sparring": mine}
    if peers is not None and case.peer is not None:
        name, settings = case.peer
        search = getattr(peers, name)
        runs["adv-lib"] = lambda: search(net, x, y, **settings, **{case.length: steps})
        per["adv-lib"] = sum(counted(net, runs["adv-lib"], len(x)))
    times = interleave(runs, rounds)
    each = {name: 1e3 * time.cpu / per[name] for name, time in times.items()}

    def ratio(time: Timing, name: str) -> tuple[float, float, float]:
        scale = per["passes"] / per[name]
        return time.cpu_ratio * scale, time.spread[0] * scale, time.spread[1] * scale

    told: dict[str, str] = {"adv-lib": "", "sparring": ""}
    for name in told:
        if name in times:
            middle, least, most = ratio(times[name], name)
            told[name] = f"{middle:.2f} ({least:.2f}-{most:.2f})"
    beside = ""
    if "adv-lib" in times:
        beside = f"{ratio(times['sparring'], 'sparring')[0] / ratio(times['adv-lib'], 'adv-lib')[0]:.2f}"
    cells = [f"{each[name]:.2f}" if name in each else "" for name in ("passes", "sparring", "adv-lib")]
    return [case.title, f"{mine:.0f}", *cells, told["sparring"], told["adv-lib"], beside]


def profile(case: Case, net: nn.Module, x: Tensor, y: Tensor, steps: int) -> None:
    """Where the time of ours goes."""
    sp = sparring_or_skip()
    attack, model, threat = sp.attack(f"{case.name}:steps={steps}"), sp.wrap(net), sp.Threat(case.norm)
    attack(model, x, y, threat)
    watch = cProfile.Profile()
    watch.runcall(attack, model, x, y, threat)
    print(f"\n{case.title}, {steps} steps")
    pstats.Stats(watch).sort_stats("tottime").print_stats(30)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--net", default="wide,mnist-cnn", help="wide, or a net of common.load_net; comma separated")
    parser.add_argument("--only", default="", help='attacks, comma separated: "fmn" or "fmn L1"')
    parser.add_argument("--n", type=int, default=64, help="images in the batch")
    parser.add_argument("--steps", type=int, help="of each attack; else 20 on wide and 100 on others")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--profile", action="store_true", help="show where the time of ours goes, and stop")
    args = parser.parse_args()
    torch.set_num_threads(1)
    wanted = [name.strip() for name in args.only.split(",") if name.strip()]
    cases = [case for case in CASES if not wanted or case.name in wanted or case.title in wanted]
    peers = None if args.profile else adv_lib()
    for name in args.net.split(","):
        net, x, y = net_and_images(name, args.n)
        steps = args.steps or STEPS.get(name, 100)
        if args.profile:
            for case in cases:
                profile(case, net, x, y, steps)
            continue
        rows = []
        for case in cases:
            rows.append(compare(case, net, x, y, steps, peers, args.rounds))
            print(*rows[-1], flush=True)
        table(
            f"{name}, {len(x)} images, {steps} steps: CPU ms of a pass of the batch, and ratios to the passes alone",
            ["attack", "passes", "alone", "sparring", "adv-lib", "sparring/alone", "adv-lib/alone", "sparring/adv-lib"],
            rows,
        )


if __name__ == "__main__":
    main()
