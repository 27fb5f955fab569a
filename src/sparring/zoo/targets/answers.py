"""What a black box says about a batch, in whatever form, as one tensor: scores, top-k lists or labels.

A black box is anybody's code or server. Whatever does not fit becomes one `OutputError` that says what was expected.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal, get_args

import numpy as np
import torch
from torch import Tensor

from sparring.errors import InputError, OutputError
from sparring.model import Outputs
from sparring.zoo.targets.words import shown

Kind = Literal["scores", "labels", "topk"]
KINDS: tuple[Kind, ...] = get_args(Kind)
SLACK = 1e-3
"by how much probabilities may fail to sum to one: services round them"
ROUNDED, MOST_ROUNDED = 0.005, 0.05
"by how much more before answers that follow belie it: two decimals of each class, and at least"


class Answers:
    """Reads the answers of one black box.

    Attributes:
        kind: "scores" = a number a class; "topk" = (class, score) pairs of the best classes; "labels" = the class.
        classes: the number of classes. names: their names, where known; answers may use them.
        outputs: what scores are; None = not settled yet: see `settle`.
        shown: a value that was said, on one line, without what must not be shown.
    """

    def __init__(self, kind: Kind, classes: int | None, names: Sequence[str] | None = None) -> None:
        if kind not in KINDS:
            raise InputError(f"kind is {kind!r}; it must be one of {', '.join(KINDS)}")
        if kind != "scores" and classes is None:
            raise InputError(f"answers of the kind {kind!r} do not show how many classes there are; say it (classes=)")
        if kind != "scores" and names is not None and len(set(names)) < len(names):
            twice = next(name for name in names if list(names).count(name) > 1)
            raise InputError(f"two classes are called {twice!r}; {kind} need names that differ, or numbers")
        self.kind: Kind = kind
        self.outputs: Outputs | None = None
        self._guessed = False
        self.shown: Callable[[Any], str] = shown
        self.classes = classes
        self.names = None if names is None else tuple(names)
        self._numbers = {} if names is None else {str(name): number for number, name in enumerate(names)}

    def read(self, said: Any, count: int) -> Tensor:
        """The answer to `count` images: scores [B, K] float32, or classes [B] int64 for labels.

        Of top-k lists, a class that is not named gets an equal share of the probability that is left, at most the
        smallest that is named; where the scores are not probabilities, the smallest that is named less 1.

        Raises:
            OutputError: another form, another number of classes or answers, or no probabilities where they were before.
        """
        if self.kind == "labels":
            labels = [self.number(one) for one in self._each(said, count)]
            return torch.tensor(labels, dtype=torch.int64)
        if self.kind == "topk":
            return torch.stack([self._spread(one) for one in self._lists(said, count)])
        scores = self._floats(said)
        if scores.dim() == 1 and count == 1 and scores.shape[0] > 1:
            scores = scores[None]
        if scores.dim() == 1 and len(scores) == count and self.classes == 2:
            scores = scores[:, None]
        if scores.dim() != 2 or len(scores) != count:
            raise OutputError(
                f"the model gave scores of shape {tuple(scores.shape)} for {count} images; expected [{count}, classes]"
            )
        width = scores.shape[1]
        if self.classes is None and width > 1:
            self.classes = width
        if width != self.classes and not (width == 1 and self.classes == 2):
            raise OutputError(f"the model gave {width} scores an image; expected {self.classes}, one a class")
        if self.outputs == "probabilities":
            self._refuse_improbable(scores)
        return scores

    def settle(self, outputs: Outputs, guessed: bool = False) -> None:
        """From now on, scores are this. `guessed`: by the first answers alone, which those that follow may belie."""
        self.outputs, self._guessed = outputs, guessed

    def number(self, said: Any) -> int:
        """A class by name or number. Raises OutputError: there is none such."""
        if isinstance(said, Tensor | np.ndarray | np.generic) and said.ndim == 0:
            said = said.item()
        if isinstance(said, float) and said.is_integer():
            said = int(said)
        if isinstance(said, str | int | float) and str(said) in self._numbers:
            number = self._numbers[str(said)]
            if isinstance(said, int) and number != said and 0 <= said < len(self._numbers):
                raise OutputError(
                    f"the model said class {said}: number {said}, or the class named '{said}', "
                    f"which is number {number}? Let it say names as text, or give classes= as their number"
                )
            return number
        if isinstance(said, str) and said.isascii() and said.isdigit() and len(said) < 10 and not self._numbers:
            said = int(said)
        if isinstance(said, int) and not isinstance(said, bool) and 0 <= said < (self.classes or 0):
            return int(said)
        known = f"0..{(self.classes or 0) - 1}" + (
            f", or {', '.join((self.names or ())[:4])}, ..." if self.names else ""
        )
        raise OutputError(f"the model said class {self.shown(said)}; the classes are {known}")

    def _each(self, said: Any, count: int) -> Sequence[Any]:
        if isinstance(said, Tensor | np.ndarray):
            said = said.reshape(len(said), -1)[:, 0] if said.ndim > 1 and said.shape[-1] == 1 else said
            said = said.tolist()
        one = isinstance(said, str | int | float | Mapping) or said is None
        each: Sequence[Any] = [said] if one else said
        if not isinstance(each, Sequence) or len(each) != count:
            got = len(each) if isinstance(each, Sequence) else f"a {type(said).__name__}, not a list"
            raise OutputError(f"the model gave {got} answers to {count} images; one for each is needed")
        return each

    def _lists(self, said: Any, count: int) -> list[list[tuple[Any, Any]]]:
        """(class, score) pairs for each image; from pairs, mappings, or a pair of arrays (classes, scores)."""
        if isinstance(said, tuple) and len(said) == 2 and all(map(_is_table, said)):
            both = [self._each(_plain(part), count) for part in said]
            if any(len(one) != len(other) for one, other in zip(*both, strict=True)):
                raise OutputError("the model gave top-k lists with more classes than scores, or fewer; expected pairs")
            return [list(zip(*row, strict=True)) for row in zip(*both, strict=True)]
        lists = []
        for one in self._each(said, count):
            pairs = list(one.items()) if isinstance(one, Mapping) else one
            if not isinstance(pairs, list | tuple) or not all(
                isinstance(p, list | tuple) and len(p) == 2 for p in pairs
            ):
                raise OutputError(
                    f"the model gave {self.shown(one)}; expected (class, score) pairs of the best classes"
                )
            lists.append([(pair[0], pair[1]) for pair in pairs])
        return lists

    def _spread(self, pairs: list[tuple[Any, Any]]) -> Tensor:
        assert self.classes is not None
        if not pairs:
            raise OutputError("the model named no class at all; expected (class, score) pairs of the best classes")
        numbers = [self.number(name) for name, _ in pairs]
        if len(set(numbers)) < len(numbers):
            raise OutputError(f"the model named a class twice: {self.shown(pairs)}")
        scores = self._floats([score for _, score in pairs])
        if scores.dim() != 1:
            raise OutputError(f"the model gave {self.shown(pairs)}; expected (class, score) pairs, a number a score")
        least, total = scores.min(), scores.sum()
        likely = bool((scores >= 0).all()) and float(total) <= 1 + SLACK
        if likely if self.outputs is None else self.outputs == "probabilities":
            self._refuse_improbable(scores[None], part=True)
            rest = ((1 - total).clamp(min=0) / max(1, self.classes - len(pairs))).minimum(least)
        else:
            rest = least - 1
        return rest.expand(self.classes).clone().index_put_((torch.tensor(numbers),), scores)

    def _refuse_improbable(self, scores: Tensor, part: bool = False) -> None:
        """Refuse scores [B, K] that no rounding makes of probabilities. `part`: the largest alone, of a top-k list."""
        seen = scores[scores.isfinite().all(1)]
        total, slack = seen.sum(1), max(MOST_ROUNDED, ROUNDED * seen.shape[1])
        odd = ((seen < -SLACK) | (seen > 1 + SLACK)).any(1)
        if self._guessed and (part or seen.shape[1] > 1):
            odd |= total > 1 + slack
            odd |= total < (0 if part else 1 - slack)
        if bool(odd.any()):
            one = seen[odd][0]
            before = "the first answers looked like them" if self._guessed else "as was said (outputs=)"
            raise OutputError(
                f"the model gave scores from {float(one.min()):.4g} to {float(one.max()):.4g} with the sum "
                f"{float(one.sum()):.4g}, which are no probabilities; {before}: say what they are with outputs= "
                "(answer.outputs in a mapping)"
            )

    def _floats(self, said: Any) -> Tensor:
        """Numbers as float32; None becomes NaN, which JSON has no number for."""
        try:
            if isinstance(said, Tensor):
                if said.is_complex():
                    raise ValueError
                return said.detach().to("cpu", torch.float32)
            plain: Any = _nan(said) if isinstance(said, list | tuple) else said
            array = np.asarray(plain)
            if array.dtype.kind not in "fiub":
                raise ValueError
            with np.errstate(over="ignore"):  # Inf is dealt with where it matters
                return torch.from_numpy(array.astype(np.float32))
        except (ValueError, TypeError, OverflowError, RecursionError):
            raise OutputError(f"the model gave {self.shown(said)}; expected numbers, one a class") from None


def are_probabilities(scores: Tensor) -> bool:
    """Do the scores [B, K] look like probabilities, going by themselves?"""
    seen = scores[scores.isfinite().all(1)]
    if not len(seen):
        return False
    if seen.shape[1] == 1:
        return bool(((seen >= 0) & (seen <= 1)).all())
    return bool((seen >= -1e-6).all()) and bool(((seen.sum(1) - 1).abs() < SLACK * max(1.0, seen.shape[1] / 100)).all())


def _is_table(part: Any) -> bool:
    """Is it an array [B, k], or lists that are one?"""
    try:
        return np.ndim(part) == 2
    except (ValueError, TypeError, RecursionError):  # rows that differ in length, or lists without end
        return isinstance(part, list | tuple) and all(isinstance(row, list | tuple) for row in part)


def _nan(said: Any) -> Any:
    if isinstance(said, list | tuple):
        return [_nan(one) for one in said]
    if isinstance(said, Tensor):
        return said.tolist()
    return float("nan") if said is None else said


def _plain(values: Any) -> Any:
    return values.tolist() if isinstance(values, Tensor | np.ndarray) else values
