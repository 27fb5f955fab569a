"""Checks of the model itself: mode, randomness, outputs, range of pixels, data."""

from __future__ import annotations

import torch

from sparring.audit.checks.evidence import Evidence
from sparring.audit.checks.registry import Found, Outcome, Skipped, check
from sparring.audit.statistics.proportion import percent

EXCESS = 0.25
"of the images: two classes are never spread as evenly as their labels"
CANNOT_BE_ALONE = "images were asked for in batches, as alone it refuses them or is no better than chance"
RANDOM = Skipped("the model answers at random")


def _train_note(seen: Evidence) -> str | None:
    probes = seen.probes
    if not (probes.training and probes.active and probes.conduct is not None):
        return None
    said = []
    if probes.random:
        first, second = (f"{100 * share:.1f}" for share in probes.conduct.twice)
        said.append(f"clean accuracy is not reproducible ({first} and {second} % in two passes)")
    if probes.in_eval is not None:
        right, standing = probes.in_eval
        said.append(f"in eval mode {percent(right.value)} are right and at most {percent(standing.value)} survive")
    return "; ".join(said) or None


@check(
    "train-mode",
    title="The model came in train mode",
    means="Dropout or batch normalisation was set to training. Figures measured that way cannot be reproduced, and "
    "they depend on the other images in the batch.",
    remedy="Call model.eval() before measuring. The audit does so, unless the model was wrapped with mode='as_is'.",
    fine="The model came in eval mode",
    note=_train_note,
    early=True,
)
def train_mode(seen: Evidence) -> Outcome:
    """A dropout or normalisation module is in train mode."""
    probes = seen.probes
    if not probes.training:
        return None
    names = ", ".join(probes.training[:3]) + (", ..." if len(probes.training) > 3 else "")
    how = "it stayed so, as it was wrapped with mode='as_is'" if probes.active else "the audit put it into eval mode"
    if probes.in_eval is not None:
        right, standing = probes.in_eval
        how += f"; in eval mode {percent(right.value)} are right and {percent(standing.value)} survive PGD"
    return Found(f"the model came in train mode ({names}); {how}")


def _random_note(seen: Evidence) -> str | None:
    probes, worst = seen.probes, seen.worst
    if not probes.random or worst is None:
        return None
    steady = ", the same again from the same seed" if probes.conduct is not None and probes.conduct.seedable else ""
    misses = torch.where(worst.clean_correct, (worst.margin.double() + 1) / 2, 1.0)
    return (
        f"two passes differ for {percent(probes.changed)} of the images{steady}; each image is judged by the majority "
        f"of {seen.draws} fresh passes, the mean over them is {percent(float(1 - misses.clamp(0, 1).mean()))}"
    )


@check(
    "random-outputs",
    severe=True,
    title="The model answers at random",
    cause="the model answers at random",
    means="The same image gets different answers in two passes. A single pass decides neither success nor failure, and "
    "one noisy gradient says little.",
    remedy="Average gradients over the noise (EOT, `pgd:view=eot20`) and judge each image by several passes. Or switch "
    "the randomness off.",
    fine="Two passes give the same answers",
    measured="two passes differ for {} of the images",
    note=_random_note,
    early=True,
)
def random_outputs(seen: Evidence) -> Outcome:
    """Any of up to 250 images, or of 32 points near them, gets another class, or other logits, in a second pass."""
    if not seen.probes.changed:
        return None
    seedable = seen.probes.conduct is not None and seen.probes.conduct.seedable
    again = "; from the same seed they agree" if seedable else ""
    share = seen.probes.changed
    return Found(f"two passes over the same images differ for {percent(share)} of them{again}", share)


@check(
    "remembers-questions",
    severe=True,
    title="Answers depend on what was asked before",
    cause="the model's answers depend on what it was asked before",
    means="The model keeps something from one question to the next: a counter, a cache, a running statistic. Put back "
    "to what it was before the first question, it answers otherwise. It may know that it is being examined.",
    remedy="Take the memory out. The audit puts the model back before each question, and judges the model as it came.",
    fine="Answers do not depend on earlier questions",
    measured="{} of the images are answered otherwise than by the model as it came",
    early=True,
)
def remembers_questions(seen: Evidence) -> Outcome:
    """Any of up to 32 clean images, and of as many points near them, is answered otherwise by the model as it came; or
    clean images are answered otherwise at the end."""
    share = seen.probes.remembers
    if share:
        return Found(f"{percent(share)} of the images are answered otherwise than by the model as it came", share)
    again = seen.again
    if again.hits == again.of:
        return None
    text = f"{again.of - again.hits} of {again.of} clean images are answered otherwise at the end than at first"
    return Found(text, 1 - again.value)


def _alone_note(seen: Evidence) -> str | None:
    conduct = seen.probes.conduct
    if conduct is None or not conduct.crowded:
        return None
    how = "each image was asked for alone, at the cost of a forward pass" if seen.probes.alone else CANNOT_BE_ALONE
    return f"{percent(conduct.crowded)} of the images are answered differently when shown alone; from there on {how}"


