"""The attack on classifier and detector at once: fool the one, and then stay below the threshold of the other.

    not misclassified:   a step up the margin;   misclassified, but noticed:   a step down the score

Each image takes the step that it needs, so that no weight between the two has to be found (selective PGD, Bryniarski
et al. 2022, arXiv:2106.15023). Differs from the paper: the steps follow the gradient itself whatever the norm of the
threat, since signs move all pixels, which detectors of that kind see best; kept is the first point that gets past both.
"""

from __future__ import annotations

import torch
from torch import Tensor

from sparring.defenses.detect.detector import Detector
from sparring.errors import InputError
from sparring.norms import L2, Linf, per
from sparring.threat import Threat, Untargeted


def evasion_attack(
    detector: Detector,
    x: Tensor,
    y: Tensor,
    threat: Threat | tuple[str, float],
    *,
    threshold: float = 1.0,
    steps: int = 100,
    step: float = 0.1,
) -> tuple[Tensor, Tensor]:
    """Points inside the threat that are misclassified and not noticed.

    Args:
        x: pixels [B, C, H, W] in the model's box; y: the true classes [B]. threshold: scores above it are noticed.
        step: the first step's length, in parts of the L2 radius of the threat; it falls to nothing at the end.

    Returns:
        The points, and whether each gets past [B]. Where none was found, the last one.
    """
    threat = threat if isinstance(threat, Threat) else Threat(*threat)
    if threat.eps is None:
        raise InputError("the attack on a detector needs an eps, like Threat('Linf', 0.3)")
    model, goal = detector.model, Untargeted(y)
    ball = threat.within(model.box).ball(x)
    radius = float(threat.eps) * (x[0].numel() ** 0.5 if threat.norm is Linf and len(x) else 1.0)
    z, found, past = x, x.clone(), torch.zeros(len(x), dtype=torch.bool)
    with model.guard():
        for k in range(steps + 1):
            z = z.detach().requires_grad_()
            margin, score = goal.margin(model.logits(z)), detector.score(z)
            new = (margin > 0) & (score <= threshold) & ~past
            found[new], past = z.detach()[new], past | new
            if k == steps or bool(past.all()):
                break
            pull = torch.where(margin > 0, -score, margin)
            (slope,) = torch.autograd.grad(pull.sum(), z)
            moved = ball.project(z.detach() + radius * step * (1 - k / steps) * L2.steepest(slope))
            z = torch.where(per(past, z), z, moved)
    return torch.where(per(past, x), found, z.detach()), past
