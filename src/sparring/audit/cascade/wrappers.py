"""How an adaptive attacker looks at a model: the same classifier, seen so that attacks can steer.

Every subject gives the same classes as the model itself, so what fools one fools the other; the proof shows all
adversarial images to the model as it is once more.
"""

from __future__ import annotations

from torch import Tensor

from sparring.audit.cascade.inner_tensor import climbed
from sparring.audit.cascade.straight_through import detour
from sparring.audit.probes.asked import Alone, in_company
from sparring.audit.probes.wrapped import Wrapped
from sparring.audit.suites.stage import Stage
from sparring.errors import InputError
from sparring.model import Model

SURROGATE, SURROGATE_EXPOSED = "surrogate", "surrogate-exposed"
"a cheaper model in the place of an expensive one, as it is, and past what it hides"
COMPANY = "company"
"a model that is asked for one image at a time, asked in batches: what fools there counts, too"


class Rescaled(Wrapped):
    """Logits divided by a constant, so that a softmax of them can be differentiated."""

    def __init__(self, inner: Model, scale: float) -> None:
        super().__init__(inner)
        self.scale = scale

    def read(self, raw: Tensor) -> Tensor:
        return self.inner.read(raw) / self.scale


def surrogate_of(model: Model) -> Model | None:
    """The cheaper model that stands in for an expensive one in searches, see `Defended.surrogate`; None = none."""
    make = getattr(model, "surrogate", None)
    found = make() if callable(make) else None
    return found if isinstance(found, Model) else None


def surrogate_text(surrogate: Model) -> str:
    """What a report calls it: its stages."""
    return " | ".join(map(str, getattr(surrogate, "stages", ()))) or surrogate.name


def on_surrogate(stage: Stage) -> bool:
    """The stage searches on a surrogate, so what it finds must be shown to the model itself."""
    return stage.wrapper.startswith(SURROGATE)


def subject(model: Model, name: str, x: Tensor) -> Model:
    """The model as `name` says: "" = as it is, "exposed", "detour", "rescaled:T", "inner:N:K" (the N-th
    inner tensor, of K classes), "surrogate" and "surrogate-exposed" (a cheaper model in its place), "company" (in
    batches, where it is asked for one image at a time).

    `x`: a few clean images, to find a detour with, or to be the company.
    """
    kind, _, value = name.partition(":")
    if not kind:
        return model
    if kind == COMPANY:
        return in_company(model, x)
    if isinstance(model, Alone):  # what is looked for inside is looked for in one image's pass
        return model.around(subject(model.inner, name, x[:1]))
    if kind == "exposed":
        return model.exposed()
    if kind in (SURROGATE, SURROGATE_EXPOSED):
        cheaper = surrogate_of(model)
        if cheaper is None:
            raise InputError(f"{model.name} has no surrogate")
        return cheaper if kind == SURROGATE else cheaper.exposed()
    if kind == "detour":
        return detour(model, x[:2])
    if kind == "rescaled":
        return Rescaled(model, float(value))
    if kind == "inner":
        number, _, classes = value.partition(":")
        return climbed(model, int(number), x, int(classes))
    raise InputError(
        f"a model cannot be looked at as {name!r}; there are exposed, detour, rescaled:T, inner:N:K, "
        "surrogate, surrogate-exposed and company"
    )
