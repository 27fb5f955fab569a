"""A run that somebody has changed does not verify; one that nobody has changed does, and is left as it was.

The forger here may sign again what carries a signature of its own: shards, the plan in them, the seal of the report.
"""

from __future__ import annotations

import hashlib
import json
import random
import shutil
from collections.abc import Callable
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import sparring as sp
from sparring.audit.api import plan_audit
from sparring.audit.report.document import FILE, json_text, read, seal
from sparring.audit.run.folder import Run
from sparring.audit.run.verify import Verification, verify
from sparring.errors import InputError
from sparring.scale.store import Store

SUITE = ["fgsm", "pgd:steps=5,loss=margin", "square:queries=20"]
"of the run, see conftest.py"
Images = tuple[Tensor, Tensor]


def snapshot(folder: Path) -> dict[str, str]:
    files = (path for path in sorted(folder.rglob("*")) if path.is_file())
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def refused(check: Callable[[Path], Verification], folder: Path) -> bool:
    """The verification finds something, or cannot even be made; and changes nothing."""
    before = snapshot(folder)
    try:
        found = not check(folder).holds
    except InputError as error:
        found = "\n" not in str(error)
    assert snapshot(folder) == before, "verifying changed the folder"
    return found


def forge_report(folder: Path, change: Callable[[dict[str, Any]], None]) -> None:
    """Change report.json and seal it again."""
    plain = json.loads((folder / FILE).read_text())
    change(plain)
    plain["seal"] = seal(plain)
    (folder / FILE).write_text(json_text(plain))


def forge_shard(folder: Path, number: int | str, change: Callable[[dict[str, Tensor], dict[str, Any]], None]) -> None:
    """Change a shard, sign it again, and write its new digest into the report, sealed again."""
    store = Store.read(folder)
    tensors, values = store.load(number)
    change(tensors, values)
    store.save(number, (tensors, values))
    if (folder / FILE).exists():
        forge_report(folder, lambda plain: plain.__setitem__("shards", store.digests()))


def test_an_honest_run_verifies_and_is_left_as_it_was(run: Path, check: Callable[[Path], Verification]) -> None:
    before = snapshot(run)
    found = check(run)
    assert found.holds, found.findings
    assert found.radii[0].claimed > 0
    assert snapshot(run) == before


REPORT_FORGERIES: dict[str, Callable[[dict[str, Any]], None]] = {
    "robust accuracy": lambda plain: plain.update(robust_accuracy=0.99),
    "verdict": lambda plain: plain.update(verdict="Everything is fine."),
    "status": lambda plain: plain.update(status="claim-holds"),
    "an interval": lambda plain: plain["intervals"].update(robust_accuracy=[0.98, 1.0]),
    "no doubts": lambda plain: plain.update(doubts=[]),
    "all standing": lambda plain: [sample.update(status="standing") for sample in plain["samples"]] and None,
    "a requirement": lambda plain: plain["requirements"][0].update(status="met", low=0.5, line="required: met"),
    "a claim": lambda plain: plain["claims"][0].update(claimed=0.1),
    "passes": lambda plain: plain.update(passes=1),
    "settings": lambda plain: plain["settings"].update(n=1000),
    "the distance of an image": lambda plain: plain["samples"][1].update(distance=0.001),
}


@pytest.mark.parametrize("what", REPORT_FORGERIES)
def test_a_changed_report_does_not_verify(what: str, run: Path, check: Callable[[Path], Verification]) -> None:
    forge_report(run, REPORT_FORGERIES[what])
    assert not check(run).holds


def test_a_report_whose_seal_is_broken_is_not_printed(run: Path) -> None:
    plain = json.loads((run / FILE).read_text())
    (run / FILE).write_text(json_text({**plain, "verdict": "Everything is fine."}))
    with pytest.raises(InputError, match="was changed after"):
        read(run)


