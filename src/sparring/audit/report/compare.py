"""Two reports about the same images, held against each other image by image. (The statistics: `paired`.)"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from sparring.audit.report import document as doc
from sparring.audit.report.document import Document
from sparring.audit.statistics.mcnemar import Paired
from sparring.audit.statistics.proportion import Figure, percent
from sparring.errors import InputError


@dataclass(frozen=True)
class Comparison:
    """Report A against report B.

    Attributes:
        a, b: names of the models. threat: of both. n: images. clean, robust: the two accuracies. robust_by_class:
            label -> images lost and won, where there are any. notes: what was done differently.
    """

    a: str
    b: str
    threat: str
    n: int
    clean: Paired
    robust: Paired
    robust_by_class: Mapping[str, tuple[int, int]]
    notes: tuple[str, ...]

    @property
    def regression(self) -> bool:
        """Clean or robust accuracy fell by more than chance explains."""
        return self.clean.worse or self.robust.worse

    @property
    def verdict(self) -> str:
        """One sentence."""
        changes = [
            f"{'worse' if one.worse else 'better'} than A by {abs(one.difference) * 100:.1f} points of {one.name} "
            f"(p = {one.p:.2g})"
            for one in (self.robust, self.clean)
            if one.worse or one.better
        ]
        if changes:
            return f"B is {' and '.join(changes)}, more than chance explains."
        low, high = self.robust.interval
        return (
            f"No difference that chance does not explain: robust accuracy {self.robust.difference * 100:+.1f} points "
            f"(95 % interval {low * 100:+.1f} to {high * 100:+.1f}; p = {self.robust.p:.2g})."
        )

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {
            "format": "sparring-compare-1",
            "a": self.a,
            "b": self.b,
            "threat": self.threat,
            "n": self.n,
            "verdict": self.verdict,
            "regression": self.regression,
            "clean": self.clean.to_dict(),
            "robust": self.robust.to_dict(),
            "robust_by_class": {
                name: {"regressed": lost, "improved": won} for name, (lost, won) in self.robust_by_class.items()
            },
            "notes": list(self.notes),
        }


def compare(a: Document, b: Document) -> Comparison:
    """Hold two reports against each other.

    Raises:
        InputError: they are about other images or another threat.
    """
    _refuse_others(a, b)
    robust = _paired("robust accuracy", a, b, lambda row: row["status"] == "standing")
    change = dict.fromkeys(robust.regressed, (1, 0)) | dict.fromkeys(robust.improved, (0, 1))
    by_class: dict[str, tuple[int, int]] = {}
    for row in a["samples"]:
        if row["index"] in change:
            name = doc.class_name(a, row["label"])
            (lost, won), (one_lost, one_won) = by_class.get(name, (0, 0)), change[row["index"]]
            by_class[name] = lost + one_lost, won + one_won
    return Comparison(
        a=_name(a),
        b=_name(b),
        threat=doc.threat(a),
        n=a["n"],
        clean=_paired("clean accuracy", a, b, lambda row: row["status"] != "wrong"),
        robust=robust,
        robust_by_class=dict(sorted(by_class.items(), key=lambda item: item[1][1] - item[1][0])),
        notes=tuple(_notes(a, b)),
    )


def markdown(comparison: Comparison) -> str:
    """A summary for a pull request."""
    lines = [
        f"## {_cell(comparison.a)} (A) against {_cell(comparison.b)} (B)",
        "",
        f"**{comparison.verdict}**",
        "",
        f"The same {comparison.n} images, {comparison.threat}.",
        "",
        "| figure | A | B | B - A | 95 % interval | p | regressed | improved |",
        "|---|---:|---:|---:|---:|---:|---:|---:|",
    ]
    for one in (comparison.clean, comparison.robust):
        low, high = one.interval
        lines.append(
            f"| {one.name} | {percent(one.a.value)} | {percent(one.b.value)} | {one.difference * 100:+.1f} | "
            f"{low * 100:+.1f} to {high * 100:+.1f} | {one.p:.2g} | {len(one.regressed)} | {len(one.improved)} |"
        )
    for title, ids in (("Regressed", comparison.robust.regressed), ("Improved", comparison.robust.improved)):
        if ids:
            lines += ["", f"{title} under attack, by number: {listed(ids)}"]
    lines += ["", *(f"Note: {note}." for note in comparison.notes)] if comparison.notes else []
    return "\n".join([*lines, ""])


def listed(ids: tuple[int, ...], most: int = 40) -> str:
    """Numbers with commas, the first of them if there are many.

    >>> listed((1, 2, 3), most=2)
    '1, 2 and 1 more'
    """
    shown = ", ".join(map(str, ids[:most]))
    return shown if len(ids) <= most else f"{shown} and {len(ids) - most:,} more"


def _refuse_others(a: Document, b: Document) -> None:
    pairs = (
        ("threats", *(_threat(one) for one in (a, b))),
        ("numbers of images", *(f"{one['n']}" for one in (a, b))),
        ("images", *(f"sha256 {one['data']['sha256']}" for one in (a, b))),
    )
    for what, left, right in pairs:
        if left != right:
            raise InputError(
                f"the reports are about different {what}: {left[:60]} and {right[:60]}; audit both models with the "
                "same --data, --split, --n, --norm and --eps"
            )
    ids = [[(row["index"], row["label"]) for row in one["samples"]] for one in (a, b)]
    if ids[0] != ids[1]:
        raise InputError("the tables of samples of the two reports do not match: other numbers or other labels")


def _threat(document: Document) -> str:
    plain = document["threat"]
    about = [doc.threat(document), "box {:g} to {:g}".format(*plain["box"])]
    about += [f"{plain['levels']} levels"] if plain["levels"] else []
    about += [f"region {plain['region']}"] if plain.get("region") else []
    return ", ".join(about)


def _paired(name: str, a: Document, b: Document, right: Callable[[Mapping[str, Any]], bool]) -> Paired:
    rows = [(one["index"], right(one), right(other)) for one, other in zip(a["samples"], b["samples"], strict=True)]
    return Paired(
        name,
        Figure(sum(left for _, left, _ in rows), len(rows)),
        Figure(sum(other for _, _, other in rows), len(rows)),
        tuple(index for index, left, other in rows if left and not other),
        tuple(index for index, left, other in rows if other and not left),
    )


def _notes(a: Document, b: Document) -> list[str]:
    """What differs in how the figures came about; where attacks differ, so may their strength."""
    notes = []
    specs = [[one["spec"] for one in document["attacks"]] for document in (a, b)]
    if a["suite"] != b["suite"]:
        notes.append(f"the suites differ, {a['suite']} and {b['suite']}: a weaker suite leaves more")
    elif specs[0] != specs[1]:
        notes.append("not the same attacks ran")
    if a["seed"] != b["seed"]:
        notes.append(f"the seeds differ, {a['seed']} and {b['seed']}")
    if a["versions"]["sparring"] != b["versions"]["sparring"]:
        notes.append(f"made by sparring {a['versions']['sparring']} and {b['versions']['sparring']}")
    if a["model"]["sha256"] is not None and a["model"]["sha256"] == b["model"]["sha256"]:
        notes.append("both have the same weights")
    return notes


def _name(document: Document) -> str:
    return str(document["model"]["name"])


def _cell(text: str) -> str:
    return text.replace("|", "\\|")
