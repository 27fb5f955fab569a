"""options.json of a run is a stranger's file: whatever an option holds there, it fits the option or is refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from sparring.cli.audit.options import FILE, AuditOptions, recorded
from sparring.cli.options import leaves_of
from sparring.errors import InputError


def options(folder: Path, **changes: Any) -> Path:
    """A folder with the default options and these changes."""
    known = {leaf.name: leaf.default if leaf.default != () else [] for leaf in leaves_of(AuditOptions)}
    known |= {"model": "mnist-cnn", "eps": "0.3", **changes}
    (folder / FILE).write_text(json.dumps(known))
    return folder


def test_what_is_written_is_read(tmp_path: Path) -> None:
    known = recorded(options(tmp_path, n=5, claim=["0.9"], clean_floor=0, replay="runs/a", plugin=None))
    assert (known["n"], known["claim"], known["clean_floor"], known["replay"]) == (5, ["0.9"], 0, "runs/a")


@pytest.mark.parametrize("name", [leaf.name for leaf in leaves_of(AuditOptions)])
@pytest.mark.parametrize("value", [{}, {"x": 1}, [0], [[]]])
def test_another_type_is_one_line(tmp_path: Path, name: str, value: Any) -> None:
    with pytest.raises(InputError) as refused:
        recorded(options(tmp_path, **{name: value}))
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("name", ["data", "split", "norm", "suite", "seed", "batch_size", "shard_size", "trust"])
def test_none_is_no_value_of_an_option_that_has_one(tmp_path: Path, name: str) -> None:
    with pytest.raises(InputError, match=f"{name} = 'None'"):
        recorded(options(tmp_path, **{name: None}))
