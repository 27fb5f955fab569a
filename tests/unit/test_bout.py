"""What an attack may ask and what the referee makes of the answers, by searches that are written out point by point."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any
from unittest.mock import patch

import pytest
import torch
from torch import Tensor, nn

import sparring as sp
from sparring.attack import Attack, register
from sparring.bout import Bout
from sparring.budget import Budget
from sparring.errors import AccessError
from sparring.losses import cross_entropy, dlr, margin
from sparring.norms import L0, L1, L2, Linf
from sparring.referee import Keep
from sparring.result import Result
from sparring.testing.fixtures import Affine, Paper, affine, curved, pair
from sparring.testing.watch import counted
from sparring.threat import Targeted, Untargeted


def searching(run: Callable[[Bout], Tensor | None], **columns: Any) -> Attack:
    """An attack that is the function `run`, in no register."""
    plain = {
        "title": "S",
        "sees": "gradient",
        "norms": (L0, L1, L2, Linf),
        "aim": "both",
        "paper": "none",
        "year": 2024,
    }
    with patch.dict("sparring.attack.REGISTRY"):
        made = register("searching", **{**plain, **columns})(
            type("S", (Attack,), {"run": lambda self, bout: run(bout)})
        )
    attack: Attack = made()
    return attack


NET = Affine(torch.tensor([[-1.0, 0.0], [1.0, 0.0]]), torch.tensor([0.5, -0.5]))
"class 1 where the first pixel is above 0.5; the margin is 2 * pixel - 1"


def shows(*pixels: float, returns: float | None = None) -> Attack:
    """Shows the one image with these first pixels in turn, and hands over `returns`."""

    def run(bout: Bout) -> Tensor | None:
        for pixel in pixels:
            bout.logits(torch.full_like(bout.x, 0.2).index_fill(1, torch.tensor([0]), pixel))
        return None if returns is None else torch.tensor([[returns, 0.2]])

    return searching(run)


def one(attack: Attack, eps: float | None = 0.6, **options: Any) -> Result:
    return attack(NET, torch.tensor([[0.2, 0.2]]), torch.tensor([0]), ("Linf", eps), **options)


# --- the best point -------------------------------------------------------------------------------------------


def test_best_keeps_the_smallest_success() -> None:
    result = one(shows(0.4, 0.7, 0.6, 0.75, returns=0.3))
    assert (float(result.x_adv[0, 0]), float(result.distance)) == pytest.approx((0.6, 0.4))
    assert int(result.first_hit) == 3
    assert float(result.margin) == pytest.approx(0.2)


def test_best_goes_on_to_smaller_successes_without_a_radius() -> None:
    result = one(shows(0.9, 0.6, 0.8, 0.55, 0.7), eps=None)
    assert float(result.distance) == pytest.approx(0.35)
    assert int(result.first_hit) == 2
    assert int(result.queries) == 6


def test_best_of_a_failure_is_the_point_nearest_to_success() -> None:
    result = one(shows(0.3, 0.45, 0.4, returns=0.1))
    assert (float(result.x_adv[0, 0]), bool(result.success), float(result.distance)) == (
        pytest.approx(0.45),
        False,
        float("inf"),
    )


def test_margin_keeps_the_surest_success() -> None:
    result = one(shows(0.6, 0.8, 0.7, returns=0.3), keep="margin")
    assert float(result.x_adv[0, 0]) == pytest.approx(0.8)
    assert int(result.first_hit) == 2
    assert int(result.queries) == 5, "nobody leaves"


def test_last_keeps_what_is_handed_over_and_nothing_on_the_way() -> None:
    hit = one(shows(0.3, returns=0.7), keep="last")
    assert (bool(hit.success), int(hit.first_hit)) == (True, 3)
    missed = one(shows(0.7, returns=0.4), keep="last")
    assert (bool(missed.success), float(missed.x_adv[0, 0]), int(missed.first_hit)) == (False, pytest.approx(0.4), -1)


@pytest.mark.parametrize("keep", ["best", "margin", "last"])
@pytest.mark.parametrize("together", [False, True])
@pytest.mark.parametrize(("aim", "known"), [("minimum", 0.9), ("both", 0.2)])
def test_searches_for_the_nearest_point_know_what_fools_beyond_the_ball(
    keep: Keep, together: bool, aim: str, known: float
) -> None:
    seen = []

    def run(bout: Bout) -> None:
        off_the_box, fools_nobody = (0.85, -0.2), (0.4, 0.2)
        shown = torch.tensor([[off_the_box, (1.0, 0.2), (0.9, 0.2), (0.95, 0.2), fools_nobody]])
        if together:
            bout.fooled_many(shown)
        else:
            for z in shown.unbind(1):
                bout.logits(z)
        seen.append((*bout.nearest_success, bout.nearest_size))

    result = one(searching(run, aim=aim), eps=0.5, keep=keep)
    near, size, alone = seen[0]
    assert float(near[0, 0]) == pytest.approx(known)
    assert float(size) == float(alone) == pytest.approx(0.7 if aim == "minimum" else torch.inf)
    assert not bool(result.success)
    assert float(result.distance) == torch.inf
    assert float(result.x_adv[0, 0]) == pytest.approx(0.4)


def test_what_is_found_beyond_the_ball_inside_afresh_is_known_afterwards_if_it_is_nearer() -> None:
    sizes = []

    def run(bout: Bout) -> None:
        bout.logits(torch.tensor([[0.9, 0.2]]))
        for pixel in (0.95, 0.8):
            with bout.afresh():
                sizes.append(float(bout.nearest_size))
                bout.logits(torch.tensor([[pixel, 0.2]]))
                sizes.append(float(bout.nearest_size))
            sizes.append(float(bout.nearest_size))
        bout.logits(torch.tensor([[0.65, 0.2]]))

    result = one(searching(run, aim="minimum"), eps=0.5)
    assert sizes == pytest.approx([torch.inf, 0.75, 0.7, torch.inf, 0.6, 0.6])
    assert float(result.distance) == pytest.approx(0.45)


def test_points_outside_eps_or_box_do_not_count_however_they_are_classified() -> None:
    result = one(shows(0.9, returns=1.2), eps=0.5)
    assert not bool(result.success)
    assert torch.equal(result.x_adv, torch.tensor([[0.2, 0.2]]))
    outside = one(shows(-0.1), eps=0.5)
    assert float(outside.x_adv[0, 0]) == pytest.approx(0.2)


def test_the_answer_of_run_is_shown_to_the_model_and_counted() -> None:
    result = one(shows(returns=0.7))
    assert (bool(result.success), int(result.queries), int(result.gradients)) == (True, 2, 0)


# --- gradients ------------------------------------------------------------------------------------------------


def test_gradients_are_the_same_by_grad_and_by_hand() -> None:
    seen: list[Tensor] = []

    def run(bout: Bout) -> None:
        seen.append(bout.grad(bout.x, margin))
        z = bout.x.clone().requires_grad_()
        seen.append(torch.autograd.grad(bout.goal.margin(bout.logits(z)).sum(), z)[0])

    paper = affine()
    result = searching(run)(paper.net, paper.x, paper.y, ("Linf", 1e-3))
    assert torch.allclose(seen[0], seen[1])
    assert float(seen[0].abs().sum()) > 0
    assert result.gradients.tolist() == [2] * 5


class Stairs(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.net = NET

    def forward(self, x: Tensor) -> Tensor:
        z: Tensor = self.net((x * 4).round() / 4)
        return z


class Cut(Stairs):
    def forward(self, x: Tensor) -> Tensor:
        z: Tensor = self.net(x.detach())
        return z


@pytest.mark.parametrize("net", [Stairs(), Cut()])
@pytest.mark.parametrize("how", ["grad", "eot", "by hand"])
def test_zero_gradients_are_doubted_however_they_are_asked_for(net: nn.Module, how: str) -> None:
    def run(bout: Bout) -> None:
        if how == "by hand":
            z = bout.x.clone().requires_grad_()
            cost = bout.goal.margin(bout.logits(z)).sum() + (z - bout.x).square().sum()
            torch.autograd.grad(cost, z)
        else:
            bout.grad(bout.x, cross_entropy, sp.EOT(20) if how == "eot" else None)

    result = searching(run)(net, torch.tensor([[0.2, 0.2]]), torch.tensor([0]), ("Linf", 0.1))
    assert [doubt.code for doubt in result.doubts][:1] == ["zero-gradients"]


def test_views_cost_a_query_and_a_gradient_a_copy_and_are_not_judged() -> None:
    def run(bout: Bout) -> None:
        bout.grad(bout.x, cross_entropy, sp.EOT(3, lambda z, noise: z + 0.5))  # every copy is fooled

    result = one(searching(run))
    assert (int(result.queries), int(result.gradients), bool(result.success)) == (4, 3, False)


def test_nan_gradients_become_zero_and_a_doubt() -> None:
    class Root(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return NET(x) + 0 * (x[:, :1] - 0.2).clamp(min=0).sqrt()  # the slope of the root is infinite here

    seen: list[Tensor] = []
    result = searching(lambda bout: seen.append(bout.grad(bout.x, cross_entropy)))(
        Root(), torch.tensor([[0.2, 0.2]]), torch.tensor([0]), ("Linf", 0.1)
    )
    assert bool(seen[0].isfinite().all())
    assert "non-finite" in [doubt.code for doubt in result.doubts]


# --- access ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("sees", "ask"),
    [
        ("score", lambda bout: bout.grad(bout.x, margin)),
        ("score", lambda bout: bout.logits(bout.x.clone().requires_grad_())),
        ("decision", lambda bout: bout.logits(bout.x)),
        ("decision", lambda bout: bout.clean_logits),
    ],
)
def test_more_than_the_declared_access_is_refused(sees: str, ask: Callable[[Bout], Any]) -> None:
    with pytest.raises(AccessError, match=f"the attack may only see: {sees}"):
        one(searching(lambda bout: ask(bout) and None, sees=sees))


def test_a_model_grants_what_it_grants() -> None:
    model = sp.wrap(NET, access="score")
    with pytest.raises(AccessError, match="pgd needs gradient access, but the model grants only score access"):
        sp.PGD()(model, torch.tensor([[0.2, 0.2]]), torch.tensor([0]), ("Linf", 0.1))


def test_a_net_that_only_says_classes_is_enough_for_labels() -> None:
    def run(bout: Bout) -> None:
        assert bout.labels(bout.x).tolist() == [0]
        assert bout.fooled(bout.x + torch.tensor([[0.5, 0.0]])).tolist() == [True]

    model = sp.wrap(lambda x: (x[:, 0] > 0.5).long(), access="decision")
    result = searching(run, sees="decision")(model, torch.tensor([[0.2, 0.2]]), torch.tensor([0]), ("Linf", 0.6))
    assert bool(result.success)
    assert bool(result.margin.isnan())
    assert float(result.distance) == pytest.approx(0.5)


def test_one_logit_and_decision_access_is_a_logit_not_a_class() -> None:
    model = sp.wrap(lambda x: 8 * x[:, 0] - 4, access="decision")
    assert model.labels(torch.tensor([[0.2, 0.0], [0.9, 0.0]])).tolist() == [0, 1]


# --- who pays, who stands -------------------------------------------------------------------------------------


def test_rows_that_cannot_pay_are_told_their_clean_class_and_not_a_hit() -> None:
    """Under a target the label of the goal is the target: told as the answer, it would look like a success."""
    told: list[list[bool]] = []

    def run(bout: Bout) -> None:
        alone = bout.child(0)
        alone._referee.over[1:] = True
        alone.active()
        alone.labels(alone.x)
        told.append(bout.fooled(bout.x).tolist())

    paper = pair()
    goal = Targeted(1 - paper.y, paper.y)
    attack = searching(run, sees="decision")
    attack(paper.net, paper.x, goal, ("Linf", 1e-3), budget=Budget(queries=2))
    assert told == [[False] * 5]


def test_standing_keeps_the_state_of_those_who_stay() -> None:
    sizes: list[int] = []

    def run(bout: Bout) -> None:
        number = torch.arange(len(bout))
        target = torch.where(number % 2 == 0, 0.9, 0.3)
        bout.logits(bout.x.index_copy(1, torch.tensor([0]), target[:, None].to(bout.x.dtype)))
        state = {"number": number, "pair": (bout.x, [number * 2]), "name": "kept", "none": None}
        after, single = bout.active(state, number)
        assert after["number"].tolist() == single.tolist() == [1, 3]
        assert after["pair"][1][0].tolist() == [2, 6]
        assert (after["name"], after["none"]) == ("kept", None)
        assert len(after["pair"][0]) == len(bout.x) == len(bout.eps) == len(bout.goal) == len(bout.noise) == len(bout)
        assert bout.active(number[:2]).tolist() == [0, 1], "one value comes back as itself"
        sizes.append(len(bout))

    x = torch.full((4, 2), 0.2)
    result = searching(run)(NET, x, torch.zeros(4).long(), ("Linf", 0.8))
    assert sizes == [2]
    assert result.success.tolist() == [True, False, True, False]


def test_parts_draw_the_same_noise_whatever_was_drawn_before() -> None:
    drawn: list[Tensor] = []

    def run(bout: Bout) -> None:
        first = bout.child(1).noise.uniform(4)
        bout.noise.uniform(100)
        drawn.extend([first, bout.child(1).noise.uniform(4), bout.child(2).noise.uniform(4)])

    one(searching(run))
    assert torch.equal(drawn[0], drawn[1])
    assert not torch.equal(drawn[0], drawn[2])


def test_targets_come_likeliest_first_and_any_mistake_counts() -> None:
    paper = affine()
    order: list[list[int]] = []

    def run(bout: Bout) -> None:
        assert bout.least_likely().tolist() == paper.logits(paper.x).argmin(1).tolist()
        for b in bout.targets(9):
            assert isinstance(b.goal, Untargeted)
            assert b.goal.t is not None
            order.append(b.goal.t.tolist())

    searching(run)(paper.net, paper.x, paper.y, ("Linf", 1e-6))
    ranked = paper.logits(paper.x).argsort(dim=1, descending=True)[:, 1:]
    assert torch.equal(torch.tensor(order).T, ranked), "four wrong classes, though nine were asked for"


# --- the grid -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("under", [L0, L1, L2, Linf])
def test_eight_bit_points_keep_untouched_pixels_to_the_bit(under: Any) -> None:
    """Off by one unit in the last place, a pixel would count as changed under L0."""
    x = torch.arange(256.0).reshape(1, -1) / 255
    net = nn.Linear(256, 2)

    def run(bout: Bout) -> Tensor:
        z = bout.x.clone()
        z[:, 0], z[:, 1] = 0.3001, 0.2
        return z

    r = searching(run)(net, x, net(x).argmax(1), sp.Threat(under, 400.0, levels=256), keep="last")
    moved = r.x_adv != x
    assert moved.nonzero()[:, 1].tolist() == [0, 1]
    assert (r.x_adv[0, :2] * 255).tolist() == pytest.approx([77, 51])


def test_a_point_changed_behind_the_referees_back_is_not_kept() -> None:
    def run(bout: Bout) -> None:
        z = bout.ball.project(bout.x)
        z.data.fill_(1.0)  # no version counter sees this
        bout.submit(z)

    result = one(searching(run), eps=0.1)
    assert not result.success.any()
    assert torch.equal(result.x_adv, torch.tensor([[0.2, 0.2]]))
    assert result.distance.isinf().all()


# --- nets whose graph serves once -----------------------------------------------------------------------------


class _Once(torch.autograd.Function):
    """Passes everything through, and the gradient one time alone."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        ctx.used = False
        return x.clone()

    @staticmethod
    def backward(ctx: Any, slope: Tensor) -> Tensor:
        if ctx.used:
            raise RuntimeError("what this needs has been freed")
        ctx.used = True
        return slope


