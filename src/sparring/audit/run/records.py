"""A part of an audit as tensors and plain values, and back: what lies in a shard of the store.

NNN/rows, NNN/success ...   what the stage NNN of the header's list did, without points
NNN/path/best ...           how its search went on the sanity subset
worst/R/x_adv ...           the worst point of each image at the R-th radius, and what is known of it
curve/K/distance ...        the K-th attack behind the curve, on the images curve/rows
certificate/certified ...   what is proved of each image
prediction, confidence      what the model says of the worst points
keys                        names of the clean images
"""

from __future__ import annotations

from dataclasses import fields
from typing import Any

import torch
from torch import Tensor

from sparring.audit.cascade.certificate import Certificate
from sparring.audit.cascade.curve import Trials
from sparring.audit.cascade.outcome import Outcome
from sparring.audit.cascade.proof import Proof
from sparring.audit.cascade.survival import Survival
from sparring.audit.cascade.trace_summary import Path
from sparring.audit.run.plan import Plan
from sparring.audit.run.shard import ShardResult
from sparring.audit.statistics.proportion import Figure
from sparring.audit.suites.stage import Stage
from sparring.result import PER_SAMPLE, Doubt, Result
from sparring.scale.store import Record
from sparring.threat import Threat

CERTIFICATE = ("certified", "bound", "radius")
"columns of a `Certificate`"


def pack(part: ShardResult) -> Record:
    """For the store."""
    tensors: dict[str, Tensor] = {"keys": part.keys}
    outcomes: list[dict[str, Any]] = []
    for radius, each in enumerate(part.outcomes):
        for one in each:
            name = f"{len(outcomes):03d}"
            tensors[f"{name}/rows"], tensors[f"{name}/broke"] = one.rows, one.broke
            if one.moved is not None:
                tensors[f"{name}/moved"] = one.moved
            if one.path is not None:
                tensors |= {f"{name}/path/{field}": value for field, value in one.path.__dict__.items()}
            known = {"tried": one.tried, "robust": _counts(one.robust), "place": one.place, "radius": radius}
            outcomes.append({**known, "stage": one.stage.__dict__, "result": _put(tensors, name, one.result)})
    trials = None
    if part.trials is not None:
        results = [_put(tensors, f"curve/{k}", one) for k, one in enumerate(part.trials.results)]
        tensors["curve/rows"] = part.trials.rows
        trials = {**part.trials.__dict__, "stage": part.trials.stage.__dict__, "results": results}
        del trials["rows"], trials["all_right"]
    if part.certificate is not None:
        tensors |= {f"certificate/{name}": getattr(part.certificate, name) for name in CERTIFICATE}
    tensors["prediction"], tensors["confidence"] = part.proof.prediction, part.proof.confidence
    values = {
        "first": part.first,
        "seconds": part.seconds,
        "outcomes": outcomes,
        "worst": [_put(tensors, f"worst/{k}", one) for k, one in enumerate(part.worst)],
        "trials": trials,
        "confirmed": _counts(part.proof.confirmed),
        "undone": _counts(part.proof.undone),
        "again": _counts(part.proof.again),
        "passes": part.proof.passes,
        **({} if part.certificate is None else {"certificate": [part.certificate.method, part.certificate.seconds]}),
        "survival": [[one.treatment, _counts(one.fooled), _counts(one.right)] for one in part.survival],
    }
    return tensors, values


def unpack(plan: Plan, record: Record) -> ShardResult:
    """From the store."""
    tensors, values = record
    radii = plan.radii()
    outcomes: list[list[Outcome]] = [[] for _ in radii]
    for k, known in enumerate(values["outcomes"]):
        name, radius = f"{k:03d}", known["radius"]
        outcomes[radius].append(
            Outcome(
                Stage.of_record(known["stage"]),
                tensors[f"{name}/rows"],
                _get(tensors, name, known["result"], plan.at(radii[radius])),
                known["tried"],
                tensors[f"{name}/broke"],
                Figure(*known["robust"]),
                tuple(known["place"]),
                tensors.get(f"{name}/moved"),
                _path(tensors, name),
            )
        )
    proof = Proof(
        tensors["prediction"],
        tensors["confidence"],
        Figure(*values["confirmed"]),
        Figure(*values["undone"]),
        values["passes"],
        Figure(*values.get("again", (0, 0))),
    )
    worst = (_get(tensors, f"worst/{k}", known, plan.at(radii[k])) for k, known in enumerate(values["worst"]))
    return ShardResult(
        values["first"],
        tuple(tuple(each) for each in outcomes),
        tuple(worst),
        None if values["trials"] is None else _trials(plan, tensors, values["trials"]),
        proof,
        tuple(Survival(name, Figure(*fooled), Figure(*right)) for name, fooled, right in values["survival"]),
        tensors["keys"],
        values["seconds"],
        _certificate(tensors, values.get("certificate")),
    )


def _certificate(tensors: dict[str, Tensor], known: list[Any] | None) -> Certificate | None:
    if known is None:
        return None
    method, seconds = known
    columns: dict[str, Tensor] = {name: tensors[f"certificate/{name}"] for name in CERTIFICATE}
    return Certificate(method, seconds=seconds, **columns)


def _path(tensors: dict[str, Tensor], name: str) -> Path | None:
    if f"{name}/path/rows" not in tensors:
        return None
    return Path(**{field.name: tensors[f"{name}/path/{field.name}"] for field in fields(Path)})


def _trials(plan: Plan, tensors: dict[str, Tensor], known: dict[str, Any]) -> Trials:
    grid = tuple(known["grid"])
    pairs = enumerate(zip(grid, known["results"], strict=True))
    results = tuple(_get(tensors, f"curve/{k}", one, plan.at(eps)) for k, (eps, one) in pairs)
    first = torch.arange(known.get("n", 0))  # of which version 0.1 drew the curve
    stage, rows = Stage.of_record(known["stage"]), tensors.get("curve/rows", first)
    return Trials(stage, rows, grid, known["whole_box"], results, "curve/rows" in tensors)


def _put(tensors: dict[str, Tensor], name: str, result: Result) -> dict[str, Any]:
    """Adds what is known of each sample to `tensors`; the rest as plain values."""
    for field in PER_SAMPLE:
        tensors[f"{name}/{field}"] = getattr(result, field)
    doubts = [doubt.to_dict() for doubt in result.doubts]
    return {"attack": result.attack, "seed": result.seed, "seconds": result.seconds, "doubts": doubts}


def _get(tensors: dict[str, Tensor], name: str, known: dict[str, Any], threat: Threat) -> Result:
    """The other way round."""
    columns: dict[str, Any] = {field: tensors[f"{name}/{field}"] for field in PER_SAMPLE}
    doubts = tuple(Doubt(**doubt) for doubt in known["doubts"])
    return Result(**columns, threat=threat, **{**known, "doubts": doubts})


def _counts(figure: Figure) -> list[int]:
    return [figure.hits, figure.of]
