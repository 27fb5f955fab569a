"""The league table of black-box attacks: how near they come, and whom they fool, in so many queries.

    SPARRING_DATA=... python benchmarks/league.py --n 100
    python benchmarks/league.py --models mnist-cnn --norms L2 --n 20 --queries 100,300,1000 --attacks geoda,surfree
    python benchmarks/league.py --rows rows.jsonl            # writes each row as it is done, and goes on after a stop
    python benchmarks/league.py --rows rows.jsonl --known --page docs/black_box_league.md   # what the rows have, on it
    python benchmarks/league.py --rows rows.jsonl --portfolio     # portfolios beside the best of their members
    python benchmarks/league.py --adba            # queries to the first success at Linf 0.2, beside ADBA's published

Every attack runs anew for every budget, which is hard: not one query more. Success is the share of right images fooled
within the radius of the model (`RADII`), with Wilson's 95 % interval; distance is the median over images that the model
gets right, infinite where nothing was found, with the interval of the median by order statistics (95 %). The rows
behind the page are in `records/black_box_league.jsonl`: a net, a norm, an attack, so many images and queries a line.
"""

from __future__ import annotations

import argparse
import json
import re
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from common import sparring_or_skip, table
from published_nets import images, load
from transfer import wilson

RADII = {
    "mnist-rays-2020": {"Linf": 0.2, "L2": 2.0},
    "mnist-cnn": {"Linf": 0.1, "L2": 1.5},
    "smallcnn-trades": {"Linf": 0.3, "L2": 2.0},
    "cifar-cnn-a-adv": {"Linf": 8 / 255, "L2": 0.5},
}
ATTACKS = {
    "Linf": (
        "min-norm-score", "square-min", "signhunter-min", "min-norm-decision", "adba", "rays", "signflip",
        "hopskipjump",
    ),
    "L2": (
        "min-norm-score", "square-min", "min-norm-decision", "geoda", "surfree", "cgba", "tangent", "hopskipjump",
        "signopt", "boundary",
    ),
}  # fmt: skip


SCORES = ("min-norm-score", "square-min", "signhunter-min")
"those that see scores"

MEMBERS = {
    ("min-norm-score", "Linf"): ("signhunter-min", "square-min"),
    ("min-norm-decision", "Linf"): ("rays", "adba"),
    ("min-norm-score", "L2"): ("square-min", "cgba", "surfree"),
    ("min-norm-decision", "L2"): ("surfree", "cgba"),
}
"attacks that a portfolio runs, or could"


