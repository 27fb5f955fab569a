"""`certify`: which images are provably safe from every attack inside a threat."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from sparring.ball import Ball
from sparring.batches import batches
from sparring.bounds.graph import Graph
from sparring.bounds.read import read_graph
from sparring.certify.methods import Method, Outcome, find_method
from sparring.certify.question import ROUNDING, Question
from sparring.certify.result import Certificates, joined
from sparring.errors import InputError
from sparring.model import Model, check_labels, wrap
from sparring.threat import Targeted, Threat, Untargeted


def certify(
    model: Model | Callable[..., Any],
    x: Tensor,
    y: Tensor | Targeted,
    threat: Threat | tuple[Any, ...],
    method: str | Method = "crown",
    *,
    seed: int = 0,
    batch_size: int = 64,
    progress: Callable[[int, Certificates], Any] | None = None,
) -> Certificates:
    """Prove, image by image, that no point inside the threat changes the answer.

    Args:
        model: a `Model`, or a net that takes pixels in [0, 1]. x: [N, ...]. y: [N] true classes; or `Targeted(t, y)`:
            prove only that no point is taken for class t.
        threat: norm and radius; a tuple ("Linf", 0.1) does. Its grid of levels is left out: what is proved for all
            values holds for those.
        method: "ibp", "crown", "alpha-crown" or "complete", for feed-forward and residual ReLU nets; "smoothing" for
            any classifier, about its majority vote under noise. With options: "alpha-crown:steps=50".
        seed: of attacks and of noise. batch_size: images at once; it changes nothing else.
        progress: called with the number of images done and the batch's certificates, after each batch.

    Returns:
        `Certificates`. The model is left exactly as it was.

    Raises:
        InputError: a layer, norm or method that does not fit; the line says which.

    >>> import sparring as sp
    >>> net = torch.nn.Linear(2, 2, bias=False).requires_grad_(False)
    >>> _ = net.weight.copy_(torch.eye(2))
    >>> x, y = torch.tensor([[0.75, 0.25]]), torch.tensor([0])
    >>> [sp.certify(net, x, y, ("Linf", eps)).certified.tolist() for eps in (0.2, 0.3)]
    [[True], [False]]
    """
    model, chosen = wrap(model), find_method(method)
    threat = (threat if isinstance(threat, Threat) else Threat(*threat)).within(model.box)
    if threat.eps is None:
        raise InputError("a certificate needs a radius: Threat('Linf', eps=0.1)")
    chosen.check(threat.norm)
    if chosen.reads_layers and (model.dtype or torch.float32) not in ROUNDING:
        raise InputError(f"{model.name} computes in {model.dtype}; bounds need float32 or float64: certify net.float()")
    if batch_size < 1:
        raise InputError(f"batch_size is {batch_size}; it must be at least 1")
    y, target = _aimed(y, len(x))
    parts: list[Certificates] = []
    graph = Graph()
    done = 0
    for images, labels in batches((x, y), batch_size):
        with model.guard(), torch.no_grad():
            images = model.accept(images)
            here = slice(done, done + len(images))
            aim = None if target is None else target[here].to(images.device)
            if chosen.reads_layers and not graph.nodes:
                graph = read_graph(model, tuple(images.shape[1:]))
            part = _certify(model, graph, images, labels, threat.rows(here), chosen, seed, aim)
        parts.append(part)
        done += len(images)
        if progress is not None:
            progress(done, part)
    return joined(parts)


def _aimed(y: Tensor | Targeted, n: int) -> tuple[Tensor, Tensor | None]:
    """The true classes [n] and the targets [n], None without."""
    if not isinstance(y, Targeted):
        return y, None
    if y.y is None:
        raise InputError("a certificate towards a target needs the true classes, too: Targeted(t, y)")
    return y.y, y.label.expand(n) if y.label.dim() == 0 else y.label


def _certify(
    model: Model, graph: Graph, x: Tensor, y: Tensor, threat: Threat, method: Method, seed: int, target: Tensor | None
) -> Certificates:
    """The certificates of one batch."""
    began = time.perf_counter()
    raw = model.raw(x)
    logits = model.read(raw)
    model.inspect(raw, x)
    y = check_labels(y, len(x), logits.shape[1]).to(x.device)
    if target is not None and bool((target == y).any()):
        raise InputError("a target is the image's own class; prove something about another class")
    margin = -(Untargeted(y) if target is None else Targeted(target, y)).margin(logits).double()
    right = logits.argmax(1) == y
    assert threat.box is not None
    assert threat.eps is not None
    eps = torch.full((len(x),), threat.eps, dtype=x.dtype, device=x.device)
    ball = Ball(x, threat.norm, eps, threat.box, None, threat.mask(x))
    at = (right if method.reads_layers else torch.ones_like(right)).nonzero().squeeze(1)
    aim = None if target is None else target[at]
    asked = Question.ask(model, ball[at], y[at], logits[at], graph, aim)
    found = method.prove(asked, margin[at], seed) if len(at) else None
    right = right if found is None or found.right is None else found.right
    whole = _spread(found, at, margin)
    points = x.clone()
    if found is not None and found.points is not None:
        points[at] = found.points
    seconds = torch.full((len(x),), (time.perf_counter() - began) / len(x), dtype=torch.float64)
    certified, bound, least, attacked = (v.cpu() for v in (whole.certified, whole.bound, whole.margin, whole.attacked))
    return Certificates(
        certified, bound, least, right.cpu(), attacked, points.cpu(), seconds, threat, method.spec, seed
    )


def _spread(found: Outcome | None, at: Tensor, margin: Tensor) -> Outcome:
    """The outcome of some images among all; the others are wrong on the clean image, which bounds their margin."""
    no = torch.zeros(len(margin), dtype=torch.bool, device=margin.device)
    if found is None:
        return Outcome(no, margin.clone(), margin, no)
    return Outcome(
        no.index_put((at,), found.certified),
        margin.index_put((at,), found.bound.double()),
        margin.index_put((at,), found.margin.double()),
        no.index_put((at,), found.attacked),
    )
