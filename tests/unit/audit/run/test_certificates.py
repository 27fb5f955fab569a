"""An audit with a proof: the bracket in every form of the report, forged certificates, and a proof that is wrong."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest
import torch
from torch import Tensor, nn

import sparring as sp
from sparring.audit.api import plan_audit
from sparring.audit.report.report import Report
from sparring.audit.run.folder import Run
from sparring.audit.run.verify import Verification, verify
from sparring.audit.suites.stage import Stage, Suite
from sparring.certify.result import Certificates
from sparring.errors import InputError
from sparring.scale.store import Store

Images = tuple[Tensor, Tensor]
SUITE = ["fgsm", "pgd:steps=10"]
KEYWORDS: dict[str, Any] = {"suite": SUITE, "shard_size": 16}
EPS = 0.05


def net_and_images() -> tuple[nn.Module, Images]:
    """A small ReLU net, 40 images that it gets right but for the first; at 0.05 CROWN leaves one of them open."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        net = nn.Sequential(nn.Flatten(), nn.Linear(16, 12), nn.ReLU(), nn.Linear(12, 3)).requires_grad_(False)
        x = torch.rand(40, 1, 4, 4)
    y = net(x).argmax(1)
    y[0] = (y[0] + 1) % 3
    return net, (x, y)


NET, IMAGES = net_and_images()


def audited(method: str, **more: Any) -> Report:
    return sp.audit(NET, IMAGES, ("Linf", EPS), certify=method, **KEYWORDS, **more)


@pytest.fixture(scope="module", params=["crown", "complete"])
def honest(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Path]:
    folder = tmp_path_factory.mktemp(request.param) / "run"
    audited(request.param, folder=folder).save(folder)
    return request.param, folder


@pytest.mark.long
def test_the_bracket_is_that_of_certify_and_closes_where_every_image_is_settled() -> None:
    crown, complete = audited("crown"), audited("complete")
    for method, report in (("crown", crown), ("complete", complete)):
        proved = sp.certify(NET, *IMAGES, ("Linf", EPS), method)
        assert report.certified is not None
        assert report.bracket is not None
        assert report.certified.value == proved.certified_accuracy
        assert [row["certified"] for row in report.samples] == proved.certified.tolist()
        assert report.certified.hits <= report.robust.hits
    assert "between 60.0 and 62.5 %" in crown.headline
    assert "1 is neither broken nor proved" in crown.verdict
    assert "between 62.5 and 62.5 %" in complete.headline
    assert "Every image is settled" in complete.verdict


def test_the_curve_has_a_lower_side_that_falls_and_stays_below_the_upper() -> None:
    report = audited("crown")
    assert report.curve is not None
    lower = [point.certified.hits for point in report.curve.points if point.certified is not None]
    upper = [point.envelope.hits for point in report.curve.points]
    assert len(lower) == len(upper)
    assert lower == sorted(lower, reverse=True)
    assert all(a <= b for a, b in zip(lower, upper, strict=True))
    for point, count in zip(report.curve.points[1:], lower[1:], strict=True):
        assert count == int(sp.certify(NET, *IMAGES, ("Linf", point.eps), "crown").certified.sum())


def test_every_form_of_the_report_has_the_bracket(honest: tuple[str, Path]) -> None:
    method, folder = honest
    plain = json.loads((folder / "report.json").read_text())
    assert plain["bracket"]["method"] == method
    assert plain["bracket"]["lower"] <= plain["bracket"]["upper"] == plain["robust_accuracy"]
    assert f"proved by {method}" in (folder / "report.html").read_text()
    assert "| proved by |" in (folder / "report.md").read_text()
    assert "certified" in (folder / "samples.csv").read_text().splitlines()[0]


@pytest.mark.long
def test_a_proved_claim_holds_and_one_below_the_proof_needs_no_luck() -> None:
    report = audited("crown", claims=["0.55"])
    assert report.status == "claim-holds"
    assert "is proved" in report.headline
    assert audited("crown", claims=["0.62"]).headline != report.headline


def check(folder: Path) -> Verification:
    return verify(folder, sp.wrap(NET), IMAGES)


def test_an_honest_proof_verifies(honest: tuple[str, Path]) -> None:
    found = check(honest[1])
    assert found.holds, found.findings
    assert found.certificates == {"crown": 24, "complete": 25}[honest[0]]


def claim_more(tensors: dict[str, Tensor], values: dict[str, Any]) -> None:
    """Every image that stands is certified."""
    rows = ~tensors["worst/0/success"]
    tensors["certificate/certified"] |= rows
    tensors["certificate/radius"][rows] = tensors["certificate/radius"][rows].clamp(min=EPS)
    tensors["certificate/bound"][rows] = tensors["certificate/bound"][rows].clamp(min=0.01)


