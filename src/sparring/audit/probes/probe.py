"""Probes: what the model is like, before and beside the attacks. Seconds, and counted.

Each probe only measures; `checks` says what is doubtful.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sparring import losses
from sparring.attacks import attack
from sparring.audit.inputs.clean import KEPT, Clean
from sparring.audit.probes.behaviour import ALONE, Conduct, observe
from sparring.audit.probes.canary import Trial
from sparring.audit.probes.eval_mode import measure_in_eval
from sparring.audit.probes.gradient_quality import Local, look_around
from sparring.audit.probes.history import ASKED, Memory, answers, remembers
from sparring.audit.statistics.proportion import Figure
from sparring.ball import Ball
from sparring.batches import batches, run_batches
from sparring.bout import LossFunction
from sparring.model import Model
from sparring.norms import L0
from sparring.rng import Noise, digest
from sparring.threat import Threat, Untargeted

MODAL = (nn.modules.dropout._DropoutNd, nn.modules.batchnorm._BatchNorm, nn.modules.instancenorm._InstanceNorm)
"modules that behave differently in train mode"
OVERTAKEN = 12
"images fooled by one step that PGD is run on"
REPEATED = 250
"images that are shown twice, to see whether the model answers at random"


@dataclass(frozen=True)
class Probes:
    """What was measured; shares are of the `n` images of the sanity subset unless said otherwise.

    Attributes:
        training: the modules found in train mode. active: whether they stayed so while the model was attacked.
        changed: share of up to 250 images, or of up to 32 points near them, whose class or logits differed between two
            passes.
        gap: median difference of the two largest logits. certain: share with a probability of exactly 1.
        flat_ce, flat_margin: share whose gradient is exactly zero, at the image or at a random point of the ball;
            None where the model grants no gradients.
        moved, filled: share of images that FGSM moved at all, and by (99 % of) eps.
        top: the class predicted most. top_share: of the predictions. top_truth: of the labels.
        passes: forward plus backward passes spent.
        cut: the graph from pixels to logits is cut: no gradient comes back at all.
        outputs: what the net was said to give. twins: images that appear more than once, of those looked at.
        local, conduct: see there; local is None for models that answer at random, and without images to look at.
        in_eval: right, and standing against PGD, in eval mode, of up to 100 images; for models left in train mode.
        rounded: the net's precision, where it is below float32 and the same weights in float32 have smooth logits and
            true gradients.
        renamed: share that is right once the classes are renamed one to one, where that is clearly more.
        remembers: share of up to 32 images that are answered otherwise than by the model as it came.
        alone: from then on it was asked for one image at a time, as it looks at the others of a batch.
        stepped, overtaken: images that FGSM fools and that PGD was run on (up to 12), and how many of them it misses,
            on the loss that misses more.
        inner: number of the first tensor inside the model that says what its answer says, see `inner_tensor`; None =
            there is none, or the probes found nothing to doubt. classes: the model has.
        rescued: as `local.faithful`, of the gradients past what hides them, where they are hidden; None = they are not.
        levels: thresholds of a code of single pixels, see `coded.thresholds`; none = there is no such code.
        filed: it sees pixels as a picture file has them, see `as_a_file`.
        canary: what the suite's attacks made of what was planted, see `canary`; the control is among them.
    """

    n: int
    training: tuple[str, ...]
    active: bool
    changed: float
    gap: float
    certain: float
    flat_ce: float | None
    flat_margin: float | None
    moved: float | None
    filled: float | None
    top: int
    top_share: float
    top_truth: float
    passes: int
    cut: bool = False
    outputs: str = "logits"
    twins: int = 0
    local: Local | None = None
    conduct: Conduct | None = None
    in_eval: tuple[Figure, Figure] | None = None
    canary: tuple[Trial, ...] = ()
    rounded: str | None = None
    renamed: float | None = None
    remembers: float = 0.0
    alone: bool = False
    stepped: int = 0
    overtaken: int = 0
    inner: int | None = None
    classes: int = 0
    rescued: float | None = None
    levels: tuple[float, ...] = ()
    filed: bool = False

    @property
    def random(self) -> bool:
        """It answers at random: success is then decided by fresh looks, see `redraw`."""
        return self.changed > 0

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {
            **self.__dict__,
            "training": list(self.training),
            "levels": list(self.levels),
            "local": None if self.local is None else asdict(self.local),
            "conduct": None if self.conduct is None else asdict(self.conduct),
            "in_eval": None if self.in_eval is None else [figure.to_dict() for figure in self.in_eval],
            "canary": [trial.to_dict() for trial in self.canary],
        }

    @classmethod
    def of_dict(cls, plain: dict[str, Any]) -> Probes:
        """From `to_dict`."""
        local, conduct, in_eval = plain["local"], plain["conduct"], plain["in_eval"]
        right, standing = (Figure(one["hits"], one["of"]) for one in in_eval) if in_eval else (None, None)
        return cls(
            **{
                **plain,
                "training": tuple(plain["training"]),
                "levels": tuple(plain.get("levels", ())),
                "local": None if local is None else Local(**local),
                "conduct": None if conduct is None else Conduct(**{**conduct, "twice": tuple(conduct["twice"])}),
                "in_eval": None if right is None or standing is None else (right, standing),
                "canary": tuple(Trial(**trial) for trial in plain["canary"]),
            }
        )


def saturated(probes: Probes) -> bool:
    """P3 and G3: cross-entropy gradients vanish where those of the margin do not, or logits are 100 apart."""
    return _saturated(probes.flat_ce, probes.flat_margin, probes.gap, probes.n)


def _saturated(ce: float | None, margin: float | None, gap: float, n: int) -> bool:
    more = ce is not None and margin is not None and ce - margin > 0.01 and (ce - margin) * n >= 2.5
    return more or gap > 100


def training_modules(model: Model) -> tuple[str, ...]:
    """Names of the dropout and normalisation modules that are in train mode now."""
    if not isinstance(model.net, nn.Module):
        return ()
    modules = model.net.named_modules()
    return tuple(
        f"{name or 'the net'} ({type(m).__name__})" for name, m in modules if isinstance(m, MODAL) and m.training
    )


def probe(
    model: Model,
    clean: Clean,
    subset: Tensor,
    threat: Threat,
    seed: int,
    batch_size: int,
    training: tuple[str, ...],
    memory: Memory | None = None,
    pixels: Tensor | None = None,
) -> Probes:
    """Measure everything.

    Args:
        subset: [s] numbers of the sanity subset, in the order in which the probes take them: some only look at the
            first. pixels: [s, ...] of these images, None = those that `clean` holds.
        training: see `training_modules`, asked for before anything else was done. memory: taken then, too.
    """
    x, y = clean.x[subset] if pixels is None else pixels, clean.y[subset]
    top2 = clean.logits[subset].topk(2, 1).values
    certain = F.softmax(clean.logits[subset], 1).amax(1) == 1.0
    counts = torch.bincount(clean.prediction)
    top = int(counts.argmax())
    passes = 2 * min(REPEATED, len(clean))
    flat_ce = flat_margin = moved = filled = None
    gap = float((top2[:, 0] - top2[:, 1]).median()) if len(x) else float("nan")
    changed, twice = _changed(model, clean, batch_size)
    cut = False
    remembered, stepped, overtaken = 0.0, 0, 0
    # A service or a device cannot be put back, and what counts paid questions must not be.
    kept = memory if len(x) and model.access == "gradient" else None
    near = points_around(model, x[:ASKED], threat, seed)[1] if len(x) and model.access == "gradient" else x[:0]
    company = None
    if len(near):  # a mask may draw at random for images that look attacked
        company, again = _twice(model, near, batch_size)
        changed = max(changed, _share(_differ(company, again)))
        passes += 2 * len(near)
    if kept is not None and changed:  # by memory, or at random?
        remembered, more = _remembers(model, kept, x, threat, seed, batch_size)
        passes += more
        changed = 0.0 if remembered else changed
    if model.access == "gradient" and len(x):
        points = points_around(model, x, threat, seed)
        flat_ce, _ = _flat(model, points, y, losses.cross_entropy, batch_size)
        flat_margin, cut = _flat(model, points, y, losses.margin, batch_size)
        moved, filled, fooled = _moved(model, x, y, threat, seed, batch_size)
        if not changed:
            losses_tried = ("margin",) if _saturated(flat_ce, flat_margin, gap, len(x)) else ("ce", "margin")
            found = _overtaken(model, x, y, fooled, threat, seed, losses_tried)
            stepped, overtaken = found[0], found[1]
            passes += found[2]
        passes += (2 * 2 * len(points) + 3) * len(x)
    smooth = model.access == "gradient" and not changed  # classes and rounded scores are flat, and mislead nobody
    local = look_around(model, x, y, threat, seed) if len(x) and smooth else None
    few = (x[:ALONE], clean.logits[subset][:ALONE])
    seen: tuple[Tensor, ...] | None = None
    if company is not None:
        shown = near[:ALONE]
        seen = (shown, company[: len(shown)])
        if not changed:
            crowd = _crowd(model, shown, clean, threat, seed)
            seen += (answers(model, crowd, batch_size)[: len(shown)],)
            passes += len(crowd)
    conduct = observe(model, clean.x, clean.y[: len(clean.x)], changed > 0, twice, few, seen)
    passes += conduct.passes + (0 if local is None else local.passes)
    rounded, more = _rounded(model, x, y, threat, seed, batch_size) if len(x) and not changed else (None, 0)
    passes += more
    active = bool(training) and model.mode == "as_is"
    in_eval, extra = measure_in_eval(model, clean, threat, seed, batch_size) if active else (None, 0)
    passes += extra
    if kept is not None and not remembered:  # by now the model has been asked a lot
        remembered, more = _remembers(model, kept, x, threat, seed, batch_size)
        passes += more
    return Probes(
        n=len(x),
        training=training,
        active=active,
        changed=changed,
        gap=gap,
        certain=_share(certain),
        flat_ce=flat_ce,
        flat_margin=flat_margin,
        moved=moved,
        filled=filled,
        top=top,
        top_share=int(counts.max()) / len(clean),
        top_truth=_share(clean.y == top),
        passes=passes,
        cut=cut,
        outputs=model.outputs,
        twins=len(clean.x) - len(set(digest(clean.x).tolist())),
        local=local,
        conduct=conduct,
        in_eval=in_eval,
        rounded=rounded,
        renamed=_renamed(clean),
        remembers=remembered,
        stepped=stepped,
        overtaken=overtaken,
    )


def _renamed(clean: Clean) -> float | None:
    """The clean accuracy under the best renaming of the classes, if it is higher by 5 points and 5 images at least.

    A class is renamed where most of its predictions are of one other class, and most of that class are predicted so.
    """
    table = torch.zeros(clean.classes, clean.classes, dtype=torch.int64)
    table.index_put_((clean.prediction.long(), clean.y.long()), torch.ones_like(clean.y.long()), accumulate=True)
    count, truth = table.max(1)
    sure = (count >= 3) & (2 * count > table.sum(1)) & (2 * count > table.sum(0)[truth])
    moved = sure & (truth != torch.arange(clean.classes))
    gain = int(count[moved].sum()) - int((table.diagonal()[moved]).sum())
    gain -= sum(int(table[k, k]) for k in truth[moved].tolist() if not bool(moved[k]))
    share = gain / len(clean)
    return clean.accuracy.value + share if share >= 0.05 and gain >= 5 else None


def _rounded(model: Model, x: Tensor, y: Tensor, threat: Threat, seed: int, batch_size: int) -> tuple[str | None, int]:
    """The low precision that accounts for odd gradients, if a copy in float32 has none; and the passes it took."""
    if model.dtype not in (torch.float16, torch.bfloat16) or model.access != "gradient":
        return None, 0
    name = str(model.dtype).removeprefix("torch.")
    try:
        twin = copy.deepcopy(model)
        assert isinstance(twin.net, nn.Module)
        twin.net.float()
        points = points_around(twin, x, threat, seed)
        flat, _ = _flat(twin, points, y, losses.margin, batch_size)
        local = look_around(twin, x, y, threat, seed)
    except (RuntimeError, TypeError, ValueError):  # it cannot be copied, or casts by itself
        return None, 0
    sound = flat < 0.05 and local.constant <= 0.5 and local.faithful is not None and local.faithful >= 0.5
    return name if sound else None, local.passes + 2 * len(points) * len(x)


def _changed(model: Model, clean: Clean, batch_size: int) -> tuple[float, tuple[float, float]]:
    """Share of images whose answer differs between two passes, and the shares that are right in either."""
    first, second = _twice(model, clean.x[:REPEATED], batch_size)
    y = clean.y[: len(first)]
    return _share(_differ(first, second)), (_share(first.argmax(1) == y), _share(second.argmax(1) == y))


def _twice(model: Model, x: Tensor, batch_size: int) -> tuple[Tensor, Tensor]:
    """Logits [n, K] of two passes over x [n, ...], both under one guard, as each starts with the same random state."""
    first: list[Tensor] = []
    second: list[Tensor] = []
    with model.guard(), torch.no_grad():
        for part in torch.split(x, batch_size):
            for told in (first, second):
                told.append(model.logits(model.accept(part)).float().cpu())
    return torch.cat(first), torch.cat(second)


def _crowd(model: Model, near: Tensor, clean: Clean, threat: Threat, seed: int) -> Tensor:
    """Points near images, as many as attacks show in a batch: a mask may wait for that. The first are `near`."""
    return torch.cat([near, points_around(model, clean.x[:KEPT], threat, seed)[1]])


def _differ(first: Tensor, second: Tensor) -> Tensor:
    """[n] bool: another class, or unit-length logits apart by over 1e-4."""
    far = (F.normalize(first, dim=1) - F.normalize(second, dim=1)).abs().amax(1) > 1e-4
    return far | (first.argmax(1) != second.argmax(1))


def _remembers(
    model: Model, memory: Memory, x: Tensor, threat: Threat, seed: int, batch_size: int
) -> tuple[float, int]:
    """Share of images that are answered otherwise than by the model as it came; and the passes that it took."""
    clean, near = points_around(model, x[:ASKED], threat, seed)
    return remembers(model, memory, clean, near, batch_size)


def points_around(model: Model, x: Tensor, threat: Threat, seed: int) -> list[Tensor]:
    """The images, and a random point of each one's ball."""
    settled = threat.within(model.box)
    assert settled.eps is not None
    assert settled.box is not None
    taken = model.accept(x).cpu()
    eps = torch.full((len(x),), settled.eps, dtype=taken.dtype)
    return [taken, Ball(taken, settled.norm, eps, settled.box).sample(Noise.of(taken, seed))]


