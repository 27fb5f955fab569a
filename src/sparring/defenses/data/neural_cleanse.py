"""Neural Cleanse: a class that a small patch reaches from everywhere has a backdoor (Wang et al. 2019, IEEE S&P).

For each class t, a mask m and a pattern p are sought that turn clean images into t:

    minimise over m, p in [0, 1]   CE(f((1 - m) x + m p), t) + weight |m|_1

    index(t) = (median of |m| - |m_t|) / (1.4826 MAD)

A mask far smaller than the others' is a trigger. doi:10.1109/SP.2019.00031. Differs from the paper: all classes are
searched at once, and the weight adapts to each by the same rule; the masks start from fixed noise. Fails on triggers
that cover the image (blended, warped), and with few classes, where the median means little.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from sparring.defenses.data.activations import last_linear
from sparring.model import wrap
from sparring.seeds import derived_seed

WANTED = 0.95
"share of the images that a mask must turn"


@dataclass(frozen=True)
class Cleanse:
    """What was found for each of K classes.

    Attributes:
        masks: [K, 1, H, W] in [0, 1]. patterns: [K, C, H, W] in [0, 1]. success: [K], the share of images turned.
        sizes: [K], the L1 norm of the mask; infinite where it does not turn enough of them.
    """

    masks: Tensor
    patterns: Tensor
    success: Tensor
    sizes: Tensor

    @property
    def indices(self) -> Tensor:
        """The anomaly index of each class, [K]; the paper takes 2 as a sign of a backdoor."""
        found = torch.where(self.sizes.isfinite(), self.sizes, self.sizes[self.sizes.isfinite()].amax().clamp(min=1))
        middle = found.quantile(0.5)
        spread = 1.4826 * (found - middle).abs().quantile(0.5)
        return (middle - found) / spread.clamp(min=1e-12)

    @property
    def score(self) -> float:
        """The largest index: higher = more suspicious; 0 where no class was reached."""
        return float(self.indices.amax()) if bool(self.sizes.isfinite().any()) else 0.0

    @property
    def ratio(self) -> float:
        """log(median size / smallest size): with few classes the median deviation behind `indices` is a rough scale."""
        found = self.sizes[self.sizes.isfinite()]
        return float((found.quantile(0.5) / found.amin().clamp(min=1e-6)).log()) if len(found) else 0.0

    @property
    def suspect(self) -> int:
        """The class with the smallest mask."""
        return int(self.sizes.argmin())


def neural_cleanse(net: nn.Module, x: Tensor, *, steps: int = 150, lr: float = 0.1, seed: int = 0) -> Cleanse:
    """Search the trigger of each class.

    Args:
        net: pixels in [0, 1] to logits. x: clean images [B, C, H, W], of all classes. steps, lr: of Adam.
    """
    model, classes = wrap(net), last_linear(net).out_features
    generator = torch.Generator().manual_seed(derived_seed(seed, "cleanse"))
    shape = (classes, 1, *x.shape[2:])
    raw_mask = (torch.rand(shape, generator=generator) * 0.2 - 2).requires_grad_()
    raw_pattern = (torch.rand(classes, *x.shape[1:], generator=generator) * 0.2 - 0.1).requires_grad_()
    weight = torch.full((classes,), 1e-3)
    adam = torch.optim.Adam([raw_mask, raw_pattern], lr=lr, betas=(0.5, 0.9))
    aims = torch.arange(classes).repeat_interleave(len(x))
    best = Cleanse(
        torch.zeros(shape), torch.zeros_like(raw_pattern), torch.zeros(classes), torch.full((classes,), torch.inf)
    )
    with model.guard():
        for _ in range(steps):
            mask, pattern = raw_mask.sigmoid(), raw_pattern.sigmoid()
            mixed = ((1 - mask[:, None]) * x[None] + (mask * pattern)[:, None]).flatten(0, 1)
            logits = model.logits(mixed)
            size = mask.flatten(1).sum(1)
            success = (logits.argmax(1) == aims).float().view(classes, -1).mean(1)
            better = (success >= WANTED) & (size.detach() < best.sizes)
            best = Cleanse(
                *(
                    torch.where(better.view(-1, *[1] * (old.dim() - 1)), new.detach(), old)
                    for new, old in zip((mask, pattern, success, size), vars(best).values(), strict=True)
                )
            )
            wrong = cross_entropy(logits, aims, reduction="none").view(classes, -1).mean(1)
            loss = (wrong + weight * size).sum()
            raw_mask.grad, raw_pattern.grad = torch.autograd.grad(loss, [raw_mask, raw_pattern])
            adam.step()
            # dearer pixels where the class is reached, cheaper ones where it is not
            weight = torch.where(success >= WANTED, weight * 1.1, weight / 1.15).clamp(1e-4, 1.0)
    return best
