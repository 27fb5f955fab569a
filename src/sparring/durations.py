"""Seconds as people read them: the one place where they are written."""

from __future__ import annotations


def duration(seconds: float) -> str:
    """Seconds, minutes or hours, at a glance.

    >>> duration(42), duration(75), duration(2460), duration(10800)
    ('42 s', '1:15 min', '41:00 min', '3:00 h')
    """
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    minutes, rest = divmod(whole, 60)
    if minutes < 60:
        return f"{minutes}:{rest:02} min"
    hours, minutes = divmod(round(seconds / 60), 60)
    return f"{hours}:{minutes:02} h"
