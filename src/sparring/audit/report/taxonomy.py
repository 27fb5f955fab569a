"""What the attacks of an audit are called in NIST AI 100-2e2025 and MITRE ATLAS 5.6.0.

The tables hold the entries that are about attacks on classifiers. They say what was simulated; that supports evidence
for a risk assessment, and is no statement of compliance.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

NIST_VERSION = "NIST AI 100-2e2025"
NIST = {
    "NISTAML.01": "Availability",
    "NISTAML.02": "Integrity",
    "NISTAML.03": "Privacy",
    "NISTAML.05": "Supply chain",
    "NISTAML.011": "Model Poisoning (availability)",
    "NISTAML.012": "Clean-label Poisoning",
    "NISTAML.013": "Data Poisoning",
    "NISTAML.014": "Energy-latency",
    "NISTAML.021": "Clean-label Backdoor",
    "NISTAML.022": "Evasion",
    "NISTAML.023": "Backdoor Poisoning",
    "NISTAML.024": "Targeted Poisoning",
    "NISTAML.025": "Black-box Evasion",
    "NISTAML.026": "Model Poisoning (integrity)",
    "NISTAML.031": "Extraction",
    "NISTAML.032": "Reconstruction",
    "NISTAML.033": "Membership",
    "NISTAML.034": "Property",
    "NISTAML.051": "Model Poisoning (supply chain)",
}

ATLAS_VERSION = "MITRE ATLAS 5.6.0"
ATLAS = {
    "AML.T0005": "Create Proxy AI Model",
    "AML.T0015": "Evade AI Model",
    "AML.T0018.000": "Poison AI Model",
    "AML.T0020": "Poison Training Data",
    "AML.T0029": "Denial of AI Service",
    "AML.T0031": "Erode AI Model Integrity",
    "AML.T0040": "AI Model Inference API Access",
    "AML.T0041": "Physical Environment Access",
    "AML.T0042": "Verify Attack",
    "AML.T0043": "Craft Adversarial Data",
    "AML.T0043.000": "White-Box Optimization",
    "AML.T0043.001": "Black-Box Optimization",
    "AML.T0043.002": "Black-Box Transfer",
    "AML.T0043.003": "Manual Modification",
    "AML.T0043.004": "Insert Backdoor Trigger",
    "AML.T0044": "Full AI Model Access",
    "AML.M0002": "Output Obfuscation",
    "AML.M0003": "Model Hardening",
    "AML.M0004": "Query Limits",
    "AML.M0006": "Model Ensembles",
    "AML.M0007": "Sanitize Training Data",
    "AML.M0008": "Validate AI Model",
    "AML.M0010": "Input Restoration",
    "AML.M0015": "Adversarial Input Detection",
}

ALWAYS = ("NISTAML.02", "AML.T0015", "AML.T0042", "AML.M0008")
"every audit: attacks on integrity that evade the model, a check of each success, and the validation that it is itself"

BY_KNOWLEDGE: Mapping[str, tuple[str, ...]] = {
    "gradient": ("NISTAML.022", "AML.T0043.000", "AML.T0044"),
    "score": ("NISTAML.025", "AML.T0043.001", "AML.T0040"),
    "decision": ("NISTAML.025", "AML.T0043.001", "AML.T0040"),
    "transfer": ("NISTAML.025", "AML.T0043.002", "AML.T0005"),
}
"what an attack sees of the model -> what it is an instance of"


def tags(attacks: Iterable[tuple[str, str]]) -> dict[str, Any]:
    """The block of a report, from the (title, knowledge) of the attacks that ran.

    >>> [one["id"] for one in tags([("Square", "score")])["mitre_atlas"]["entries"]]
    ['AML.T0015', 'AML.T0042', 'AML.M0008', 'AML.T0043.001', 'AML.T0040']
    """
    because: dict[str, list[str]] = {known: [] for known in ALWAYS}
    for title, knowledge in attacks:
        for known in BY_KNOWLEDGE.get(knowledge, ()):
            titles = because.setdefault(known, [])
            if title not in titles:
                titles.append(title)
    return {
        "nist_ai_100_2": {"version": NIST_VERSION, "entries": _entries(NIST, because)},
        "mitre_atlas": {"version": ATLAS_VERSION, "entries": _entries(ATLAS, because)},
        "note": "What the audit simulated: evidence for a risk assessment, no statement of compliance.",
    }


def _entries(names: Mapping[str, str], because: Mapping[str, list[str]]) -> list[dict[str, Any]]:
    return [
        {"id": known, "name": names[known], "attacks": titles} for known, titles in because.items() if known in names
    ]
