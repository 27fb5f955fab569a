"""An audit around a folder: the same report as in memory, every break kept, proved and tried on other models."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import sparring as sp
from sparring.audit.api import plan_audit
from sparring.audit.report.report import Report
from sparring.audit.run.folder import Run
from sparring.audit.run.plan import Plan
from sparring.audit.run.verify import verify
from sparring.audit.suites.stage import Stage, Suite
from sparring.errors import InputError
from sparring.scale.store import Store

THREAT = sp.Threat("Linf", eps=0.05)
SUITE = Suite(
    "small",
    "for tests",
    (
        Stage("Random noise", "noise:draws=5", "noise"),
        Stage("FGSM", "fgsm", "single-step", saturating_loss=True),
        Stage("Square", "square:queries=30", "query"),
    ),
    subset=11,
    curves=(Stage("PGD-5", "pgd:steps=5,loss=margin", "iterative"),),
)
CLAIMS = ["fgsm=0.9", "pgd:steps=3:0.03=0.9", "clean=1.0"]


def linear(skew: float = 0.0) -> nn.Module:
    """Sixteen grey pixels, three classes: each is the sum of its own five pixels."""
    last = nn.Linear(16, 3, bias=False)
    with torch.no_grad():
        last.weight.zero_()
        for k in range(3):
            last.weight[k, 5 * k : 5 * k + 5] = 1.0
        last.weight[0] += skew
    return nn.Sequential(nn.Flatten(), last)


@pytest.fixture(scope="module")
def images() -> tuple[Tensor, Tensor]:
    """24 images, further from the border one after the other; one has a wrong label."""
    x, y = torch.full((24, 1, 4, 4), 0.2), torch.arange(24) % 3
    for i, k in enumerate(y.tolist()):
        x[i].view(-1)[5 * k : 5 * k + 5] += 0.05 + 0.02 * (i // 3)
    y[7] = 2
    return x, y


def plain(report: Report) -> dict[str, Any]:
    """The report less what tells the time."""
    document = report.to_dict()
    for name in ("seconds", "created", "seal", "shards"):
        document.pop(name, None)
    for one in document["attacks"]:
        del one["seconds"]
    return document


def options(**more: Any) -> dict[str, Any]:
    return {"suite": SUITE, "claims": CLAIMS, "shard_size": 5, **more}


@pytest.fixture(scope="module")
def folder(images: tuple[Tensor, Tensor], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run with its report."""
    folder = tmp_path_factory.mktemp("run")
    sp.audit(linear(), images, THREAT, folder=folder, **options()).to_json(folder / "report.json")
    return folder


def test_a_folder_changes_nothing(folder: Path, images: tuple[Tensor, Tensor]) -> None:
    in_memory = plain(sp.audit(linear(), images, THREAT, **options()))
    again = plain(sp.audit(linear(), images, THREAT, folder=folder, resume=True, **options()))
    assert again == in_memory
    assert in_memory["gallery"], "with pictures"
    assert [one["reproduced"] for one in in_memory["claims"]][:2] != [None, None]


def test_the_size_of_a_shard_changes_nothing_that_is_said_of_an_image(images: tuple[Tensor, Tensor]) -> None:
    found = []
    for size in (4, 24):
        # a seed without ties: Square's proposals on a linear net may differ in the last bit alone, by the batch
        document = plain(sp.audit(linear().double(), images, THREAT, **options(shard_size=size, seed=1)))
        for row in document["samples"]:
            row["margin"] = round(row["margin"], 6)
        found.append(document)
    assert found[0] == found[1]


def test_a_random_model_is_as_random_in_every_process(images: tuple[Tensor, Tensor], tmp_path: Path) -> None:
    def build() -> sp.Model:
        net = nn.Sequential(nn.Dropout(0.1), linear())
        net[0].train()
        return sp.wrap(net, mode="as_is")

    few = {**options(claims=(), suite=["fgsm"], shard_size=2), "n": 4}
    first = plain(sp.audit(build(), images, THREAT, **few))
    torch.rand(3)  # elsewhere the global source stands elsewhere
    assert plain(sp.audit(build(), images, THREAT, folder=tmp_path / "run", **few)) == first


