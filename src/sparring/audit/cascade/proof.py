"""Proof: the adversarial images shown to the model once more, as they are and rounded to 8 bits."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from sparring.audit.cascade.cascade import Cascade
from sparring.audit.cascade.certificate import Certificate
from sparring.audit.cascade.outcome import STANDING, WRONG
from sparring.audit.inputs.clean import Clean
from sparring.audit.probes.asked import Alone, in_company
from sparring.audit.probes.history import answers, differ
from sparring.audit.statistics.proportion import Figure
from sparring.export.answers import Answers, ask
from sparring.export.pngs import eight_bit
from sparring.model import Model
from sparring.result import Result
from sparring.storage import finite

NONE_ASKED = Figure(0, 0)
AGAIN = 32
"clean images of a shard that are asked again at the end"


@dataclass(frozen=True)
class Proof:
    """What the model says of the worst points [N].

    Attributes:
        prediction, confidence: of the class predicted. confirmed: successes that are wrong again, of all successes
            by an attack. undone: successes that are right again once rounded to 8 bits. passes: spent.
        again: clean images that are answered now as they were at first, of those asked.
    """

    prediction: Tensor
    confidence: Tensor
    confirmed: Figure
    undone: Figure
    passes: int
    again: Figure = NONE_ASKED

    def __add__(self, other: Proof) -> Proof:
        """Of these images and of others after them."""
        return Proof(
            torch.cat([self.prediction, other.prediction]),
            torch.cat([self.confidence, other.confidence]),
            self.confirmed + other.confirmed,
            self.undone + other.undone,
            self.passes + other.passes,
            self.again + other.again,
        )


@dataclass(frozen=True)
class Example:
    """A pair of pictures for the gallery: clean and adversarial, [C, H, W] in the model's box.

    Attributes:
        kind: "smallest" success, or a "typical" one: about the median distance.
    """

    index: int
    clean: Tensor
    adversarial: Tensor
    label: int
    before: float
    prediction: int
    after: float
    attack: str
    distance: float
    kind: str = "smallest"


def prove(model: Model, clean: Clean, worst: Result, batch_size: int, steady: bool = True) -> Proof:
    """Show all worst points again, and those that fooled once more after rounding; and some clean images, in another
    order and another batch, unless a model is not `steady` anyway."""
    hit = worst.success & worst.clean_correct
    saved = eight_bit(worst.x_adv[hit], clean.x[hit], worst.threat)
    answers = _asked(model, worst.x_adv, slice(None), clean, worst, batch_size)
    rounded = _asked(model, saved, hit, clean, worst, batch_size).prediction
    again = _again(model, clean, batch_size) if steady else NONE_ASKED
    return Proof(
        answers.prediction,
        answers.confidence,
        Figure(int((answers.prediction != clean.y)[hit].sum()), int(hit.sum())),
        Figure(int((rounded == clean.y[hit]).sum()), int(hit.sum())),
        len(clean) + int(hit.sum()) + again.of + (2 * len(clean) if isinstance(model, Alone) else 0),
        again,
    )


def _asked(model: Model, points: Tensor, rows: Tensor | slice, clean: Clean, worst: Result, batch_size: int) -> Answers:
    """What the model says of the points [r, ...], which stand for these `rows` of the worst ones.

    A model that is asked for one image at a time is asked in batches, too: of a success that does not fool alone, the
    answer in its place among all worst points is taken.
    """
    answers, company = ask(model, points, batch_size), in_company(model, clean.x)
    if company is model:
        return answers
    among = worst.x_adv.clone()
    among[rows] = points
    beside = ask(company, among, batch_size)
    right = ((worst.success & worst.clean_correct)[rows]) & (answers.prediction == clean.y[rows])
    return Answers(
        torch.where(right, beside.prediction[rows], answers.prediction),
        torch.where(right, beside.confidence[rows], answers.confidence),
        answers.classes,
    )


def _again(model: Model, clean: Clean, batch_size: int) -> Figure:
    """Clean images from the end to the front, that get the answer of the first look."""
    rows = torch.arange(len(clean)).flip(0)[:: max(1, len(clean) // AGAIN)][:AGAIN]
    apart = differ(model, answers(model, clean.x[rows], max(1, batch_size // 3)), clean.logits[rows])
    return Figure(int((~apart).sum()), len(rows))


def samples(
    cascade: Cascade, worst: Result, proof: Proof, certificate: Certificate | None = None
) -> tuple[dict[str, Any], ...]:
    """One row an image: what it is, who broke it first, the smallest perturbation that did, what it cost; and whether
    it is proved, where a proof was asked for."""
    clean = cascade.clean
    rows = []
    for i in range(len(clean)):
        code = int(cascade.broken_by[i])
        broken = code not in (STANDING, WRONG)
        row = {
            "index": i,
            "label": int(clean.y[i]),
            "prediction": int(clean.prediction[i]),
            "status": "broken" if broken else ("standing" if code == STANDING else "wrong"),
            "broken_by": cascade.outcomes[code].stage.title if broken else None,
            "adversarial_prediction": int(proof.prediction[i]) if broken else None,
            "distance": float(worst.distance[i]),
            "margin": float(worst.margin[i]),
            "queries": int(worst.queries[i]),
            "gradients": int(worst.gradients[i]),
        }
        if certificate is not None:
            row |= {"certified": bool(certificate.certified[i]), "bound": float(certificate.bound[i])}
        rows.append(finite(row))
    return tuple(rows)


Pixels = Callable[[Sequence[int]], Mapping[int, tuple[Tensor, Tensor]]]
"numbers of images -> by number, the clean image and its worst point"


def gallery(
    cascade: Cascade, worst: Result, proof: Proof, pixels: Pixels, smallest: int = 9, typical: int = 3
) -> tuple[Example, ...]:
    """The smallest successes, one a label as far as there are enough, and typical ones, from the middle of the rest."""
    clean = cascade.clean
    broken = (worst.success & worst.clean_correct).nonzero().squeeze(1)
    order = broken[worst.distance[broken].argsort(stable=True)].tolist()
    seen: set[int] = set()
    first = [i for i in order if not (int(clean.y[i]) in seen or seen.add(int(clean.y[i])))]  # type: ignore[func-returns-value]
    small = (first + [i for i in order if i not in set(first)])[:smallest]
    rest = [i for i in order if i not in small]
    middle = rest[max(0, (len(rest) - typical) // 2) :][:typical]
    shown = pixels(small + middle)
    return tuple(
        Example(
            i,
            *shown[i],
            int(clean.y[i]),
            float(clean.logits[i].softmax(0)[clean.y[i]]),
            int(proof.prediction[i]),
            float(proof.confidence[i]),
            cascade.outcomes[int(cascade.broken_by[i])].stage.title,
            float(worst.distance[i]),
            kind,
        )
        for kind, chosen in (("smallest", small), ("typical", middle))
        for i in sorted(chosen, key=lambda i: (int(clean.y[i]), float(worst.distance[i])))
    )
