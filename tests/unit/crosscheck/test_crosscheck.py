"""The crosscheck: peers under watch, judged alike. The peers here are fakes whose every fault is known."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest
import torch
from torch import Tensor, nn

import sparring as sp
from sparring.crosscheck.check import PEERS, Crosscheck, Row, crosscheck
from sparring.crosscheck.peer import Answer, Run, Setting
from sparring.crosscheck.watch import Watched
from sparring.errors import InputError

X = torch.tensor([[0.6, 0.4, 0.0], [0.7, 0.3, 0.5], [0.9, 0.1, 1.0]])
Y = torch.tensor([0, 0, 0])
THREAT = sp.Threat("Linf", 0.2)


@pytest.fixture
def net() -> nn.Module:
    """Class 0 where the first number is the larger: the nearest mistakes are 0.1, 0.2 and 0.4 away."""
    net = nn.Linear(3, 2, bias=False).requires_grad_(False)
    net.weight.copy_(3 * torch.eye(3)[:2])  # not to look like probabilities; the third number tells the images apart
    return net


def tilted(x: Tensor, far: float) -> Tensor:
    return x + far * torch.tensor([-1.0, 1.0, 0.0])


def honest(net: Watched, x: Tensor, y: Tensor) -> Answer:
    points = tilted(x, 0.15)
    return points, net(points).argmax(1) != y


def boastful(net: Watched, x: Tensor, y: Tensor) -> Answer:
    return tilted(x, 0.15), torch.ones(len(x), dtype=torch.bool)


def beyond(net: Watched, x: Tensor, y: Tensor) -> Answer:
    return tilted(x, 0.25), None


def outside(net: Watched, x: Tensor, y: Tensor) -> Answer:
    return x + torch.tensor([0.0, 2.0, 0.0]), None


def forgetful(net: Watched, x: Tensor, y: Tensor) -> Answer:
    net(tilted(x, 0.15))
    return x, None


def broken(net: Watched, x: Tensor, y: Tensor) -> Answer:
    raise RuntimeError("cannot\nwork")


def smallest(net: Watched, x: Tensor, y: Tensor) -> Answer:
    points = tilted(x, 0.41)
    for k in range(3):  # one at a time, in another order
        row = 2 - k
        net(tilted(x[row : row + 1], [0.11, 0.21, 0.41][row]))
    return points, None


@pytest.fixture
def check(net: nn.Module, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Crosscheck]:
    def run(threat: sp.Threat = THREAT, **attacks: Run) -> Crosscheck:
        fake = ModuleType("fake")
        fake.runs = lambda setting: {name.replace("_", "-"): one for name, one in attacks.items()}  # type: ignore[attr-defined]
        monkeypatch.setitem(sys.modules, "sparring.crosscheck.on_fake", fake)
        return crosscheck(sp.wrap(net), X, Y, threat, peers=("fake",))

    return run


def only(found: Crosscheck) -> Row:
    (row,) = found.rows
    return row


def test_an_honest_peer(check: Callable[..., Crosscheck]) -> None:
    row = only(check(FGSM=honest))
    assert (row.standing, row.silent, row.outside, row.beyond, row.lost) == (2, 0, 0, 0, 0)
    assert (row.forward, row.backward) == (3, 0)
    assert row.area == pytest.approx((0.15 + 0.4 + 0.4) / 3)
    assert row.optimality == pytest.approx(1.0)


def test_a_claim_that_a_fresh_look_denies_is_a_silent_failure(check: Callable[..., Crosscheck]) -> None:
    assert only(check(FGSM=boastful)).silent == 2


def test_points_beyond_eps_are_counted_and_gain_nothing_at_eps(check: Callable[..., Crosscheck]) -> None:
    row = only(check(PGD=beyond))
    assert (row.beyond, row.silent, row.standing) == (3, None, 3)
    assert row.nearest is not None
    assert row.nearest.tolist() == pytest.approx([0.25, 0.25, float("inf")])


def test_points_outside_the_box_are_no_successes(check: Callable[..., Crosscheck]) -> None:
    row = only(check(PGD=outside))
    assert (row.outside, row.standing) == (3, 3)
    assert row.nearest is not None
    assert row.nearest.isinf().all()


def test_a_success_that_is_not_handed_over_counts_and_is_told(check: Callable[..., Crosscheck]) -> None:
    row = only(check(PGD=forgetful))
    assert (row.standing, row.lost) == (2, 1)


def test_an_attack_that_fails_is_one_line_and_no_figures(check: Callable[..., Crosscheck]) -> None:
    found = check(FGSM=honest, PGD=broken)
    failed = found.rows[1]
    assert failed.error == "RuntimeError: cannot"
    assert failed.nearest is None
    assert found.rows[0].optimality == pytest.approx(1.0)
    json.dumps({**found.to_dict(), "envelope_area": 0})


def test_rows_of_smaller_batches_find_their_image(check: Callable[..., Crosscheck]) -> None:
    found = check(FGSM=honest, FMN=smallest)
    row = found.rows[1]
    assert row.nearest is not None
    assert row.nearest.tolist() == pytest.approx([0.11, 0.21, 0.41], abs=1e-6)
    assert (row.forward, row.beyond) == (3, 0)
    assert found.envelope_area == pytest.approx((0.11 + 0.21 + 0.4) / 3)
    assert found.rows[0].optimality < row.optimality


def test_ours_beside_them_in_a_box_of_its_own(net: nn.Module) -> None:
    wide = nn.Sequential(net, nn.Identity())
    model = sp.wrap(wide, box=(-1.0, 1.0))
    found = crosscheck(model, 2 * X - 1, Y, sp.Threat("Linf", 0.5), peers=("sparring", "no_such_peer"))
    rows = {row.attack: row for row in found.rows}
    assert set(rows) == {"FGSM", "PGD", "APGD-CE", "FMN"}
    assert all(row.outside == row.beyond == row.silent == row.lost == 0 for row in rows.values())
    assert {name: row.standing for name, row in rows.items()} == dict.fromkeys(rows, 1)
    near = rows["FMN"].nearest
    assert near is not None
    assert near.tolist() == pytest.approx([0.2, 0.4, 0.8], rel=0.1)
    assert found.missing == {"no_such_peer": "not installed"}


def test_passes_are_those_that_the_net_saw(net: nn.Module) -> None:
    found = crosscheck(sp.wrap(net), X, Y, sp.Threat("Linf", 0.01), peers=("sparring",))
    fgsm = found.rows[0]
    result = sp.attack("fgsm")(sp.wrap(net), X, Y, sp.Threat("Linf", 0.01))
    assert (fgsm.forward, fgsm.backward) == (int(result.queries.sum()), int(result.gradients.sum()))


@pytest.mark.parametrize("threat", [sp.Threat("Linf"), sp.Threat("L0", 3)])
def test_what_it_cannot_do_is_one_line(net: nn.Module, threat: sp.Threat) -> None:
    with pytest.raises(InputError, match="eps above 0"):
        crosscheck(sp.wrap(net), X, Y, threat)


def test_every_peer_has_its_file() -> None:
    folder = Path(sys.modules["sparring.crosscheck.check"].__file__ or "").parent
    assert {path.stem.removeprefix("on_") for path in folder.glob("on_*.py")} == set(PEERS)


def test_a_setting_knows_its_exponent() -> None:
    assert [Setting(norm, 0.1, 10, 0).p for norm in ("L1", "L2", "Linf")] == [1.0, 2.0, float("inf")]
