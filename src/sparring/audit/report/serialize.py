"""A `Report` as plain values for JSON: what every page, table and export is made from (see `document`)."""

from __future__ import annotations

from typing import Any

from sparring.audit.cascade.adaptive import DEFENDED, INNER, Tried
from sparring.audit.cascade.outcome import Outcome
from sparring.audit.checks.run import known
from sparring.audit.report import breakdown
from sparring.audit.report.document import FORMAT, seal
from sparring.audit.report.findings import Findings
from sparring.audit.report.per_attack import knowledge, on_the_subset, over_queries, standing_over_eps
from sparring.audit.report.taxonomy import tags
from sparring.audit.report.thumbnails import triple
from sparring.result import Doubt
from sparring.storage import finite


def plain(report: Findings) -> dict[str, Any]:
    """All of it as plain values for JSON: what every page, table and export is made from."""
    figures = {
        "clean_accuracy": report.clean,
        "robust_accuracy": report.robust,
        "attack_success_rate": report.success,
    }
    strongest = None
    if report.strongest is not None:
        strongest = {"attack": report.strongest[0], **report.strongest[1].to_dict()}
    classes = breakdown.by_class(report.samples)
    found = {
        "format": FORMAT,
        "verdict": report.verdict,
        "headline": report.headline,
        "evidence": list(report.evidence),
        "status": report.status,
        "cause": report.cause,
        **{name: figure.value for name, figure in figures.items()},
        "worst_case_accuracy": report.robust.value,
        "certified": None if report.certified is None else report.certified.to_dict(),
        "strongest_attack_alone": strongest,
        "n": report.n,
        "initially_correct": report.clean.hits,
        "standing": report.robust.hits,
        "intervals": {name: [figure.low, figure.high] for name, figure in figures.items()},
        "confidence": 0.95,
        "requirements": [one.to_dict() for one in report.requirements],
        "threat": report.worst.threat.to_dict(),
        "suite": report.suite,
        "seed": report.seed,
        "passes": report.passes,
        "cost": dict(report.cost),
        "seconds": report.seconds,
        "doubts": [_explained(doubt) for doubt in report.doubts],
        "in_order": list(report.in_order),
        "claims": [{**one.to_dict(), "title": one.claim.title, "text": str(one.claim)} for one in report.claims],
        "attacks": [_attack(report, one) for one in report.attacks],
        "left_out": list(report.left_out),
        "broken_by_row_not_by_column": {row: dict(cells) for row, cells in report.matrix.items()},
        "curve": None if report.curve is None else report.curve.to_dict(),
        "security_curves": standing_over_eps(report.attacks, report.worst, report.threat, report.subset, report.curve),
        "on_the_subset": on_the_subset(report.attacks, report.subset),
        "over_queries": over_queries(report.attacks, report.subset, report.start),
        "classes": classes,
        "worst_class": breakdown.worst_class(classes),
        "confusion": breakdown.confusion(report.samples),
        "distance_quantiles": breakdown.quantiles(breakdown.distances(report.samples)),
        "receipt": None if report.receipt is None else report.receipt.to_dict(),
        "receipt_not_checked": report.no_receipt,
        "survival": [one.to_dict() for one in report.survival],
        "taxonomy": tags((one.stage.title, knowledge(one.stage)) for one in report.attacks),
        "probes": report.probes.to_dict(),
        "adaptive": [{**one.to_dict(), "title": _title(one)} for one in report.tried],
        "confirmed": report.confirmed.to_dict(),
        "undone_by_rounding": report.rounded.to_dict(),
        "model": dict(report.model),
        "data": dict(report.data),
        "settings": dict(report.settings),
        "versions": dict(report.versions),
        "created": report.created,
        "command": report.command,
        "samples": list(report.samples),
        "gallery": _gallery(report),
    }
    if report.bracket is not None:
        found["bracket"] = report.bracket.to_dict()
    if report.shards:
        found["shards"] = dict(report.shards)
    strict: dict[str, Any] = finite(found)
    return {**strict, "seal": seal(strict)}


def _attack(report: Findings, one: Outcome) -> dict[str, Any]:
    alone = report.alone.get(one.stage.title)
    return {
        **one.to_dict(),
        "knowledge": knowledge(one.stage),
        "claimed": one.stage.excluded,
        "alone": None if alone is None else alone.to_dict(),
    }


def _title(tried: Tried) -> str:
    """What a remedy answers, in a few words."""
    named = {DEFENDED: "Stages before the model", INNER: "Scores inside the model"}
    return named.get(tried.code) or known(tried.code).title


def _gallery(report: Findings) -> list[dict[str, Any]]:
    """The examples with their pictures as data URIs, where they are pictures."""
    low, high = report.model["box"]
    shown = []
    for one in report.examples:
        pictures = triple(one.clean, one.adversarial, (low, high))
        if pictures is not None:
            names = ("index", "kind", "label", "before", "prediction", "after", "attack", "distance")
            shown.append({**{name: getattr(one, name) for name in names}, "pictures": list(pictures)})
    return shown


def _explained(doubt: Doubt) -> dict[str, Any]:
    check = known(doubt.code)
    return {
        **doubt.to_dict(),
        "title": check.title,
        "severe": check.severe,
        "means": check.means,
        "remedy": check.remedy,
    }