def test_shards_may_be_made_in_any_order_and_by_shares(folder: Path, images: Any, tmp_path: Path) -> None:
    plan = plan_audit(linear(), images, THREAT, **options())
    run = Run.open(plan, tmp_path / "run")
    run.work([4, 1])
    with pytest.raises(InputError, match=r"3 of 5 shards are missing \(0, 2, 3\); go on with --resume"):
        run.report()
    run.work(run.share((2, 2)))
    assert run.store.missing() == [0, 2]
    run.work()
    assert plain(run.report()) == plain(Run(plan, Store.read(folder)).report())
    with pytest.raises(InputError, match="share 3/2"):
        run.share((3, 2))


def test_other_images_under_the_same_name_are_noticed(images: tuple[Tensor, Tensor], tmp_path: Path) -> None:
    x, y = images
    run = Run.open(plan_audit(linear(), images, THREAT, **options()), tmp_path / "run")
    run.work([0])
    other = x.clone()
    other[12] *= 0.9
    changed = Run.open(plan_audit(linear(), (other, y), THREAT, **options()), tmp_path / "run", resume=True)
    with pytest.raises(InputError, match="the images 10 to 14 of tensors are not those that this run began with"):
        changed.work()


def test_another_model_may_not_go_on_with_a_run(folder: Path, images: tuple[Tensor, Tensor]) -> None:
    with pytest.raises(InputError, match="holds a run with other settings: weights of the model differ"):
        sp.audit(linear(0.1), images, THREAT, folder=folder, resume=True, **options())
    with pytest.raises(InputError, match="holds this run already; go on with it"):
        sp.audit(linear(), images, THREAT, folder=folder, **options())


def test_a_model_whose_code_has_changed_may_not_go_on_with_a_run(tmp_path: Path, images: tuple[Tensor, Tensor]) -> None:
    """The weights are the same, so the plan is; the answers are not."""

    class Edited(nn.Module):
        def __init__(self, sign: float) -> None:
            super().__init__()
            self.inner, self.sign = linear(), sign

        def forward(self, x: Tensor) -> Tensor:
            answer: Tensor = self.sign * self.inner(x)
            return answer

    home = tmp_path / "run"
    sp.audit(Edited(1.0), images, THREAT, folder=home, **options())
    last = sorted((home / "shards").glob("0*.safetensors"))[-1]
    last.unlink()
    with pytest.raises(InputError, match=r"answers \d of 5 images otherwise than when this run began"):
        sp.audit(Edited(-1.0), images, THREAT, folder=home, resume=True, **options())
    assert not last.exists()
    sp.audit(Edited(1.0), images, THREAT, folder=home, resume=True, **options())
    assert last.exists()


def test_every_break_is_in_the_shards_and_none_in_memory(folder: Path, images: tuple[Tensor, Tensor]) -> None:
    run = Run(plan_audit(linear(), images, THREAT, **options()), Store.read(folder))
    report = run.report()
    assert report.worst.x_adv.shape == (24, 0)
    points = torch.cat([part.worst[0].x_adv for part in run.parts()])
    broken = report.worst.success & report.worst.clean_correct
    assert int(broken.sum()) == report.success.hits > 0
    assert bool((linear()(points[broken]).argmax(1) != images[1][broken]).all())


# --- verify -------------------------------------------------------------------------------------------------------


def test_a_run_is_proved(folder: Path, images: tuple[Tensor, Tensor]) -> None:
    found = verify(folder, sp.wrap(linear()), images)
    assert found.holds
    assert found.same == {"model": True, "data": True, "code": True}
    assert [one.eps for one in found.radii] == [0.05, 0.03]
    assert found.radii[0].proved == found.radii[0].claimed > found.radii[1].claimed > 0
    assert found.standing == found.claimed == json.loads((folder / "report.json").read_text())["standing"]


def test_another_model_or_other_images_do_not_prove_it(folder: Path, images: tuple[Tensor, Tensor]) -> None:
    other = verify(folder, sp.wrap(linear(-0.2)), images)
    assert not other.holds
    assert not other.same["model"]
    x, y = images
    moved = verify(folder, sp.wrap(linear()), ((x + 0.01).clamp(0, 1), y))
    assert not moved.same["data"]
    assert moved.radii[0].inside < moved.radii[0].claimed
    with pytest.raises(InputError, match="is about 24 images, here are 12"):
        verify(folder, sp.wrap(linear()), (x[:12], y[:12]))


