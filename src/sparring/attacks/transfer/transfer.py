"""Transfer: an attack made on surrogates, its last points shown to a model that tells its class and no more.

    z = what the attack ends with on the mean of the surrogates' logits;   one query of the model: is it fooled by z?

`sp.attack("sia", surrogates=[net, other])` makes one of any attack that sees gradients. Papernot, McDaniel &
Goodfellow 2016, arXiv:1605.07277; several surrogates at once: Liu, Chen, Liu & Song 2016, arXiv:1611.02770, by the mean
of their logits as in Dong et al. 2018, arXiv:1710.06081.

Differs from the paper: points are inside the threat, on its grid and in its region.
Fails on: models that look at other things than the surrogates do; with surrogates that number the classes differently.
"""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BeforeValidator, Field, PlainSerializer, WithJsonSchema
from torch import Tensor

from sparring.attack import Attack, register
from sparring.attacks import attack as _attack
from sparring.blocks.surrogates import Surrogates, as_one, made_on
from sparring.bout import Bout
from sparring.norms import L0, L1, L2, Linf

Inner = Annotated[
    Any,
    BeforeValidator(lambda value: _attack(value.replace(";", ",")) if isinstance(value, str) else value),
    PlainSerializer(lambda attack: attack.spec.replace(",", ";"), return_type=str),
    WithJsonSchema({"type": "string", "examples": ["sia", "mifgsm:steps=20;decay=0.9"]}),
]


@register(
    "from-surrogates",
    title="Transfer from surrogates",
    sees="decision",
    norms=(Linf, L2, L1, L0),
    aim="both",
    approach="gradient",
    year=2016,
    paper="arXiv:1605.07277",
    random=True,
    listed=False,
)
class Transfer(Attack):
    """An attack made on surrogates and shown to the model (Papernot et al. 2016).

    Args:
        attack: what is run on the surrogates; in a spec its fields are separated by ";".
        surrogates: models, or their specs joined by "+"; each needs the classes of the model, numbered alike.
    """

    attack: Inner = Field(default="mifgsm", validate_default=True)
    surrogates: Surrogates = Field(default=(), validate_default=True)

    def run(self, bout: Bout) -> Tensor:
        return made_on(as_one(self.surrogates, bout), self.attack, bout)