def flip(name: str, row: int) -> Callable[[dict[str, Tensor], dict[str, Any]], None]:
    def change(tensors: dict[str, Tensor], values: dict[str, Any]) -> None:
        tensors[name][row] = ~tensors[name][row]

    return change


def broken_row(folder: Path) -> int:
    """An image of shard 0 that was right and is broken."""
    tensors, _ = Store.read(folder).load(0)
    return int((tensors["worst/0/success"] & tensors["worst/0/clean_correct"]).nonzero()[0, 0])


@pytest.mark.parametrize("report", ["kept", "gone"])
def test_a_break_marked_as_no_success_is_found(report: str, run: Path, check: Callable[[Path], Verification]) -> None:
    row = broken_row(run)
    if report == "gone":
        (run / FILE).unlink()
    forge_shard(run, 0, flip("worst/0/success", row))
    found = check(run)
    assert not found.holds
    assert found.radii[0].hidden == 1


def test_a_wrong_image_marked_right_is_found(run: Path, check: Callable[[Path], Verification]) -> None:
    (run / FILE).unlink()
    last = Store.read(run).load(2)[0]["worst/0/clean_correct"]
    assert not bool(last[-1]), "the last image is labelled wrongly"
    forge_shard(run, 2, flip("worst/0/clean_correct", len(last) - 1))
    assert not check(run).holds


def test_a_changed_label_is_found(run: Path, check: Callable[[Path], Verification]) -> None:
    (run / FILE).unlink()

    def change(tensors: dict[str, Tensor], values: dict[str, Any]) -> None:
        tensors["y"][3] = (tensors["y"][3] + 1) % 3

    forge_shard(run, "head", change)
    found = check(run)
    assert not found.holds
    assert any("labels" in line for line in found.findings)


def test_a_finished_report_with_a_missing_shard_does_not_verify(
    run: Path, check: Callable[[Path], Verification]
) -> None:
    Store.read(run).path(1).unlink()
    assert not check(run).holds


def test_an_unfinished_run_verifies_as_far_as_it_is(run: Path, check: Callable[[Path], Verification]) -> None:
    for path in run.glob("*"):
        if path.is_file() and path.name not in ("plan.json", ".sparring"):
            path.unlink()
    shutil.rmtree(run / "huggingface")
    Store.read(run).path(1).unlink()
    found = check(run)
    assert found.holds, found.findings
    assert (found.shards, found.of) == (2, 3)


def random_change(folder: Path, draw: random.Random) -> str:
    """Change a run somewhere, and sign again what can be signed; what was done."""
    files = [path for path in sorted(folder.rglob("*")) if path.is_file()]
    kind = draw.choice(["byte", "delete", "cut", "field", "sealed field", "tensor", "value", "plan"])
    path = draw.choice(files)
    if kind == "byte":
        data = bytearray(path.read_bytes())
        at = draw.randrange(len(data))
        data[at] ^= 1 << draw.randrange(8)
        path.write_bytes(bytes(data))
        return f"byte {at} of {path.name}"
    if kind == "delete":
        path.unlink()
        return f"{path.name} deleted"
    if kind == "cut":
        path.write_bytes(path.read_bytes()[: -draw.randrange(1, 20)])
        return f"{path.name} cut"
    if kind in ("field", "sealed field"):
        plain = json.loads((folder / FILE).read_text())
        said = _change_leaf(plain, draw, but=("seal", "created", "versions"))
        if kind == "sealed field":
            plain["seal"] = seal(plain)
        (folder / FILE).write_text(json_text(plain))
        return f"report.json{said} ({kind})"
    store = Store.read(folder)
    number: int | str = draw.choice(["head", 0, 1, 2])
    tensors, values = store.load(number)
    if kind == "tensor":
        name = draw.choice([name for name in tensors if tensors[name].isfinite().any()])
        flat = tensors[name].view(-1)
        at = draw.choice(flat.isfinite().nonzero().flatten().tolist())
        flat[at] = ~flat[at] if flat.dtype == torch.bool else flat[at] + 1
        store.save(number, (tensors, values))
        return f"{name}[{at}] of shard {number}, signed"
    if kind == "value":
        said = _change_leaf(values, draw)
        store.save(number, (tensors, values))
        return f"{said} of shard {number}, signed"
    records = {one: store.load(one) for one in ("head", 0, 1, 2)}
    said = _change_leaf(store.plan, draw)
    (folder / "plan.json").write_text(json.dumps(store.plan, indent=1, sort_keys=True) + "\n")
    for one, record in records.items():
        Store.read(folder).save(one, record)
    return f"plan.json{said}, all signed"