class Spent(nn.Module):
    """A net around another whose graph serves for one gradient: frees it itself, or is compiled."""

    def __init__(self, net: nn.Module, how: str) -> None:
        super().__init__()
        self.net = torch.compile(net, backend="aot_eager", dynamic=True) if how == "compiled" else net
        self.how = how

    def forward(self, x: Tensor) -> Tensor:
        z: Tensor = self.net(_Once.apply(x) if self.how == "freed" else x)
        return z


def rectified() -> Paper:
    """`curved` with a ReLU: of it a compiled net keeps a mask, for one gradient."""
    paper = curved()
    assert isinstance(paper.net, nn.Sequential)
    paper.net[1] = nn.ReLU()
    return replace(paper, y=paper.classes(paper.x))


@pytest.mark.parametrize("how", ["freed", "compiled"])
def test_a_graph_that_cannot_be_kept_gives_the_same_jacobian_for_a_query_each(how: str) -> None:
    paper = rectified()
    found: list[tuple[Tensor, Tensor]] = []

    def run(bout: Bout) -> None:
        for _ in range(2):
            found.append(bout.jacobian(bout.x + 0.01))

    attack, net = searching(run), Spent(paper.net, how)
    plain = attack(paper.net, paper.x, paper.y, ("Linf", None))
    with counted(net) as tally:
        result = attack(net, paper.x, paper.y, ("Linf", None))
    for mine, its in zip(found[2:], found[:2], strict=True):
        for answer, right in zip(mine, its, strict=True):
            assert torch.allclose(answer, right)
    assert (plain.queries == 1 + 2).all()
    assert (result.queries == 1 + 2 * 4).all()
    assert (plain.gradients == 2 * 4).all()
    assert torch.equal(result.gradients, plain.gradients)
    assert tally.forward == int(result.queries.sum())
    if how == "compiled":  # where the net frees its graph, the attempt that failed is seen by the hook
        assert tally.backward == int(result.gradients.sum())
    again = attack(net, paper.x, paper.y, ("Linf", None))
    assert torch.equal(again.queries, result.queries)


