"""Local search: throw single pixels to the far bound, keep the few that help most, then look around those.

    score every pixel of a set alone;   throw the best `together` of them at once;   next set = the pixels around them

Needs scores only: one query a pixel, and one for each number of pixels thrown together. Narodytska & Kasiviswanathan
2016, arXiv:1612.06299.

Differs from the paper: every image stays in the box (there, scored pixels leave it; a pixel kept is 1.5 times itself,
wrapped); of the best pixels as many are kept as do best together, so that the loss never falls; where none helps, the
next set is drawn from the whole image; the loss is the margin. Without a radius it goes on until fooled, with one until
as many values have changed.
Fails on: nets without a single pixel that matters; large images, where a set is little of them.
"""

from __future__ import annotations

import math
from typing import Annotated

import torch
from pydantic import Field, PositiveInt

from sparring.attack import Attack, register
from sparring.blocks.estimators.coordinates import choose
from sparring.blocks.groups import losses_in_groups
from sparring.blocks.neighbours import around, free_pixels, full, sizes, thrown_at, thrown_together
from sparring.blocks.populations.differential import pick
from sparring.blocks.populations.genetic import leader
from sparring.blocks.rises import rises
from sparring.bout import Bout
from sparring.losses import Loss, margin
from sparring.norms import L0


@register(
    "lsa",
    title="Local Search",
    sees="score",
    norms=(L0,),
    aim="both",
    approach="approximation",
    year=2016,
    paper="arXiv:1612.06299",
    aliases=("local-search",),
    random=True,
    survey="Local Search Attack (LSA) [136]",
)
class LSA(Attack):
    """Greedy local search over single pixels (Narodytska & Kasiviswanathan 2016).

    Args:
        rounds: the most. share: of the image, the first set. pixels: the most in a set.
        together: the most that are thrown in one round. reach: how far the next set goes, each way; the paper's is 5.
        loss: what must rise.
    """

    rounds: PositiveInt = 150
    share: Annotated[float, Field(gt=0, le=1)] = 0.1
    pixels: PositiveInt = 128
    together: PositiveInt = 5
    reach: PositiveInt = 2
    loss: Loss = margin

    def run(self, bout: Bout) -> None:
        z, value, near = bout.x, self.loss(bout.clean_logits, bout.goal), free_pixels(bout)
        count = math.ceil(self.share * near.shape[1])
        for _ in range(self.rounds):
            z, value, near = bout.active(z, value, near, done=full(bout, z))
            if not len(bout):
                return
            at = choose(bout.noise, near, min(count, self.pixels))
            wanted = near.gather(1, at) > 0
            scores = losses_in_groups(bout, thrown_at(bout, z, at), at.shape[1], self.loss, wanted)
            z, value, at, scores = bout.active(z, value, at, scores.masked_fill(~wanted, -torch.inf))
            if not len(bout):
                return
            scores, order = scores.nan_to_num(nan=-torch.inf).topk(min(self.together, scores.shape[1]), 1)
            at, helps = at.gather(1, order), rises(scores, value[:, None].expand_as(scores))
            joint = thrown_together(bout, z, at)
            fits = helps & (sizes(bout, joint) <= bout.eps[:, None])
            fits[:, 0] = False  # alone it has been asked
            values = bout.candidate_losses(joint, self.loss, fits).masked_fill(~fits, -torch.inf)
            values[:, 0] = scores[:, 0]
            top = leader(values)
            better = helps[:, 0]
            z = torch.where(bout.ball.column(better), pick(joint, top).squeeze(1), z)
            value = torch.where(better, values.gather(1, top).squeeze(1), value)
            near = torch.where(better[:, None], around(bout, at, helps, self.reach), free_pixels(bout))
            count = self.pixels
