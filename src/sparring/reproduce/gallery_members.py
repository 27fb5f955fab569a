"""The gallery's members: honest and broken defenses, each with the verdict that is known to be right."""

from __future__ import annotations

from dataclasses import dataclass

from sparring.model import Model, wrap
from sparring.reproduce.gallery_models import BUILDERS, Workshop


@dataclass(frozen=True)
class Member:
    """A model with a known verdict.

    Attributes:
        name: among `BUILDERS`. about: why the verdict is known.
        status, cause: what the audit must say; several causes where each would be right. "refused": it must refuse.
        eps: the audited radius. norm: that it is measured in.
        claim: the attack behind the claim, None = nothing is claimed. fake: it was made with one gradient, re-used.
        figure: the claim itself, where it is published and not measured here.
        signs: doubts that must be there, whatever the cause.
        honest: must never be accused. trained: needs training first. floor: the least clean accuracy to audit.
        model: of the builders', where it is another's. images: at most so many, where each pass is slow.
    """

    name: str
    about: str
    status: str
    cause: tuple[str | None, ...] = (None,)
    eps: float = 0.3
    claim: str | None = None
    fake: bool = False
    figure: float | None = None
    signs: tuple[str, ...] = ()
    honest: bool = False
    trained: bool = False
    floor: float | None = None
    model: str | None = None
    images: int | None = None
    norm: str = "Linf"

    def __str__(self) -> str:
        return self.name

    def made(self, shop: Workshop) -> Model:
        """The model itself."""
        return wrap(BUILDERS[self.model or self.name](shop))


