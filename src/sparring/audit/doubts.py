"""What each doubt means and what to do about it: the text behind the codes that machines read."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Meaning:
    """The explanation of a code.

    Attributes:
        title: a few words. means, remedy: a sentence each.
        severe: it can make a model look robust that is not; the verdict names it as a cause of gradient masking.
        cause: the cause in the verdict's words, for severe ones. fine: what is known where the doubt is absent.
    """

    title: str
    means: str
    remedy: str
    severe: bool = False
    cause: str = ""
    fine: str = ""


MEANINGS: dict[str, Meaning] = {
    "canary-missed": Meaning(
        "The attacks missed what was planted",
        "On a planted classifier, where success within the radius is certain, no attack of the suite found all of it: "
        "what they say of the model proves nothing.",
        "Give the attacks more steps or queries; look for one that is broken.",
        severe=True,
        cause="the attacks missed successes that were planted for them",
        fine="The attacks find what is planted for them",
    ),
    "control-stands": Meaning(
        "The control stands",
        "A plain net, which every working attack breaks at this radius, was not broken by this suite.",
        "Use a stronger suite; look for an attack that is broken.",
        severe=True,
        cause="the attacks do not break a plain net that every working attack breaks",
    ),
    "constant-predictor": Meaning(
        "One class is predicted nearly always",
        "Most predictions are one class although the labels are not: clean accuracy is low, and what survives "
        "is mostly that class.",
        "Look at the accuracy of each class.",
        severe=True,
        cause="it says one class for nearly every image, and what stands is the share of that class",
        fine="Predictions are spread like the labels",
    ),
    "loss-saturation": Meaning(
        "The loss is saturated",
        "The softmax is so sure of itself that cross-entropy rounds to 0 and its gradient to exactly 0: attacks that "
        "climb it stand still, while the logits beneath are as steerable as ever.",
        "Attack the logits: margin or DLR loss (pgd:loss=margin, apgd-dlr), or divide the logits by their scale; "
        "Square needs no gradients.",
        severe=True,
        cause="softmax saturation",
        fine="The cross-entropy loss is not saturated",
    ),
    "piecewise-constant": Meaning(
        "The model is flat in steps",
        "Tiny moves of every pixel leave the logits as they were, to the last bit: the input is rounded or coded, and "
        "a gradient through steps is zero or meaningless.",
        "Give the rounding a differentiable stand-in (BPDA; the identity will do), or attack without gradients.",
        severe=True,
        cause="the input is rounded or coded, so gradients are zero",
        fine="Tiny moves change the logits",
    ),
    "zero-gradients": Meaning(
        "Gradients are zero",
        "The gradient with respect to the pixels is exactly zero, even for a loss on the logits: something in the "
        "model cuts it or is flat (rounding, a step, no_grad, a layer without a backward).",
        "Give the layer a differentiable stand-in (BPDA), or trust only attacks that need no gradients.",
        severe=True,
        cause="zero gradients",
        fine="Gradients are not zero",
    ),
    "shortcuts-missed": Meaning(
        "The shortcuts missed something",
        "Random images were attacked again without any shortcut, and some fell that the suite had given up as too far: "
        "others like them, not drawn, are still counted as robust.",
        "Run --suite full, which gives up nobody.",
    ),
    "random-outputs": Meaning(
        "The model answers at random",
        "The same image gets different answers in two passes: a single look decides neither success nor failure, and "
        "one noisy gradient says little.",
        "Average over the noise (EOT, pgd:view=eot:20) and judge each image by several draws; or switch the "
        "randomness off.",
        severe=True,
        cause="random outputs",
        fine="Two passes give the same answers",
    ),
    "batch-dependent": Meaning(
        "Images answer for each other",
        "An image gets another answer when it is shown alone: normalisation by the batch, or a state that is carried "
        "on. Its accuracy, and every attack on it, depends on its neighbours.",
        "Put the model in eval mode, or judge images one at a time.",
        severe=True,
        cause="answers depend on the other images in the batch",
        fine="Each image is answered alone",
    ),
    "black-box-beats-white-box": Meaning(
        "Black box beats white box",
        "An attack that only sees scores breaks images that no attack with gradients breaks: the gradients mislead.",
        "Find what bends the gradients; use BPDA or averaged gradients, and more queries.",
        severe=True,
        cause="misleading gradients: a query attack beats those that see gradients",
        fine="Query attacks find nothing that gradients miss",
    ),
    "noise-beats-gradient": Meaning(
        "Random noise beats gradients",
        "Random points of the ball fool the model where gradient attacks do not: the gradients mislead.",
        "As for black box beats white box.",
        severe=True,
        cause="misleading gradients: random noise beats them",
        fine="Random noise finds nothing that gradients miss",
    ),
    "single-step-beats-iterative": Meaning(
        "One step beats many",
        "FGSM breaks images that PGD on the same loss does not: the loss surface is rugged, or the iterative attack "
        "is faulty.",
        "Smaller steps, more restarts, averaged gradients; check how the iterative attack was made.",
        severe=True,
        cause="a rugged loss surface: a single step beats many",
        fine="Many steps beat one",
    ),
    "large-eps-survives": Meaning(
        "Even huge perturbations fail",
        "With a budget that allows a grey image, or any image at all, attacks should reach chance, yet images survive: "
        "the attack fails, not the perturbation.",
        "Another loss, BPDA, or attacks without gradients.",
        severe=True,
        cause="even a perturbation as large as the image fails to fool it",
        fine="Huge perturbations fool the model",
    ),
    "budget-not-used": Meaning(
        "The attack did not move",
        "FGSM, which should go to the edge of the ball, returned images that are unchanged or hardly changed: the "
        "accuracy it reports is that of not being attacked.",
        "See which gradients are zero; use another loss.",
        severe=True,
        cause="the attack did not move the images",
        fine="Attacks use the whole budget",
    ),
    "unfaithful-gradients": Meaning(
        "Gradients do not tell the truth",
        "Along random directions the loss does not change as its gradient says: a backward pass that does not belong "
        "to the forward pass, or a surface too rugged for the radius.",
        "Averaged gradients, finite differences (SPSA, NES) or Square; look for a layer with a backward of its own.",
        severe=True,
        cause="gradients that do not tell how the loss changes",
        fine="Gradients tell how the loss changes",
    ),
    "misaligned-gradients": Meaning(
        "Gradients turn at every corner",
        "The gradient at an image has little to do with that at a random point of its ball: a single step goes "
        "astray. It is the mark of a net that has overfitted to single steps.",
        "Many small steps with restarts, averaged gradients; train with several steps or GradAlign.",
        severe=True,
        cause="a loss surface bent so that single steps go astray (catastrophic overfitting)",
        fine="Gradients nearby point the same way",
    ),
    "unstable-outputs": Meaning(
        "Outputs jump",
        "A tenth of the radius, at random, changes the loss by more than a tenth of itself: gradients hold for "
        "no step of useful length.",
        "Averaged gradients, smaller steps, attacks without gradients.",
        severe=True,
        cause="outputs that jump within a tenth of the radius",
        fine="Outputs are steady",
    ),
    "not-monotone": Meaning(
        "A larger eps breaks fewer",
        "Whatever fools at a small eps is allowed at a larger one too; where accuracy rises, the search gets stuck.",
        "More steps and restarts; read the envelope, not the raw curve.",
        fine="A larger eps never breaks fewer",
    ),
    "train-mode": Meaning(
        "The model came in train mode",
        "Dropout or batch normalisation was switched to training: figures measured that way are not reproducible, and "
        "depend on the batch.",
        "Call model.eval() before measuring; the audit does so unless the model was wrapped with mode='as_is'.",
        fine="The model came in eval mode",
    ),
    "clean-mismatch": Meaning(
        "The claimed clean accuracy is another",
        "On clean images the model is not as accurate as claimed: other weights, other data, other preprocessing or "
        "train mode.",
        "Settle this first; every other claim rests on it.",
    ),
    "claim-not-reproduced": Meaning(
        "The claimed attack gives another figure",
        "The same attack at the same eps, run here, leaves a share of images that differs from the claim by more "
        "than chance allows.",
        "Compare the settings; look for a faulty implementation behind the claim.",
    ),
    "rounding": Meaning(
        "Rounding to 8 bits undoes some successes",
        "Saved as 8-bit pictures, some adversarial images are adversarial no longer: they lie just across the border.",
        "If pictures are what the attacker can send, audit with Threat(..., levels=256).",
        fine="Successes survive rounding to 8 bits",
    ),
    "weaker-than-one-step": Meaning(
        "Iterations claimed to do less than one step",
        "An iterative attack is claimed to leave more than a single step of FGSM leaves here. Iterations start from "
        "that step: one gradient was used again for all of them, or the attack is faulty.",
        "Take a new gradient in every step; compare with sparring's own bim or pgd.",
    ),
    "attack-does-nothing": Meaning(
        "An attack does nothing",
        "It found nothing of what was planted where success is certain: its figure is the clean accuracy.",
        "Look for a bug in it; its stage counts for nothing.",
    ),
    "saturated-outputs": Meaning(
        "Logits are far apart",
        "Many probabilities are 1 to the last bit. Gradients of the cross-entropy are not zero, but some of their "
        "parts are lost to rounding.",
        "Prefer margin and DLR losses.",
    ),
    "dynamic-inference": Meaning(
        "The model optimises while it answers",
        "It asks for gradients inside its forward pass: purification or adaptation. Attacks on the answer alone do "
        "not see through that loop.",
        "Measure the static model first, attack it, and show its examples to the whole; BPDA through the loop.",
    ),
    "wrong-range": Meaning(
        "Another range of pixels suits the model better",
        "On the same images with pixels in another range it is right more often: it was trained for that range.",
        "Give mean= and std=, or box=, when wrapping the model.",
        fine="The pixels are in the range that suits the model",
    ),
    "probabilities": Meaning(
        "The model gives probabilities",
        "Logits were recovered as logarithms; what a probability of exactly 0 or 1 has lost cannot be recovered.",
        "Drop the last softmax, and give logits.",
    ),
    "duplicate-images": Meaning(
        "Some images are there twice",
        "The same image counts several times: intervals are too narrow.",
        "Remove the duplicates.",
    ),
    "few-classes": Meaning(
        "Few classes",
        "With two classes DLR is not defined (the margin takes its place) and there is nothing to aim at; with three, "
        "targeted DLR falls back to a simpler ratio.",
        "Nothing to do; the attacks are less diverse than their number suggests.",
    ),
    "few-attacks": Meaning(
        "Few attacks could run",
        "Attacks with and attacks without gradients did not both run under this norm, access or suite: the figure is a "
        "weak upper bound.",
        "Grant more access, or use a norm that more attacks know.",
    ),
    "non-finite": Meaning(
        "NaN or Inf on the way",
        "Some perturbed images gave NaN or Inf in logits or gradients; such points count as not fooled.",
        "Find the operation that overflows.",
        fine="No NaN or Inf on the way",
    ),
}


def meaning(code: str) -> Meaning:
    """The explanation of `code`; a plain one for codes of attacks that are not known here."""
    return MEANINGS.get(
        code, Meaning(code.replace("-", " ").capitalize(), "Reported by an attack.", "See its message.")
    )


SEVERE = tuple(code for code, known in MEANINGS.items() if known.severe)
"severe codes, the most telling first"
