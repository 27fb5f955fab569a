"""Names of attacks in NIST AI 100-2e2025 and MITRE ATLAS 5.6.0: only such ids as these documents have."""

from __future__ import annotations

import pytest

from sparring.audit.report.report import Report
from sparring.audit.report.taxonomy import ALWAYS, ATLAS, BY_KNOWLEDGE, NIST, tags

LISTED = """
NISTAML.01 .02 .03 .05 .022 .025 .021 .023 .024 .012 .013 .011 .026 .051 .014 .031 .032 .033 .034
AML.T0043 T0043.000 T0043.001 T0043.002 T0043.003 T0043.004 T0015 T0042 T0044 T0040 T0041 T0005 T0005.000 T0005.001
T0005.002 T0020 T0018.000 T0024.000 T0024.001 T0024.002 T0029 T0031 M0003 M0010 M0015 M0006 M0004 M0002 M0007 M0008
"""


def listed() -> set[str]:
    """The ids of the two documents, as they were looked up."""
    words = [word.removeprefix("AML.") for word in LISTED.split()]
    return {f"NISTAML{word.removeprefix('NISTAML')}" if "." in word[:8] and word[0] in ".N" else f"AML.{word}"
            for word in words}  # fmt: skip


def test_every_id_is_in_the_documents() -> None:
    assert {"NISTAML.022", "AML.T0043.000", "AML.M0008"} <= listed()
    assert set(NIST) | set(ATLAS) <= listed()
    used = {*ALWAYS, *(known for group in BY_KNOWLEDGE.values() for known in group)}
    assert used <= set(NIST) | set(ATLAS)


@pytest.mark.parametrize(
    ("known", "name"),
    [
        ("NISTAML.022", "Evasion"),
        ("NISTAML.025", "Black-box Evasion"),
        ("AML.T0043.001", "Black-Box Optimization"),  # not "Physical", as another tool has it
        ("AML.M0002", "Output Obfuscation"),  # not adversarial training
        ("AML.M0003", "Model Hardening"),
    ],
)
def test_names_that_others_got_wrong(known: str, name: str) -> None:
    assert (NIST | ATLAS)[known] == name


def test_what_an_attack_sees_decides() -> None:
    block = tags([("PGD", "gradient"), ("Square", "score"), ("Square", "score"), ("Substitute", "transfer")])
    because = {one["id"]: one["attacks"] for name in ("nist_ai_100_2", "mitre_atlas") for one in block[name]["entries"]}
    assert because["NISTAML.022"] == because["AML.T0044"] == ["PGD"]
    assert because["NISTAML.025"] == ["Square", "Substitute"]
    assert because["AML.T0043.001"] == ["Square"]
    assert because["AML.T0043.002"] == ["Substitute"]
    assert "no statement of compliance" in block["note"]


def test_the_block_of_a_report(small_report: Report) -> None:
    block = small_report.to_dict()["taxonomy"]
    ids = {one["id"] for one in block["mitre_atlas"]["entries"]}
    assert {"AML.T0043.000", "AML.T0043.001", "AML.M0008"} <= ids
    assert "AML.T0043.002" not in ids
