"""What was measured about a sign, in the few words that a verdict has room for."""

from __future__ import annotations

import torch

from sparring.audit.probes.probe import Probes
from sparring.audit.statistics.proportion import percent
from sparring.result import Result


def notes(probes: Probes, draws: int, worst: Result) -> dict[str, str]:
    """By the code of the doubt; only where more than its share is worth telling.

    `draws`, `worst`: fresh looks at the worst point of each image, 0 where the model answers the same twice.
    """
    told = {}
    if probes.flat_ce is not None and probes.moved is not None:
        told["loss-saturation"] = (
            f"zero cross-entropy gradients for {percent(probes.flat_ce)} of the images, median margin "
            f"{probes.gap:.3g}, FGSM moved {percent(probes.moved)} of them"
        )
    if probes.rounded is not None:
        told["low-precision"] = f"{probes.rounded}; in float32 the same weights show none of it"
    conduct, local = probes.conduct, probes.local
    if probes.training and probes.active and conduct is not None:
        said = []
        if probes.random:
            first, second = (f"{100 * share:.1f}" for share in conduct.twice)
            said.append(f"clean accuracy is not reproducible ({first} and {second} % in two passes)")
        if probes.in_eval is not None:
            right, standing = probes.in_eval
            said.append(f"in eval mode {percent(right.value)} are right and at most {percent(standing.value)} stand")
        if said:
            told["train-mode"] = "; ".join(said)
    if local is not None and local.aligned is not None:
        told["misaligned-gradients"] = f"mean cosine {local.aligned:.2f} with the gradient nearby"
    if local is not None and local.faithful is not None:
        told["unfaithful-gradients"] = f"rank correlation {local.faithful:.2f} with differences of the loss"
    if probes.random:
        steady = ", the same again from the same seed" if conduct is not None and conduct.seedable else ""
        misses = torch.where(worst.clean_correct, (worst.margin.double() + 1) / 2, 1.0)
        told["random-outputs"] = (
            f"two passes differ for {percent(probes.changed)} of the images{steady}; each is judged by the majority of "
            f"{draws} fresh looks, the mean over them is {percent(float(1 - misses.clamp(0, 1).mean()))}"
        )
    return told
