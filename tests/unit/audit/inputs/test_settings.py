"""The settings of an audit: one definition, which the function, its documentation and its type checks follow."""

from __future__ import annotations

import inspect
from dataclasses import FrozenInstanceError, dataclass, fields
from typing import Any

import pytest

import sparring as sp
from sparring.audit.api import AuditCall, plan_audit
from sparring.audit.inputs.claims import Claim
from sparring.audit.inputs.settings import AuditSettings, keywords_of, setting, setting_of
from sparring.errors import InputError


def test_the_keywords_of_audit_are_the_fields() -> None:
    found = inspect.signature(sp.audit).parameters
    assert list(found)[:3] == ["model", "data", "threat"]
    keywords = {name: one.default for name, one in list(found.items())[3:]}
    assert keywords == {one.name: one.default for one in fields(AuditCall)}
    assert all(one.kind is inspect.Parameter.KEYWORD_ONLY for one in list(found.values())[3:])
    assert list(inspect.signature(plan_audit).parameters)[3:] == [one.name for one in fields(AuditSettings)]


def test_the_documentation_names_every_keyword() -> None:
    from sparring.audit import audit

    text = inspect.getdoc(audit) or ""
    assert "SETTINGS" not in text
    for one in fields(AuditCall):
        assert f"{one.name}: {setting_of(one).help}" in text


def test_frozen() -> None:
    with pytest.raises(FrozenInstanceError):
        AuditSettings().seed = 3  # type: ignore[misc]


def test_iterators_are_read_once() -> None:
    settings = AuditSettings(claims=iter(["0.9", Claim(0.8)]), require=(text for text in ["clean >= 90%"]))
    assert settings.claims == ("0.9", Claim(0.8))
    assert settings.require == ("clean >= 90%",)
    assert AuditSettings(claims="fgsm=0.5").claims == ("fgsm=0.5",), "one text is one claim, not its letters"


@pytest.mark.parametrize(
    ("keywords", "says"),
    [
        ({"batch_size": 0}, "batch_size is 0; expected a whole number, at least 1"),
        ({"shard_size": -1}, "shard_size is -1"),
        ({"n": 0}, "n is 0"),
        ({"seed": "many"}, "seed is 'many'; expected a whole number"),
        ({"seed": 0.0}, "seed is 0.0; expected a whole number"),
        ({"seed": True}, "seed is True; expected a whole number"),
        ({"batch_size": "8"}, "batch_size is '8'; expected a whole number, at least 1"),
        ({"clean_floor": 1.5}, "clean_floor is 1.5; expected a number from 0 to 1"),
        ({"suite": "huge"}, "no suite is called 'huge'"),
        ({"claims": ["nonsense"]}, "the claim 'nonsense' is not understood"),
        ({"claims": ["fgsm=88"]}, "write 0.88 or 88%"),
        ({"require": ["robust > 1"]}, "is not understood"),
        ({"require": ["robust >= 85"]}, "write 0.85 or 85%"),
    ],
)
def test_what_does_not_fit_is_one_line(keywords: dict[str, Any], says: str) -> None:
    with pytest.raises(InputError) as refused:
        AuditSettings(**keywords)
    assert says in str(refused.value)
    assert "\n" not in str(refused.value)


def test_a_keyword_that_is_none_of_the_fields_is_refused() -> None:
    with pytest.raises(TypeError, match="sweet"):
        sp.audit(None, None, ("Linf", 0.1), sweet=1)  # type: ignore[call-arg,arg-type]


def test_a_new_field_is_a_new_keyword() -> None:
    @dataclass(frozen=True, kw_only=True)
    class More(AuditSettings):
        dummy: int = setting(7, "Do nothing.")

    @keywords_of(More)
    def f(model: int, data: int, threat: int, settings: More) -> int:
        """Add.

        Args:
            SETTINGS
        """
        return settings.dummy + settings.seed

    assert f(0, 0, 0) == 7
    assert f(0, 0, 0, dummy=1, seed=2) == 3
    assert inspect.signature(f).parameters["dummy"].default == 7
    assert "dummy: Do nothing." in (f.__doc__ or "")
