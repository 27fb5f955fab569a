"""Verification: every break that a run has recorded, proved once more with one forward pass.

Nothing is taken on trust but the images and the model that are given: that a stored point lies in the box and the ball
is measured against the image itself, and that it fools is asked of the model.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor

from sparring.audit.inputs.clean import data_sha256
from sparring.audit.inputs.provenance import about_model, code_name, tensor_sha256
from sparring.audit.inputs.source import Data, Source
from sparring.audit.run.plan import FORMAT
from sparring.errors import InputError
from sparring.export.answers import ask
from sparring.model import Model
from sparring.scale.store import Store
from sparring.threat import Threat

SLACK = 1e-5
"of eps: forgiven to rounding, as by the referee"
GRID_SLACK = 1e-3
"of the distance of two levels: the same"


@dataclass(frozen=True)
class Radius:
    """The breaks at one radius: how many the run claims, and of these, how many fool the model here, and how many lie
    in the ball and the box."""

    eps: float
    claimed: int
    fooled: int
    inside: int
    proved: int

    @property
    def holds(self) -> bool:
        return self.proved == self.claimed

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {**self.__dict__, "holds": self.holds}


@dataclass(frozen=True)
class Verification:
    """What came of it.

    Attributes:
        folder: the run. shards, of: how many were there to be looked at.
        radii: the breaks by radius, the audited one first. images: how many were looked at.
        same: by part (model, data, code), whether it is what the run was made with.
        standing: images that nothing in the run breaks, as proved here; claimed: as report.json says, None without one.
    """

    folder: str
    shards: int
    of: int
    images: int
    radii: tuple[Radius, ...]
    same: dict[str, bool]
    standing: int
    claimed: int | None

    @property
    def holds(self) -> bool:
        """Model and data are the run's, and every break is one. Another version of the code is no objection."""
        counted = self.claimed is None or self.shards < self.of or self.claimed == self.standing
        return self.same["model"] and self.same["data"] and counted and all(one.holds for one in self.radii)

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        plain = {**self.__dict__, "radii": [one.to_dict() for one in self.radii]}
        return {"format": "sparring-verify-1", "holds": self.holds, **plain}


def verify(folder: str | Path, model: Model, data: Data, batch_size: int = 256) -> Verification:
    """Show every stored break to the model once.

    Args:
        folder: of a run, finished or not. model, data: what it was made with; hashes tell.

    Raises:
        InputError: no run, a damaged shard, images of another shape or number.
    """
    store = Store.read(Path(folder))
    if store.plan.get("format") != FORMAT:
        raise InputError(
            f"{folder} holds no audit that this version can verify; its format is {store.plan.get('format')!r}"
        )
    try:
        return _proved(store, model, Source(data), batch_size)
    except (KeyError, TypeError, IndexError, RuntimeError, ZeroDivisionError) as error:  # written by anybody
        raise InputError(f"{folder} is not as sparring writes it ({type(error).__name__}: {error})") from error


def _proved(store: Store, model: Model, source: Source, batch_size: int) -> Verification:
    plan, folder = store.plan, store.folder
    size = int(plan["shard_size"])
    if len(source) < plan["data"]["n"]:
        raise InputError(f"{folder} is about {plan['data']['n']} images, here are {len(source)}; give it the same data")
    if len(store) != -(-plan["data"]["n"] // size):
        raise InputError(f"{folder} says it has {len(store)} shards of {size} images for {plan['data']['n']} images")
    kept, head = store.load("head")
    threat = _threat(plan, kept.get("region"))
    now = {name: value for name, value in about_model(model).items() if name in plan["model"]}
    same = {
        "model": all(plan["model"][name] == now[name] for name in now if name != "device"),
        "data": True,
        "code": plan["code"] == code_name(),
    }
    counts = [[0, 0, 0, 0] for _ in plan["radii"]]
    done = [number for number in range(len(store)) if store.done(number)]
    images = right = 0
    for number in done:
        tensors, _ = store.load(number)
        x, y = source.part(number * size, min((number + 1) * size, plan["data"]["n"]))
        x = model.accept(x).cpu()
        same["data"] &= data_sha256(x, y) == head["parts"][number]
        images += len(x)
        right += int(tensors["worst/0/clean_correct"].sum())
        for count, found in zip(counts, _breaks(threat, plan["radii"], tensors, model, x, y, batch_size), strict=True):
            for k, value in enumerate(found):
                count[k] += value
    radii = tuple(Radius(eps, *count) for eps, count in zip(plan["radii"], counts, strict=True))
    return Verification(
        str(folder), len(done), len(store), images, radii, same, right - radii[0].proved, _said(Path(folder))
    )


def _threat(plan: dict[str, Any], region: Tensor | None) -> Threat:
    """What was allowed, from the run's own words, which must agree with each other."""
    known = plan["threat"]
    if plan["region"] != (None if region is None else tensor_sha256(region)):
        raise InputError("the region in the run is not the one that it was planned with; it cannot be verified")
    return Threat(known["norm"], known["eps"], tuple(known["box"]), known["levels"], region)


def _breaks(
    threat: Threat, radii: list[float], tensors: dict[str, Tensor], model: Model, x: Tensor, y: Tensor, batch_size: int
) -> Iterator[tuple[int, int, int, int]]:
    """By radius: breaks claimed, those that fool, those inside, those that do both."""
    assert threat.box is not None
    low, high = threat.box
    for k, eps in enumerate(radii):
        hit = tensors[f"worst/{k}/success"] & tensors[f"worst/{k}/clean_correct"]
        z = tensors[f"worst/{k}/x_adv"][hit]
        if z.shape[1:] != x.shape[1:]:
            raise InputError(
                f"the run is about images of shape {tuple(z.shape[1:])}, here they are {tuple(x.shape[1:])}; "
                "give it the same data"
            )
        shown = z.nan_to_num(low).clamp(low, high)  # what lies elsewhere is not inside anyway
        fooled = ask(model, shown, batch_size).prediction != y[hit]
        inside = allowed(z, x[hit], threat, eps)
        yield len(z), int(fooled.sum()), int(inside.sum()), int((fooled & inside).sum())


def allowed(z: Tensor, x: Tensor, threat: Threat, eps: float) -> Tensor:
    """bool [n]: points [n, ...] that lie in the box, the ball, the region and the grid around images x [n, ...]."""
    assert threat.box is not None
    low, high = threat.box
    flat = z.flatten(1)
    inside = (threat.norm.size(z - x) <= eps * (1 + SLACK)) & (flat >= low).all(1) & (flat <= high).all(1)
    mask = threat.mask(x)
    if mask is not None:
        inside &= ((z == x) | mask).flatten(1).all(1)
    if threat.levels is not None:
        step = (flat - low) * ((threat.levels - 1) / (high - low))
        inside &= ((step - step.round()).abs() <= GRID_SLACK).all(1)
    return inside


def _said(folder: Path) -> int | None:
    """What the report says of how many stand."""
    from sparring.audit.report.document import FILE, read

    return int(read(folder)["standing"]) if (folder / FILE).exists() else None
