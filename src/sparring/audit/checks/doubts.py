"""What each doubt means and what to do about it: the text behind the codes that machines read."""

from __future__ import annotations

from sparring.audit.checks import mild, severe
from sparring.audit.checks.meaning import Meaning

MEANINGS: dict[str, Meaning] = {**severe.MEANINGS, **mild.MEANINGS}


def meaning(code: str) -> Meaning:
    """The explanation of `code`; a plain one for codes of attacks that are not known here."""
    return MEANINGS.get(
        code, Meaning(code.replace("-", " ").capitalize(), "Reported by an attack.", "See its message.")
    )


SEVERE = tuple(code for code, known in MEANINGS.items() if known.severe)
"severe codes, the most telling first"
