"""One grammar for specs, one register: what they read, what they refuse and what they suggest."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sparring.errors import InputError
from sparring.spec import Registry, near, number, parse_chain, parse_spec, unknown

WORDS = st.text("abcdefgh0123456789./+", min_size=1, max_size=8)
KEYS = st.text("abcdefgh_", min_size=1, max_size=8)


@given(WORDS, st.lists(WORDS, max_size=3), st.dictionaries(KEYS, WORDS, max_size=4))
def test_what_is_written_is_read(name: str, values: list[str], fields: dict[str, str]) -> None:
    text = name + ":" + ",".join(values + [f"{key}={value}" for key, value in fields.items()])
    read = parse_spec(text, positional=True)
    assert (read.name, read.values, read.fields) == (name, tuple(values), fields)
    assert [part.name for part in parse_chain(f"{text} | {text}", positional=True)] == [name, name]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("pgd:steps", "'steps' in 'pgd:steps' is not understood; write field=value, separated by commas"),
        ("pgd:steps=", "'steps=' in 'pgd:steps=' is not understood"),
        ("pgd:=3", "'=3' in 'pgd:=3' is not understood"),
        ("pgd:steps=3,7", "'7' in 'pgd:steps=3,7' is not understood"),
        ("pgd:steps=3, steps=4", "steps is given twice in 'pgd:steps=3, steps=4'"),
        ("pgd:random-start=0,random_start=1", "random_start is given twice"),
    ],
)
@pytest.mark.parametrize("positional", [False, True])
def test_what_is_no_spec_is_refused_in_one_clear_line(text: str, says: str, positional: bool) -> None:
    if positional and text == "pgd:steps":
        assert parse_spec(text, positional=True).values == ("steps",)
        return
    with pytest.raises(InputError) as error:
        parse_spec(text, positional=positional)
    assert says in str(error.value)
    assert "\n" not in str(error.value)


def test_empty_items_and_spaces_do_not_matter() -> None:
    assert parse_spec(" pgd : steps = 7 , ").fields == {"steps": "7"}
    assert parse_spec("pgd:") == parse_spec("pgd:")
    assert parse_spec("pgd:").fields == parse_spec("pgd").fields == {}
    assert parse_spec("train:data=folder:C:\\x?a=b").fields == {"data": "folder:C:\\x?a=b"}


def test_numbers_are_read_where_they_are_numbers() -> None:
    assert [number(text) for text in ("3", "-3", "0.5", "1e-3", "fine")] == [3, -3, 0.5, 0.001, "fine"]
    assert isinstance(number("3"), int)


# --- the register ---------------------------------------------------------------------------------------------


class One:
    """Something to register."""


class Two:
    """Something else."""


@pytest.fixture
def register() -> Registry[type]:
    register: Registry[type] = Registry("thing")
    register.enter(One, "one", "first-of-all")
    return register


@pytest.mark.parametrize("name", ["one", "ONE", " one ", "first-of-all", "first_of_all", "First_Of-All"])
def test_a_thing_is_found_by_name_and_alias_however_it_is_written(register: Registry[type], name: str) -> None:
    assert register.find(name) is One


def test_a_near_miss_is_suggested_and_else_all_names_are_listed(register: Registry[type]) -> None:
    register.enter(Two, "two")
    with pytest.raises(InputError, match=r"no thing is called 'onne'; did you mean one\?"):
        register.find("onne")
    with pytest.raises(InputError, match=r"did you mean first-of-all\?"):
        register.find("first_off_all")
    with pytest.raises(InputError, match=r"no thing is called 'xyz'; there are one, two$"):
        register.find("xyz")


@pytest.mark.parametrize("name", ["one", "One", "first_of_all"])
def test_a_taken_name_is_refused_and_nothing_is_entered(register: Registry[type], name: str) -> None:
    with pytest.raises(InputError, match=f"two things are called '{name}'; give one another name"):
        register.enter(Two, "two", name)
    assert register.each() == {"one": One}
    assert "two" not in register


def test_the_same_code_may_enter_again_and_replaces_what_it_was(register: Registry[type]) -> None:
    again = type("One", (), {"__qualname__": One.__qualname__, "__module__": One.__module__})
    register.enter(again, "one", "first-of-all")
    assert register.find("one") is again
    elsewhere = type("One", (), {"__qualname__": One.__qualname__, "__module__": "elsewhere"})
    with pytest.raises(InputError, match="two things"):
        register.enter(elsewhere, "one")


def test_values_without_code_are_never_the_same() -> None:
    register: Registry[int] = Registry("number")
    register.enter(1, "one")
    with pytest.raises(InputError, match="two numbers are called 'one'"):
        register.enter(1, "one")


def test_each_thing_is_listed_once_by_its_name_in_order(register: Registry[type]) -> None:
    register.enter(Two, "a-two", "2")
    assert list(register.each().items()) == [("one", One), ("a-two", Two)]


def test_near_misses_are_the_names_as_they_are_known() -> None:
    assert near("FASHION-MINST", ["fashion_mnist", "cifar10"]) == ["fashion_mnist"]
    assert "there are a, b" in str(unknown("letter", "zzz", ["a", "b"], aliases=["c"]))
