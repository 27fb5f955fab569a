"""Doubts that can make a model look robust that is not: the verdict names them as causes, the most telling first."""

from __future__ import annotations

from sparring.audit.checks.meaning import Meaning

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
    "low-precision": Meaning(
        "The net computes in low precision",
        "bfloat16 or half keep 8 or 11 bits: small moves and small gradients are rounded away, which hinders attacks "
        "that use gradients. In float32 the same weights are attacked without trouble.",
        "Audit the net in float32 (net.float()): what breaks it there breaks it here, nearly always.",
        severe=True,
        cause="the net's low precision, which rounds small moves and gradients away",
        fine="The net computes precisely enough",
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
    "transfer-beats-white-box": Meaning(
        "Transfer beats gradients",
        "Examples made for another net, by somebody who never saw this one, fool it where attacks with its own "
        "gradients do not: the gradients mislead.",
        "As for black box beats white box.",
        severe=True,
        cause="misleading gradients: examples made for another net beat them",
        fine="Examples made for another net find nothing that gradients miss",
    ),
}
