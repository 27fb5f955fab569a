"""The findings about poisoned data as tables of text: for the terminal, the page and the documentation."""

from __future__ import annotations

from sparring.audit.statistics.proportion import percent
from sparring.reproduce.poisoning import Findings
from sparring.reproduce.poisoning_experiment import OverSeeds

Table = list[list[str]]
"""Rows of cells, the header first."""

BASELINE = "feature-collision"
"the attack on single images that the others are compared with, by McNemar's exact test"


def tables(found: Findings) -> list[tuple[str, Table]]:
    """(title, table) for each part that was measured."""
    made = []
    if found.flips:
        made.append((f"Label flips: clean accuracy, {_settings(found)}", _flips(found)))
    if found.backdoors:
        made.append((f"Backdoors, {_settings(found)}", _backdoors(found)))
        made.append(("STRIP at test time", _strip(found)))
    if found.detectors:
        made.append((f"Detectors on {found.settings.nets} nets, half of them clean", _detectors(found)))
    if found.aimed:
        victims = f"{len(found.settings.target_seeds)} victims each; the adversary knows {found.aimed[0].knows}"
        made.append((f"Clean-label attacks on single images, {victims}", _aimed(found)))
    return made


def text(found: Findings) -> str:
    """All tables in Markdown."""
    return "\n".join(f"**{title}**\n\n{markdown(table)}\n" for title, table in tables(found))


def markdown(table: Table) -> str:
    """A table for a page of the documentation."""
    head, *rows = (f"| {' | '.join(cells)} |" for cells in table)
    return "\n".join([head, "|" + "---|" * len(table[0]), *rows])


def _settings(found: Findings) -> str:
    first = (next(iter(found.flips.values())) if found.flips else found.backdoors)[0]
    return f"{len(found.settings.seeds)} seeds; the adversary knows {first.knows}"


def _flips(found: Findings) -> Table:
    head = ["victim", "flips", "defense", *(f"{share:.0%}" for share in found.settings.shares)]
    rows = [
        [victim, choose, defense, *(_share(one.accuracy) for one in line)]
        for (victim, choose, defense), line in found.flips.items()
    ]
    return [head, *rows]


def _backdoors(found: Findings) -> Table:
    rows = [
        [
            one.poison or "", one.defense, _share(one.success), _share(one.accuracy), _share(one.control),
            _share(one.control_success), _plain(one.dropped_poison), _plain(one.dropped_clean),
        ]
        for one in found.backdoors
    ]  # fmt: skip
    head = ["poison", "defense", "success", "clean accuracy", "control", "success on control", "poison dropped",
            "clean dropped"]  # fmt: skip
    return [head, *rows]


def _strip(found: Findings) -> Table:
    rows = [[name, f"{one.area:.3f}", percent(one.detected())] for name, one in found.strip.items()]
    return [["backdoor", "AUROC", "detected at 5 % false alarms"], *rows]


def _detectors(found: Findings) -> Table:
    rows = [[one.detector, f"{one.roc.area:.3f}", _span(one.clean), _span(one.backdoored)] for one in found.detectors]
    return [["detector", "AUROC", "scores of clean nets", "scores of backdoored nets"], *rows]


def _aimed(found: Findings) -> Table:
    """Each attack beside feature collision in the same setting with the same budget, which the others should beat."""
    rows = []
    bases = {(one.setting, _budget(one.spec)): one for one in found.aimed if one.attack == BASELINE}
    for one in found.aimed:
        base = bases.get((one.setting, _budget(one.spec)))
        p = "-" if base is None or base is one else f"{one.against(base):.3f}"
        won = f"{int(one.mostly.sum())} of {len(one.mostly)}"
        rows.append([one.setting, one.spec, _share(one.success), _share(one.usual), won, p])
    head = ["setting", "poison", "success", "without poison", "targets won by most seeds", f"p against {BASELINE}"]
    return [head, *rows]


def _budget(spec: str) -> str:
    return spec.partition(":")[2]


def _share(one: OverSeeds | None) -> str:
    """The mean and its interval."""
    if one is None:
        return "-"
    low, high = one.interval
    return f"{100 * one.value:.1f} ({100 * low:.1f} to {100 * high:.1f})"


def _plain(share: float | None) -> str:
    return "-" if share is None else percent(share)


def _span(scores: tuple[float, ...]) -> str:
    return f"{min(scores):.2f} to {max(scores):.2f}"