def claim_broken(tensors: dict[str, Tensor], values: dict[str, Any]) -> None:
    """An image that is broken is certified."""
    row = int((tensors["worst/0/success"] & tensors["worst/0/clean_correct"]).nonzero()[0])
    tensors["certificate/certified"][row] = True
    tensors["certificate/radius"][row] = EPS


def claim_wrong(tensors: dict[str, Tensor], values: dict[str, Any]) -> None:
    """An image that is wrong before any attack is certified."""
    tensors["certificate/certified"][0] = True
    tensors["certificate/radius"][0] = EPS


def claim_further(tensors: dict[str, Tensor], values: dict[str, Any]) -> None:
    """What is proved at the audited radius is proved at twice the radius."""
    radius = tensors["certificate/radius"]
    radius[radius >= EPS] = max(radius.max().item(), 2 * EPS)


def claim_a_gap(tensors: dict[str, Tensor], values: dict[str, Any]) -> None:
    """The margins are larger."""
    tensors["certificate/bound"] += 0.5


def claim_another_method(tensors: dict[str, Tensor], values: dict[str, Any]) -> None:
    values["certificate"][0] = "complete:seconds=3600"


FORGERIES = (claim_more, claim_broken, claim_wrong, claim_further, claim_a_gap, claim_another_method)


@pytest.mark.long
@pytest.mark.parametrize("change", FORGERIES)
def test_forged_certificates_are_found(
    change: Callable[[dict[str, Tensor], dict[str, Any]], None], honest: tuple[str, Path], tmp_path: Path
) -> None:
    """The shard is signed again, and the report is honestly made from it."""
    method, folder = honest
    if method == "complete" and change is claim_more:
        pytest.skip("every image that stands is certified")
    run = Path(shutil.copytree(folder, tmp_path / "run"))
    store = Store.read(run)
    tensors, values = store.load(0)
    change(tensors, values)
    store.save(0, (tensors, values))
    plan = plan_audit(NET, IMAGES, sp.Threat("Linf", EPS), certify=method, **KEYWORDS)
    Run.open(plan, run, resume=True).report().save(run)
    assert not check(run).holds


def test_a_proof_that_an_attack_refutes_fails_the_run() -> None:
    """A prover that proves everything: the broken images are put to it too."""
    from sparring.audit.cascade import certificate

    honest_prover = certificate.certify

    def liar(*arguments: Any, **keywords: Any) -> Certificates:
        found = honest_prover(*arguments, **keywords)
        found.certified[:] = True
        return found

    with patch.object(certificate, "certify", liar):
        report = audited("crown")
    assert report.refuted
    assert report.status == "inconclusive"
    assert report.cause == "certificate-broken"
    assert "run has failed" in report.headline
    assert "certificate-broken" in {doubt.code for doubt in report.doubts}


@pytest.mark.long
def test_what_the_search_breaks_counts_as_broken_and_can_be_verified(tmp_path: Path) -> None:
    """The only attack has one query: the search for the proof finds the adversarial examples."""
    folder = tmp_path / "run"
    weak = Suite("weak", "", (Stage("Square", "square:queries=1", "query"),), curves=())
    report = sp.audit(NET, IMAGES, ("Linf", 0.1), suite=weak, certify="complete", shard_size=16, folder=folder)
    report.save(folder)
    searched = [one for one in report.attacks if one.stage.title == "Search for a proof"]
    broke = [int(row) for one in searched for row in one.broke]
    assert broke
    assert all(report.samples[row]["status"] == "broken" for row in broke)
    assert report.bracket is not None
    assert report.bracket.closed
    assert check(folder).holds


def test_without_a_proof_nothing_is_said_of_one(small_report: Report) -> None:
    assert small_report.bracket is None
    assert "bracket" not in small_report.to_dict()


@pytest.mark.parametrize(("method", "said"), [("smoothing", "majority vote"), ("magic", "no method is called 'magic'")])
def test_a_method_that_proves_something_else_is_refused(method: str, said: str) -> None:
    with pytest.raises(InputError, match=said):
        audited(method)


def test_a_model_that_cannot_be_read_is_refused_before_the_attacks() -> None:
    net = nn.Sequential(nn.Flatten(), nn.Linear(16, 12), nn.Tanh(), nn.Linear(12, 3))
    with pytest.raises(InputError, match="Tanh"):
        plan_audit(net, IMAGES, ("Linf", EPS), certify="crown", **KEYWORDS)
