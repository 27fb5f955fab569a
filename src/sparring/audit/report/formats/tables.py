"""A report as text: the CSV of its samples, the Markdown summary."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator

from sparring.audit.report import document as doc
from sparring.audit.report.document import Document, figure
from sparring.audit.statistics.proportion import percent

SIGNS = {"met": "✅", "failed": "❌", "not settled": "❓"}


def csv_text(document: Document) -> str:
    """One line an image; empty where there is nothing to say (not broken: no distance)."""
    buffer = io.StringIO()
    writer = csv.DictWriter(buffer, fieldnames=list(document["samples"][0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(document["samples"])
    return buffer.getvalue()


def markdown(document: Document) -> str:
    """A short summary for a pull request or a model card: verdict, figures, requirements, claims and doubts; the
    attacks below a fold."""
    lines = [
        f"## Robustness audit: {_cell(document['model']['name'])}",
        "",
        f"**{document['verdict']}**",
        "",
        f"{document['n']} images of {document['data']['name']}, {doc.threat(document)}, suite `{document['suite']}`, "
        f"seed {document['seed']}.",
        "",
        *_proof(document),
        *_requirements(document),
        *_figures(document),
        *_claims(document),
        *_doubts(document),
        *_remedies(document),
        *_attacks(document),
    ]
    short = {name: version[:12] if name == "code" else version for name, version in document["versions"].items()}
    about = ", ".join(f"{name} {version}" for name, version in short.items())
    lines += [
        f"{document['passes']:,} passes in {document['seconds']:.0f} s; {about}. Repeat it: `{document['command']}`"
    ]
    return "\n".join([*lines, ""])


def _proof(document: Document) -> Iterator[str]:
    if "bracket" in document:
        proof = document["bracket"]
        lower, upper = percent(proof["lower"]), percent(proof["upper"])
        yield from ("| proved by | robust accuracy at least | at most | open | seconds |", "|---|---:|---:|---:|---:|")
        yield f"| `{_cell(proof['method'])}` | {lower} | {upper} | {proof['open']} | {proof['seconds']:.1f} |"
        yield ""


def _requirements(document: Document) -> Iterator[str]:
    if document["requirements"]:
        yield from ("| requirement | counted | |", "|---|---:|---|")
        for one in document["requirements"]:
            yield f"| {_cell(one['text'])} | {percent(one['value'])} | {SIGNS[one['status']]} {one['conclusion']} |"
        yield ""


def _figures(document: Document) -> Iterator[str]:
    yield from ("| figure | share | counted | 95 % interval |", "|---|---:|---:|---:|")
    for title, seen in doc.headline(document):
        counted = f"{seen.hits} of {seen.of} | {seen.low * 100:.1f} to {seen.high * 100:.1f} %"
        yield f"| {title} | {percent(seen.value)} | {counted} |"
    worst = document["worst_class"]
    if worst is not None and len(document["classes"]) > 1:
        seen, name = figure(worst["robust"]), _cell(doc.class_name(document, worst["label"]))
        counted = f"{seen.hits} of {seen.of} | {seen.low * 100:.1f} to {seen.high * 100:.1f} %"
        yield f"| robust accuracy of the worst class, {name} | {percent(seen.value)} | {counted} |"
    yield ""


def _claims(document: Document) -> Iterator[str]:
    if document["claims"]:
        yield from ("| claim | reproduced here | survives everything |", "|---|---:|---:|")
        for one in document["claims"]:
            again = "-" if one["reproduced"] is None else percent(figure(one["reproduced"]).value)
            yield f"| {_cell(one['text'])} | {again} | {percent(figure(one['truth']).value)} |"
        yield ""


def _doubts(document: Document) -> Iterator[str]:
    for one in document["doubts"]:
        yield f"- **{one['title']}** (`{one['code']}`): {one['message']}."
    if document["doubts"]:
        yield ""


def _remedies(document: Document) -> Iterator[str]:
    tried = document.get("adaptive", ())
    if tried:
        yield from ("| remedy tried | robust accuracy without it | with it |", "|---|---:|---:|")
        for one in tried:
            before, after = (percent(figure(one[name]).value) for name in ("oblivious", "adaptive"))
            yield f"| {_cell(one['remedy'])} (`{one['code']}`) | {before} | {after} |"
        yield ""


def _attacks(document: Document) -> Iterator[str]:
    yield from ("<details><summary>Attacks</summary>", "")
    yield from ("| attack | images | of them unbroken | broke | robust accuracy after |", "|---|---:|---:|---:|---:|")
    for one in document["attacks"]:
        after = f"{one['standing_after'] / document['n']:.2%}"
        seen = one.get("images", one["tried"])
        yield f"| {_cell(one['attack'])} | {seen} | {one['tried']} | {one['broke']} | {after} |"
    survival = [f"{one['treatment']} {percent(figure(one['fooled']).value)}" for one in document["survival"]]
    if survival:
        yield from ("", f"Successes that still fool the model after: {'; '.join(survival)}.")
    yield from ("", "</details>", "")


def _cell(text: str) -> str:
    """Text that does not end a cell of a table."""
    return text.replace("|", "\\|").replace("\n", " ")
