"""The audit beside AutoAttack standard: robust accuracy, passes and time on the same images at the same eps.

Public side: `pyautoattack`, AutoAttack as published on the package index, its whole `standard` cascade: APGD-CE,
APGD-T (9 targets), FAB-T (9 targets), Square (5,000 queries). Ours: the whole audit, with its probes, its controls on
the sanity subset, its security curve and its receipt; what the attacks alone took is printed below. Both are judged
afresh by this script; forward and backward passes are counted by hooks on the net, one per image and pass. The
public run takes ten CPU minutes a net and more, so it is kept in `--cache`.

    python benchmarks/audit_vs_autoattack.py --net mnist-cnn-pgd --cache peer.json --side public
    python benchmarks/audit_vs_autoattack.py --net mnist-cnn-pgd --cache peer.json              # ours beside it
    python benchmarks/audit_vs_autoattack.py --net mnist-cnn-pgd,cifar-cnn-a-adv@2/255 --n 200  # a row each at the end
    python benchmarks/audit_vs_autoattack.py --net mnist-cnn-fast@1.5 --norm L2 --n 200
    python benchmarks/audit_vs_autoattack.py --net mnist-cnn-pgd --n 200 --turns 4              # wall time, in turns

Needs the peers' environment (benchmarks/peers/install.py) for the public side.
"""

from __future__ import annotations

import argparse
import json
import logging
import time
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from common import count_passes, skip, sparring_or_skip, standing, table
from published_nets import images, load

Run = dict[str, Any]


def public(net: nn.Module, x: Tensor, y: Tensor, eps: float, args: argparse.Namespace) -> Run:
    """AutoAttack standard: what stands, and what each of its attacks took."""
    try:
        from pyautoattack import AutoAttack
    except ImportError as error:
        skip(f"no public implementation here ({error}); run benchmarks/peers/install.py")
    logging.getLogger("auto-attack").setLevel(logging.ERROR)
    peer = AutoAttack(net, eps=eps, norm=args.norm, seed=args.seed, version="standard")
    stages: dict[str, dict[str, float]] = {}
    with count_passes(net) as passes:
        parts = {"apgd-ce": peer.apgd, "apgd-t": peer.apgd_targeted, "fab-t": peer.fab, "square": peer.square}
        for name, part in parts.items():
            part.perturb = _watched(part.perturb, name, net, passes, stages)
        wall, cpu = time.perf_counter(), time.process_time()
        x_adv = peer.run_standard_evaluation(x, y)[0]
        wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    return _run(standing(net, x, y, x_adv, eps, args.norm), passes.forward, passes.backward, wall, cpu, stages)


def _watched(
    perturb: Callable[..., Tensor], name: str, net: nn.Module, passes: Any, stages: dict[str, dict[str, float]]
) -> Callable[..., Tensor]:
    """An attack of the peer's that writes down what each call takes."""

    def call(x: Tensor, y: Tensor, *args: Any, **settings: Any) -> Tensor:
        forward, backward, cpu = passes.forward, passes.backward, time.process_time()
        x_adv = perturb(x, y, *args, **settings)
        took = {"forward": passes.forward - forward, "backward": passes.backward - backward}
        with torch.no_grad():
            took["broke"] = int((type(net).forward(net, x_adv).argmax(1) != y).sum())  # past the hooks: not its pass
        took |= {"tried": len(x), "cpu_seconds": time.process_time() - cpu}
        before = stages.setdefault(name, dict.fromkeys(took, 0))
        for key, value in took.items():
            before[key] += value
        return x_adv

    return call


def _run(alive: Tensor, forward: int, backward: int, wall: float, cpu: float, stages: Any) -> Run:
    return {
        "robust_accuracy": alive.float().mean().item(),
        "standing": [int(a) for a in alive],
        "forward": forward,
        "backward": backward,
        "passes": forward + backward,
        "wall_seconds": round(wall, 2),
        "cpu_seconds": round(cpu, 2),
        "stages": stages,
    }


def ours(net: nn.Module, x: Tensor, y: Tensor, eps: float, args: argparse.Namespace) -> Run:
    """The audit: what stands, and what each of its stages took."""
    sp = sparring_or_skip()
    with count_passes(net) as passes:
        wall, cpu = time.perf_counter(), time.process_time()
        report = sp.audit(sp.wrap(net), (x, y), sp.Threat(args.norm, eps), suite=args.suite, seed=args.seed)
        wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    stages = {
        one.stage.title: {
            "forward": one.queries,
            "backward": one.gradients,
            "broke": len(one.broke),
            "tried": one.tried,
            "cpu_seconds": one.result.seconds,
        }
        for one in report.attacks
    }
    alive = standing(net, x, y, report.worst.x_adv, eps, args.norm)
    if int(alive.sum()) != report.robust.hits:
        print(f"WRONG: the audit says that {report.robust.hits} stand, a fresh look {int(alive.sum())}")
    if report.receipt is not None:
        print(f"receipt: {report.receipt}")
    return _run(alive, passes.forward, passes.backward, wall, cpu, stages) | {"cost": report.cost}


