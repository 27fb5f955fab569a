"""`sparring.minimum_norm` beside the best peer attacks at the same number of forward plus backward passes.

AttackBench's measure (arXiv:2404.19460): d* of a sample is the smallest perturbation seen within the budget; the area
below the security curve up to e0 is mean min(d*, e0), exactly; local optimality relates what an attack gains to what
the envelope of all gains (1 = nobody is nearer on any image). A peer may take as many steps as the budget pays; what
it sees after a sample's passes are spent does not count. Where `attackbench` is installed, its own function judges
too.

    python benchmarks/minimum_norm_curve.py --net plain --norm L2 --n 50 --passes 500
    python benchmarks/minimum_norm_curve.py --figure            # docs/img/minimum-norm-curves.png
    python benchmarks/minimum_norm_curve.py --singles           # and our attacks, each alone

Needs the peers' environment (benchmarks/peers/install.py) for the peers.
"""

from __future__ import annotations

import argparse
import warnings
from functools import partial
from pathlib import Path

import torch
from torch import Tensor, nn

from common import load_net, skip, sparring_or_skip, table
from minimum_norm_peers import median
from watched import Cache, Outcome, images, in_chunks, ours, watch

MINE = "sparring minimum_norm"
PER_STEP = {"adv-lib FAB": 11, "Foolbox EAD": 27}  # passes of a step: ten classes; nine searches of three passes
SEARCHED = {"adv-lib APGD_t, searched": 25, "AutoAttack APGD-CE, searched": 50}  # steps at each radius
FIELD = {
    "L0": ("adv-lib sigma-zero", "adv-lib FMN", "Foolbox FMN", "adv-lib PDPGD"),
    "L1": ("adv-lib PDPGD", "adv-lib FMN", "adv-lib ALMA", "Foolbox EAD", "AutoAttack APGD-CE, searched",
           "adv-lib APGD_t, searched", "adv-lib FAB"),
    "L2": ("adv-lib DDN", "Foolbox DDN", "adv-lib FMN", "adv-lib ALMA", "adv-lib PDGD", "adv-lib APGD_t, searched",
           "AutoAttack APGD-CE, searched", "adv-lib FAB"),
    "Linf": ("adv-lib APGD_t, searched", "AutoAttack APGD-CE, searched", "adv-lib FMN", "adv-lib PDPGD",
             "adv-lib FAB"),
}  # fmt: skip
SINGLES = {
    "L0": ("sigma-zero", "fmn", "pdpgd"),
    "L1": ("pdpgd", "alma", "fmn", "ead"),
    "L2": ("ddn", "alma", "fmn", "pdgd", "fab"),
    "Linf": ("fmn", "pdpgd", "fab", "apgd-t-min"),
}