@pytest.mark.parametrize("fake", ["outside", "not fooling", "NaN"])
def test_made_up_breaks_are_found(folder: Path, images: tuple[Tensor, Tensor], tmp_path: Path, fake: str) -> None:
    """Somebody writes what he likes into a shard, digest and all."""
    forged = tmp_path / "forged"
    (forged / "shards").mkdir(parents=True)
    for path in [folder / "plan.json", *folder.glob("shards/*.safetensors")]:
        (forged / path.relative_to(folder)).write_bytes(path.read_bytes())
    store = Store.read(forged)
    tensors, values = store.load(0)
    row = int((tensors["worst/0/success"] & tensors["worst/0/clean_correct"]).nonzero()[0])
    point = tensors["worst/0/x_adv"][row]
    point.copy_({"outside": 1 - point, "not fooling": images[0][row], "NaN": torch.full_like(point, torch.nan)}[fake])
    store.save(0, (tensors, values))
    found = verify(forged, sp.wrap(linear()), images)
    assert not found.holds
    assert found.radii[0].proved == found.radii[0].claimed - 1


@pytest.mark.parametrize("harm", [{"shards": 10**12}, {"radii": ["x"]}, {"shard_size": 0}, {"threat": {}}])
def test_a_plan_of_somebody_s_own_making_is_one_line(folder: Path, images: Any, tmp_path: Path, harm: Any) -> None:
    (tmp_path / "plan.json").write_text(json.dumps({**json.loads((folder / "plan.json").read_text()), **harm}))
    store = Store.read(tmp_path)
    for number in ("head", 0):
        store.save(number, Store.read(folder).load(number))
    with pytest.raises(InputError, match=r"is not as sparring writes it|says it has") as caught:
        verify(tmp_path, sp.wrap(linear()), images)
    assert "\n" not in str(caught.value)


# --- replay -------------------------------------------------------------------------------------------------------


def test_a_stored_corpus_is_tried_first(folder: Path, images: tuple[Tensor, Tensor]) -> None:
    x, y = images
    order = torch.randperm(24, generator=torch.Generator().manual_seed(0))
    report = sp.audit(linear(0.01), (x[order], y[order]), THREAT, **options(replay=folder, claims=()))
    first = report.attacks[0]
    assert first.stage.title == f"Replay of {folder.name}"
    assert len(first.broke) > 0
    assert "few-attacks" not in [doubt.code for doubt in report.doubts]
    tagged = report.to_dict()["attacks"][0]
    assert (tagged["knowledge"], tagged["queries"]) == ("transfer", 2 * tagged["tried"])
    assert report.robust_accuracy <= sp.audit(linear(0.01), images, THREAT, **options(claims=())).robust_accuracy


def test_unknown_images_are_left_alone_and_a_smaller_ball_is_kept(folder: Path, images: Any) -> None:
    x, y = images
    mixed = torch.cat([x[:3], (x[3:6] * 0.99)])
    report = sp.audit(linear(), (mixed, y[:6]), sp.Threat("Linf", 0.01), **options(replay=folder, claims=()))
    replay = report.attacks[0]
    assert replay.result.queries.tolist() == [2, 2, 2, 1, 1, 1], "the clean image, and the point where one is known"
    assert bool((report.worst.x_adv - mixed).abs().max() <= 0.01 * (1 + 1e-5))


def test_what_is_no_corpus_is_refused(images: tuple[Tensor, Tensor], tmp_path: Path) -> None:
    with pytest.raises(InputError, match="holds no run"):
        plan_audit(linear(), images, THREAT, replay=tmp_path / "none")


def test_a_plan_knows_a_replayed_run_by_its_contents(folder: Path, images: Any, tmp_path: Path) -> None:
    def identity(where: Path) -> dict[str, Any]:
        plan: Plan = plan_audit(linear(), images, THREAT, **options(replay=where))
        return plan.identity()

    moved = tmp_path / folder.name
    moved.symlink_to(folder)
    assert identity(moved) == identity(folder)
    assert plan_audit(linear(), images, THREAT, **options()).identity() != identity(folder)
