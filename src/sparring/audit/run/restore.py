"""The plan of a run, from what the run itself has written: enough to derive its report again, not to attack again."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from torch import Tensor

from sparring.audit.inputs.claims import Claim, parse_claim
from sparring.audit.inputs.provenance import tensor_sha256
from sparring.audit.inputs.settings import AuditSettings
from sparring.audit.inputs.source import Source
from sparring.audit.probes.history import Memory
from sparring.audit.probes.probe import training_modules
from sparring.audit.run.plan import Plan
from sparring.audit.suites.stage import Stage, Suite
from sparring.errors import InputError
from sparring.model import Model
from sparring.threat import Threat


def threat_of(known: dict[str, Any], region: Tensor | None) -> Threat:
    """What was allowed, from plan.json and the region in the head shard, which must agree.

    Raises:
        InputError: they do not.
    """
    allowed = known["threat"]
    if known["region"] != (None if region is None else tensor_sha256(region)):
        raise InputError("the region in the run is not the one that it was planned with; it cannot be verified")
    return Threat(allowed["norm"], allowed["eps"], tuple(allowed["box"]), allowed["levels"], region)


def plan_of(known: dict[str, Any], model: Model, source: Source, threat: Threat, certified: Tensor | None) -> Plan:
    """The plan behind plan.json (`known`), for `conclude`.

    Raises:
        InputError: the certificates are not those that the run was planned with.
    """
    if known["certified"] != (None if certified is None else tensor_sha256(certified)):
        raise InputError("the certificates in the run are not those that it was planned with; it cannot be verified")
    stages = tuple(Stage(*values) for values in known["stages"])
    controls = known["controls"]
    suite = Suite(
        known["suite"],
        "",
        stages,
        subset=known["subset"],
        curves=() if known["curve"] is None else (Stage(*known["curve"]),),
        transfer=controls["transfer"],
        longer=controls["longer"],
        receipt=bool(controls.get("receipt")),
    )
    return Plan(
        model,
        source,
        threat,
        suite,
        stages,
        (),
        tuple(_claim(spec, known["radii"]) for spec in known["claims"]),
        AuditSettings(
            receipt="off" if controls.get("receipt") == "off" else "auto",
            **{name: known[name] for name in ("seed", "batch_size", "clean_floor", "shard_size")},
            certify=known.get("certify"),
        ),
        training_modules(model),
        certified=certified,
        memory=Memory(model),
    )


def _claim(spec: str, radii: list[float]) -> Claim:
    """A claim from its text; its eps, which the text rounds, is the nearest of the run's radii."""
    claim = parse_claim(spec)
    if not claim.eps:
        return claim
    return replace(claim, eps=min(radii, key=lambda eps: abs(eps - (claim.eps or 0.0))))