def _change_leaf(plain: Any, draw: random.Random, path: str = "", but: tuple[str, ...] = ()) -> str:
    """Change one value somewhere in nested values."""
    keys = [key for key in (plain if isinstance(plain, dict) else range(len(plain))) if key not in but]
    draw.shuffle(keys)
    for key in keys:
        value = plain[key]
        if isinstance(value, dict | list) and len(value):
            return _change_leaf(value, draw, f"{path}.{key}")
        if isinstance(value, bool):
            plain[key] = not value
        elif isinstance(value, int):
            plain[key] = value + 1
        elif isinstance(value, float):
            plain[key] = value + 0.01
        elif isinstance(value, str):
            plain[key] = value + "x"
        elif value is None:
            plain[key] = "x"
        else:
            continue
        return f"{path}.{key}"
    return path


@pytest.mark.parametrize("seed", range(40))
def test_a_random_change_is_found(seed: int, run: Path, check: Callable[[Path], Verification]) -> None:
    said = random_change(run, random.Random(seed))
    assert refused(check, run), said


@pytest.mark.long
def test_two_hundred_random_changes_are_found(
    finished: Path, tmp_path: Path, check: Callable[[Path], Verification]
) -> None:
    missed = []
    for seed in range(1000, 1200):
        copy = Path(shutil.copytree(finished, tmp_path / str(seed)))
        said = random_change(copy, random.Random(seed))
        if not refused(check, copy):
            missed.append(said)
        shutil.rmtree(copy)
    assert missed == []


HONEST_RUNS = [
    (norm, eps, suite, seed, kind)
    for norm, eps in (("Linf", 0.05), ("L2", 0.4))
    for suite, kind in ((SUITE, "plain"), ("quick", "plain"), (SUITE, "rounded"), (SUITE, "random"), (SUITE, "half"))
    for seed in (0, 1)
]


@pytest.mark.long
@pytest.mark.parametrize(("norm", "eps", "suite", "seed", "kind"), HONEST_RUNS)
def test_twenty_honest_runs_hold(
    norm: str, eps: float, suite: Any, seed: int, kind: str, tmp_path: Path, small_net: nn.Module, small_images: Images
) -> None:
    before: dict[str, list[nn.Module]] = {"rounded": [Rounding()], "random": [nn.Dropout(0.2)]}
    net = nn.Sequential(*before.get(kind, []), deepcopy(small_net))
    model = sp.wrap(net.bfloat16() if kind == "half" else net.train(kind == "random"), mode="as_is")
    known = {"suite": suite, "seed": seed, "claims": [0.5], "shard_size": 12, "clean_floor": 0.0}
    sp.audit(model, small_images, (norm, eps), folder=tmp_path / "run", **known).save(tmp_path / "run")
    found = verify(tmp_path / "run", model, small_images)
    assert found.holds, found.findings


class Rounding(nn.Module):
    """Pixels at the nearest of 9 levels."""

    def forward(self, x: Tensor) -> Tensor:
        return (x * 8).round() / 8


# --- shards forged, and the report honestly made again from them -----------------------------------------------