def steps_for(name: str, passes: int) -> int:
    """As many steps as the passes pay, one forward and one backward each unless known otherwise."""
    return SEARCHED.get(name) or max(1, passes // PER_STEP.get(name, 2))


def peer(name: str, norm: str, passes: int, net: nn.Module, x: Tensor, y: Tensor) -> Outcome:
    from peers.minimum_norm import PEERS

    return watch(PEERS[name](norm, steps_for(name, passes)), net, x, y, norm, budget=passes)


def single(name: str, norm: str, passes: int, net: nn.Module, x: Tensor, y: Tensor) -> Outcome:
    """One attack of ours with the steps that the budget pays, as a peer gets them."""
    sp = sparring_or_skip()
    steps = {"ead": passes // 27, "fab": passes // 11, "apgd-t-min": 25}.get(name, passes // 2)
    return ours(sp.attack(f"{name}:steps={max(1, steps)}"), net, x, y, norm, budget=sp.Budget(passes=passes))


def mine(norm: str, passes: int, net: nn.Module, x: Tensor, y: Tensor) -> Outcome:
    sp = sparring_or_skip()
    return ours(sp.attack(f"min-norm:passes={passes}"), net, x, y, norm, budget=sp.Budget(passes=passes))


def distances(
    args: argparse.Namespace, net_name: str, net: nn.Module, norm: str, x: Tensor, y: Tensor, cache: Cache
) -> dict[str, Outcome]:
    """What each of the field finds within the budget, ours first."""
    sp = sparring_or_skip()
    found: dict[str, Outcome] = {}
    registered = {info.name for info in sp.attacks()}
    if "min-norm" in registered and args.side != "peers":
        found[MINE] = in_chunks(partial(mine, norm, args.passes, net), x, y)
        print(f"{net_name} {norm} {MINE}: {found[MINE].passes} passes", flush=True)
    for name in SINGLES[norm] if args.singles else ():
        if name in registered:
            found[f"sparring {name}"] = in_chunks(partial(single, name, norm, args.passes, net), x, y)
    for name in FIELD[norm] if args.side != "ours" else ():
        key = f"{name}|{norm}|{steps_for(name, args.passes)}|budget={args.passes}|{net_name}"
        try:
            found[name] = in_chunks(partial(peer, name, norm, args.passes, net), x, y, cache, key)
            print(f"{net_name} {norm} {name}: {found[name].passes} passes", flush=True)
        except ImportError as error:
            print(f"no {name}: {error}")
        except (IndexError, RuntimeError, ValueError) as error:  # Foolbox's FMN under L0, where all pixels may change
            print(f"{net_name} {norm} {name} fails: {error}", flush=True)
    return found


def judged_outside(found: dict[str, Outcome], envelope: Tensor) -> dict[str, float]:
    """Local optimality by attackbenchlib's own function; empty where it is not installed."""
    try:
        from peers import shims

        shims.install()
        from attackbench.metrics.distances import eval_optimality
    except ImportError:
        return {}
    best = envelope.numpy()
    return {name: eval_optimality(outcome.seen.numpy(), best, clean_acc=1.0) for name, outcome in found.items()}


def report(title: str, norm: str, found: dict[str, Outcome]) -> str:
    """The table of one norm and net; returns how ours stands beside the best peer, in one line."""
    from sparring.optimality import optimality

    measured = optimality({name: outcome.seen for name, outcome in found.items()})
    outside = judged_outside(found, measured.envelope)
    ranked = sorted(found, key=lambda name: -measured.scores[name])
    lines = [
        [name, f"{measured.scores[name]:.4f}", f"{outside[name]:.4f}" if outside else "-",
         f"{measured.areas[name]:.4g}", f"{median(found[name].seen):.4g}", f"{found[name].success:.1%}",
         f"{found[name].passes / len(found[name].seen):.0f}"]
        for name in ranked
    ]  # fmt: skip
    header = ["attack", "optimality", "attackbench's", "area", "median d*", "broken", "passes an image"]
    table(f"{title}, e0 {measured.e0:.4g}, {measured.unbroken} unbroken by all", header, lines)
    theirs = [name for name in ranked if not name.startswith("sparring")]
    if MINE not in found or not theirs:
        return f"{title}: no comparison"
    ahead = measured.scores[MINE] - measured.scores[theirs[0]]
    said = "at least as optimal" if ahead >= 0 else "WORSE"
    return f"{title}: {said}, {measured.scores[MINE]:.4f} beside {measured.scores[theirs[0]]:.4f} ({theirs[0]})"


def draw(path: Path, curves: dict[tuple[str, str], dict[str, Outcome]], passes: int) -> None:
    """The share of images found below a distance, one panel a norm and net."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    nets = list(dict.fromkeys(net for net, _ in curves))
    norms = list(dict.fromkeys(norm for _, norm in curves))
    figure, axes = plt.subplots(len(nets), len(norms), figsize=(4 * len(norms), 3.1 * len(nets)), squeeze=False)
    for (net, norm), found in curves.items():
        ax = axes[nets.index(net)][norms.index(norm)]
        finite = torch.stack([outcome.seen for outcome in found.values()]).amin(0)
        top = 1.5 * float(finite[finite.isfinite()].max())
        for name, outcome in found.items():
            d = outcome.seen.sort().values
            d = torch.cat([torch.zeros(1, dtype=d.dtype), d[d <= top], torch.tensor([top], dtype=d.dtype)])
            share = torch.cat([torch.arange(len(d) - 1), torch.tensor([len(d) - 2])]) / len(outcome.seen)
            strong = name == MINE
            ax.step(d, share, where="post", label=name, lw=2.2 if strong else 1, zorder=3 if strong else 2,
                    color="black" if strong else None)  # fmt: skip
        ax.set(title=f"{net}, {norm}", xlabel="distance", ylabel="share of images found", ylim=(0, 1.02), xlim=(0, top))
        ax.grid(alpha=0.3)
        ax.legend(fontsize=6, loc="lower right")
    figure.suptitle(f"at most {passes} forward plus backward passes an image")
    figure.tight_layout()
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=110, metadata={"Software": None})
    print(f"wrote {path}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--net", default="plain,trades,ddn", help="comma separated; see common.load_net")
    parser.add_argument("--norm", default="L0,L1,L2,Linf", help="comma separated")
    parser.add_argument("--n", type=int, default=50, help="images that the net gets right")
    parser.add_argument("--passes", type=int, default=2000, help="forward plus backward passes of an image")
    parser.add_argument("--singles", action="store_true", help="our attacks alone as well")
    parser.add_argument("--side", choices=("both", "peers", "ours"), default="both")
    parser.add_argument("--cache", type=Path, help="a JSON file that keeps what the peers found")
    parser.add_argument("--figure", type=Path, nargs="?", const=Path("docs/img/minimum-norm-curves.png"))
    parser.add_argument("--threads", type=int, default=1)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    warnings.simplefilter("ignore")  # the peers' own
    cache, curves, lines = Cache(args.cache), {}, []
    for net_name in args.net.split(","):
        net = load_net(net_name)
        x, y = images(net, args.n)
        for norm in args.norm.split(","):
            found = distances(args, net_name, net, norm, x, y, cache)
            if not found:
                skip("neither sparring.minimum_norm nor any peer is here")
            curves[net_name, norm] = found
            lines.append(report(f"{net_name} {norm}, {len(x)} images, {args.passes} passes", norm, found))
    print("\n" + "\n".join(lines))
    if args.figure:
        draw(args.figure, curves, args.passes)


if __name__ == "__main__":
    main()
