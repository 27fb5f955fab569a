"""The adversary's linear learner: multinomial logistic regression on principal components, warm-started.

    minimise   C sum_i loss(y_i, W x_i + b) + |W|^2 / 2

with the logistic loss, scikit-learn's objective, or with the squared hinge or the squared error of each class. Solved
by L-BFGS in float64. Label attacks refit it many times, hence the components and the warm start.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d, one_hot

from sparring.errors import InputError

COMPONENTS = 64


def features(x: Tensor, exact: bool = True, components: int = COMPONENTS) -> Tensor:
    """Pixels [N, C, H, W] as centred principal components [N, d], float64.

    Args:
        exact: False = pixels are averaged over 2 x 2 first, the adversary's own features.
    """
    rows = (x if exact else avg_pool2d(x, 2)).flatten(1).double()
    rows = rows - rows.mean(0)
    if rows.shape[1] <= components:
        return rows
    _, vectors = torch.linalg.eigh(rows.T @ rows)
    reduced: Tensor = rows @ vectors[:, -components:]
    return reduced


def losses(logits: Tensor, kind: str = "logistic") -> Tensor:
    """The loss of every sample under every label: logits [N, K] -> [N, K]."""
    if kind == "logistic":
        return logits.logsumexp(1, keepdim=True) - logits
    signs = 2 * torch.eye(logits.shape[1], dtype=logits.dtype) - 1  # [K labels, K outputs]
    gaps = 1 - signs[None] * logits[:, None]
    return (gaps.clamp(min=0) if kind == "svm" else gaps).square().sum(2)


@dataclass
class Linear:
    """A linear classifier and how it is fitted.

    Attributes:
        classes: K. C: the weight of the losses. kind: "logistic", "svm" or "ridge". steps: of L-BFGS, at most.
    """

    classes: int
    C: float = 0.1
    kind: str = "logistic"
    steps: int = 60

    def __post_init__(self) -> None:
        if self.kind not in ("logistic", "svm", "ridge"):
            raise InputError(f"the linear learner is {self.kind!r}; it must be logistic, svm or ridge")

    def fit(self, x: Tensor, y: Tensor, start: Tensor | None = None) -> Tensor:
        """The weights [d + 1, K] (the last row is the bias) for x [N, d] and labels y [N]."""
        rows = torch.cat([x, x.new_ones(len(x), 1)], 1)
        weights = (rows.new_zeros(rows.shape[1], self.classes) if start is None else start).clone().requires_grad_()
        truth = one_hot(y, self.classes).to(x.dtype)
        solver = torch.optim.LBFGS(
            [weights], max_iter=self.steps, history_size=10, line_search_fn="strong_wolfe", tolerance_grad=1e-6,
            tolerance_change=1e-10,
        )  # fmt: skip

        def objective() -> Tensor:
            solver.zero_grad()
            logits = rows @ weights
            if self.kind == "logistic":
                each = logits.logsumexp(1) - (logits * truth).sum(1)
            else:
                gaps = 1 - (2 * truth - 1) * logits
                each = (gaps.clamp(min=0) if self.kind == "svm" else gaps).square().sum(1)
            value: Tensor = self.C * each.sum() + weights[:-1].square().sum() / 2
            value.backward()  # type: ignore[no-untyped-call]
            return value

        solver.step(objective)  # type: ignore[no-untyped-call]
        return weights.detach()

    @staticmethod
    def logits(weights: Tensor, x: Tensor) -> Tensor:
        """[N, K]."""
        return x @ weights[:-1] + weights[-1]
