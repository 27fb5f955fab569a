"""Models too expensive for searches: attacks search on a surrogate, and the model itself decides."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn

import sparring as sp
from sparring.audit.cascade.majority_vote import judged
from sparring.audit.cascade.wrappers import subject, surrogate_of, surrogate_text
from sparring.defenses import defend
from sparring.preprocess import Stage


class Dear:
    """Answers as it pleases, counts what it is shown, and offers a cheaper one."""

    backward = "exact"
    random = False

    def __init__(self, shift: float) -> None:
        self.shift, self.seen = shift, 0

    def __call__(self, x: Tensor) -> Tensor:
        self.seen += len(x)
        return x + self.shift

    def surrogate(self) -> Stage:
        """The same without the shift."""
        return Stage(lambda x: x, "exact", name="nothing")


@pytest.fixture
def safe() -> tuple[sp.Model, Dear]:
    dear = Dear(0.2)
    net = nn.Linear(2, 2, bias=False)
    net.weight.data = torch.eye(2)
    return defend(net, Stage(dear, "exact", name="dear")), dear


def test_a_model_whose_stages_offer_nothing_has_none() -> None:
    net = sp.load_model("mnist-cnn")
    assert surrogate_of(net) is None
    assert surrogate_of(defend(net, "bits:4")) is None
    assert surrogate_of(defend(net, "defense-gan:steps=5,restarts=1,start=encoder")) is None
    with pytest.raises(sp.InputError, match="has no surrogate"):
        subject(net, "surrogate", torch.zeros(1, 1, 28, 28))


def test_defense_gans_is_named_by_its_options() -> None:
    cheaper = surrogate_of(defend(sp.load_model("mnist-cnn"), "defense-gan"))
    assert cheaper is not None
    assert surrogate_text(cheaper) == "defense-gan:steps=5,restarts=1,start=encoder"
    assert not getattr(cheaper, "random", True)


def test_the_model_itself_decides_what_was_found_on_the_surrogate(safe: tuple[sp.Model, Dear]) -> None:
    class Lopsided(Dear):
        """It undoes any attack on class 0."""

        def __call__(self, x: Tensor) -> Tensor:
            self.seen += len(x)
            return torch.stack([x[:, 0] + 1, x[:, 1]], 1)

    net = nn.Linear(2, 2, bias=False)
    net.weight.data = torch.eye(2)
    x, y = torch.tensor([[0.6, 0.4], [0.7, 0.3]]), torch.zeros(2, dtype=torch.int64)
    for dear, left in ((Lopsided(0.0), 1.0), (Dear(0.0), 0.0)):
        model = defend(net, Stage(dear, "exact", name="dear"))
        report = sp.audit(model, (x, y), ("Linf", 0.3), suite=["pgd:steps=10"], clean_floor=0.0)
        assert report.robust_accuracy == left
        assert report.settings["surrogate"] == "nothing"
        assert "Attacks searched on a surrogate, nothing; the model itself decided each success" in report.verdict
        assert dear.seen < 600, "it is asked to judge and to be probed, not in every step"


def test_screened_points_are_dropped_after_two_looks_that_are_right(safe: tuple[sp.Model, Dear]) -> None:
    model, dear = safe
    x, y = torch.tensor([[0.6, 0.4], [0.6, 0.4], [0.6, 0.4]]), torch.zeros(3, dtype=torch.int64)
    result = sp.attack("fgsm")(model, x, y, ("Linf", 0.01))
    points = torch.tensor([[0.3, 0.5], [0.7, 0.4], [0.6, 0.4]])
    result, dear.seen = replace(result, x_adv=points, queries=torch.zeros(3, dtype=torch.int64)), 0
    found = judged(model, result, x, y, 10, 0, 8, screened=True)
    assert found.success.tolist() == [True, False, False]
    assert found.queries.tolist() == [10, 2, 0]
    assert dear.seen == 12
    assert judged(model, result, x, y, 10, 0, 8).queries.tolist() == [10, 10, 10]
