"""What is signed: an in-toto Statement whose subjects are the files, and whose predicate is the result of a test.

Formats: https://in-toto.io/Statement/v1 and https://in-toto.io/attestation/test-result/v0.1.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sparring.audit.report.document import Document

STATEMENT = "https://in-toto.io/Statement/v1"
PREDICATE = "https://in-toto.io/attestation/test-result/v0.1"


def statement(document: Document, digests: Mapping[str, str]) -> dict[str, Any]:
    """The statement of a report.

    Args:
        document: the plain values of the report. digests: path in the bundle -> SHA-256 of the file.
    """
    severe = [one["code"] for one in document["doubts"] if one["severe"]]
    mild = [one["code"] for one in document["doubts"] if not one["severe"]]
    required = document["requirements"]
    failed = [one["text"] for one in required if one["status"] != "met"]
    return {
        "_type": STATEMENT,
        "subject": [{"name": name, "digest": {"sha256": digests[name]}} for name in sorted(digests)],
        "predicateType": PREDICATE,
        "predicate": {
            "result": _result(document, failed, severe),
            "configuration": [
                {"name": "run/plan.json", "digest": {"sha256": digests["run/plan.json"]}},
                {"name": "environment.json", "digest": {"sha256": digests["environment.json"]}},
            ],
            "passedTests": [one["text"] for one in required if one["status"] == "met"],
            "warnedTests": [*severe, *mild],
            "failedTests": failed,
            "sparring": {
                "verdict": document["verdict"],
                "status": document["status"],
                "threat": dict(document["threat"]),
                "robust_accuracy": document["robust_accuracy"],
                "intervals": dict(document["intervals"]),
                "model": {"name": document["model"]["name"], "sha256": document["model"]["sha256"]},
                "data": {"name": document["data"]["name"], "sha256": document["data"]["sha256"]},
                "created": document["created"],
                "versions": dict(document["versions"]),
            },
        },
    }


def _result(document: Document, failed: list[str], severe: list[str]) -> str:
    """FAILED: a requirement is not met, or a claim is refuted. WARNED: the figure is in doubt."""
    if failed or document["status"] == "overestimated":
        return "FAILED"
    return "PASSED" if not severe and document["status"] in ("claim-holds", "no-claim") else "WARNED"
