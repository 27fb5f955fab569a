"""Doubts about figures, claims and models that hide no weakness by themselves."""

from __future__ import annotations

from sparring.audit.checks.meaning import Meaning

MEANINGS: dict[str, Meaning] = {
    "shortcuts-missed": Meaning(
        "The shortcuts missed something",
        "Random images were attacked again without any shortcut, and some fell that the suite had given up as too far: "
        "others like them, not drawn, are still counted as robust.",
        "Run --suite full, which gives up nobody.",
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
    "certificate-broken": Meaning(
        "A certificate is broken",
        "An attack found a point inside a radius that was proved to hold none: the proof or its code is wrong, and the "
        "lower bound means nothing.",
        "Look at the image that is named; check norm, preprocessing and rounding of whatever made the certificates.",
    ),
    "not-converged": Meaning(
        "The searches were not over",
        "More of the same finds more: the figure says what these attacks had time for, and a longer search would lower "
        "it.",
        "More steps and restarts: --suite full, or a suite of your own.",
        fine="The searches had settled when they ended",
    ),
    "averages-too-few": Meaning(
        "Gradients want more averaging",
        "The model answers at random, and gradients averaged over twice as many looks break more images.",
        "More copies: pgd:view=eot:40.",
    ),
    "successes-not-reproduced": Meaning(
        "Successes vanish when shown again",
        "Points that fooled the model while they were searched for do not fool it when they are shown once more: it "
        "answers by chance, or by who else is in the batch.",
        "Show images one at a time, and average over the noise.",
        fine="Successes fool the model again when shown once more",
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
    "label-order": Meaning(
        "The classes may be in another order",
        "Some classes are predicted as another one nearly always, and that one is not confused with them by chance: "
        "numbers of classes mean other things to the model than to the data.",
        "Compare the names of the classes of both; wrap(net, classes=[...]) matches them by name.",
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
