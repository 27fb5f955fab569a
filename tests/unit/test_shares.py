"""Shares and percentages: what is read, and what is refused with a line that says how to write it."""

from __future__ import annotations

import pytest

from sparring.errors import InputError
from sparring.shares import parse_share


@pytest.mark.parametrize(
    ("text", "share"),
    [("0.85", 0.85), ("85%", 0.85), ("85 %", 0.85), (" 0.5 ", 0.5), ("1", 1.0), ("1%", 0.01), ("100%", 1.0), ("0", 0.0),
     (0.85, 0.85), (1, 1.0), ("1e-1", 0.1)],
)  # fmt: skip
def test_shares_and_percentages(text: str | float, share: float) -> None:
    assert parse_share(text, "it") == pytest.approx(share)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("85", "--fail-under is '85'; a share is at most 1: write 0.85 or 85%"),
        ("1.5", "--fail-under is '1.5'; a share is at most 1: write 0.015 or 1.5%"),
        ("101%", "write a share or a percentage: 0.85 or 85%"),
        ("-0.1", "write a share or a percentage"),
        ("850", "write a share or a percentage"),
        ("much", "--fail-under is 'much'; write"),
        ("nan", "write a share"),
        ("", "write a share"),
        ("%", "write a share"),
    ],
)
def test_what_is_neither_is_refused(text: str, says: str) -> None:
    with pytest.raises(InputError) as refused:
        parse_share(text, "--fail-under")
    assert says in str(refused.value)
