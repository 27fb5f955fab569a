"""The top of the page: figures, requirements, claims, doubts."""

from __future__ import annotations

from typing import Any

from sparring.audit.report import document as doc
from sparring.audit.report.document import Document, figure
from sparring.audit.report.html.charts import limit_svg
from sparring.audit.statistics.proportion import percent
from sparring.threat import eps_text

STATES = {"met": "good", "failed": "bad", "not settled": "warn"}


def cards(document: Document) -> list[dict[str, Any]]:
    cards = [
        ("Clean accuracy", doc.clean(document), "of all images, before any attack", "plain"),
        (
            "Robust accuracy",
            doc.robust(document),
            f"of all images, worst case over {len(document['attacks'])} attacks, image by image",
            "main",
        ),
        ("Attack success rate", doc.success(document), "of the images that were right before", "plain"),
    ]
    certified = doc.certified(document)
    if certified is not None:
        low, high = percent(certified.value), percent(doc.robust(document).value)
        about = f"of all images, proved; the truth lies between {low} and {high}"
        if any(one["code"] == "certificate-broken" for one in document["doubts"]):
            about = "of all images, said to be proved; attacks refute it"
        elif "bracket" in document:
            about = f"proved by {document['bracket']['method']}; the truth lies between {low} and {high}"
        cards.insert(2, ("Certified accuracy", certified, about, "plain"))
    strongest = document["strongest_attack_alone"]
    if strongest is not None:
        about = "survive the strongest single attack, of the sanity subset"
        cards.append((f"{strongest['attack']} alone", figure(strongest), about, "plain"))
    return [{"title": title, "figure": seen, "of": of, "tone": tone} for title, seen, of, tone in cards]


def requirements(document: Document) -> list[dict[str, Any]]:
    return [
        {
            **one,
            "tone": STATES[one["status"]],
            "svg": limit_svg(one["value"], one["low"], one["high"], one["least"]),
        }
        for one in document["requirements"]
    ]


def claims(document: Document) -> list[dict[str, Any]]:
    return [
        {
            **one,
            "title": "Clean accuracy"
            if one["eps"] == 0
            else f"{one['title'] or 'Any attack'} at eps {eps_text(one['eps'])}",
            "clean": one["eps"] == 0,
            "truth": figure(one["truth"]),
        }
        for one in document["claims"]
    ]


def remedies(document: Document) -> list[dict[str, Any]]:
    """What was tried against each sign, with both figures; a report of an earlier version may lack it."""
    return [
        {**one, "oblivious": figure(one["oblivious"]), "adaptive": figure(one["adaptive"])}
        for one in document.get("adaptive", ())
    ]


def doubts(document: Document) -> list[tuple[dict[str, Any], list[str]]]:
    """Each kind of doubt once, with all its messages."""
    kinds = {one["code"]: one for one in reversed(document["doubts"])}
    codes = dict.fromkeys(one["code"] for one in document["doubts"])
    return [(kinds[code], [one["message"] for one in document["doubts"] if one["code"] == code]) for code in codes]