def in_turns(net: nn.Module, x: Tensor, y: Tensor, eps: float, args: argparse.Namespace) -> dict[str, Run]:
    """Both sides on one part of the images after the other, now this side first, now that: their sums."""
    total: dict[str, Run] = {}
    runs = {
        "AutoAttack standard": lambda x, y: public(net, x, y, eps, args),
        f"sparring {args.suite}": lambda x, y: ours(net, x, y, eps, args),
    }
    for turn, (part_x, part_y) in enumerate(zip(x.chunk(args.turns), y.chunk(args.turns), strict=True)):
        for name in list(runs)[:: -1 if turn % 2 else 1]:
            run = runs[name](part_x, part_y)
            run["stages"], run.pop("robust_accuracy"), run.pop("cost", None)
            before = total.setdefault(name, {key: type(value)() for key, value in run.items()} | {"stages": {}})
            for key in ("forward", "backward", "passes", "wall_seconds", "cpu_seconds"):
                before[key] += run[key]
            before["standing"] = before["standing"] + run["standing"]
    for run in total.values():
        run["robust_accuracy"] = sum(run["standing"]) / len(run["standing"])
    return total


def show(title: str, runs: dict[str, Run]) -> None:
    """One line a side, the stages of each below it, and the verdict."""
    rows = [
        [
            name,
            f"{run['robust_accuracy']:.3f}",
            f"{run['forward']:,}",
            f"{run['backward']:,}",
            f"{run['passes']:,}",
            f"{run['cpu_seconds']:.0f}",
            f"{run['wall_seconds']:.0f}",
        ]
        for name, run in runs.items()
    ]
    table(title, ["side", "robust", "forward", "backward", "passes", "CPU s", "wall s"], rows)
    for name, run in runs.items():
        stages = [
            [title, s["tried"], s["broke"], f"{s['forward'] + s['backward']:,.0f}", f"{s['cpu_seconds']:.1f}"]
            for title, s in run["stages"].items()
        ]
        if stages:
            table(name, ["stage", "tried", "broke", "passes", "s"], stages)
    if len(runs) == 2:
        theirs, mine = runs.values()
        alone = [sum(s["forward"] + s["backward"] for s in run["stages"].values()) for run in (theirs, mine)]
        a, b = (torch.tensor(run["standing"]).bool() for run in (theirs, mine))
        print(f"\nonly AutoAttack breaks {int((~a & b).sum())} images, only sparring breaks {int((a & ~b).sum())}")
        print(f"passes: {theirs['passes'] / mine['passes']:.2f} times fewer", end="")
        print(f" ({alone[0] / alone[1]:.2f} times, the attacks alone)" if all(alone) else "", end="")
        print(f"; CPU time: {theirs['cpu_seconds'] / mine['cpu_seconds']:.2f} times less", end="")
        print(f"; wall time: {theirs['wall_seconds'] / mine['wall_seconds']:.2f} times less")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--net", default="mnist-cnn-pgd", help="names of published_nets.py, a comma between; @EPS each")
    parser.add_argument("--norm", choices=("Linf", "L2"), default="Linf")
    parser.add_argument("--eps", default="0.3", help="radius in pixels of [0, 1], for nets that have none of their own")
    parser.add_argument("--n", type=int, default=1000, help="the first n test images")
    parser.add_argument("--suite", default="standard", help="of the audit")
    parser.add_argument("--side", choices=("both", "public", "ours"), default="both")
    parser.add_argument("--turns", type=int, help="time both sides in turns, on so many parts of the images; no cache")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--cache", type=Path, help="keep the public runs in this file and reuse them")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    rows = []
    for name, _, own in (one.partition("@") for one in args.net.split(",")):
        radius = own or args.eps
        eps, net, (x, y) = float(Fraction(radius)), load(name), images(name, args.n)
        title = f"{name}, {args.norm} {radius}, {len(x)} images, {args.threads} thread(s)"
        if args.turns:
            show(f"{title}, in {args.turns} turns", in_turns(net, x, y, eps, args))
            continue
        runs: dict[str, Run] = {}
        if args.side != "ours":
            runs["AutoAttack standard"] = _cached(name, net, x, y, eps, args)
        if args.side != "public":
            runs[f"sparring {args.suite}"] = ours(net, x, y, eps, args)
        show(title, runs)
        if len(runs) == 2:
            rows.append([f"{name}, {args.norm} {radius}, {len(x)}", *_beside(*runs.values())])
    if rows:
        header = ["net", "AutoAttack: robust, passes", "sparring: robust, passes", "passes", "only AA", "only ours"]
        table("beside AutoAttack", header, rows)


def _beside(theirs: Run, mine: Run) -> list[object]:
    a, b = (torch.tensor(run["standing"]).bool() for run in (theirs, mine))
    sides = [f"{run['robust_accuracy']:.1%}, {run['passes']:,}" for run in (theirs, mine)]
    share = mine["passes"] / theirs["passes"]
    return [*sides, f"{share:.2f} ({1 / share:.1f} times fewer)", int((~a & b).sum()), int((a & ~b).sum())]


def _cached(name: str, net: nn.Module, x: Tensor, y: Tensor, eps: float, args: argparse.Namespace) -> Run:
    """The public run: from the file, or made now and written there."""
    known = json.loads(args.cache.read_text()) if args.cache and args.cache.exists() else {}
    key = f"{name} {args.norm} {eps:g} {len(x)} {args.seed}"
    if key in known:
        kept: Run = known[key]
        return kept
    run = public(net, x, y, eps, args)
    if args.cache:
        args.cache.write_text(json.dumps(known | {key: run}, indent=1))
    return run


if __name__ == "__main__":
    main()
