"""A suite in a YAML file of the user's own.

    name: mine
    subset: 50                     # images of the sanity subset
    receipt: false                 # no second run of random images, see `audit.receipt`; true unless said
    transfer: true                 # controls on the sanity subset, see `audit.controls`; false unless said
    longer: true
    stages:
      - fgsm                       # an attack, as in `sparring attacks`
      - pgd:steps=100,loss=margin
      - attack: square:queries=2000
        title: Square, long
        min_progress: 0.5          # only where half of the clean margin is gone, see `audit.headway`
        full_on_subset: false      # not on the sanity subset

Anchors, aliases and tags are refused: a small file cannot become a large one, or build anything but plain values.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, StrictBool, StrictInt, ValidationError
from pydantic_core import ErrorDetails

from sparring.audit.suites.builtin import stage_of
from sparring.audit.suites.stage import OLD_NAMES, Stage, Suite
from sparring.errors import InputError

LARGEST = 65536
"bytes of a suite file"
DEEPEST = 8
"levels of a suite file; three are needed"
EXAMPLE = "write 'stages:' and below it '  - pgd:steps=40'"


def load_suite(path: str | Path) -> Suite:
    """The suite in a file.

    Raises:
        InputError: one line on what is wrong, with its number in the file.
    """
    file = Path(path)
    root, values = _parse(_text(file), file.name)
    try:
        found = _Suite.model_validate({} if values is None else values)
    except ValidationError as error:
        first = error.errors()[0]
        raise InputError(f"{file.name}, line {_line(root, first['loc'])}: {_said(first)}") from None
    stages = []
    for number, one in enumerate(found.stages):
        try:
            stages.append(one.stage())
        except InputError as error:
            raise InputError(f"{file.name}, line {_line(root, ('stages', number))}: {error}") from None
    return Suite(
        found.name or file.stem,
        found.about or f"From {file.name}.",
        tuple(stages),
        found.subset,
        receipt=found.receipt,
        transfer=found.transfer,
        longer=found.longer,
    )


# --- what may be in it --------------------------------------------------------------------------------------------


def _named(value: Any) -> Any:
    """An attack alone is short for a stage of it."""
    return {"attack": value} if isinstance(value, str) else value


def _no_switch(value: Any) -> Any:
    """True is no number here, though Python takes it for 1."""
    return str(value).lower() if isinstance(value, bool) else value


class _Stage(BaseModel):
    model_config = ConfigDict(extra="forbid", coerce_numbers_to_str=True)

    attack: str
    title: str | None = None
    family: Literal["noise", "single-step", "iterative", "query"] | None = None
    saturating_loss: StrictBool | None = None
    full_on_subset: StrictBool | None = None
    subset_only: StrictBool | None = None
    min_progress: Annotated[float | None, BeforeValidator(_no_switch), Field(ge=0, le=1)] = None

    def stage(self) -> Stage:
        return replace(stage_of(self.attack), **self.model_dump(exclude={"attack"}, exclude_none=True))


class _Suite(BaseModel):
    model_config = ConfigDict(extra="forbid", coerce_numbers_to_str=True)

    name: str | None = None
    about: str | None = None
    subset: Annotated[StrictInt, Field(ge=1)] = Suite.subset
    receipt: StrictBool = True
    transfer: StrictBool = False
    longer: StrictBool = False
    stages: Annotated[list[Annotated[_Stage, BeforeValidator(_named)]], Field(min_length=1)]


# --- reading ------------------------------------------------------------------------------------------------------


class _Loader(yaml.SafeLoader):
    """`SafeLoader` for plain trees: no anchors, aliases, tags, deep nesting, or keys that are there twice."""

    depth = 0

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        event: Any = self.peek_event()  # type: ignore[no-untyped-call]
        if isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None) is not None:
            raise _problem("anchors and aliases are not allowed; write it out", event)
        if getattr(event, "tag", None) is not None:
            raise _problem("tags are not allowed; write a plain text, a number, true or false", event)
        self.depth += 1
        if self.depth > DEEPEST:
            raise _problem(f"more than {DEEPEST} levels are not allowed", event)
        node = super().compose_node(parent, index)
        self.depth -= 1
        if isinstance(node, yaml.MappingNode):
            _rename_keys(node)
            _check_keys(node)
        return node


def _rename_keys(node: yaml.MappingNode) -> None:
    """Give the keys of version 0.1 their present names."""
    for key, _ in node.value:
        key.value = OLD_NAMES.get(key.value, key.value)


def _check_keys(node: yaml.MappingNode) -> None:
    keys: set[str] = set()
    for key, _ in node.value:
        if not isinstance(key, yaml.ScalarNode) or key.tag != "tag:yaml.org,2002:str":
            raise _problem("a key must be a plain text", key)
        if key.value in keys:
            raise _problem(f"{key.value!r} is there twice", key)
        keys.add(key.value)


def _problem(text: str, at: Any) -> yaml.MarkedYAMLError:
    return yaml.MarkedYAMLError(problem=text, problem_mark=at.start_mark)


def _text(file: Path) -> str:
    try:
        raw = file.read_bytes()
    except OSError as error:
        raise InputError(f"the suite {str(file)!r} cannot be read: {error.strerror}") from None
    if len(raw) > LARGEST:
        raise InputError(f"the suite {str(file)!r} has {len(raw)} bytes, expected at most {LARGEST}")
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError:
        raise InputError(f"the suite {str(file)!r} is not text in UTF-8") from None


def _parse(text: str, name: str) -> tuple[yaml.Node | None, Any]:
    """The tree with its places in the file, and its plain values."""
    try:
        loader = _Loader(text)
        root = loader.get_single_node()
        return root, None if root is None else loader.construct_document(root)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        raise InputError(f"{name}, line {mark.line + 1 if mark else 1}: {error.problem or error.context}") from None
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        raise InputError(f"{name}, line {line}: the character #x{error.character:04x} is not allowed") from None
    except (ValueError, OverflowError) as error:  # a number or a date of too many digits, or that does not exist
        raise InputError(f"{name}: a value is not understood ({error}); put it in quotes") from None


def _line(node: yaml.Node | None, loc: tuple[int | str, ...]) -> int:
    """Where in the file the thing at `loc` is, or the nearest thing around it."""
    line = 1 if node is None else node.start_mark.line + 1
    for step in loc:
        if isinstance(node, yaml.MappingNode):
            found = next(((key, value) for key, value in node.value if key.value == step), None)
            if found is None:
                break
            line, node = found[0].start_mark.line + 1, found[1]
        elif isinstance(node, yaml.SequenceNode) and isinstance(step, int):
            node = node.value[step]
            line = node.start_mark.line + 1
    return line


def _said(error: ErrorDetails) -> str:
    """One error in words."""
    key, given = str(error["loc"][-1]) if error["loc"] else "the suite", repr(error["input"])
    of = _Suite if len(error["loc"]) < 3 else _Stage
    if error["type"] == "extra_forbidden":
        return f"{key!r} is not known; there are {', '.join(of.model_fields)}"
    if key == "attack" and error["type"] == "missing":
        return f"a stage has no attack; {EXAMPLE}"
    if key == "stages":
        return f"there are no stages; {EXAMPLE}"
    if error["type"] == "model_type":
        what = "a suite" if not error["loc"] else "a stage"
        return f"{what} has {'stages' if not error['loc'] else 'an attack'}; {EXAMPLE}"
    wanted = error["msg"].removeprefix("Input should be ")
    return f"{key} is {given if len(given) <= 60 else given[:57] + '...'}; expected {wanted}"
