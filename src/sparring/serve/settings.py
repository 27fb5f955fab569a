"""What a served model shows of itself, and how unreliable it is meant to be."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sparring.errors import InputError
from sparring.model import Model
from sparring.zoo.targets.answers import KINDS, Kind


@dataclass(frozen=True, kw_only=True)
class ServeSettings:
    """Settings of `sparring serve`.

    Attributes:
        kind: "scores" = a probability a class, "topk" = the `k` best, "labels" = the class alone.
        rate: most requests a second; others are answered 429, with the time to wait. None = no limit.
        latency: seconds before each answer. failures: share of requests that are answered 500.
        noise: standard deviation of what is added to each logit, anew for each request.
        most: requests that are answered in all, then 403. None = no limit. seed: of noise and failures.

    Raises:
        InputError: a value that does not fit.
    """

    kind: Kind = "scores"
    k: int = 5
    rate: float | None = None
    latency: float = 0.0
    failures: float = 0.0
    noise: float = 0.0
    most: int | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        for what, fits, wanted in (
            ("answers", self.kind in KINDS, f"one of {', '.join(KINDS)}"),
            ("k", self.k >= 1, "at least 1"),
            ("rate", self.rate is None or self.rate > 0, "above 0"),
            ("latency", 0 <= self.latency <= 3600, "from 0 to 3600 seconds"),
            ("failures", 0 <= self.failures <= 1, "from 0 to 1"),
            ("noise", 0 <= self.noise < float("inf"), "at least 0"),
            ("max_queries", self.most is None or self.most >= 0, "at least 0"),
        ):
            if not fits:
                value = {"answers": self.kind, "max_queries": self.most}.get(what, getattr(self, what, None))
                raise InputError(f"{what} is {value}; expected {wanted}")

    def mapping(self, model: Model, classes: int) -> dict[str, Any]:
        """The mapping file for clients of this service, see `sparring.zoo.targets.http.mapping`."""
        answer = {
            "scores": {"kind": "scores", "path": "scores", "outputs": "probabilities"},
            "topk": {"kind": "topk", "path": "predictions", "label": "label", "score": "score"},
            "labels": {"kind": "labels", "path": "label"},
        }[self.kind]
        mapping: dict[str, Any] = {"request": {"format": "json", "field": "image", "encoding": "png"}, "answer": answer}
        mapping["classes"] = list(shown_names(model, classes)) if model.classes else classes
        if model.input_size is not None:
            mapping["input_size"] = list(model.input_size)
        if self.noise:
            mapping["random"] = True
        return mapping


def shown_names(model: Model, classes: int) -> tuple[str, ...]:
    """What the service calls the classes: their names, or their numbers where two are called alike."""
    names = model.classes
    return names if names and len(set(names)) == len(names) == classes else tuple(map(str, range(classes)))
