"""AutoZOOM: C&W L2 from scores, by few random directions in a space smaller than the image.

    min over codes of |D(code)|_2^2 + c * max(confidence - margin(x + D(code)), 0)
    g = mean over q directions u of (d / beta) [f(code + beta u) - f(code)] u,   q = 1 until it fools, then `samples`

Needs scores only: q + 1 queries a step. The decoder D enlarges a small picture (AutoZOOM-BiLIN), or is that of an
autoencoder (AutoZOOM-AE, see `sparring.generators.codec`). Tu, Ting, Chen, Liu, Zhang, Yi, Hsieh & Cheng 2018,
arXiv:1805.11770.

Differs from the paper: pixels are clipped to the box, no tanh, as in its MNIST runs; c begins with what random slopes
say is fair, is searched as in C&W, and each search step goes on from the nearest point of the last; steps of Adam
are longer (lr=0.01 is the paper's), and a quarter as long once it fools; the perturbation is D(code) - D(0).
Fails on: scores that are rounded or noisy beyond beta; perturbations that the decoder cannot make.
"""

from __future__ import annotations

from functools import partial

from pydantic import NonNegativeFloat, PositiveFloat, PositiveInt

from sparring.attack import Attack, register
from sparring.blocks.estimators.decoders import AnyDecoder, Bilinear
from sparring.blocks.estimators.random_descent import Plan, descend, estimated_constant
from sparring.blocks.penalty.constants import search_constant
from sparring.bout import Bout
from sparring.norms import L2


@register(
    "autozoom",
    title="AutoZOOM",
    sees="score",
    norms=(L2,),
    aim="minimum",
    approach="approximation",
    year=2018,
    paper="arXiv:1805.11770",
    random=True,
    survey="AutoZoom [182]",
)
class AutoZOOM(Attack):
    """Descent along random directions in the space of a decoder (Tu et al. 2018).

    Args:
        steps: the most of each search step. search: how many constants are tried.
        samples: directions of a step once a row is fooled; one before.
        decoder: "bilinear", "pixels", a file that `Codec.save` wrote, or any `Decoder`.
        beta: how far the probes are, of the box width. lr: of Adam, of the box width.
        c: the first constant; None = from random slopes. confidence: the margin that the search is after.
    """

    steps: PositiveInt = 500
    search: PositiveInt = 3
    samples: PositiveInt = 4
    decoder: AnyDecoder = Bilinear()
    beta: PositiveFloat = 0.005
    lr: PositiveFloat = 0.06
    c: PositiveFloat | None = None
    confidence: NonNegativeFloat = 0.0

    def run(self, bout: Bout) -> None:
        plan = Plan(self.decoder, self.steps, self.samples, self.beta, self.lr, self.confidence)
        c = estimated_constant(bout, self.c, 10, self.beta)
        code = bout.x.new_zeros(len(bout), *self.decoder.code(tuple(bout.x.shape[1:])))
        search_constant(bout, c, self.search, partial(descend, plan=plan), code)
