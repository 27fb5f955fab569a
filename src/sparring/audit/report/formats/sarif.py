"""The report as SARIF 2.1.0, which code hosts show beside the code: the verdict, the doubts and the requirements.

Rules are the codes of doubts and requirements; their texts are those of the report. What is in order is a result of
the kind "pass", what is only said of the kind "informational"; both have the level "none", as the standard wants it.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from pathlib import PurePath
from typing import Any
from urllib.parse import quote

from sparring.audit.checks.run import known
from sparring.audit.report import document as doc
from sparring.audit.report.document import Document

SCHEMA = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"

VERDICTS: dict[str, tuple[str, str, str]] = {
    "claim-holds": ("pass", "none", "The claim holds at this budget"),
    "no-claim": ("informational", "none", "An upper bound; nothing was claimed"),
    "inconclusive": ("fail", "warning", "Inconclusive: there are signs of gradient masking"),
    "overestimated": ("fail", "error", "The claim is too high"),
    "gradient-masking": ("fail", "error", "The model hides its gradients and is not robust"),
}
"status -> kind, level, title"

REQUIREMENTS = {"met": ("pass", "none"), "failed": ("fail", "error"), "not settled": ("fail", "warning")}


def sarif(document: Document) -> str:
    """The log as text."""
    return json.dumps(log(document), indent=1) + "\n"


def log(document: Document) -> dict[str, Any]:
    """The log as plain values."""
    rules = list(_rules(document))
    index = {rule["id"]: k for k, rule in enumerate(rules)}
    results = [*_verdict(document), *_doubts(document), *_requirements(document)]
    place = _location(document)
    for result in results:
        result["ruleIndex"] = index[result["ruleId"]]
        result["locations"] = [place]
        result["partialFingerprints"] = {"sparring/v1": _fingerprint(document, result)}
    taxonomies = list(_taxonomies(document))
    driver = {
        "name": "sparring",
        "version": document["versions"]["sparring"],
        "semanticVersion": document["versions"]["sparring"],
        "shortDescription": {"text": "Robustness audit of image classifiers"},
        "supportedTaxonomies": [{"name": one["name"], "index": k} for k, one in enumerate(taxonomies)],
        "rules": rules,
    }
    run = {
        "tool": {"driver": driver},
        "taxonomies": taxonomies,
        "automationDetails": {"id": f"sparring/{document['suite']}/{doc.threat(document)}/"},
        "invocations": [
            {
                "executionSuccessful": True,
                "commandLine": document["command"],
                "endTimeUtc": document["created"].replace("+00:00", "Z"),
            }
        ],
        "columnKind": "unicodeCodePoints",
        "results": results,
        "properties": {
            name: document[name]
            for name in (
                "clean_accuracy", "robust_accuracy", "attack_success_rate", "intervals", "n", "threat", "suite", "seed",
                "passes",
            )
        },
    }  # fmt: skip
    return {"$schema": SCHEMA, "version": "2.1.0", "runs": [run]}


# --- rules --------------------------------------------------------------------------------------------------------


def _rules(document: Document) -> Iterator[dict[str, Any]]:
    status = document["status"]
    _, level, title = VERDICTS[status]
    means = "What is known of the model after the attacks of this budget, as an upper bound of its robustness."
    yield _rule(f"verdict/{status}", title, means, "Read the report: claim, truth and doubts.", level)
    for code in dict.fromkeys(doubt["code"] for doubt in document["doubts"]):
        check = known(code)
        yield _rule(f"doubt/{code}", check.title, check.means, check.remedy, _level(check.severe))
    if document["requirements"]:
        yield _rule(
            "requirement",
            "A figure that was required",
            "Met when the whole interval lies at or above the limit; failed when all of it lies below.",
            "Where it failed: a more robust model. Where it is not settled: more images.",
            "error",
        )


def _rule(code: str, title: str, means: str, remedy: str, level: str) -> dict[str, Any]:
    return {
        "id": code,
        "name": "".join(part.capitalize() for part in code.replace("/", "-").split("-")),
        "shortDescription": {"text": title},
        "fullDescription": {"text": means},
        "help": {"text": f"{means}\n\nWhat to do: {remedy}", "markdown": f"{means}\n\n**What to do:** {remedy}"},
        "defaultConfiguration": {"level": level},
        "properties": {"tags": ["robustness", "adversarial-examples", "security"]},
    }


def _level(severe: bool) -> str:
    return "error" if severe else "warning"


# --- results ------------------------------------------------------------------------------------------------------


def _verdict(document: Document) -> Iterator[dict[str, Any]]:
    kind, level, _ = VERDICTS[document["status"]]
    yield _result(f"verdict/{document['status']}", kind, level, document["verdict"], cause=document["cause"])


def _doubts(document: Document) -> Iterator[dict[str, Any]]:
    for one in document["doubts"]:
        message = one["message"][0].upper() + one["message"][1:] + "."
        yield _result(f"doubt/{one['code']}", "fail", _level(one["severe"]), message, share=one["share"])


def _requirements(document: Document) -> Iterator[dict[str, Any]]:
    for one in document["requirements"]:
        kind, level = REQUIREMENTS[one["status"]]
        yield _result("requirement", kind, level, one["line"], status=one["status"], more=one["more"])


def _result(rule: str, kind: str, level: str, message: str, **properties: Any) -> dict[str, Any]:
    return {
        "ruleId": rule,
        "kind": kind,
        "level": level,
        "message": {"text": message},
        "properties": properties,
    }


def _location(document: Document) -> dict[str, Any]:
    """The model: as a name, and as a file where one is named (net.py:build)."""
    place: dict[str, Any] = {"logicalLocations": [{"name": document["model"]["name"], "kind": "module"}]}
    spec = str(document["settings"].get("options", {}).get("model", ""))
    file, colon, _ = spec.rpartition(":")
    if colon and file.endswith(".py"):
        path = PurePath(file)
        uri = path.as_uri() if path.is_absolute() else quote(path.as_posix())
        place["physicalLocation"] = {"artifactLocation": {"uri": uri}, "region": {"startLine": 1}}
    return place


def _fingerprint(document: Document, result: dict[str, Any]) -> str:
    """The same for the same finding about the same model, data and threat."""
    facts = [document["model"]["name"], document["data"]["name"], doc.threat(document), result["ruleId"]]
    facts += [result["message"]["text"].partition(":")[0]] if result["ruleId"] == "requirement" else []
    return hashlib.sha256(json.dumps(facts).encode()).hexdigest()[:32]


def _taxonomies(document: Document) -> Iterator[dict[str, Any]]:
    for block in document["taxonomy"].values():
        if isinstance(block, dict):
            yield {
                "name": block["version"],
                "isComprehensive": False,
                "taxa": [{"id": one["id"], "name": one["name"]} for one in block["entries"]],
            }