@pytest.mark.parametrize("limit", range(1, 14))
@pytest.mark.parametrize("how", ["freed", "compiled"])
def test_a_budget_is_hard_where_the_graph_cannot_be_kept(how: str, limit: int) -> None:
    paper = rectified()
    attack = searching(lambda bout: [bout.jacobian(bout.x) for _ in range(2)] and None)
    result = attack(Spent(paper.net, how), paper.x, paper.y, ("Linf", None), budget=Budget(passes=limit))
    assert int((result.queries + result.gradients).max()) <= limit


def test_an_error_of_the_net_itself_is_not_taken_for_a_spent_graph() -> None:
    class Broken(torch.autograd.Function):
        @staticmethod
        def forward(ctx: Any, x: Tensor) -> Tensor:
            return x.clone()

        @staticmethod
        def backward(ctx: Any, slope: Tensor) -> Tensor:
            raise RuntimeError("no backward here")

    paper = affine()
    broken: Callable[[Tensor], Tensor] = lambda x: paper.net(Broken.apply(x))  # noqa: E731
    for run in (lambda bout: bout.jacobian(bout.x), lambda bout: bout.grad(bout.x, margin)):
        with pytest.raises(RuntimeError, match="no backward here"):
            searching(lambda bout, run=run: run(bout) and None)(broken, paper.x, paper.y, ("Linf", None))


