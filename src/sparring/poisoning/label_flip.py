"""Label flipping within a budget C: at random, one class into another, or chosen against a linear model.

    maximise over z in {0, 1}^N   the error of the learner that was trained on the flipped labels,   sum z_i <= C

`choose` says how: "random" draws samples and other labels; "near" and "far" take the samples with the smallest and the
largest margin of a linear surrogate (near = into the second class, far = into the least likely); "optimised" is ALFA.

Biggio, Nelson & Laskov 2011 (adversarial and random flips of an SVM); Xiao, Xiao & Eckert 2012,
doi:10.3233/978-1-61499-098-7-870. Differs from the papers: several classes; every sample costs the same. Fails against
a filter that knows the neighbours of a sample, unless the flips agree with each other.
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

from sparring.defenses.training.learners import LinearLearner
from sparring.errors import InputError
from sparring.poisoning.alfa import alfa
from sparring.poisoning.base import Change, Poison, Share, View, register
from sparring.poisoning.linear import Linear, features, losses
from sparring.seeds import derived_seed, torch_seed


@register(
    "label-flip",
    "flip",
    title="label flipping",
    paper="doi:10.3233/978-1-61499-098-7-870",
    year=2012,
    goal="availability",
    uses=("data", "features", "algorithm", "parameters"),
    linear=True,
)
class LabelFlip(Poison):
    """Wrong labels, the images as they were.

    Args:
        share: of the labels of the training set that are flipped, rounded to whole samples.
        choose: "random", "near", "far" or "optimised"; only "random" needs no surrogate.
        source, target: flip labels of this class only, into this class only; each may be left out (-1).

    >>> LabelFlip(share=0.2, source=1, target=7).spec
    'label-flip:share=0.2,source=1,target=7'
    """

    share: Share = 0.1
    choose: Literal["random", "near", "far", "optimised"] = "random"
    source: int = -1
    target: int = -1

    def change(self, view: View) -> Change:
        """See `Poison.change`.

        Raises:
            InputError: no such class, too few samples of it, or an option that does not go with `choose`.
        """
        y, classes = view.data.labels, len(view.data.classes)
        for name, value in (("source", self.source), ("target", self.target)):
            if value >= classes or value < -1:
                raise InputError(f"{name}={value}; the classes are 0 to {classes - 1}")
        if self.choose == "optimised" and (self.source >= 0 or self.target >= 0):
            raise InputError("label-flip: choose=optimised takes all classes; leave out source and target")
        if self.choose == "random":
            rows = view.draw(view.budget, self._allowed(y, view.budget))
            return Change(rows, labels=self._drawn(y[rows], classes, derived_seed(view.seed, "labels")))
        learner, x = self._surrogate(view)
        if self.choose == "optimised":
            found = alfa(x, y, view.budget, learner, torch_seed(derived_seed(view.seed, "alfa")))
            rows = (found.labels != y).nonzero().flatten()
            notes = {"surrogate_error": found.error, "start": found.start}
            return Change(rows, labels=found.labels[rows], notes=notes)
        return self._by_margin(view, learner, x)

    def _surrogate(self, view: View) -> tuple[Linear, Tensor]:
        """What the adversary trains in the victim's place, and on which features."""
        known = view.surrogate()
        linear = known if isinstance(known, LinearLearner) else LinearLearner()
        x, _ = view.data.tensors()
        learner = Linear(len(view.data.classes), linear.C, linear.kind)
        return learner, features(x, view.knows.features)

    def _allowed(self, y: Tensor, budget: int) -> Tensor:
        """The samples whose labels may change."""
        mask = y != self.target if self.source < 0 else (y == self.source) & (y != self.target)
        found: Tensor = mask.nonzero().flatten()
        if len(found) < budget:
            of = "of other classes" if self.source < 0 else f"of class {self.source}"
            raise InputError(
                f"share={self.share:g} is {budget} flips, but there are {len(found)} samples {of}; "
                f"at most share={len(found) / max(1, len(y)):.4g}"
            )
        return found

    def _drawn(self, old: Tensor, classes: int, seed: int) -> Tensor:
        """New labels: the target, or any other class with the same chance."""
        if self.target >= 0:
            return torch.full_like(old, self.target)
        generator = torch.Generator().manual_seed(seed)
        return (old + torch.randint(1, classes, old.shape, generator=generator)) % classes

    def _by_margin(self, view: View, learner: Linear, x: Tensor) -> Change:
        """The samples nearest to the boundary of the clean surrogate, or furthest from it."""
        y, rows = view.data.labels, torch.arange(len(view.data))
        cost = losses(learner.logits(learner.fit(x, y), x), learner.kind)
        other = cost.clone()
        if self.target >= 0:
            label = torch.full_like(y, self.target)
        else:
            other[rows, y] = torch.inf if self.choose == "near" else -torch.inf
            label = other.argmin(1) if self.choose == "near" else other.argmax(1)
        margin = cost[rows, label] - cost[rows, y]
        allowed = self._allowed(y, view.budget)
        order = margin[allowed].argsort(descending=self.choose == "far", stable=True)
        chosen = allowed[order[: view.budget]].sort().values
        return Change(chosen, labels=label[chosen])
