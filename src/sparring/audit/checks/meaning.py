"""What is told of a kind of doubt."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Meaning:
    """The explanation of a code.

    Attributes:
        title: a few words. means, remedy: a sentence each.
        severe: it can make a model look robust that is not; the verdict names it as a cause of gradient masking.
        cause: the cause in the verdict's words, for severe ones. fine: what is known where the doubt is absent.
    """

    title: str
    means: str
    remedy: str
    severe: bool = False
    cause: str = ""
    fine: str = ""
