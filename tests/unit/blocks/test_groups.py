"""Candidates are made and asked a group of rows at a time, and nobody can tell by the result."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

import sparring as sp
from sparring.attack import Attack
from sparring.blocks import groups
from sparring.blocks.decision import starts
from sparring.bout import Bout
from sparring.losses import margin
from sparring.result import PER_SAMPLE
from sparring.testing.fixtures import Paper, curved

Searching = Callable[..., Attack]
PIXELS = 20
SPECS = {
    "hopskipjump:samples=9": "L2",
    "tangent:samples=9": "L2",
    "cgba:samples=9": "L2",
    "cgba-h:samples=9": "L2",
    "geoda:samples=9": "Linf",
    "signopt:samples=9": "L2",
    "rays": "Linf",
    "pointwise": "L0",
    "lsa:rounds=6,pixels=9": "L0",
    "zoo:steps=5,search=2,coordinates=9": "L2",
}


def watched(paper: Paper, spec: str, norm: str, queries: int | None) -> tuple[sp.Result, int]:
    """The result, and the largest batch that the net saw after the clean images."""
    sizes: list[int] = []
    handle = paper.net.register_forward_hook(lambda _, args, __: sizes.append(len(args[0])))
    result = sp.attack(spec)(paper.net, paper.x, paper.y, (norm, None), budget=sp.Budget(queries=queries))
    handle.remove()
    return result, max(sizes[1:])


def same(one: sp.Result, other: sp.Result, slack: float = 0.0) -> None:
    """Equal in all that a result says of a sample. `slack`: where scores are seen, their last bits are the net's."""
    for name in PER_SAMPLE:
        mine, others = getattr(one, name).double(), getattr(other, name).double()
        assert torch.allclose(mine, others, rtol=0, atol=slack, equal_nan=True), name


@pytest.mark.parametrize(("queries", "rows"), [(37, 1), (90, 4)])
@pytest.mark.parametrize("spec", SPECS)
def test_groups_of_rows_change_nothing_in_the_result(
    spec: str, queries: int, rows: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    paper = curved(count=9)
    whole, _ = watched(paper, spec, SPECS[spec], queries)
    monkeypatch.setattr(groups, "ROOM", rows * 9 * PIXELS)
    parts, _ = watched(paper, spec, SPECS[spec], queries)
    same(parts, whole, 0.0 if sp.attack(spec).info.sees == "decision" else 1e-9)


@pytest.mark.parametrize("spec", [spec for spec in SPECS if "=9" in spec and not spec.startswith("geoda")])
def test_no_more_candidates_are_asked_at_once_than_there_is_room_for(
    spec: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    paper = curved(count=9)
    spec = spec if "zoo" in spec or "lsa" in spec else f"{spec},queries=60"
    assert watched(paper, spec, SPECS[spec.split(",queries")[0]], None)[1] > 40
    monkeypatch.setattr(groups, "ROOM", 40 * PIXELS)
    assert watched(paper, spec, SPECS[spec.split(",queries")[0]], None)[1] <= 45  # LSA: five pixels, nine rows


def test_starts_are_drawn_for_rows_that_have_none_only_and_in_groups(monkeypatch: pytest.MonkeyPatch) -> None:
    """Sixty images of noise for every row at once had been too much for large images, where one row needed them."""
    drawn: list[int] = []

    class Stubborn(nn.Module):
        """Nothing fools the first image, whose corner pixel is outside the region; anything fools the others."""

        def forward(self, x: Tensor) -> Tensor:
            own = (x.flatten(1)[:, 0] > 0.5) | (x.flatten(1)[:, 1] < 0.1)
            return torch.stack([own.float(), 1 - own.float()], 1)

    def clip(bout: Bout, z: Tensor) -> Tensor:
        drawn.append(z[..., 0, 0, 0].numel())
        return kept(bout, z)

    kept = starts.clip_many
    monkeypatch.setattr(starts, "clip_many", clip)
    x = torch.zeros(8, 1, 2, 2)
    x[::4, 0, 0, 0] = 1
    region = torch.tensor([[False, True], [True, True]])[None]
    attack = sp.attack("hopskipjump:queries=200")
    whole = attack(Stubborn(), x, torch.zeros(8).long(), ("L2", None), region=region)
    assert whole.success.tolist() == [False, True, True, True] * 2
    assert max(drawn) == 2 * 60
    monkeypatch.setattr(groups, "ROOM", 60 * 4)
    parts = attack(Stubborn(), x, torch.zeros(8).long(), ("L2", None), region=region)
    assert max(drawn[len(drawn) // 2 :]) == 60
    same(parts, whole)


@pytest.mark.parametrize("size", [1, 2, 5, 9])
def test_groups_are_bouts_of_their_rows(size: int, searching: Searching) -> None:
    paper = curved(count=5)

    def run(bout: Bout) -> None:
        inside = bout.child(0, passes=7)
        wanted = torch.tensor([True, False, True, True, True])
        seen = list(inside.groups(size, wanted))
        assert torch.cat([rows for rows, _ in seen]).tolist() == [0, 2, 3, 4]
        assert max(len(group) for _, group in seen) == min(size, 4)
        for rows, group in seen:
            assert torch.equal(group.x, inside.x[rows])
            assert torch.equal(group.noise.keys, inside.noise.keys[rows])
            group.fooled_many(group.x[:, None].expand(-1, 9, *group.x.shape[1:]))
        assert (bout._referee.queries - 1).tolist() == [7, 0, 7, 7, 7]  # what a child may spend holds in its groups
        assert not list(inside.groups(size, torch.zeros(5, dtype=torch.bool)))

    searching(run)(paper.net, paper.x, paper.y, ("L2", None))


@pytest.mark.parametrize("rows", [1, 2, 5])
def test_a_group_that_can_pay_no_more_stops_no_other(
    rows: int, searching: Searching, monkeypatch: pytest.MonkeyPatch
) -> None:
    paper = curved(count=5)
    monkeypatch.setattr(groups, "ROOM", rows * 3 * PIXELS)

    def run(bout: Bout) -> None:
        ahead = torch.tensor([True, True, False, False, False])
        bout.candidate_losses(bout.x[:, None].expand(-1, 4, *bout.x.shape[1:]), margin, ahead[:, None].expand(-1, 4))
        z = bout.x[:, None].expand(-1, 3, *bout.x.shape[1:])
        groups.losses_in_groups(bout, lambda at, part: z[at, part], 3, margin)
        assert bout._referee.queries.tolist() == [5, 5, 4, 4, 4]
        asked.append(True)

    asked: list[bool] = []
    searching(run, "score")(paper.net, paper.x, paper.y, ("L2", None), budget=sp.Budget(queries=5))
    assert asked


def test_rows_that_want_nothing_now_go_on_when_the_others_have_spent_all(searching: Searching) -> None:
    """Who was in a batch with rows that asked more was stopped with them."""
    paper = curved(count=3)

    def run(bout: Bout) -> None:
        z, everybody = bout.x[:, None], torch.ones(3, 1, dtype=torch.bool)
        early = torch.tensor([[True], [True], [False]])
        for wanted in (early, early, early, everybody, everybody, everybody):
            bout.candidates(z, wanted)
        pytest.fail("nobody could pay for the last")

    result = searching(run, "score")(paper.net, paper.x, paper.y, ("L2", None), budget=sp.Budget(queries=3))
    assert result.queries.tolist() == [3, 3, 3]
