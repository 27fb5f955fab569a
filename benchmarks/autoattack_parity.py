"""The standard evaluation, theirs and ours: APGD-CE, APGD-DLR, APGD-T and Square on the same images and eps.

Public side: `pyautoattack`, AutoAttack as published on the package index. For each attack run alone on all images:
robust accuracy (judged afresh by this script, not by either side), forward and backward passes counted by hooks on
the net, seconds. Then the worst case over attacks, per sample, and the samples on which the two sides disagree.

    python benchmarks/autoattack_parity.py --n 200                           # both sides, TRADES net, eps 0.3
    python benchmarks/autoattack_parity.py --net plain --eps 0.1 --side ours --reference public.json
    python benchmarks/autoattack_parity.py --side public --json public.json  # keep the public figures
    python benchmarks/autoattack_parity.py --standard                        # and their whole cascade with FAB-T

Needs the peers' environment (benchmarks/peers/install.py) for the public side.
"""

from __future__ import annotations

import argparse
import json
import logging
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from common import count_passes, load_images, load_net, skip, sparring_or_skip, standing, table

ATTACKS = ("apgd-ce", "apgd-dlr", "apgd-t", "square")
Side = dict[str, dict[str, Any]]


def judge(net: nn.Module, x: Tensor, y: Tensor, eps: float, run: Callable[[], Tensor]) -> dict[str, Any]:
    """Run one attack, count its passes, and judge what it returned."""
    with count_passes(net) as passes:
        start = time.process_time()
        x_adv = run()
        seconds = time.process_time() - start
    alive = standing(net, x, y, x_adv, eps)
    return {
        "robust_accuracy": alive.float().mean().item(),
        "standing": [int(a) for a in alive],
        "forward": passes.forward,
        "backward": passes.backward,
        "cpu_seconds": round(seconds, 2),
    }


def public(net: nn.Module, x: Tensor, y: Tensor, eps: float, queries: int, seed: int, names: tuple[str, ...]) -> Side:
    """Each attack of pyautoattack alone, with the settings of its `standard` version (APGD 100 steps, 9 targets)."""
    try:
        from pyautoattack.autopgd_base import APGDAttack, APGDAttack_targeted
        from pyautoattack.square import SquareAttack
    except ImportError as error:
        skip(f"no public implementation here ({error}); run benchmarks/peers/install.py")
    quiet = logging.getLogger("peer")
    common = {"eps": eps, "norm": "Linf", "seed": seed, "device": "cpu"}
    apgd = {"n_iter": 100, "n_restarts": 1, "rho": 0.75, "logger": quiet} | common
    makers: dict[str, Callable[[], Any]] = {
        "apgd-ce": lambda: APGDAttack(net, loss="ce", **apgd),
        "apgd-dlr": lambda: APGDAttack(net, loss="dlr", **apgd),
        "apgd-t": lambda: APGDAttack_targeted(net, n_target_classes=9, **apgd),
        "square": lambda: SquareAttack(net, p_init=0.8, n_queries=queries, resc_schedule=False, **common),
    }
    side: Side = {}
    for name in names:
        attack = makers[name]()
        side[name] = judge(net, x, y, eps, partial(attack.perturb, x, y))
    return side


def public_standard(net: nn.Module, x: Tensor, y: Tensor, eps: float, seed: int) -> dict[str, Any]:
    """The whole `standard` cascade of pyautoattack: APGD-CE, APGD-T, FAB-T, Square with 5,000 queries."""
    from pyautoattack import AutoAttack

    logging.getLogger("auto-attack").setLevel(logging.ERROR)
    evaluation = AutoAttack(net, eps=eps, norm="Linf", seed=seed, version="standard")
    return judge(net, x, y, eps, lambda: evaluation.run_standard_evaluation(x, y)[0])


def ours(net: nn.Module, x: Tensor, y: Tensor, eps: float, queries: int, seed: int, names: tuple[str, ...]) -> Side:
    """The same attacks of sparring, each alone on all images."""
    sp = sparring_or_skip()
    model, threat = sp.wrap(net), sp.Threat("Linf", eps=eps)
    specs = {
        "apgd-ce": "apgd-ce:steps=100",
        "apgd-dlr": "apgd-dlr:steps=100",
        "apgd-t": "apgd-t:steps=100,targets=9",
        "square": f"square:queries={queries}",
    }
    side: Side = {}
    for name in names:
        results: list[Any] = []
        side[name] = judge(net, x, y, eps, partial(_points, results, sp.attack(specs[name]), model, x, y, threat, seed))
        result = results[0]
        side[name]["claimed"] = result.robust_accuracy()
        side[name]["counted"] = [int(result.queries.sum()), int(result.gradients.sum())]
    return side


