"""From whatever a net returns to logits [B, K], and the refusal of what only looks like logits."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor

from sparring.errors import OutputError


def unpack(answer: Any) -> Tensor:
    """The logits in a tensor, an object with `.logits`, a dict with "logits" or a tuple: a tensor."""
    first = answer[0] if isinstance(answer, (tuple, list)) and answer else None
    named = answer.get("logits") if isinstance(answer, Mapping) else getattr(answer, "logits", None)
    for found in (answer, named, first):
        if isinstance(found, Tensor):
            return found
    keys = f" with keys {sorted(map(str, answer))}" if isinstance(answer, Mapping) else ""
    raise OutputError(
        f"the model returned a {type(answer).__name__}{keys}; a tensor of logits [B, K], an object or dict with "
        "'logits', or a tuple that starts with them is needed (sparring judges classifiers only)"
    )


def rows_of(answer: Tensor, count: int) -> Tensor:
    """The answer to `count` images with a row for each, also where the net has squeezed a batch of one."""
    if count == 1 and (answer.dim() == 0 or (answer.dim() == 1 and len(answer) > 1)):
        return answer[None]
    if not answer.dim() or len(answer) != count:
        raise OutputError(
            f"the model returned shape {tuple(answer.shape)} for {count} images; a row for each is needed"
        )
    return answer


def as_logits(answer: Tensor, outputs: str = "logits") -> Tensor:
    """Model answers [B, K], or [B] or [B, 1] for one logit, as logits [B, K >= 2] in at least float32."""
    if not answer.is_floating_point():
        raise OutputError(
            f"the model returned {answer.dtype} values; for class numbers only, wrap(..., access='decision')"
        )
    if answer.dim() == 1:
        answer = answer[:, None]
    if answer.dim() != 2:
        raise OutputError(
            f"the model returned shape {tuple(answer.shape)}, not [batch, classes]; only classifiers can be judged"
        )
    if not answer.shape[1]:
        raise OutputError(f"the model returned shape {tuple(answer.shape)}: logits of no class at all")
    if answer.dtype in (torch.float16, torch.bfloat16):
        answer = answer.float()
    if answer.shape[1] == 1:
        return _two_classes(answer, outputs)
    return answer.clamp(min=1e-38).log() if outputs == "probabilities" else answer


def _two_classes(answer: Tensor, outputs: str) -> Tensor:
    """The one number [B, 1] of a binary classifier, about class 1, as logits [B, 2] of classes 0 and 1."""
    if outputs == "logits":  # softmax([-z/2, z/2])[1] = sigmoid(z); with [0, z] gradients round to 0 from z = 17 on
        return torch.cat([-answer / 2, answer / 2], 1)
    p = answer if outputs == "probabilities" else answer.exp()
    log_p = answer.clamp(min=1e-38).log() if outputs == "probabilities" else answer
    least = torch.finfo(p.dtype).eps / 4  # half of what 1 - p can be apart from 0
    return torch.cat([(1 - p).clamp(min=least).log(), log_p], 1)


def vote(labels: Tensor, count: int) -> Tensor:
    """Class numbers, int [B], as logits [B, K]: 1 for the class that is said, 0 for the others. NaN for class -1.

    Raises:
        OutputError: a class beyond those that there are.
    """
    labels = labels.long()
    if len(labels) and not -1 <= int(labels.min()) <= int(labels.max()) < count:
        raise OutputError(
            f"the model said class {int(labels.max() if int(labels.max()) >= count else labels.min())}, but it has "
            f"{count} classes (0..{count - 1})"
        )
    votes = torch.nn.functional.one_hot(labels.clamp(min=0), count).float()
    return votes.masked_fill((labels < 0)[:, None], float("nan"))


def classes(logits: Tensor) -> Tensor:
    """The predicted classes [B] by logits [B, K]; -1 where the largest is NaN or Inf."""
    top, label = logits.max(1)
    return label.masked_fill(~top.isfinite(), -1)


def refuse_probabilities(answer: Tensor, traced: Callable[[], Tensor]) -> None:
    """Raise if the answer is probabilities or their logarithms: attacks through a softmax see gradients that vanish.

    Args:
        answer: the net's answer to clean images. traced: asks it about one of them with gradients on; called only
            when the numbers look like probabilities, which logits may do too: then the graph tells.
    """
    kind = _looks_like(answer)
    if kind is None:
        return
    again = traced()  # held until the walk is over: without it, older versions of torch free the graph
    if _made_by(again.grad_fn, MAKERS[kind], unknown=kind != "sigmoids"):
        said = "probabilities" if kind == "sigmoids" else kind
        raise OutputError(
            f"the model returns {said.replace('_', '-')}, not logits: drop its last softmax, log-softmax or sigmoid "
            f"layer, or pass wrap(..., outputs='{said}') to judge it as it is"
        )


MAKERS = {
    "probabilities": ("Softmax", "Sigmoid", "Exp"),
    "log_probabilities": ("LogSoftmax", "LogSigmoid", "Logsumexp", "Log"),
    "sigmoids": ("Sigmoid",),
}
"the operations, by the names of their backward nodes, that make each kind of number"


def _looks_like(values: Tensor) -> str | None:
    """What the numbers [B, ...] could be instead of logits, going by themselves."""
    slack = 1e-4 if values.dtype in (torch.float32, torch.float64) else 0.03
    values = values.double()
    several = values.dim() > 1 and values.shape[1] > 1
    if several and bool((values >= -slack).all()) and bool(((values.sum(1) - 1).abs() < slack).all()):
        return "probabilities"
    if several and bool((values <= slack).all()) and bool((values.logsumexp(1).abs() < slack).all()):
        return "log_probabilities"
    return "sigmoids" if bool(((values >= 0) & (values <= 1)).all()) else None


def _made_by(node: Any, makers: tuple[str, ...], unknown: bool, reach: int = 12) -> bool:
    """Is one of these operations among the last few of the graph? `unknown` if there is no graph to look at."""
    if node is None:
        return unknown
    nodes = [node]
    for _ in range(reach):
        if not nodes:
            return False
        node = nodes.pop(0)
        if type(node).__name__.partition("Backward")[0] in makers:
            return True
        nodes += [parent for parent, _ in node.next_functions if parent is not None]
    return False
