"""The report as JUnit XML, for the test pages of CI systems: a case a requirement, a case an attack.

An attack that breaks images is no failure of the run; a requirement that is not met is one.
"""

from __future__ import annotations

import re
from typing import Any
from xml.etree import ElementTree as xml

from sparring.audit.report import document as doc
from sparring.audit.report.document import Document

UNFIT = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"what XML 1.0 cannot hold, not even escaped"


def junit(document: Document) -> str:
    """The document as text."""
    root = _element(None, "testsuites", name="sparring audit", time=f"{document['seconds']:.3f}")
    suites = (_requirements(root, document), _attacks(root, document))
    for suite in suites:
        _count(suite)
    for name in ("tests", "failures", "errors", "skipped"):
        root.set(name, str(sum(int(suite.get(name, "0")) for suite in suites)))
    xml.indent(root)
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + xml.tostring(root, encoding="unicode") + "\n"


def _requirements(root: xml.Element, document: Document) -> xml.Element:
    suite = _suite(root, "requirements", document, 0.0)
    for one in document["requirements"]:
        case = _element(suite, "testcase", classname="sparring.requirements", name=one["text"], time="0")
        if one["status"] == "met":
            _element(case, "system-out").text = _fit(one["line"])
        else:
            kind = one["status"].replace(" ", "-")
            failure = _element(case, "failure", type=kind, message=one["conclusion"])
            failure.text = _fit(f"{one['line']}\n{document['verdict']}")
    return suite


def _attacks(root: xml.Element, document: Document) -> xml.Element:
    suite = _suite(root, "attacks", document, sum(one["seconds"] for one in document["attacks"]))
    for one in document["attacks"]:
        case = _element(
            suite, "testcase", classname="sparring.attacks", name=one["attack"], time=f"{one['seconds']:.3f}"
        )
        _element(case, "system-out").text = _fit(
            f"{one['spec']}: broke {one['broke']} of {one['tried']} images, {one['standing_after']} of {document['n']} "
            f"survive; {one['queries']} forward and {one['gradients']} backward passes"
        )
    for line in document["left_out"]:
        title, _, reason = line.partition(": ")
        case = _element(suite, "testcase", classname="sparring.attacks", name=title, time="0")
        _element(case, "skipped", message=reason or line)
    return suite


def _suite(root: xml.Element, name: str, document: Document, seconds: float) -> xml.Element:
    stamp = document["created"].partition("+")[0]
    suite = _element(root, "testsuite", name=name, time=f"{seconds:.3f}", timestamp=stamp)
    properties = _element(suite, "properties")
    for key, value in _facts(document).items():
        _element(properties, "property", name=key, value=value)
    return suite


def _facts(document: Document) -> dict[str, str]:
    return {
        "model": document["model"]["name"],
        "data": document["data"]["name"],
        "threat": doc.threat(document),
        "suite": document["suite"],
        "verdict": document["verdict"],
        "status": document["status"],
        "doubts": ", ".join(dict.fromkeys(doubt["code"] for doubt in document["doubts"])),
        "clean_accuracy": str(doc.clean(document)),
        "robust_accuracy": str(doc.robust(document)),
    }


def _count(suite: xml.Element) -> None:
    cases = suite.findall("testcase")
    suite.set("tests", str(len(cases)))
    suite.set("failures", str(sum(case.find("failure") is not None for case in cases)))
    suite.set("errors", "0")
    suite.set("skipped", str(sum(case.find("skipped") is not None for case in cases)))


def _element(parent: xml.Element | None, tag: str, **attributes: Any) -> xml.Element:
    plain = {name: _fit(str(value)) for name, value in attributes.items()}
    return xml.Element(tag, plain) if parent is None else xml.SubElement(parent, tag, plain)


def _fit(text: str) -> str:
    return UNFIT.sub("\N{REPLACEMENT CHARACTER}", text)