def _points(results: list[Any], attack: Any, model: Any, x: Tensor, y: Tensor, threat: Any, seed: int) -> Tensor:
    """Run one of ours, keep the whole result in `results`, return its points as a peer would."""
    results.append(attack(model, x, y, threat, seed=seed))
    points: Tensor = results[-1].x_adv
    return points


def worst_case(side: Side) -> Tensor:
    return torch.tensor([s["standing"] for s in side.values()]).bool().all(0)


def report(label: str, clean: float, sides: dict[str, Side]) -> None:
    """Print one row an attack and side, then the worst cases and where the sides disagree."""
    rows: list[list[object]] = []
    for attack in next(iter(sides.values())):
        for who, side in sides.items():
            s = side[attack]
            rows.append(
                [attack, who, f"{s['robust_accuracy']:.3f}", s["forward"], s["backward"], f"{s['cpu_seconds']:.1f}"]
            )
    for who, side in sides.items():
        alive = worst_case(side)
        total = [sum(s[k] for s in side.values()) for k in ("forward", "backward", "cpu_seconds")]
        rows.append(["worst case", who, f"{alive.float().mean():.3f}", total[0], total[1], f"{total[2]:.1f}"])
    table(f"{label}, clean {clean:.3f}", ["attack", "side", "robust", "forward", "backward", "CPU s"], rows)
    if len(sides) == 2:
        theirs, mine = (worst_case(side) for side in sides.values())
        print(f"only public breaks: {(~theirs & mine).nonzero().flatten().tolist()}")
        print(f"only sparring breaks: {(theirs & ~mine).nonzero().flatten().tolist()}")
        gap = (mine.float().mean() - theirs.float().mean()).item()
        print(f"worst case, sparring minus public: {100 * gap:+.1f} points (aim: at most +1.0)")
    for attack, s in sides.get("sparring", {}).items():
        if abs(s["claimed"] - s["robust_accuracy"]) > 1e-6:
            print(f"WRONG: {attack} claims {s['claimed']:.3f}, a fresh evaluation says {s['robust_accuracy']:.3f}")
        if s["counted"] != [s["forward"], s["backward"]]:
            print(f"WRONG: {attack} counted {s['counted']} passes, hooks saw {[s['forward'], s['backward']]}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--net", default="trades", help="plain | trades | ddn | FILE.safetensors | a zoo model")
    parser.add_argument("--eps", type=float, default=0.3, help="Linf radius in pixels of [0, 1]")
    parser.add_argument("--n", type=int, default=200, help="the first n test images")
    parser.add_argument("--queries", type=int, default=1000, help="Square's budget")
    parser.add_argument("--attacks", default=",".join(ATTACKS), help="which, comma separated")
    parser.add_argument("--side", choices=("both", "public", "ours"), default="both")
    parser.add_argument("--standard", action="store_true", help="also run the public cascade with FAB-T (slow)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--json", type=Path, help="add the figures to this file, under NET@EPS")
    parser.add_argument("--reference", type=Path, help="take the public side from this file instead of running it")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)

    net = load_net(args.net)
    x, y = load_images(args.n)
    with torch.no_grad():
        clean = (net(x).argmax(1) == y).float().mean().item()
    names = tuple(args.attacks.split(","))
    key = f"{args.net}@{args.eps:g}"
    sides: dict[str, Side] = {}
    if args.reference:
        kept = json.loads(args.reference.read_text())[key]
        if kept["n"] != args.n:
            skip(f"{args.reference} holds {kept['n']} images, asked for {args.n}")
        sides["public"] = {name: kept["public"][name] for name in names}
    elif args.side != "ours":
        sides["public"] = public(net, x, y, args.eps, args.queries, args.seed, names)
    if args.side != "public":
        sides["sparring"] = ours(net, x, y, args.eps, args.queries, args.seed, names)
    report(f"{args.net}, Linf {args.eps:g}, {args.n} images, {args.threads} thread(s)", clean, sides)
    record = {"n": args.n, "clean_accuracy": clean, "queries": args.queries, "seed": args.seed, **sides}
    if args.standard:
        record["standard"] = public_standard(net, x, y, args.eps, args.seed)
        s = record["standard"]
        print(
            f"public standard cascade: {s['robust_accuracy']:.3f}, {s['forward']} forward, {s['backward']} backward,",
            end=" ",
        )
        print(f"{s['cpu_seconds']:.1f} CPU s")
    if args.json:
        known = json.loads(args.json.read_text()) if args.json.exists() else {}
        known[key] = known.get(key, {}) | record
        for side in sides.values():
            known[key]["worst_case"] = worst_case(side).float().mean().item()
        args.json.write_text(json.dumps(known, indent=1))


if __name__ == "__main__":
    main()
