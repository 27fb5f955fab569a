"""From whatever a net returns to logits [B, K], and the refusal of what only looks like logits."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor

from sparring.errors import OutputError


def unpack(answer: Any) -> Tensor:
    """The logits in a tensor, an object with `.logits`, a dict with "logits" or a tuple: a tensor."""
    if isinstance(answer, Tensor):
        return answer
    if isinstance(answer, Mapping) and isinstance(answer.get("logits"), Tensor):
        return answer["logits"]
    if isinstance(getattr(answer, "logits", None), Tensor):
        return answer.logits
    if isinstance(answer, (tuple, list)) and answer and isinstance(answer[0], Tensor):
        return answer[0]
    keys = f" with keys {sorted(map(str, answer))}" if isinstance(answer, Mapping) else ""
    raise OutputError(
        f"the model returned a {type(answer).__name__}{keys}; a tensor of logits [B, K], an object or dict with "
        "'logits', or a tuple that starts with them is needed (sparring judges classifiers only)"
    )


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
    if answer.dtype in (torch.float16, torch.bfloat16):
        answer = answer.float()
    if answer.shape[1] == 1:  # sigmoid(z) = softmax([0, z])[1]
        z = torch.logit(answer, eps=1e-7) if outputs == "probabilities" else answer
        return torch.cat([torch.zeros_like(z), z], 1)
    return answer.clamp(min=1e-38).log() if outputs == "probabilities" else answer


def refuse_probabilities(answer: Tensor, traced: Callable[[], Tensor]) -> None:
    """Raise if the answer is probabilities or their logarithms: attacks through a softmax see gradients that vanish.

    Args:
        answer: the net's answer to clean images. traced: asks it about one of them with gradients on; called only
            when a single output lies in [0, 1] everywhere, which a logit may do too: then its graph tells.
    """
    kind = _single(answer, traced) if answer.dim() < 2 or answer.shape[1] == 1 else _several(answer.double())
    if kind is not None:
        raise OutputError(
            f"the model returns {kind.replace('_', '-')}, not logits: drop its last softmax, log-softmax or sigmoid "
            f"layer, or pass wrap(..., outputs='{kind}') to judge it as it is"
        )


def _several(values: Tensor) -> str | None:
    if bool((values >= -1e-5).all()) and bool(((values.sum(1) - 1).abs() < 1e-4).all()):
        return "probabilities"
    if bool((values <= 1e-5).all()) and bool((values.logsumexp(1).abs() < 1e-4).all()):
        return "log_probabilities"
    return None


def _single(values: Tensor, traced: Callable[[], Tensor]) -> str | None:
    if not bool(((values >= 0) & (values <= 1)).all()):
        return None
    node = traced().grad_fn
    for _ in range(4):  # behind a squeeze, a cast ...
        if node is None:
            return None
        if "Sigmoid" in type(node).__name__:
            return "probabilities"
        node = node.next_functions[0][0] if node.next_functions else None
    return None
