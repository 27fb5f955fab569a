"""No report contradicts itself: those of broken and honest nets of the gallery, and reports that are made to."""

from __future__ import annotations

import copy
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import sparring as sp
from sparring.audit.report.html.page import render
from sparring.audit.suites.stage import Stage, Suite
from sparring.reproduce.gallery import run
from sparring.reproduce.gallery_members import GALLERY, Member
from sparring.reproduce.gallery_models import Workshop

Document = dict[str, Any]


def contradictions(document: Document, page: str) -> list[str]:
    """Every pair of statements in a report that cannot both be true."""
    return [*_counts(document), *_ticks(document), *_curves(document), *_words(document, page)]


def _counts(doc: Document) -> Iterator[str]:
    n, standing = doc["n"], doc["standing"]
    if doc["attacks"] and doc["attacks"][-1]["standing_after"] != standing:
        yield "the last row of the cascade does not end at the robust accuracy"
    if doc["initially_correct"] - sum(one["broke"] for one in doc["attacks"]) != standing:
        yield "what the attacks broke and what stands is not what was right before"
    if round(doc["robust_accuracy"] * n) != standing or round(doc["clean_accuracy"] * n) != doc["initially_correct"]:
        yield "a share is not its count"
    for one in doc["attacks"]:
        if not 0 <= one["broke"] <= one["tried"] <= one["images"]:
            yield f"{one['attack']}: broke {one['broke']}, tried {one['tried']} of {one['images']} images"
        if one["queries"] and not one["images"]:
            yield f"{one['attack']}: {one['queries']} passes on no image"
    if sum(row["status"] == "standing" for row in doc["samples"]) != standing:
        yield "the samples do not count up to the robust accuracy"
    if doc["passes"] != sum(doc["cost"].values()):
        yield "the parts of the cost are not the cost"
    worst = doc["worst_class"]
    if worst is not None and worst["robust"]["hits"] > standing:
        yield "the worst class has more unbroken images than there are"


def _ticks(doc: Document) -> Iterator[str]:
    """What is in order, beside what is doubtful and what was counted."""
    fine, doubts = " ; ".join(doc["in_order"]), {one["code"]: one["message"] for one in doc["doubts"]}
    zero = any("exactly zero" in message for message in doubts.values())
    if zero and re.search(r"(?<!of the logits )[Gg]radients are not zero", fine):
        yield "gradients are zero and not zero"
    if "zero-gradients" in doubts and "gradients of the logits are not zero" in fine:
        yield "gradients of the logits are zero and not zero"
    if doc["undone_by_rounding"]["hits"] and "Successes survive rounding" in fine:
        yield "rounding undoes successes that survive it"
    if doc["confirmed"]["hits"] < doc["confirmed"]["of"] and "Successes fool the model again" in fine:
        yield "successes fool again and do not"
    family = {one["spec"]: one["family"] for one in doc["attacks"]}
    broke: dict[str, set[int]] = {}
    subset = doc["curve"]["images"] if doc["curve"] is not None else []
    for one in doc["on_the_subset"]:
        kind = "gradient" if family.get(one["spec"]) in ("single-step", "iterative") else str(family.get(one["spec"]))
        broke[kind] = broke.get(kind, set()) | {subset[k] for k in one["broke"]}
    gradients = [one["attack"] for one in doc["attacks"] if one["family"] in ("single-step", "iterative")]
    first = {row["index"] for row in doc["samples"] if row["broken_by"] in gradients}  # some do not see all the subset
    for kind, words in (
        ("query", "Query attacks find nothing"),
        ("noise", "Random noise finds nothing"),
        ("transfer", "Examples made for another net find nothing"),
    ):
        if f"{words} that gradients miss" in fine and broke.get(kind, set()) - broke.get("gradient", set()) - first:
            yield f"{words} that gradients miss, and yet it does"
    if doc.get("receipt") is None and "shortcut" in fine.lower():
        yield "the shortcuts are called in order without a receipt"


def _curves(doc: Document) -> Iterator[str]:
    own, curve = doc["security_curves"], doc["curve"]
    if own is None:
        return
    for one in own["attacks"]:
        if any(mine < all_of_them for mine, all_of_them in zip(one["standing"], own["all"], strict=True)):
            yield f"{one['attack']} alone leaves less than all attacks together"
        drop = one["standing"][-2] - one["standing"][-1]
        if not one["fills"] and drop > 0.5 * own["n"]:
            yield f"{one['attack']} is drawn as a curve that is flat until the last step"
    if curve is not None:
        for point in curve["points"]:
            at = next((k for k, eps in enumerate(own["eps"]) if abs(eps - point["eps"]) < 1e-9), None)
            if at is not None and own["all"][at] != point["envelope"]["hits"]:
                yield f"at eps {point['eps']:.3g} {own['all'][at]} survive in one figure, not in the other"
            if point["raw"]["hits"] < point["envelope"]["hits"]:
                yield f"at eps {point['eps']:.3g} one attack leaves less than all"
        if curve["n"] - curve["wrong"] != own["n"] or any(
            doc["samples"][k]["status"] == "wrong" for k in curve["images"]
        ):
            yield "the curves are not about the same images"


