"""RP2: stickers on an object that make a net misread it, from many distances and angles.

    min_d  weight * |M d|_p + printable * NPS(x + M d) + E_T[CE(f(T(x + M d)), t)]

First an L1 search over the whole object finds where changes count most: there are the stickers M. Then the search
proper, under the threat's norm, inside M. NPS: how far colours are from what a printer makes. Eykholt et al. 2018,
arXiv:1707.08945.

Differs from the paper: each row is one object, and its photos are random views of one picture (for real photos of one
object give `blocks.views.photos.Photos` as the transform); stickers are chosen by blur and rank, not by hand; proximal
steps with one scale a row, not Adam, so that a weight holds pixels at exactly zero; NPS is the mean log of the paper's
products, of the picture's colours (`printed="change"`: of the change alone, as in the authors' code); untargeted too.
Views are searched through and never judged: success is about the picture seen straight on, `blocks.views.view_success`
measures it over fresh views. Fails on: stickers too small, views wider than those searched through.
"""

from __future__ import annotations

from typing import Annotated, Literal

import torch
from pydantic import Field, NonNegativeFloat, NonNegativeInt, PositiveFloat, PositiveInt
from torch import Tensor

from sparring.attack import Attack, register
from sparring.blocks.views.chain import Chain
from sparring.blocks.views.sticker import AlsoStraight, Press, stickers
from sparring.blocks.views.transforms import Clip, TransformField, transform
from sparring.bout import Bout
from sparring.losses import Loss, cross_entropy
from sparring.norms import L1, L2


@register(
    "rp2",
    title="RP2",
    sees="gradient",
    norms=(L2, L1),
    aim="own",
    visibility=("physical",),
    year=2017,
    paper="arXiv:1707.08945",
    aliases=("robust-physical-perturbations",),
    random=True,
    survey="Robust Physical Perturbations (RP2) [51]",
)
class RP2(Attack):
    """Printable stickers that fool from many views (Eykholt et al. 2018).

    The threat's region is the object; without one, the whole image is.

    Args:
        steps: of the search in the stickers. find: of the search for them; 0 = the whole object is the sticker.
        area: of the stickers, as a share of the object. rate: of the steps, as a part of the box.
        copies: views for each gradient; of several, the first is straight on.
        transform: what a view is, see `blocks.views.transforms`.
        weight: on the norm of the change, in widths of the box. printable: on the non-printability score.
        printed: what is printed: the "picture" or the "change". loss: what is climbed.

    >>> import sparring as sp
    >>> sp.attack("rp2:area=0.2,transform=rotation:10+perspective").spec
    'rp2:area=0.2,transform=rotation:10+perspective:0.15'
    """

    steps: PositiveInt = 200
    find: NonNegativeInt = 50
    area: Annotated[float, Field(gt=0, le=1)] = 0.1
    copies: PositiveInt = 4
    transform: TransformField = transform("scale:0.8:1.2+rotation:15+translation:0.1+perspective:0.1+brightness:0.1")
    rate: PositiveFloat = 0.05
    weight: NonNegativeFloat = 0.001
    printable: NonNegativeFloat = 0.02
    printed: Literal["picture", "change"] = "picture"
    loss: Loss = cross_entropy

    def run(self, bout: Bout) -> Tensor:
        view = AlsoStraight(self.copies, Chain((self.transform, Clip())))
        place = torch.ones_like(bout.x, dtype=torch.bool) if bout.ball.free is None else bout.ball.free
        if self.find:
            found = Press(self.find, self.rate, self.loss, view, sparse=0.5)(bout.child(0), place, L1)
            place = bout.active(stickers(found - bout.x, place, self.area))
        press = Press(
            self.steps, self.rate, self.loss, view, self.weight, 0.0, self.printable, self.printed == "change"
        )
        answer: Tensor = bout.active(press(bout.child(1), place, bout.ball.norm))
        return answer