def remake(folder: Path, net: nn.Module, images: Images) -> None:
    """Make the report again from the shards as they are now: no difference between the two is left to be found."""
    plan = plan_audit(
        net, images, sp.Threat("Linf", 0.05), suite=SUITE, claims=["fgsm=0.9"], require=["robust@0.05 >= 10%"],
        shard_size=10,
    )  # fmt: skip
    report = Run.open(plan, folder, resume=True).report()
    report.requiring(["robust@0.05 >= 10%"]).save(folder)


def vanish(tensors: dict[str, Tensor], values: dict[str, Any]) -> None:
    """Every break is said to be undone by rounding."""
    values["undone"] = [values["confirmed"][1], values["confirmed"][1]]


def unconfirm(tensors: dict[str, Tensor], values: dict[str, Any]) -> None:
    values["confirmed"] = [0, values["confirmed"][1]]


def fragile(tensors: dict[str, Tensor], values: dict[str, Any]) -> None:
    """No break is said to survive any treatment."""
    values["survival"] = [[name, [0, fooled[1]], right] for name, fooled, right in values["survival"]]


def mistaken(tensors: dict[str, Tensor], values: dict[str, Any]) -> None:
    """The adversarial images are said to be taken for another class."""
    tensors["prediction"] = (tensors["prediction"] + 1) % 3


@pytest.mark.parametrize("change", [vanish, unconfirm, fragile, mistaken])
def test_what_is_said_of_the_breaks_is_asked_again(
    change: Callable[[dict[str, Tensor], dict[str, Any]], None],
    run: Path,
    check: Callable[[Path], Verification],
    small_net: nn.Module,
    small_images: Images,
) -> None:
    forge_shard(run, 0, change)
    remake(run, small_net, small_images)
    assert not check(run).holds


def test_a_report_that_is_made_again_from_honest_shards_holds(
    run: Path, check: Callable[[Path], Verification], small_net: nn.Module, small_images: Images
) -> None:
    remake(run, small_net, small_images)
    found = check(run)
    assert found.holds, found.findings


def test_a_model_is_not_random_because_the_run_says_so(
    run: Path, check: Callable[[Path], Verification], small_net: nn.Module, small_images: Images
) -> None:
    """Random models are forgiven votes that fall otherwise; a forger could ask for the same."""

    def random_outputs(tensors: dict[str, Tensor], values: dict[str, Any]) -> None:
        values["probes"]["changed"] = 0.5

    forge_shard(run, "head", random_outputs)
    forge_shard(run, 0, flip("worst/0/success", broken_row(run)))
    remake(run, small_net, small_images)
    found = check(run)
    assert any("at random" in line for line in found.findings)


@pytest.mark.long
def test_probes_that_hide_the_doubt_are_found(tmp_path: Path, small_net: nn.Module, small_images: Images) -> None:
    """A model without gradients; its run says that they are as large as any."""

    class Rounded(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.net = small_net

        def forward(self, x: Tensor) -> Tensor:
            logits: Tensor = self.net(x)
            return (logits * 2).round() / 2

    folder = tmp_path / "run"
    net = Rounded()
    plan = plan_audit(net, small_images, sp.Threat("Linf", 0.05), suite=SUITE, shard_size=10)
    sp.audit(net, small_images, sp.Threat("Linf", 0.05), suite=SUITE, shard_size=10, folder=folder).save(folder)
    assert verify(folder, sp.wrap(net), small_images).holds

    def smooth(tensors: dict[str, Tensor], values: dict[str, Any]) -> None:
        probes = values["probes"]
        shares = [name for name, value in probes.items() if name.startswith("flat") and isinstance(value, float)]
        assert any(probes[name] > 0.5 for name in shares), probes
        probes.update(dict.fromkeys(shares, 0.0))

    forge_shard(folder, "head", smooth)
    Run.open(plan, folder, resume=True).report().save(folder)
    found = verify(folder, sp.wrap(net), small_images)
    assert not found.holds
