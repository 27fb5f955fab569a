"""The files of a run: none is missing or added, none is a link, and each shard is written as sparring writes it.

A digest vouches for what is read from a file, not for what else is in it. A forger could put a page or a shard beside
the true ones, under a name that looks like theirs, or write a value twice where another reader takes the first.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from sparring.audit.report.document import FILE
from sparring.audit.report.formats.all import FORMS
from sparring.export.files import MARK
from sparring.scale.lease import is_lease
from sparring.scale.store import Store

HUB = ("huggingface/.eval_results/sparring.yaml", "huggingface/model-index.yaml")
KNOWN = frozenset({"plan.json", "options.json", MARK, FILE, *FORMS, *HUB})
OPEN = ("slurm",)
"folders that others write: the logs of a cluster"
TOKEN = "[0-9a-f]{32}"
LEASE = re.compile(rf"leases/(?:(\d{{5}}|head)|\.(\d{{5}}|head)\.{TOKEN})")
HALF = re.compile(rf"((?:.*/)?)\.([^/]+)\.{TOKEN}\.tmp")
"what an unfinished run, or one that was killed, has beside its shards: who works on what, files half-written"
ALIGNED = 8
"bytes to which a header is filled up with spaces"
KEPT = frozenset({"values", "digest", "plan"})
"what the header of a shard holds"


def stray_findings(store: Store) -> Iterator[str]:
    """Files and links in the folder of a run that it has not written, by their names; leases by what is in them, too.

    Only a run that goes on has leases, and files half-written: what a kill leaves of them is gone with the last shard.
    """
    unfinished = bool(store.missing()) or not (store.folder / FILE).exists()
    shards = {f"shards/{name}" for name in ("head", *(f"{number:05d}" for number in range(len(store))))}
    own = {f"{name}{end}" for name in shards for end in (".safetensors", ".damaged")} | KNOWN
    for path in sorted(store.folder.rglob("*")):
        name = path.relative_to(store.folder).as_posix()
        if path.is_symlink():
            yield f"{name!a} is a link: what it shows may change; put the file itself into its place"
        elif path.is_dir() or name.split("/")[0] in OPEN or name in own:
            continue
        elif (lease := LEASE.fullmatch(name)) is not None and f"shards/{lease[1] or lease[2]}" in shards:
            if not is_lease(path.read_bytes()):
                yield f"{name!a} is not a lease as sparring writes it; remove it"
            elif not unfinished:
                yield f"{name!a} is a lease, but the run is finished; remove it, or run again with --resume"
        elif (half := HALF.fullmatch(name)) is not None and f"{half[1]}{half[2]}" in own:
            if not unfinished:
                yield f"{name!a} is half-written, but the run is finished; remove it"
        else:
            yield f"{name!a} is no file of this run; move it elsewhere"


def written_oddly(path: Path) -> str | None:
    """What the file of a shard holds beside its tensors and its record; None = nothing."""
    data = path.read_bytes()
    size = int.from_bytes(data[:8], "little")
    text = data[8 : 8 + size].decode()
    try:
        header = _plain(text)
        kept = header["__metadata__"]
        record = _plain(kept["record"])
        values = _plain(record["values"])
    except (ValueError, KeyError, TypeError) as error:
        return f"its header cannot be read in one way only ({error})"
    if len(text) - len(text.rstrip(" ")) >= ALIGNED or set(kept) != {"record"} or set(record) != KEPT:
        return "its header holds more than a record"
    if json.dumps(record) != kept["record"] or json.dumps(values) != record["values"]:
        return "its record is not written as sparring writes it"
    return None


def _plain(text: str) -> Any:
    """Plain values from JSON in which no name stands twice."""

    def pairs(found: list[tuple[str, Any]]) -> dict[str, Any]:
        if len({name for name, _ in found}) < len(found):
            raise ValueError("a name stands twice in it")
        return dict(found)

    return json.loads(text, object_pairs_hook=pairs)
