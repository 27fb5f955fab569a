"""Forgeries beside the figures: files added or linked, shards written in two ways, attacks that the plan has not.

The forger here makes the report again from the shards as they are then, so that both agree.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
from torch import Tensor, nn, ones

import sparring as sp
from sparring.audit.api import plan_audit
from sparring.audit.inputs.source import Source
from sparring.audit.report.document import FILE, json_text, seal
from sparring.audit.report.formats.all import FORMS, save
from sparring.audit.run.folder import Run
from sparring.audit.run.restore import plan_of, threat_of
from sparring.audit.run.verify import Verification
from sparring.audit.run.verify_schedule import options_findings
from sparring.errors import InputError
from sparring.scale.store import Store, _digest, json_bytes

SUITE, REQUIRED = ["fgsm", "pgd:steps=5,loss=margin", "square:queries=20"], "robust@0.05 >= 10%"
"of the run, see conftest.py"
Images = tuple[Tensor, Tensor]
Record = tuple[dict[str, Tensor], dict[str, Any]]
ALL: tuple[int | str, ...] = ("head", 0, 1, 2)


@pytest.fixture
def remake(small_net: nn.Module, small_images: Images) -> Callable[[Path], None]:
    """Makes the report again from the plan and the shards as they are now."""

    def make(folder: Path) -> None:
        store, model = Store.read(folder), sp.wrap(small_net)
        source, threat = Source(small_images, store.plan["data"]["n"], 3), threat_of(store.plan, None)
        report = Run(plan_of(store.plan, model, source, threat, None), store).report()
        report.requiring([REQUIRED]).save(folder)

    return make


def refused(check: Callable[[Path], Verification], folder: Path) -> bool:
    """The verification finds something, or cannot even be made."""
    try:
        return not check(folder).holds
    except InputError as error:
        return "\n" not in str(error)


# --- files ----------------------------------------------------------------------------------------------------------


def beside(name: str, of: str = FILE) -> Callable[[Path], None]:
    def add(folder: Path) -> None:
        (folder / name).parent.mkdir(exist_ok=True)
        shutil.copy(folder / of, folder / name)

    return add


def linked(name: str) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        moved = folder.parent / "elsewhere"
        (folder / name).rename(moved)
        (folder / name).symlink_to(moved)

    return change


FILES: dict[str, Callable[[Path], None]] = {
    "a file of another name": beside("verdict.txt"),
    "a report whose name looks the same": beside("rep\u043ert.json"),
    "a shard too many": beside("shards/00003.safetensors", "shards/00000.safetensors"),
    "a shard whose name looks the same": beside("shards/0000\uff10.safetensors", "shards/00000.safetensors"),
    "a page in a folder of its own": beside("html/report.html", "report.html"),
    "a card beside the others": beside("huggingface/README.md", "report.md"),
    "a shard that is a link": linked("shards/00001.safetensors"),
    "a page that is a link": linked("report.html"),
    "a folder that is a link": linked("shards"),
}


@pytest.mark.parametrize("what", FILES)
def test_what_is_no_file_of_the_run_is_found(what: str, run: Path, check: Callable[[Path], Verification]) -> None:
    FILES[what](run)
    assert refused(check, run)


LEASE = json.dumps({"token": "a" * 32, "pid": 7, "host": "here-1.example"})
WORKING = {
    "leases/00001": LEASE, "leases/head": "", f"leases/.00002.{'a' * 32}": LEASE,
    f"shards/.00001.safetensors.{'0' * 32}.tmp": "half", f".report.html.{'0' * 32}.tmp": "<html>",
}  # fmt: skip


def working(folder: Path, name: str, content: str) -> None:
    (folder / "leases").mkdir(exist_ok=True)
    (folder / name).write_text(content)


def test_what_a_killed_run_leaves_behind_is_no_forgery(run: Path, check: Callable[[Path], Verification]) -> None:
    for name in (FILE, *FORMS):
        (run / name).unlink()
    for name, content in WORKING.items():
        working(run, name, content)
    shutil.copy(run / "shards/00001.safetensors", run / "shards/00001.damaged")
    (run / "slurm").mkdir()
    (run / "slurm" / "7_0_log.out").write_text("started")
    found = check(run)
    assert found.holds, found.findings


@pytest.mark.parametrize("name", WORKING)
def test_a_finished_run_has_none_of_it(name: str, run: Path, check: Callable[[Path], Verification]) -> None:
    working(run, name, WORKING[name])
    (said,) = check(run).findings
    assert "the run is finished" in said


LEASES = {
    "junk": ("leases/00001", "A page about robustness."),
    "more than a lease": ("leases/00001", json.dumps(json.loads(LEASE) | {"note": "fine"})),
    "a host with a tale": ("leases/00001", json.dumps(json.loads(LEASE) | {"host": "no attack succeeds"})),
    "an empty table": ("leases/00001", "{}"),
    "written in another way": ("leases/00001", LEASE + " "),
    "a shard that the run has not": ("leases/00007", LEASE),
    "another folder": ("leases/notes.txt", LEASE),
    "half of no file of the run": (f".notes.txt.{'0' * 32}.tmp", ""),
    "no token": ("leases/.00001.abc", LEASE),
}


@pytest.mark.parametrize("what", LEASES)
def test_what_is_no_lease_is_found_while_a_run_goes_on(
    what: str, run: Path, check: Callable[[Path], Verification]
) -> None:
    for name in (FILE, *FORMS):
        (run / name).unlink()
    working(run, *LEASES[what])
    assert len(check(run).findings) == 1


def test_the_last_shard_ends_all_leases(run: Path, small_net: nn.Module, small_images: Images) -> None:
    plan = plan_audit(small_net, small_images, sp.Threat("Linf", 0.05), suite=SUITE, claims=["fgsm=0.9"], shard_size=10)
    for name in ("leases/00001", f"leases/.head.{'b' * 32}"):
        working(run, name, LEASE)
    Run.open(plan, run, resume=True).work()
    assert not list((run / "leases").iterdir())


# --- how a shard is written -----------------------------------------------------------------------------------------


def rewritten(change: Callable[[dict[str, Any], dict[str, Tensor]], str]) -> Callable[[Path], None]:
    """Changes the header of shard 0, and signs the file again. `change` gives the text of the header."""

    def forge(folder: Path) -> None:
        path = folder / "shards/00000.safetensors"
        data = path.read_bytes()
        size = int.from_bytes(data[:8], "little")
        text = change(json.loads(data[8 : 8 + size]), Store.read(folder).load(0)[0]).encode()
        path.write_bytes(len(text).to_bytes(8, "little") + text + data[8 + size :])
        plain = json.loads((folder / FILE).read_text()) | {"shards": Store.read(folder).digests()}
        plain["seal"] = seal(plain)
        (folder / FILE).write_text(json_text(plain))
        save(plain, folder)

    return forge


def padded(header: dict[str, Any], tensors: dict[str, Tensor]) -> str:
    return json.dumps(header) + " " * 100_000


def annotated(header: dict[str, Any], tensors: dict[str, Tensor]) -> str:
    header["__metadata__"]["note"] = "99 % robust"
    return json.dumps(header)


def recorded_more(header: dict[str, Any], tensors: dict[str, Tensor]) -> str:
    record = json.loads(header["__metadata__"]["record"])
    header["__metadata__"]["record"] = json.dumps({**record, "note": "99 % robust"})
    return json.dumps(header)


def said_twice(header: dict[str, Any], tensors: dict[str, Tensor]) -> str:
    """Who takes the first of two values reads another run."""
    record = json.loads(header["__metadata__"]["record"])
    record["values"] = '{"outcomes": [], ' + record["values"][1:]
    record["digest"] = _digest(tensors, record["values"])
    header["__metadata__"]["record"] = json.dumps(record)
    return json.dumps(header)


@pytest.mark.parametrize("change", [padded, annotated, recorded_more, said_twice])
def test_a_shard_that_is_written_otherwise_is_found(
    change: Callable[[dict[str, Any], dict[str, Tensor]], str], run: Path, check: Callable[[Path], Verification]
) -> None:
    rewritten(change)(run)
    assert any("shard 0: its" in line for line in check(run).findings)


# --- what a shard says was done -------------------------------------------------------------------------------------


def in_each(*numbers: int | str) -> Callable[[Callable[[Record], None]], Callable[[Path], None]]:
    """Makes a forgery of a change of these shards."""

    def decorate(change: Callable[[Record], None]) -> Callable[[Path], None]:
        def forge(folder: Path) -> None:
            store = Store.read(folder)
            for number in numbers:
                record = store.load(number)
                change(record)
                store.save(number, record)

        return forge

    return decorate


def replanned(**values: Any) -> Callable[[Path], None]:
    """Another plan, and the shards marked with it."""

    def forge(folder: Path) -> None:
        store = Store.read(folder)
        records = {number: store.load(number) for number in ALL}
        store.plan.update(values)
        (folder / "plan.json").write_bytes(json_bytes(store.plan))
        for number, record in records.items():
            Store.read(folder).save(number, record)

    return forge


@in_each(0, 1, 2)
def longer(record: Record) -> None:
    """Square is said to have had more queries."""
    for one in record[1]["outcomes"]:
        one["stage"]["spec"] = one["stage"]["spec"].replace("queries=20", "queries=5000")


@in_each(0, 1, 2)
def another(record: Record) -> None:
    """An attack that never ran."""
    tensors, values = record
    outcomes = values["outcomes"]
    copied = deepcopy(outcomes[0]) | {"place": [1, 40]}
    copied["stage"] |= {"spec": "apgd-ce", "title": "APGD-CE"}
    tensors |= {f"{len(outcomes):03d}/{name[4:]}": tensors[name] for name in list(tensors) if name.startswith("000/")}
    outcomes.append(copied)


@in_each(0, 1, 2)
def missing(record: Record) -> None:
    """The last attack is gone, as if nothing had been left for it."""
    tensors, values = record
    last = len(values["outcomes"]) - 1
    del values["outcomes"][last]
    for name in [name for name in tensors if name.startswith(f"{last:03d}/")]:
        del tensors[name]


@in_each(0)
def fewer(record: Record) -> None:
    """An attack was spared one of its images."""
    tensors, _ = record
    for name in [name for name in tensors if name.startswith("002/") and len(tensors[name])]:
        tensors[name] = tensors[name][1:]


@in_each(1)
def counted(record: Record) -> None:
    record[1]["outcomes"][1]["tried"] += 1


@in_each(0)
def swapped_names(record: Record) -> None:
    """Then a replay on another model would show the points of other images."""
    record[0]["keys"] = record[0]["keys"].flip(0)


@in_each(0, 1, 2)
def better_curve(record: Record) -> None:
    """The curve is said to be of a stronger attack."""
    record[1]["trials"]["stage"]["spec"] = "apgd-dlr:steps=1000"


@in_each(0, 1, 2)
def wider_curve(record: Record) -> None:
    """The curve is said to reach further, so that the same images stand at larger radii."""
    record[1]["trials"]["grid"] = [2 * eps for eps in record[1]["trials"]["grid"]]


@in_each(0)
def hidden_tensor(record: Record) -> None:
    record[0]["more"] = ones(3)


@in_each(2)
def hidden_value(record: Record) -> None:
    record[1]["outcomes"][0]["note"] = "99 % robust"


@in_each("head")
def another_setting(record: Record) -> None:
    record[1]["settings"]["surrogate"] = "a certified twin"


@in_each("head")
def another_model(record: Record) -> None:
    record[1]["model"]["parameters"] = 7_000_000_000


@in_each("head")
def another_shape(record: Record) -> None:
    record[1]["data"]["sha256"] = "0" * 64


@in_each(0)
def before_it_began(record: Record) -> None:
    record[1]["seconds"] = -5.0


RECORDS: dict[str, Callable[[Path], None]] = {
    "more queries": longer,
    "an attack that is not in the plan": another,
    "an attack less": missing,
    "an attack on fewer images": fewer,
    "a count": counted,
    "the names of the images": swapped_names,
    "the attack of the curve": better_curve,
    "the radii of the curve": wider_curve,
    "a tensor too many": hidden_tensor,
    "a value too many": hidden_value,
    "a setting": another_setting,
    "the size of the model": another_model,
    "the digest of the data": another_shape,
    "a negative time": before_it_began,
    "the name of a stronger suite": replanned(suite="quick"),
    "another seed": replanned(seed=7),
    "another claim": replanned(claims=["0.1"]),
    "more in the plan": replanned(note="99 % robust"),
    "another batch size": replanned(batch_size=1),
}


@pytest.mark.long
@pytest.mark.parametrize("what", RECORDS)
def test_what_was_done_must_be_what_was_planned(
    what: str, run: Path, check: Callable[[Path], Verification], remake: Callable[[Path], None]
) -> None:
    RECORDS[what](run)
    try:
        remake(run)
    except (ValueError, TypeError, RuntimeError):
        return  # no report can be made of it
    assert refused(check, run)


def test_a_report_that_is_made_again_holds(
    run: Path, check: Callable[[Path], Verification], remake: Callable[[Path], None]
) -> None:
    remake(run)
    found = check(run)
    assert found.holds, found.findings


@pytest.mark.parametrize(
    "change", [{"created": "by a notified body"}, {"created": None}, {"versions": {"audited by": "a notified body"}}]
)
def test_the_moment_of_a_report_is_a_time_and_versions(
    change: dict[str, Any], run: Path, check: Callable[[Path], Verification]
) -> None:
    plain = json.loads((run / FILE).read_text()) | change
    plain["seal"] = seal(plain)
    (run / FILE).write_text(json_text(plain))
    assert refused(check, run)


def test_another_name_of_the_model_is_said(
    run: Path, check: Callable[[Path], Verification], remake: Callable[[Path], None]
) -> None:
    """It may be called otherwise elsewhere, so it is no forgery; but whoever reads the report is told."""

    @in_each("head")
    def renamed(record: Record) -> None:
        record[1]["model"]["name"] = "certified net"

    renamed(run)
    remake(run)
    assert any("certified net" in line for line in check(run).not_covered)


OPTIONS = {
    "norm": "Linf", "eps": "0.05", "claim": ["fgsm=0.9"], "seed": 0, "batch_size": 256, "shard_size": 10,
    "clean_floor": None, "receipt": "auto", "certify": None, "suite": "quick",
}  # fmt: skip
OTHERS = {
    "norm": "L2", "eps": "8/255", "claim": ["fgsm=0.8"], "seed": 1, "batch_size": 2, "shard_size": 5,
    "clean_floor": 0.5, "receipt": "off", "suite": "full",
}  # fmt: skip


@pytest.mark.long
@pytest.mark.parametrize("name", OTHERS)
def test_the_plan_must_be_what_the_options_ask_for(name: str, small_net: nn.Module, small_images: Images) -> None:
    plan = plan_audit(
        small_net, small_images, sp.Threat("Linf", 0.05), suite="quick", claims=["fgsm=0.9"], shard_size=10
    )
    assert list(options_findings(plan, OPTIONS)) == []
    found = list(options_findings(plan, {**OPTIONS, name: OTHERS[name]}))
    assert len(found) == 1
    assert name in found[0]


@pytest.mark.long
@pytest.mark.parametrize(
    "how",
    [
        {"suite": ["fgsm", "pgd:steps=5"], "replay": True},
        {"suite": "quick", "replay": True},
        {"suite": "quick", "order_from": True},
        {"suite": "quick", "precision": "bfloat16"},
        {"suite": "quick", "receipt": "off", "claims": ["pgd:0.03=0.5", "0.5", "clean=0.9"]},
        {"suite": ["fgsm"], "certify": "ibp"},
    ],
    ids=lambda how: ", ".join(f"{name} {value}" for name, value in how.items()),
)
def test_an_honest_run_of_another_kind_holds(
    how: dict[str, Any],
    finished: Path,
    tmp_path: Path,
    check: Callable[[Path], Verification],
    small_net: nn.Module,
    small_images: Images,
) -> None:
    known = {name: finished if value is True else value for name, value in how.items()}
    folder = tmp_path / "other"
    sp.audit(small_net, small_images, sp.Threat("Linf", 0.05), folder=folder, shard_size=12, **known).save(folder)
    found = check(folder)
    assert found.holds, found.findings
