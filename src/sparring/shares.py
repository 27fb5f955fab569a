"""Shares and percentages, as people write them: the one place where they are read."""

from __future__ import annotations

from sparring.errors import InputError


def parse_share(text: str | float, what: str) -> float:
    """A share in [0, 1] from "0.85" or "85%".

    A number above 1 needs its percent sign: "85" might be meant as 85 % or be a slip, and "1.5" can be neither share
    nor a likely percentage. "1" is all of it, 100 %.

    Args:
        text: a share, or a percentage with its sign. what: the name of it in the error, like "--fail-under".

    Raises:
        InputError: it is no number, not in [0, 1], or a percentage without its sign.

    >>> parse_share("85%", "it"), parse_share("0.85", "it"), parse_share("1", "it"), parse_share("1 %", "it")
    (0.85, 0.85, 1.0, 0.01)
    """
    written = str(text).strip()
    number = written.removesuffix("%").rstrip()
    try:
        value = float(number)
    except ValueError:
        value = float("nan")
    if written.endswith("%"):
        value /= 100
    if 0 <= value <= 1:
        return value
    if 1 < value <= 100 and not written.endswith("%"):
        raise InputError(f"{what} is {written!r}; a share is at most 1: write {value / 100:g} or {number}%")
    raise InputError(f"{what} is {written!r}; write a share or a percentage: 0.85 or 85%")