def _flat(model: Model, points: list[Tensor], y: Tensor, loss: LossFunction, batch_size: int) -> tuple[float, bool]:
    """Share of images with a gradient of exactly zero at any of the points, and: the graph is cut everywhere."""
    zero, whole = torch.zeros(len(y), dtype=torch.bool), False
    with model.guard():
        for point in points:
            done = 0
            for part, labels in batches((point, y), batch_size):
                z = model.accept(part).requires_grad_()
                logits = model.logits(z)
                value = loss(logits, Untargeted(labels.to(logits.device))).sum()
                slope = torch.autograd.grad(value, z, allow_unused=True)[0] if value.requires_grad else None
                flat = torch.ones(len(z), dtype=torch.bool)
                if slope is not None:
                    whole = True
                    flat = (slope.flatten(1).abs().amax(1) == 0).cpu()
                zero[done : done + len(z)] |= flat
                done += len(z)
    return _share(zero), not whole


def _overtaken(
    model: Model, x: Tensor, y: Tensor, fooled: Tensor, threat: Threat, seed: int, tried: Sequence[str]
) -> tuple[int, int, int]:
    """Images that one step fools, how many of them PGD misses on the worse of these losses, and the passes spent.

    Cheap for honest models: PGD, which begins anew, fools these images within a step or two and stops there.
    """
    rows = fooled.nonzero().squeeze(1)[:OVERTAKEN]
    if not len(rows) or threat.norm not in attack("pgd").info.norms:
        return 0, 0, 0
    missed, passes = [], 0
    for loss in tried:
        found = attack(f"pgd:steps=20,loss={loss}")(model, x[rows], y[rows], threat, seed=seed)
        missed.append(int((~found.success).sum()))
        passes += int((found.queries + found.gradients).sum())
    return len(rows), max(missed), passes


def _moved(
    model: Model, x: Tensor, y: Tensor, threat: Threat, seed: int, batch_size: int
) -> tuple[float, float, Tensor]:
    """Shares of the images that FGSM moved at all, and as far as the threat allows; and those [n] that it fooled."""
    threat = replace(threat, levels=None)
    clean = model.accept(x).cpu()

    def stepped(eps: float) -> tuple[Tensor, Tensor]:
        there = replace(threat, eps=eps)
        last = run_batches(attack("fgsm"), model, (x, y), there, batch_size=batch_size, seed=seed, keep="last")
        return threat.norm.size(last.x_adv - clean), last.success

    assert threat.eps is not None
    usable = math.floor(threat.eps * (1 + 1e-6)) if threat.norm is L0 else threat.eps
    far, fooled = stepped(threat.eps)
    most = torch.full_like(far, usable)
    if bool((far < 0.99 * usable).any()):  # the box, or the region, may not let it any further along the gradient
        most = torch.minimum(most, stepped(threat.within(model.box).reach(clean[0].numel()))[0])
    return _share(far > 0), _share((far >= 0.99 * most) & (far > 0)), fooled


def _share(flags: Tensor) -> float:
    return float(flags.double().mean()) if len(flags) else float("nan")