def median_interval(distance: Tensor) -> tuple[float, float, float]:
    """The median and its 95 % interval by order statistics."""
    values, n = distance.sort().values, len(distance)
    half = 0.98 * n**0.5
    low, high = max(0, int(n / 2 - half)), min(n - 1, int(n / 2 + half))
    return float(values[n // 2]), float(values[low]), float(values[high])


def league(options: argparse.Namespace, sp: Any) -> None:
    """The table of every model and norm: measured where it is not known yet, printed, written into the page.

    Cells of the page that the rows do not have stay as they are.
    """
    budgets = [int(q) for q in options.queries.split(",")]
    rows, names, counts = Rows(options.rows), options.models.split(","), [int(n) for n in options.n.split(",")]
    counts = counts * len(names) if len(counts) == 1 else counts
    for name, n in zip(names, counts, strict=True):
        if not options.known:
            measure(rows, name, n, options, budgets, sp)
    page = options.page.read_text() if options.page else BEGIN + END
    before, rest = page.split(BEGIN)
    within, after = rest.split(END)
    shown = cells_of(within)
    for key, distance in rows.known.items():
        name, norm = key.split()[:2]
        shown[key] = cell(distance, RADII[name][norm])
    text = "\n\n".join(
        markdown(shown, name, norm, n, options.attacks.split(",") if options.attacks else ATTACKS[norm])
        for name, n in zip(names, counts, strict=True)
        for norm in options.norms.split(",")
    )
    print(text)
    if options.page:
        options.page.write_text(before + BEGIN + "\n" + text + "\n" + END + after)


def measure(rows: Rows, name: str, n: int, options: argparse.Namespace, budgets: list[int], sp: Any) -> None:
    """All cells of a net that are not known."""
    net = load(name).to(memory_format=torch.channels_last)  # two thirds of the time
    x, y = images(name, n, net)
    assert len(x) == n
    for norm in options.norms.split(","):
        for spec in options.attacks.split(",") if options.attacks else ATTACKS[norm]:
            for queries in budgets:
                key = f"{name} {norm} {spec} {n} {queries}"
                if key in rows.known:
                    continue
                started = time.perf_counter()
                result = sp.attack(spec)(net, x, y, sp.Threat(norm), budget=sp.Budget(queries=queries))
                assert int(result.queries.max()) <= queries
                rows.add(key, result.distance.tolist(), time.perf_counter() - started)
                print(key, cell(rows.known[key], RADII[name][norm]), flush=True)


BEGIN, END = "<!-- written by benchmarks/league.py: -->", "<!-- :benchmarks/league.py -->"


class Rows:
    """Distances by name, kept line by line in a file, so that a stop loses one of them."""

    def __init__(self, path: Path | None) -> None:
        self.path = path
        lines = map(json.loads, path.read_text().splitlines() if path and path.exists() else [])
        self.known: dict[str, Tensor] = {row["key"]: torch.tensor(row["distance"]) for row in lines}

    def add(self, key: str, distance: list[float], seconds: float) -> None:
        """Keep, and write, the distances of one attack at one budget."""
        distance = [float(f"{d:.5g}") for d in distance]
        self.known[key] = torch.tensor(distance)
        if self.path:
            with self.path.open("a") as file:
                file.write(json.dumps({"key": key, "seconds": round(seconds, 1), "distance": distance}) + "\n")


def cell(distance: Tensor, radius: float) -> str:
    """Median distance, share fooled within the radius, and the interval of each."""
    middle, low, high = median_interval(distance)
    hits = int((distance <= radius * (1 + 1e-5)).sum())
    least, most = wilson(hits, len(distance))
    return f"{middle:.3f} ({low:.3f}-{high:.3f}), {hits / len(distance):.0%} ({least:.0%}-{most:.0%})"


def cells_of(tables: str) -> dict[str, str]:
    """The cells of tables that `markdown` wrote, by the names of the rows; empty ones are left out.

    >>> cells_of("**mnist-cnn, L2**, 9 images\\n| attack | 1,000 queries |\\n|---|---|\\n| `cgba` | **1.5** x |")
    {'mnist-cnn L2 cgba 9 1000': '1.5 x'}
    """
    found: dict[str, str] = {}
    for line in tables.splitlines():
        if line.startswith("**"):
            name, norm, n = re.findall(r"\*\*(\S+), (\w+)\*\*, (\d+)", line)[0]
        cells = [part.strip() for part in line.strip("| \n").split("|")]
        if line.startswith("| attack"):
            budgets = [part.split()[0].replace(",", "") for part in cells[1:]]
        elif line.startswith("| `"):
            spec = cells[0].strip("`")
            texts = [part.strip().replace("**", "") for part in line.split("|")[2:-1]]
            found |= {f"{name} {norm} {spec} {n} {q}": text for q, text in zip(budgets, texts, strict=True) if text}
    return found


def markdown(shown: dict[str, str], name: str, norm: str, n: int, specs: Sequence[str]) -> str:
    """One table of what is measured; bold: the smallest median among those that see scores, and among the
    others."""
    known = [key.split() for key in shown]
    budgets = sorted({int(q) for *what, spec, m, q in known if what == [name, norm] and spec in specs and int(m) == n})
    lines = [
        f"**{name}, {norm}**, {n} images; fooled within {RADII[name][norm]:.3g}",
        "",
        "| attack | " + " | ".join(f"{q:,} queries" for q in budgets) + " |",
        "|---|" + "---|" * len(budgets),
    ]
    for spec in specs:
        texts = [shown.get(f"{name} {norm} {spec} {n} {q}", "") for q in budgets]
        if not any(texts):
            continue
        for k, q in enumerate(budgets):
            rivals = [f"{name} {norm} {o} {n} {q}" for o in specs if (o in SCORES) == (spec in SCORES)]
            best = min((float(shown[key].split()[0]) for key in rivals if key in shown), default=0)
            if texts[k] and float(texts[k].split()[0]) <= best:
                texts[k] = "**{}** {}".format(*texts[k].split(" ", 1))
        lines.append(f"| `{spec}` | " + " | ".join(texts) + " |")
    return "\n".join(lines)


def portfolios(options: argparse.Namespace) -> None:
    """From the rows: the distance of each portfolio over that of its best member, image by image, geometric means."""
    rows, budgets, out = Rows(options.rows), [int(q) for q in options.queries.split(",")], []
    for (spec, norm), members in MEMBERS.items():
        for name in options.models.split(","):
            cells = []
            for queries in budgets:
                logs = {}
                for one in (spec, *members):
                    known = rows.known.get(f"{name} {norm} {one} {options.n} {queries}")
                    if known is not None:
                        logs[one] = known.log()
                if len(logs) <= len(members):
                    cells.append("-")
                    continue
                best = min(members, key=lambda one: float(logs[one].mean()))
                ratio = logs[spec] - logs[best]
                error = float(ratio.exp().mean() * ratio.std() / len(ratio) ** 0.5)
                cells.append(f"{float(ratio.mean().exp()):.3f} ({error:.3f}) of {best}")
            out.append([f"{spec} {norm}", name, *cells])
    table("portfolio over best member", ["portfolio", "net", *(f"{q:,}" for q in budgets)], out)


def adba(options: argparse.Namespace, sp: Any) -> None:
    """Queries to the first success at Linf 0.2, beside the mean 89.8 and the median 50 that ADBA's paper has."""
    net = load("mnist-rays-2020")
    x, y = images("mnist-rays-2020", int(options.n), net)
    rows = []
    for spec in (options.attacks or "adba,rays,signflip,min-norm-decision").split(","):
        result = sp.attack(spec)(net, x, y, sp.Threat("Linf", 0.2), budget=sp.Budget(queries=4000))
        used = result.first_hit[result.success].double()
        rows.append([spec, f"{len(used) / len(x):.1%}", f"{used.mean():.1f}", f"{used.quantile(0.5):.1f}"])
    table(f"mnist-rays-2020, Linf 0.2, {len(x)} images", ["attack", "fooled", "mean queries", "median queries"], rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--n", default="100", help="images; one number for all models, or one for each")
    parser.add_argument("--models", default=",".join(RADII))
    parser.add_argument("--norms", default="Linf,L2")
    parser.add_argument("--queries", default="100,300,1000,4000")
    parser.add_argument("--attacks", default="")
    parser.add_argument("--rows", type=Path, help="a file that keeps what is done; the next call goes on from it")
    parser.add_argument("--page", type=Path, help="a page whose part between the two markers becomes these tables")
    parser.add_argument("--known", action="store_true", help="measure nothing: tables of what the rows have")
    parser.add_argument("--portfolio", action="store_true", help="portfolios beside the best of their members instead")
    parser.add_argument("--adba", action="store_true", help="the comparison with ADBA's published figures instead")
    options = parser.parse_args()
    if options.portfolio:
        portfolios(options)
        return
    sp = None if options.known else sparring_or_skip()
    (adba if options.adba else league)(options, sp)


if __name__ == "__main__":
    main()
