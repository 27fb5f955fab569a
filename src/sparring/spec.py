"""Things by name: one grammar for specs, `pgd:steps=40,restarts=5`, and one register, which suggests near misses.

    spec    = name [":" item {"," item}]          item = key "=" value | value
    chain   = spec {"|" spec}

A value may hold anything but a comma and, in a chain, a bar. A key may be written with - or _.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import takewhile
from typing import TypeVar

from sparring.errors import InputError, SparringError

T = TypeVar("T")


@dataclass(frozen=True)
class Spec:
    """A spec, taken apart. Nothing is converted: what a value means is known where the name is.

    Attributes:
        text: as it was written. name: before the colon.
        values: those without a key, in their order. fields: the others, by key.
    """

    text: str
    name: str
    values: tuple[str, ...]
    fields: dict[str, str]


def parse_spec(text: str, *, positional: bool = False) -> Spec:
    """A spec, like "pgd:steps=40" or "median:3".

    Args:
        text: the spec. positional: the first values may stand without a key.

    Raises:
        InputError: an item is not key=value, or a key is there twice.

    >>> parse_spec("pgd: random-start=false, steps=7").fields
    {'random_start': 'false', 'steps': '7'}
    >>> parse_spec("median:3", positional=True).values
    ('3',)
    """
    text = text.strip()
    name, _, rest = text.partition(":")
    items = [item.strip() for item in rest.split(",") if item.strip()]
    values = tuple(takewhile(lambda item: "=" not in item, items)) if positional else ()
    fields = read_pairs(items[len(values) :], text, "write field=value, separated by commas")
    return Spec(text, name.strip(), values, fields)


def parse_chain(text: str, *, positional: bool = False) -> tuple[Spec, ...]:
    """The specs of a chain: "jpeg|bits:4". Arguments and errors: as for `parse_spec`.

    >>> [spec.name for spec in parse_chain("jpeg | bits:4", positional=True)]
    ['jpeg', 'bits']
    """
    return tuple(parse_spec(part, positional=positional) for part in text.split("|"))


def read_pairs(items: Iterable[str], text: str, write: str, error: type[SparringError] = InputError) -> dict[str, str]:
    """Items of the form key=value, as a dictionary; a - in a key becomes _.

    Args:
        items: the items. text: what they are from, for the error. write: what the error says to write instead.
        error: the class of the error.

    Raises:
        SparringError: an item is of another form, or a key is there twice. Of the class `error`.
    """
    pairs: dict[str, str] = {}
    for item in items:
        key, equals, value = (piece.strip() for piece in item.partition("="))
        if not (key and equals and value):
            raise error(f"{item!r} in {text!r} is not understood; {write}")
        key = key.replace("-", "_")
        if key in pairs:
            raise error(f"{key} is given twice in {text!r}; give it once")
        pairs[key] = value
    return pairs


def number(text: str) -> int | float | str:
    """A value as a whole number or a number where it is one, else as it is.

    >>> number("3"), number("1e-3"), number("coarse")
    (3, 0.001, 'coarse')
    """
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text


# --- names ----------------------------------------------------------------------------------------------------


def canonical(name: str) -> str:
    """A name as it is compared: in any case, with - or _.

    >>> canonical(" Fashion_MNIST ")
    'fashion-mnist'
    """
    return name.strip().lower().replace("_", "-")


def near(name: str, known: Iterable[str]) -> list[str]:
    """The known names that come near to one that was written, at most three, the nearest first."""
    by_form = {canonical(each): each for each in known}
    return [by_form[form] for form in difflib.get_close_matches(canonical(name), by_form, 3)]


def unknown(what: str, name: str, known: Iterable[str], aliases: Iterable[str] = ()) -> InputError:
    """The error about a name that is not known: what comes near, or else all there is.

    Args:
        what: what it would be the name of: "attack". name: as written.
        known: the names. aliases: other names, which may come near but are not listed.

    >>> print(unknown("attack", "pdg", ["fgsm", "pgd"]))
    no attack is called 'pdg'; did you mean pgd?
    """
    known = list(known)
    close = near(name, (*known, *aliases))
    hint = f"did you mean {' or '.join(close)}?" if close else f"there are {', '.join(known)}"
    return InputError(f"no {what} is called {name!r}; {hint}")


class Registry(dict[str, T]):
    """Things by name and alias. It holds what has been entered so far, and imports nothing.

    Args:
        what: what one of them is called in messages: "attack".
        code: the class or function that a thing is made of. The same code, by its qualified name, may enter a name
            again: a cell of a notebook that is run twice, a module that is reloaded. Default: the thing itself.

    >>> colours = Registry[int]("colour")
    >>> colours.enter(0xFF0000, "red", "scarlet")
    16711680
    >>> colours.find("Scarlet") == colours.find("red")
    True
    """

    def __init__(self, what: str, code: Callable[[T], object] = lambda thing: thing) -> None:
        super().__init__()
        self.what = what
        self._code = code

    def enter(self, thing: T, *names: str) -> T:
        """Enter a thing under its name and its aliases, the name first; returns the thing.

        Raises:
            InputError: one of the names is taken; nothing is entered then.
        """
        for name in names:
            taken = self.get_any(name)
            if taken is not None and not self._same(taken, thing):
                raise InputError(f"two {self.what}s are called {name!r}; give one another name")
        self.update(dict.fromkeys(names, thing))
        return thing

    def get_any(self, name: str) -> T | None:
        """The thing of this name or alias, in any case, with - or _; None where there is none."""
        key = canonical(name)
        return next((thing for known, thing in self.items() if canonical(known) == key), None)

    def find(self, name: str) -> T:
        """The thing of this name or alias, in any case, with - or _.

        Raises:
            InputError: there is none; the line says what comes near, or lists all.
        """
        found = self.get_any(name)
        if found is None:
            raise unknown(self.what, name, sorted(self.each()), self)
        return found

    def each(self) -> dict[str, T]:
        """Every thing once, by its first name, in the order in which they were entered."""
        first: dict[int, tuple[str, T]] = {}
        for name, thing in self.items():
            first.setdefault(id(thing), (name, thing))
        return dict(first.values())

    def _same(self, one: T, other: T) -> bool:
        home, new = (
            (getattr(code, "__module__", None), getattr(code, "__qualname__", None))
            for code in (self._code(one), self._code(other))
        )
        return home == new and home[1] is not None
