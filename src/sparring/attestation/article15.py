"""The attack classes of Article 15(5) of the AI Act, (EU) 2024/1689, on one page: what an audit tested, and what not.

An audit covers one class, adversarial examples. The page says "not tested" for the others: evidence is worth
something only if it also names what is missing.
"""

from __future__ import annotations

from dataclasses import dataclass

from sparring.audit.report import document as doc
from sparring.audit.report.document import Document
from sparring.audit.statistics.proportion import percent

NOT = "not tested"


@dataclass(frozen=True)
class AttackClass:
    """One class of the article. status: "tested", "tested in part" or "not tested". evidence: sentences."""

    name: str
    status: str
    evidence: tuple[str, ...]


def attack_classes(document: Document) -> tuple[AttackClass, ...]:
    """The five classes of the article, in its order, from the plain values of a report."""
    return (
        AttackClass("Data poisoning (the training data set)", NOT, ("The audit did not look at the training data.",)),
        AttackClass("Model poisoning (pre-trained components)", NOT, ("The origin of the weights was not examined.",)),
        AttackClass("Adversarial examples, model evasion", "tested", _evasion(document)),
        AttackClass("Confidentiality attacks", NOT, ("No extraction, inversion or membership inference was tried.",)),
        AttackClass("Model flaws", "tested in part", _flaws(document)),
    )


def page(document: Document) -> str:
    """The page as Markdown."""
    threat = document["threat"]
    lines = [
        f"# Attack classes of Article 15(5), Regulation (EU) 2024/1689: {document['model']['name']}",
        "",
        "What this bundle holds evidence for. It supports an assessment and is no statement of compliance.",
        "",
        f"- Audited: {document['created']}, by sparring {document['versions']['sparring']}.",
        f"- Threat: {threat['norm']}, eps {threat['eps']:.6g}, pixels in {threat['box']}.",
        f"- Verdict: {document['verdict']}",
        "",
        "| attack class | status | evidence |",
        "|---|---|---|",
    ]
    for one in attack_classes(document):
        lines.append(f"| {one.name} | **{one.status}** | {_cell(' '.join(one.evidence))} |")
    taxonomy = document["taxonomy"]
    for key, title in (("nist_ai_100_2", "NIST AI 100-2"), ("mitre_atlas", "MITRE ATLAS")):
        block = taxonomy[key]
        lines += ["", f"## {title} ({block['version']})", "", "| id | name | attacks |", "|---|---|---|"]
        for entry in block["entries"]:
            lines.append(f"| {entry['id']} | {_cell(entry['name'])} | {_cell(', '.join(entry['attacks']))} |")
    return "\n".join(lines) + "\n"


def _evasion(document: Document) -> tuple[str, ...]:
    robust = doc.robust(document)
    seen = sorted({one["knowledge"] for one in document["attacks"]})
    return (
        f"{len(document['attacks'])} attacks, {document['passes']} passes, on {document['n']} images.",
        f"What the attackers saw: {', '.join(seen)}.",
        f"Robust accuracy at most {percent(robust.value)} "
        f"(95 % interval {percent(robust.low)} to {percent(robust.high)}).",
        *(f"Doubt: {one['message']}." for one in document["doubts"]),
    )


def _flaws(document: Document) -> tuple[str, ...]:
    fine = document["in_order"]
    return (f"{len(fine)} checks found nothing: {'; '.join(fine)}.",) if fine else ("No check was passed.",)


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")
