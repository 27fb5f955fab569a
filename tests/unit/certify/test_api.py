"""`sp.certify` and `sparring certify`: what is counted, what is refused, and that batches change nothing."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
import torch
from torch import nn

import sparring as sp
from sparring.certify.result import Certificates
from sparring.cli import main
from sparring.errors import InputError


def net_and_images(count: int = 12) -> tuple[nn.Module, torch.Tensor, torch.Tensor]:
    """A small ReLU net, images, and its own answers as labels, the first of them wrong."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        net = nn.Sequential(nn.Flatten(), nn.Linear(16, 12), nn.ReLU(), nn.Linear(12, 3)).requires_grad_(False)
        x = torch.rand(count, 1, 4, 4)
    y = net(x).argmax(1)
    y[0] = (y[0] + 1) % 3
    return net, x, y


@pytest.mark.parametrize("method", ["ibp", "crown", "alpha-crown"])
def test_an_image_that_is_wrong_is_not_certified(method: str) -> None:
    net, x, y = net_and_images()
    proved = sp.certify(net, x, y, ("Linf", 1e-3), method)
    assert proved.status[0] == "wrong"
    assert float(proved.bound[0]) < 0
    assert proved.certified_accuracy == pytest.approx(11 / 12)
    assert proved.interval[0] < 11 / 12 < proved.interval[1]


@pytest.mark.parametrize("method", ["ibp", "crown", "alpha-crown", "complete:attack=off"])
def test_near_zero_float64_decides_and_the_last_bit_proves_nothing(method: str) -> None:
    """The least margin is 0.5 - 2 eps: 3e-5 is too little for float32, 3e-7 is within the rounding of the model."""
    net = nn.Linear(2, 2, bias=False).requires_grad_(False)
    net.weight.copy_(torch.eye(2))
    x, y = torch.tensor([[0.75, 0.25]]), torch.tensor([0])
    for least, wanted in ((1e-2, True), (3e-5, True), (3e-7, False), (-3e-5, False)):
        found = sp.certify(net, x, y, ("Linf", 0.25 - least / 2), method)
        assert found.certified.tolist() == [wanted], least
        assert float(found.bound[0]) == pytest.approx(least, abs=1e-7)


def test_no_certificate_is_broken_by_an_attack() -> None:
    net, x, y = net_and_images(40)
    for norm, eps in (("Linf", 0.05), ("L2", 0.2), ("L1", 0.5)):
        proved = sp.certify(net, x, y, (norm, eps), "alpha-crown")
        attacked = sp.PGD(steps=30, restarts=3)(net, x, y, (norm, eps))
        assert not bool((proved.certified & attacked.success).any())
        assert 0 < int(proved.certified.sum()) < 40  # something was proved, and not everything


def test_batches_change_nothing() -> None:
    net, x, y = net_and_images()
    whole = sp.certify(net, x, y, ("Linf", 0.05))
    parts = sp.certify(net, x, y, ("Linf", 0.05), batch_size=5)
    assert torch.equal(whole.certified, parts.certified)
    assert torch.allclose(whole.bound, parts.bound, atol=1e-5)


def test_the_model_is_left_as_it_was() -> None:
    net, x, y = net_and_images()
    net.train()
    net[1].weight.requires_grad_(True)
    before = {name: value.clone() for name, value in net.state_dict().items()}
    state = torch.get_rng_state()
    sp.certify(net, x, y, ("Linf", 0.05), "alpha-crown")
    assert net.training
    assert net[1].weight.requires_grad
    assert torch.equal(state, torch.get_rng_state())
    assert all(torch.equal(before[name], value) for name, value in net.state_dict().items())


@pytest.mark.parametrize(
    ("threat", "method", "said"),
    [
        (("Linf", None), "crown", "needs a radius"),
        (("L0", 3), "crown", "not L0"),
        (("Linf", 0.1), "magic", "no method is called 'magic'"),
        (("Linf", 0.1), "alpha-crown:stepz=3", "alpha-crown has no option 'stepz'; it has steps"),
        (("Linf", 0.1), "alpha-crown:steps=many", "give a number"),
    ],
)
def test_what_does_not_fit_is_said(threat: tuple[str, float | None], method: str, said: str) -> None:
    net, x, y = net_and_images()
    with pytest.raises(InputError, match=said):
        sp.certify(net, x, y, threat, method)


def test_a_net_in_low_precision_is_refused() -> None:
    net, x, y = net_and_images()
    with pytest.raises(InputError, match="float32"):
        sp.certify(net.to(torch.bfloat16), x, y, ("Linf", 0.1))


@pytest.mark.parametrize("norm", ["Linf", "L2", "L1"])
def test_what_intervals_verify_is_never_broken_image_by_image(norm: str) -> None:
    """At several radii, against PGD and APGD; and the tighter method proves what the looser one proves."""
    net, x, y = net_and_images(40)
    unit = {"Linf": 0.02, "L2": 0.08, "L1": 0.2}[norm]
    some = 0
    for times in (0.5, 1, 2, 4):
        ibp, crown = (sp.certify(net, x, y, (norm, times * unit), method).certified for method in ("ibp", "crown"))
        assert bool((crown | ~ibp).all())
        for attack in ("pgd:steps=20", "apgd-ce:steps=20") if norm != "L1" else ("pgd:steps=20",):
            attacked = sp.attack(attack)(net, x, y, (norm, times * unit)).success
            assert not bool((attacked & crown).any())
        some += int(ibp.sum())
    assert some > 0


@pytest.mark.parametrize("method", ["ibp", "crown", "alpha-crown", "complete"])
def test_towards_a_target_more_is_proved_and_no_targeted_attack_breaks_it(method: str) -> None:
    net, x, _ = net_and_images(40)
    y = net(x).argmax(1)
    any_class = sp.certify(net, x, y, ("Linf", 0.06), method)
    every = torch.ones(40, dtype=torch.bool)
    for shift in (1, 2):
        goal = sp.Targeted((y + shift) % 3, y)
        found = sp.certify(net, x, goal, ("Linf", 0.06), method, batch_size=16)
        attacked = sp.PGD(steps=30)(net, x, goal, ("Linf", 0.06)).success
        assert not bool((found.certified & attacked).any())
        assert bool((found.certified | ~any_class.certified).all())
        assert not bool((found.attacked & ~(net(found.x_adv).argmax(1) == goal.label)).any())
        every &= found.certified
    assert torch.equal(every, any_class.certified)  # safe from each class is safe from all
    with pytest.raises(InputError, match="own class"):
        sp.certify(net, x, sp.Targeted(y, y), ("Linf", 0.06), method)


def test_the_command_writes_the_figures(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "found.json"
    arguments = ["certify", "--model", "mnist-cnn", "--n", "4", "--eps", "0.001", "--method", "ibp", "--json", str(out)]
    monkeypatch.setattr(sys, "argv", ["sparring", *arguments])
    with pytest.raises(SystemExit) as left:
        main()
    assert not left.value.code
    said = json.loads(out.read_text())
    assert {"certified_accuracy", "threat", "method", "n", "seconds"} <= said.keys()
    assert said["n"] == 4
    assert said["threat"]["eps"] == 0.001
    assert len(said["images"]) == 4
    assert "certified accuracy" in capsys.readouterr().out


def test_a_command_without_a_radius_is_told_so(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["sparring", "certify", "--model", "mnist-cnn"])
    with pytest.raises(SystemExit) as left:
        main()
    assert left.value.code == 2
    assert "--eps" in capsys.readouterr().err


def test_names_are_exported() -> None:
    assert sp.Certificates is Certificates