MASKED = "gradient-masking"
HIDDEN = ("piecewise-constant", "zero-gradients")
MISLED = ("single-step-beats-iterative", "climbs-go-astray", "unfaithful-gradients", "transfer-beats-white-box")
GALLERY: tuple[Member, ...] = (
    Member("plain", "ordinary training; nothing is claimed", "no-claim", honest=True),
    Member("pgd", "PGD adversarial training, with its own card's figure", "claim-holds", figure=0.885, honest=True),
    Member("fast", "honest training, claimed by a weak attack", "overestimated", claim="fgsm", honest=True),
    Member(
        "hot, train mode",
        "the report's distilled net as published: dropout on, softmax saturated",
        MASKED,
        ("loss-saturation",),
        claim="fgsm",
        signs=("train-mode", "random-outputs"),
        trained=True,
    ),
    Member(
        "hot, eval mode",
        "the same in eval mode",
        MASKED,
        ("loss-saturation",),
        claim="fgsm",
        signs=("budget-not-used",),
        trained=True,
    ),
    Member("distilled", "defensive distillation at T = 100", MASKED, ("loss-saturation",), claim="fgsm", trained=True),
    Member("logits x 10,000", "a plain net, its logits scaled up", MASKED, ("loss-saturation",), claim="pgd"),
    Member(
        "zero backward", "a plain net behind a layer that gives no gradient", MASKED, ("zero-gradients",), claim="pgd"
    ),
    Member("rounding layer", "a plain net behind 4 grey levels", MASKED, ("piecewise-constant",), claim="pgd"),
    Member("1 bit", "a plain net behind 1-bit pixels", MASKED, ("piecewise-constant",), claim="pgd"),
    Member("JPEG", "a plain net behind JPEG's rounding", MASKED, ("piecewise-constant", "zero-gradients"), claim="pgd"),
    Member("random resize", "a plain net behind random resizing and padding", MASKED, ("random-outputs",), 0.1, "fgsm"),
    Member(
        "Defense-GAN",
        "a plain net behind the nearest image of a generator, as in the paper (L=200, R=10), 20 images",
        MASKED,
        ("zero-gradients",),
        claim="pgd",
        images=20,
    ),
    Member("MagNet", "a plain net behind an autoencoder, claimed by a single step", "overestimated", claim="fgsm"),
    Member(
        "DiffPure",
        "a plain net behind noise and a denoiser, 12 images",
        MASKED,
        ("random-outputs",),
        claim="fgsm",
        images=12,
    ),
    Member(
        "dropout on",
        "a plain net with dropout left on",
        MASKED,
        ("random-outputs",),
        0.2,
        "fgsm",
        signs=("train-mode",),
        trained=True,
    ),
    Member(
        "batch norm, train mode",
        "a plain net whose images are normalised by each other",
        MASKED,
        ("batch-dependent",),
        0.1,
        "fgsm",
        signs=("train-mode",),
        trained=True,
    ),
    Member(
        "overfitted to one step",
        "FGSM training that overfitted catastrophically",
        MASKED,
        ("misaligned-gradients",),
        claim="fgsm",
        trained=True,
    ),
    Member("softmax output", "probabilities sold as logits", "refused"),
    Member("softmax output, said", "probabilities, and declared as such", "overestimated", claim="fgsm", eps=0.1),
    Member(
        "fake iterations",
        'a plain net claimed by an "I-FGSM" that re-uses one gradient',
        "overestimated",
        ("weaker-than-one-step",),
        0.1,
        "bim:steps=10",
        fake=True,
        model="plain",
    ),
    Member(
        "turned confidence",
        "confidence that rises again just before the class changes",
        MASKED,
        ("single-step-beats-iterative",),
        0.15,
        "pgd",
        signs=("climbs-go-astray",),
    ),
    Member(
        "flipped backward",
        "a backward pass that changes sign where the margin is small",
        MASKED,
        ("single-step-beats-iterative",),
        0.15,
        "pgd",
        signs=("climbs-go-astray",),
    ),
    Member("counter", "a plain net until its 300th question, a robust one then", MASKED, ("remembers-questions",)),
    Member("cached answers", "answers kept by a coarse hash of the image", MASKED, ("remembers-questions",)),
    Member("first of the batch", "robust for the first 20 images of a batch alone", MASKED, ("batch-dependent",)),
    Member("grey is NaN", "no finite answer to images with many grey pixels", MASKED, ("non-finite",), claim="pgd"),
    Member("20 / (1 + margin)", "a margin turned upside down", MASKED, MISLED, 0.15, "pgd"),
    Member("two decimals", "logits cut to two decimals through whole numbers", MASKED, HIDDEN, 0.15, "pgd"),
    Member("hard labels", "the class alone", MASKED, HIDDEN, 0.2, "pgd"),
    Member("margins alike", "margins beyond 1 look alike", MASKED, HIDDEN, 0.2, "pgd"),
    Member("5 neighbours", "the 5 nearest of known images vote", MASKED, HIDDEN, 0.2, "pgd"),
    Member("inference mode", "a net called in inference mode", MASKED, HIDDEN, 0.15, "pgd"),
    Member("bare data", "a net called on its input's data", MASKED, HIDDEN, 0.15, "pgd"),
    Member("1 bit, L2", "1-bit pixels under another norm", MASKED, HIDDEN, 1.5, "pgd", images=40, norm="L2"),
    Member("binary CNN, L2", "pixels compared with one half", MASKED, HIDDEN, 1.5, "pgd", images=40, norm="L2"),
    Member(
        "zero backward, L1",
        "no gradient, under another norm",
        MASKED,
        HIDDEN,
        10.0,
        "pgd",
        norm="L1",
        model="zero backward",
    ),
    Member(
        "flipped backward, L1",
        "the flipped backward pass, under another norm",
        MASKED,
        ("single-step-beats-iterative",),
        10.0,
        "pgd",
        norm="L1",
        model="flipped backward",
    ),
    Member("robust x 1,000", "a robust net, its logits scaled up", "claim-holds", figure=0.8, honest=True),
    Member("robust, 8 bits", "a robust net behind 8-bit rounding", "claim-holds", figure=0.8, honest=True),
    Member("robust, bfloat16", "a robust net in bfloat16", "claim-holds", figure=0.85, honest=True),
    Member("constant", "one class for every image", "inconclusive", ("constant-predictor",), floor=0.0),
)