def _words(doc: Document, page: str) -> Iterator[str]:
    if "Success against cost" in page:
        yield "a plot of robust accuracy is called success"
    if "The smallest successes" in page and all(
        one["distance"] >= 0.99 * doc["threat"]["eps"] for one in doc["gallery"] if one["kind"] == "smallest"
    ):
        yield "the smallest successes all lie at eps"
    counted = re.search(r"(\d+) of (\d+) images survive L", doc["verdict"])  # a threat; remedies are on the subset
    if counted and not doc["claims"] and (int(counted[1]), int(counted[2])) != (doc["standing"], doc["n"]):
        yield "the verdict counts otherwise than the figures"
    if f"<b>{doc['standing']} of {doc['n']}</b>" not in page:
        yield "the page does not show the robust figure"
    if doc["verdict"].startswith("Robust accuracy is 0.0 %") and doc["standing"]:
        yield "the verdict says that nothing survives"


SMALL = Suite(
    "small",
    "for tests",
    (
        Stage("FGSM", "fgsm", "single-step", saturating_loss=True),
        Stage("PGD-5", "pgd:steps=5", "iterative", saturating_loss=True),
        Stage("PGD-10 (margin)", "pgd:steps=10,loss=margin", "iterative"),
        Stage("Random noise", "noise:draws=10", "noise"),
        Stage("Square", "square:queries=60", "query"),
    ),
    subset=16,
    curves=(Stage("PGD-5 (margin)", "pgd:steps=5,loss=margin", "iterative"),),
    receipt=True,
    transfer=True,
)
QUICK = ("plain", "zero backward", "logits x 10,000", "rounding layer")
SLOW = ("Defense-GAN", "DiffPure")


def reported(member: Member, folder: Path, n: int = 16) -> dict[str, Any] | None:
    x, y = sp.load_data("mnist5k", n=n).tensors()
    (row,) = run([member], Workshop(folder), x, y, suite=SMALL)
    return None if row.report is None else row.report.to_dict()


@pytest.fixture(scope="module")
def documents(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Any]]:
    found = {}
    for member in GALLERY:
        if member.name in QUICK:
            document = reported(member, tmp_path_factory.mktemp("shop"))
            assert document is not None
            found[member.name] = document
    return found


@pytest.mark.long
@pytest.mark.parametrize("name", QUICK)
def test_a_report_does_not_contradict_itself(name: str, documents: dict[str, dict[str, Any]]) -> None:
    assert contradictions(documents[name], render(documents[name])) == []


@pytest.mark.long
@pytest.mark.parametrize("member", [one for one in GALLERY if not one.trained and one.name not in SLOW], ids=str)
def test_no_report_of_the_gallery_does(member: Member, tmp_path: Path) -> None:
    document = reported(member, tmp_path, n=30)
    assert document is None or contradictions(document, render(document)) == []


def spoiled(document: dict[str, Any], change: Callable[[dict[str, Any]], Any]) -> list[str]:
    other = copy.deepcopy(document)
    change(other)
    return contradictions(other, render(other))


@pytest.mark.long
@pytest.mark.parametrize(
    "change",
    [
        lambda doc: doc["in_order"].append("Gradients are not zero"),
        lambda doc: doc["attacks"][0].update(images=0, tried=0, broke=0),
        lambda doc: doc["in_order"].append("Query attacks find nothing that gradients miss"),
        lambda doc: doc["security_curves"]["attacks"][0].update(fills=False, standing=[16] * 24 + [0]),
        lambda doc: doc["curve"]["points"][2]["envelope"].update(hits=1),
        lambda doc: doc["curve"].update(n=doc["curve"]["n"] - 1),
        lambda doc: doc.update(standing=doc["standing"] + 1),
        lambda doc: (
            doc["in_order"].append("Successes survive rounding to 8 bits"),
            doc["undone_by_rounding"].update(hits=1),
        ),
    ],
)
def test_what_contradicts_is_noticed(
    change: Callable[[dict[str, Any]], Any], documents: dict[str, dict[str, Any]]
) -> None:
    assert spoiled(documents["zero backward"], change)
