"""The crosscheck itself: every peer's version of every attack on the same images, judged by one look and one envelope.

Strength is local optimality: the area below the security curve up to e0, exactly mean_i min(d_i, e0), set against
the envelope of all of them (`sparring.optimality`). e0 is twice eps: an attack that fills eps and never looks for less
gains half of what it could, one that looks for the smallest perturbation can gain more. d_i is the nearest success
seen during the run or handed over, so that no peer is charged here for a good point that it lost; that it lost it is
said in a column of its own.
"""

from __future__ import annotations

import contextlib
import io
import time
import warnings
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from importlib import import_module
from typing import Any

import torch
from torch import Tensor

from sparring.crosscheck.peer import NAMES, SMALLEST, Run, Setting
from sparring.crosscheck.watch import SLACK, Watched
from sparring.errors import InputError
from sparring.model import Model
from sparring.optimality import optimality
from sparring.threat import Threat

PEERS = ("sparring", "foolbox", "torchattacks", "art", "adv_lib", "autoattack")
"modules of this package, each named on_..."


@dataclass(frozen=True)
class Row:
    """One attack of one peer on n images.

    Attributes:
        standing: images for which the run saw no success within eps. optimality: see the module; area: its curve's.
        forward, backward: passes that the net saw, of all images together.
        outside, beyond: points handed over that leave the box, and, of attacks that were given eps, the ball.
        silent: successes that the peer claims and a fresh look denies; None where it claims nothing.
        lost: images with a success within eps seen on the way, but not among the points handed over.
        error: why it did not run; all figures are 0 then.
    """

    attack: str
    peer: str
    standing: int = 0
    area: float = float("nan")
    optimality: float = float("nan")
    forward: int = 0
    backward: int = 0
    outside: int = 0
    beyond: int = 0
    silent: int | None = None
    lost: int = 0
    seconds: float = 0.0
    error: str | None = None
    nearest: Tensor | None = None

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        known = {name: value for name, value in self.__dict__.items() if name != "nearest"}
        near = [] if self.nearest is None else [None if d == float("inf") else d for d in self.nearest.tolist()]
        return {**known, "nearest": near}


@dataclass(frozen=True)
class Crosscheck:
    """All rows, in the order of the attacks; `missing`: peers that are not there, and why. n images at `threat`."""

    rows: tuple[Row, ...]
    missing: Mapping[str, str]
    n: int
    clean_correct: int
    threat: Threat
    envelope_area: float

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {
            "n": self.n,
            "clean_correct": self.clean_correct,
            "threat": self.threat.to_dict(),
            "envelope_area": self.envelope_area,
            "rows": [row.to_dict() for row in self.rows],
            "missing": dict(self.missing),
        }


def crosscheck(
    model: Model,
    x: Tensor,
    y: Tensor,
    threat: Threat,
    *,
    peers: Iterable[str] = PEERS,
    seed: int = 0,
    progress: Callable[[int, str], object] | None = None,
) -> Crosscheck:
    """Run what can be imported; the model is left as it was.

    Args:
        x: [n, ...] images in the model's box. y: [n]. threat: with an eps; norm L1, L2 or Linf.
        progress: called with the number of peers that are done, and the name of the next one.

    Raises:
        InputError: no eps, another norm, no images.
    """
    if not threat.eps or str(threat.norm) not in ("L1", "L2", "Linf"):
        raise InputError(f"a crosscheck needs L1, L2 or Linf and an eps above 0; seen {threat}")
    if not len(x):
        raise InputError("there are no images to attack")
    threat = threat.within(model.box)
    missing: dict[str, str] = {}
    rows: list[Row] = []
    with model.guard():
        x = model.accept(x)
        y = y.to(x.device)
        with torch.no_grad():
            logits = model.logits(x)
        right = int((logits.argmax(1) == y).sum())
        span = model.box[1] - model.box[0]
        assert threat.eps is not None
        setting = Setting(str(threat.norm), threat.eps / span, logits.shape[1], seed)
        for done, name in enumerate(peers):
            if progress is not None:
                progress(done, name)
            found = _runs(name, setting, missing)
            rows += [
                _row(attack, name, found[attack], model, x, y, threat, seed) for attack in NAMES if attack in found
            ]
    rows.sort(key=lambda row: NAMES.index(row.attack))
    return _scored(rows, missing, len(x), right, threat)


def _runs(name: str, setting: Setting, missing: dict[str, str]) -> dict[str, Run]:
    """A peer's attacks; none where it cannot be imported, whatever its reason."""
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            found: dict[str, Run] = import_module(f"sparring.crosscheck.on_{name}").runs(setting)
            return found
    except ModuleNotFoundError as error:
        missing[name] = "not installed" if error.name and name in error.name else f"it lacks {error.name}"
    except Exception as error:  # an import of somebody else's code
        missing[name] = _line(error)
    return {}


def _row(attack: str, peer: str, run: Run, model: Model, x: Tensor, y: Tensor, threat: Threat, seed: int) -> Row:
    net, began = Watched(model, x, y, threat.norm).requires_grad_(False), time.perf_counter()
    eps = (threat.eps or 0.0) * (1 + 1e-5)
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()), torch.random.fork_rng():
            warnings.simplefilter("ignore")
            torch.manual_seed(seed)
            points, claims = run(net, net.inputs.clone(), y.clone())
    except Exception as error:  # somebody else's code
        return Row(attack, peer, error=_line(error))
    seconds = time.perf_counter() - began
    points = points.detach().to(x)
    fooled, size = net.look(points.clamp(0, 1))
    flat = points.flatten(1)
    outside = ~((flat.amin(1) >= -SLACK) & (flat.amax(1) <= 1 + SLACK))  # NaN is outside too
    beyond = torch.zeros_like(outside) if attack in SMALLEST else size > eps + SLACK
    wrong = net.look(net.inputs)[0]
    handed = torch.where(fooled & ~outside, size, torch.inf)
    nearest = torch.where(wrong, 0.0, torch.minimum(net.nearest.to(handed), handed)).cpu()
    good = handed <= eps + SLACK
    return Row(
        attack,
        peer,
        standing=int((nearest > eps).sum()),
        forward=net.forward_passes,
        backward=net.backward_passes,
        outside=int(outside.sum()),
        beyond=int(beyond.sum()),
        silent=None if claims is None else int((claims & (~fooled | outside | beyond)).sum()),
        lost=int(((nearest <= eps) & ~wrong.cpu() & ~good.cpu()).sum()),
        seconds=seconds,
        nearest=nearest,
    )


def _scored(rows: list[Row], missing: dict[str, str], n: int, right: int, threat: Threat) -> Crosscheck:
    """Every row against the envelope of all."""
    columns = {f"{k}": row.nearest for k, row in enumerate(rows) if row.nearest is not None}
    if not columns:
        return Crosscheck(tuple(rows), missing, n, right, threat, float("nan"))
    found = optimality(columns, e0=2 * (threat.eps or 0.0))
    scored = [
        replace(row, area=found.areas[f"{k}"], optimality=found.scores[f"{k}"]) if f"{k}" in columns else row
        for k, row in enumerate(rows)
    ]
    return Crosscheck(tuple(scored), missing, n, right, threat, found.envelope_area)


def _line(error: Exception) -> str:
    said = next(iter(str(error).splitlines()), "")
    return f"{type(error).__name__}: {said}"[:160]
