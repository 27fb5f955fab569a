"""`BlackBox`: a `Model` around a function that says scores or classes and knows no gradients."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence, Set
from operator import index
from typing import Any

import torch
from torch import Tensor

from sparring.errors import InputError, OutputError
from sparring.model import Access, Model, Outputs
from sparring.threat import Box
from sparring.zoo.targets.answers import Answers, Kind, are_probabilities
from sparring.zoo.targets.words import shown

Ask = Callable[[Tensor], Any]


class BlackBox(Model):
    """A classifier that can only be asked.

    Args:
        ask: pixels float32 [B, ...] on the CPU -> what it says of them, in the form that `answers` reads.
        answers: reads it. outputs: what scores are; None = probabilities if the first answer looks like them.
        name, input_size, box: as for `Model`.
        access: less than the answers show, if so wanted: "decision" for a model that says scores.
    """

    def __init__(
        self,
        ask: Ask,
        answers: Answers,
        *,
        outputs: Outputs | None = None,
        name: str | None = None,
        input_size: tuple[int, ...] | None = None,
        box: Box = (0.0, 1.0),
        access: Access | None = None,
    ) -> None:
        most: Access = "decision" if answers.kind == "labels" else "score"
        if access not in (None, "decision", most):
            raise InputError(f"a model that says {answers.kind} cannot grant {access} access; at most {most}")
        super().__init__(
            ask,
            box=box,
            access=access or most,
            num_classes=answers.classes,
            outputs=outputs or "logits",
            mode="as_is",
            name=name,
            input_size=input_size,
            classes=answers.names,
        )
        self.answers = answers
        self.sha256: str | None = getattr(ask, "sha256", None)
        "of the file behind it, where there is one"
        self._settled = outputs is not None or answers.kind == "labels"
        if outputs is not None:
            answers.settle(outputs)

    def raw(self, x: Tensor) -> Tensor:
        """What it says of pixels [B, ...]: scores [B, K] as `outputs` says, or classes [B]. Never with a gradient."""
        if not len(x):
            return torch.empty(0, self.num_classes or 2, device=x.device)
        shown = x.detach().to("cpu", torch.float32, copy=True)  # functions may write into what they get
        answer = self.net(shown)
        said = self.answers.read(answer, len(x))
        if said.is_floating_point() and not self._settled and bool(said.isfinite().all(1).any()):
            self._settled = True
            self.outputs = "probabilities" if are_probabilities(said) else "logits"
            self.answers.settle(self.outputs, guessed=True)
            said = self.answers.read(answer, len(x))  # top-k lists that could be either
        self.num_classes = self.num_classes or self.answers.classes
        return said.to(x.device)

    def answer(self, x: Tensor) -> Any:
        """Refused: what lies outside the box is no picture, and a query may cost money."""
        raise OutputError(f"{self.name} can be asked about pictures only, pixels in {self.box}")

    def inspect(self, raw: Tensor, x: Tensor) -> None:
        """Refuse NaN and Inf in answers to clean images. What scores are was settled before; nothing is asked again."""
        self.refuse_broken(~raw.reshape(len(x), -1).isfinite().all(1))


def wrap_callable(
    fn: Callable[[Any], Any],
    classes: int | Sequence[str] | None,
    kind: Kind = "scores",
    *,
    outputs: Outputs | None = None,
    numpy: bool = False,
    name: str | None = None,
    input_size: tuple[int, ...] | None = None,
    box: Box = (0.0, 1.0),
    access: Access | None = None,
) -> Model:
    """Any Python function as a model without gradients.

    Args:
        fn: takes pixels, float32 [B, C, H, W] in `box`, as a tensor on the CPU, and answers for each image, in order.
        classes: the number of classes or their names, in order; None = as many as there are scores.
        kind: what `fn` says. "scores": numbers [B, K], as a tensor, an array or lists. "labels": B class numbers or
            names; the model then grants decision access. "topk": for each image (class, score) pairs or a mapping, or
            for all a pair of arrays [B, k], classes and scores; the other classes share the probability that is left.
        outputs: what the scores are: "probabilities", "log_probabilities" or "logits". None = probabilities if the
            first answer looks like them, else logits.
        numpy: hand the pixels over as a NumPy array.
        name, input_size, box: as for `sp.wrap`. access: "decision" hides the scores from attacks.

    Raises:
        InputError: arguments that do not fit. OutputError, at a call: an answer of another form.

    >>> model = wrap_callable(lambda x: (x.mean((1, 2, 3)) > 0.5).long(), classes=2, kind="labels")
    >>> model.access, model.labels(torch.full((1, 1, 2, 2), 0.8)).tolist()
    ('decision', [1])
    """
    if not callable(fn):
        raise InputError(f"fn is a {type(fn).__name__}; pass a function: pixels [B, C, H, W] -> {kind}")
    count, names = _counted(classes)

    def ask(x: Tensor) -> Any:
        with torch.no_grad():
            return fn(x.numpy() if numpy else x)

    return BlackBox(
        ask,
        Answers(kind, count, names),
        outputs=outputs,
        name=name or getattr(fn, "__name__", type(fn).__name__),
        input_size=input_size,
        box=box,
        access=access,
    )


def _counted(classes: Any) -> tuple[int | None, list[str] | None]:
    """The number of classes, and their names where they are given.

    Raises:
        InputError: neither a number from 2 on, nor names in an order.
    """
    if classes is None:
        return None, None
    names = None
    if not isinstance(classes, str | bytes | bool | Mapping | Set):
        if isinstance(classes, Sequence) or (hasattr(classes, "__len__") and getattr(classes, "ndim", 1) == 1):
            names = [str(each) for each in classes]
        try:
            count = index(classes) if names is None else len(names)
        except TypeError:
            count = 0
        if count >= 2:
            return count, names
    raise InputError(f"classes is {shown(classes)}; a number from 2 on, or a list of at least two names, is needed")
