"""Errors that a user can act on: each says what was seen, what was expected and how to fix it.

They all derive from `SparringError`, so the command line can turn any of them into one clear line and
exit code 2, and a library user can catch them without catching bugs of ours.
"""


class SparringError(ValueError):
    """Something about the input is wrong, and the message says how to put it right."""


class SmallerBatches(UserWarning):
    """Memory ran out, and the work goes on in smaller batches; results do not depend on it."""


class InputError(SparringError):
    """Images outside the box, labels out of range or of the wrong type, shapes that do not fit."""


class ShapeError(InputError):
    """The model's code cannot take images of this shape."""


class OutputError(SparringError):
    """The model answered with something that is not a batch of finite logits."""


class OutOfMemory(SparringError):
    """There is not enough memory for a single image. The command line ends with exit code 3, as for any error of the
    model."""


class TargetError(SparringError):
    """A model behind a network gives no answer, or no more queries may be paid for; says what was spent and is kept."""


class AccessError(SparringError):
    """An attack asked for more than its declared access (gradient, score or decision) allows."""


class MissingExtra(SparringError):
    """An optional dependency is not installed; the message names the extra that brings it."""

    def __init__(self, what: str, extra: str) -> None:
        super().__init__(f"{what} needs the extra '{extra}': pip install '.[{extra}]', in sparring's own folder")