@check(
    "batch-dependent",
    severe=True,
    title="Images influence each other",
    cause="the answer to an image depends on the other images in the batch",
    means="An image gets another answer when it is shown alone. The model normalises by the batch, or carries a state "
    "from one call to the next. Its accuracy, and every attack on it, depends on the neighbours.",
    remedy="Put the model into eval mode. Where the model answers one image alone, the audit asks for one image at a "
    "time from then on, as whoever attacks a deployed model would. A pass then serves one image, so it takes longer.",
    fine="Each image is answered alone",
    note=_alone_note,
    early=True,
)
def batch_dependent(seen: Evidence) -> Outcome:
    """Any of up to 16 images, or of as many points near them, is answered otherwise when it is shown alone."""
    conduct = seen.probes.conduct
    if seen.probes.random:
        return RANDOM
    share = (conduct.crowded or 0.0) if conduct is not None else 0.0
    return Found(str(_alone_note(seen)), share) if share else None


@check(
    "dynamic-inference",
    title="The model optimises while it answers",
    means="The model asks for gradients inside its forward pass: it purifies or adapts. Attacks on the answer alone do "
    "not see through that loop.",
    remedy="Attack the model without the loop, show the examples to the whole, and use BPDA through the loop.",
    early=True,
)
def dynamic_inference(seen: Evidence) -> Outcome:
    """The model computes gradients of its own in a forward pass."""
    conduct = seen.probes.conduct
    return Found("the model computes gradients while it answers") if conduct is not None and conduct.dynamic else None


@check(
    "wrong-range",
    title="Another range of pixels suits the model better",
    means="With the pixels in another range the model is right more often on the same images. It was trained for that "
    "range.",
    remedy="Give mean= and std=, or box=, when you wrap the model.",
    fine="The pixels are in the range that suits the model",
    early=True,
)
def wrong_range(seen: Evidence) -> Outcome:
    """The model is right more often with the pixels rescaled."""
    conduct = seen.probes.conduct
    if seen.probes.random:
        return RANDOM
    if conduct is None or conduct.scale is None:
        return None
    return Found(f"{conduct.scale}, more often than on the pixels that it was given")


@check(
    "label-order",
    title="The classes may be in another order",
    means="Some classes are predicted as another class nearly always. The numbers of the classes seem to mean other "
    "things to the model than to the data.",
    remedy="Compare the class names of both. wrap(net, classes=[...]) matches classes by name.",
    early=True,
)
def label_order(seen: Evidence) -> Outcome:
    """With its classes renamed one to one, the model is right clearly more often."""
    share = seen.probes.renamed
    if share is None:
        return None
    return Found(f"with its classes renamed the model would be right on {percent(share)} of the images", share)


@check(
    "probabilities",
    title="The model gives probabilities",
    means="Logits were recovered as logarithms. What a probability of exactly 0 or 1 has lost cannot be recovered.",
    remedy="Drop the last softmax, and return logits.",
    early=True,
)
def probabilities(seen: Evidence) -> Outcome:
    """The model was wrapped with outputs that are not logits."""
    kind = seen.probes.outputs
    if kind == "logits":
        return None
    return Found(f"the model gives {kind.replace('_', '-')}; their logarithm was attacked")


@check(
    "duplicate-images",
    title="Some images are there twice",
    means="The same image counts several times, so the intervals are too narrow.",
    remedy="Remove the duplicates.",
    early=True,
)
def duplicate_images(seen: Evidence) -> Outcome:
    """Any of the images checked appears more than once."""
    twins = seen.probes.twins
    return Found(f"{twins} of the first images appear more than once") if twins else None


@check(
    "few-classes",
    title="Few classes",
    means="With two classes the DLR loss is not defined, and the margin takes its place. With three, the targeted DLR "
    "loss falls back to a simpler ratio. The attacks are less diverse than their number suggests.",
    remedy="Nothing has to be done.",
    early=True,
)
def few_classes(seen: Evidence) -> Outcome:
    """The model has at most 3 classes."""
    if seen.classes > 3:
        return None
    return Found(f"the model has {seen.classes} classes, too few for some losses")


@check(
    "constant-predictor",
    severe=True,
    title="One class is predicted nearly always",
    cause="the model predicts one class for nearly every image, and what survives is the share of that class",
    means="Most predictions are one class although most labels are not. Clean accuracy is low, and what survives is "
    "mostly that class.",
    remedy="Look at the accuracy of each class.",
    fine="Predictions are spread like the labels",
    early=True,
)
def constant_predictor(seen: Evidence) -> Outcome:
    """One class makes up over half of the predictions and at most half of the labels, and a quarter of all images are
    predicted so that are not."""
    probes = seen.probes
    if not (probes.top_share > 0.5 and probes.top_truth <= 0.5 and probes.top_share - probes.top_truth > EXCESS):
        return None
    return Found(
        f"class {probes.top} makes up {percent(probes.top_share)} of the predictions and "
        f"{percent(probes.top_truth)} of the labels",
        probes.top_share,
    )