WALKS = ("deepfool:steps=5", "superdeepfool:steps=5", "jsma", "trust-region:steps=5", "fab:targets=None,steps=5")


@pytest.mark.parametrize("spec", [*WALKS, "cw-l2:steps=5", "ddn:steps=5", "lavan:steps=3"])
def test_attacks_on_a_compiled_net_find_what_they_find_on_the_plain_one(spec: str) -> None:
    paper = rectified()
    attack = sp.attack(spec)
    norm = "L2" if L2 in attack.info.norms else "L0"
    plain = attack(paper.net, paper.x, paper.y, (norm, None))
    result = attack(Spent(paper.net, "compiled"), paper.x, paper.y, (norm, None))
    assert torch.allclose(result.distance, plain.distance, rtol=1e-6)
    assert torch.equal(result.gradients, plain.gradients)


def test_a_zero_gradient_where_the_model_is_fooled_is_no_sign_of_masking() -> None:
    """DLR is constant where the true class is third; under L1, APGD walks there, outside of its ball."""
    net = Affine(torch.tensor([[-4.0, 0.0], [4.0, 0.0], [3.0, 0.0]]), torch.tensor([2.0, -2.0, -1.5]))
    x, y = torch.tensor([[0.2, 0.5]]), torch.tensor([0])

    def run(bout: Bout) -> None:
        far = bout.x + torch.tensor([0.7, 0.0])
        for _ in range(5):
            assert bool((bout.grad(far, dlr) == 0).all())

    assert not searching(run)(net, x, y, ("L1", 0.1)).doubts
    seen = searching(lambda bout: [bout.grad(bout.x, lambda z, goal: 0 * z.sum(1)) for _ in range(3)] and None)
    assert [doubt.code for doubt in seen(net, x, y, ("L1", 0.1)).doubts] == ["zero-gradients"]


def test_the_margins_of_a_jacobian_are_those_of_its_logits_and_others_are_computed_afresh() -> None:
    seen: list[tuple[Tensor, Tensor]] = []

    def run(bout: Bout) -> None:
        for pixel in (0.4, 0.45):
            logits, _ = bout.jacobian(torch.full_like(bout.x, pixel))
            seen.append((bout.margin(logits), bout.goal.margin(logits)))
        seen.append((bout.margin(logits + torch.tensor([0.0, 3.0])), seen[-1][1] + 3))
        logits = bout.logits(torch.full_like(bout.x, 0.3).requires_grad_())
        seen.append((bout.margin(logits), bout.goal.margin(logits).detach()))

    searching(run)(NET, torch.full((1, 2), 0.2), torch.tensor([0]), sp.Threat("Linf"))
    assert [float(wanted) for _, wanted in seen] == pytest.approx([-0.2, -0.1, 2.9, -0.4], abs=1e-6)
    for got, wanted in seen:
        assert not got.requires_grad
        torch.testing.assert_close(got, wanted)
