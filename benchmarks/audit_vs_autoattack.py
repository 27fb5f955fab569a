"""The audit beside AutoAttack standard: robust accuracy, passes and time on the same images at the same eps.

Public side: `pyautoattack`, AutoAttack as published on the package index, its whole `standard` cascade: APGD-CE,
APGD-T (9 targets), FAB-T (9 targets), Square (5,000 queries). Ours: the whole audit, with its probes, its controls on
the sanity subset, its security curve and its receipt; what the attacks alone took is printed below. Both are judged
afresh by this script; forward and backward passes are counted by hooks on the net, one per image and pass. The
public run takes ten CPU minutes a net and more, so it is kept in `--cache`.

    python benchmarks/audit_vs_autoattack.py --net mnist-cnn-pgd --cache peer.json --side public
    python benchmarks/audit_vs_autoattack.py --net mnist-cnn-pgd --cache peer.json              # ours beside it
    python benchmarks/audit_vs_autoattack.py --net mnist-cnn-pgd --n 200 --turns 4              # wall time, in turns

Needs the peers' environment (benchmarks/peers/install.py) for the public side.
"""

from __future__ import annotations

import argparse
import json
import logging
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from common import count_passes, load_images, load_net, skip, sparring_or_skip, standing, table

Run = dict[str, Any]


def public(net: nn.Module, x: Tensor, y: Tensor, eps: float, seed: int) -> Run:
    """AutoAttack standard: what stands, and what each of its attacks took."""
    try:
        from pyautoattack import AutoAttack
    except ImportError as error:
        skip(f"no public implementation here ({error}); run benchmarks/peers/install.py")
    logging.getLogger("auto-attack").setLevel(logging.ERROR)
    peer = AutoAttack(net, eps=eps, norm="Linf", seed=seed, version="standard")
    stages: dict[str, dict[str, float]] = {}
    with count_passes(net) as passes:
        parts = {"apgd-ce": peer.apgd, "apgd-t": peer.apgd_targeted, "fab-t": peer.fab, "square": peer.square}
        for name, part in parts.items():
            part.perturb = _watched(part.perturb, name, net, passes, stages)
        wall, cpu = time.perf_counter(), time.process_time()
        x_adv = peer.run_standard_evaluation(x, y)[0]
        wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    return _run(standing(net, x, y, x_adv, eps), passes.forward, passes.backward, wall, cpu, stages)


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


def ours(net: nn.Module, x: Tensor, y: Tensor, eps: float, seed: int, suite: str) -> Run:
    """The audit: what stands, and what each of its stages took."""
    sp = sparring_or_skip()
    with count_passes(net) as passes:
        wall, cpu = time.perf_counter(), time.process_time()
        report = sp.audit(sp.wrap(net), (x, y), sp.Threat("Linf", eps), suite=suite, seed=seed)
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
    alive = standing(net, x, y, report.worst.x_adv, eps)
    if int(alive.sum()) != report.robust.hits:
        print(f"WRONG: the audit says that {report.robust.hits} stand, a fresh look {int(alive.sum())}")
    if report.receipt is not None:
        print(f"receipt: {report.receipt}")
    return _run(alive, passes.forward, passes.backward, wall, cpu, stages) | {"cost": report.cost}


def in_turns(net: nn.Module, x: Tensor, y: Tensor, turns: int, args: argparse.Namespace) -> dict[str, Run]:
    """Both sides on one part of the images after the other, now this side first, now that: their sums."""
    total: dict[str, Run] = {}
    runs = {
        "AutoAttack standard": lambda x, y: public(net, x, y, args.eps, args.seed),
        f"sparring {args.suite}": lambda x, y: ours(net, x, y, args.eps, args.seed, args.suite),
    }
    for turn, (part_x, part_y) in enumerate(zip(x.chunk(turns), y.chunk(turns), strict=True)):
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
    parser.add_argument("--net", default="mnist-cnn-pgd", help="plain | trades | FILE.safetensors | a zoo model")
    parser.add_argument("--eps", type=float, default=0.3, help="Linf radius in pixels of [0, 1]")
    parser.add_argument("--n", type=int, default=1000, help="the first n test images")
    parser.add_argument("--suite", default="standard", help="of the audit")
    parser.add_argument("--side", choices=("both", "public", "ours"), default="both")
    parser.add_argument("--turns", type=int, help="time both sides in turns, on so many parts of the images; no cache")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--cache", type=Path, help="keep the public run in this file, under NET@EPS, and reuse it")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    net, (x, y) = load_net(args.net), load_images(args.n)
    title = f"{args.net}, Linf {args.eps:g}, {args.n} images, {args.threads} thread(s)"
    if args.turns:
        show(f"{title}, in {args.turns} turns", in_turns(net, x, y, args.turns, args))
        return
    runs: dict[str, Run] = {}
    if args.side != "ours":
        runs["AutoAttack standard"] = _cached(net, x, y, args)
    if args.side != "public":
        runs[f"sparring {args.suite}"] = ours(net, x, y, args.eps, args.seed, args.suite)
    show(title, runs)


def _cached(net: nn.Module, x: Tensor, y: Tensor, args: argparse.Namespace) -> Run:
    """The public run: from the file, or made now and written there."""
    known = json.loads(args.cache.read_text()) if args.cache and args.cache.exists() else {}
    key, about = f"{args.net}@{args.eps:g}", {"n": args.n, "seed": args.seed}
    kept: Run = known.get(key, {})
    if kept and {name: kept[name] for name in about} == about:
        return kept
    run = about | public(net, x, y, args.eps, args.seed)
    if args.cache:
        args.cache.write_text(json.dumps(known | {key: run}, indent=1))
    return run


if __name__ == "__main__":
    main()
