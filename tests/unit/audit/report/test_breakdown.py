"""What a report says class by class, which confusions there are, how far images moved, and what outlives a file."""

from __future__ import annotations

import torch
from torch import Tensor, nn

import sparring as sp
from sparring.audit.cascade.survival import survive
from sparring.audit.inputs.clean import Clean
from sparring.audit.report.breakdown import by_class, confusion, distances, quantiles, worst_class
from sparring.audit.report.report import Report
from sparring.result import Result

ROWS = [
    {"label": 0, "status": "standing", "adversarial_prediction": None, "distance": None},
    {"label": 0, "status": "broken", "adversarial_prediction": 2, "distance": 0.2},
    {"label": 1, "status": "broken", "adversarial_prediction": 2, "distance": 0.1},
    {"label": 1, "status": "wrong", "adversarial_prediction": None, "distance": 0.0},
    {"label": 0, "status": "broken", "adversarial_prediction": 2, "distance": 0.3},
    {"label": 2, "status": "wrong", "adversarial_prediction": None, "distance": 0.0},
]


def test_counts_of_each_class() -> None:
    rows = by_class(ROWS)
    assert [(row["label"], row["n"], row["clean"]["hits"], row["robust"]["hits"]) for row in rows] == [
        (0, 3, 3, 1),
        (1, 2, 1, 0),
        (2, 1, 0, 0),
    ]
    worst = worst_class(rows)
    assert worst is not None
    assert worst["label"] == 1  # nothing survives in 1 and 2; 1 has more images
    assert worst_class([]) is None


def test_confusion_and_distances_are_of_broken_images_only() -> None:
    assert confusion(ROWS) == [
        {"label": 0, "prediction": 2, "count": 2},
        {"label": 1, "prediction": 2, "count": 1},
    ]
    assert distances(ROWS) == [0.1, 0.2, 0.3]
    assert quantiles([]) is None


def test_the_parts_add_up_to_the_headline(small_report: Report) -> None:
    plain = small_report.to_dict()
    assert sum(row["robust"]["hits"] for row in plain["classes"]) == small_report.robust.hits
    assert sum(row["clean"]["hits"] for row in plain["classes"]) == small_report.clean.hits
    assert sum(pair["count"] for pair in plain["confusion"]) == small_report.success.hits
    assert all(pair["label"] != pair["prediction"] for pair in plain["confusion"])
    lowest = min(row["robust"]["value"] for row in plain["classes"])
    assert plain["worst_class"]["robust"]["value"] == lowest
    curves = plain["security_curves"]
    assert [one["attack"] for one in curves["attacks"]] == [one.stage.title for one in small_report.attacks[1:]]
    for one in curves["attacks"]:
        assert one["standing"][0] == curves["n"]
        assert one["standing"] == sorted(one["standing"], reverse=True)
        assert one["standing"][-1] == small_report.alone[one["attack"]].hits
        assert all(alone >= best for alone, best in zip(one["standing"], curves["all"], strict=True))
    near = [value for value in plain["curve"]["nearest"] if value]
    assert near
    assert min(near) < small_report.threat.eps  # type: ignore[operator]  # the curve looked at smaller radii


class Counting(nn.Module):
    """Class 1 if the middle pixel is above the border, else class 0; counts what it is shown."""

    def __init__(self, border: float = 0.5) -> None:
        super().__init__()
        self.border, self.shown = border, 0

    def forward(self, x: Tensor) -> Tensor:
        self.shown += len(x)
        pixel = x[:, 0, 8, 8]
        return torch.stack([self.border - pixel, pixel - self.border], 1)


def case(value: float, size: int = 16) -> tuple[Clean, Result]:
    """Two dark images of class 0; the first was fooled with a middle pixel of `value` in else unchanged pixels."""
    x = torch.zeros(2, 1, size, size)
    x_adv = x.clone()
    x_adv[0, 0, 8, 8] = value
    hit = torch.tensor([True, False])
    counts = torch.ones(2, dtype=torch.int64)
    worst = Result(
        x_adv=x_adv, success=hit, distance=torch.where(hit, value, torch.inf), margin=torch.zeros(2),
        clean_correct=torch.ones(2, dtype=torch.bool), queries=counts, gradients=counts, first_hit=counts,
        threat=sp.Threat("Linf", 1.0, box=(0.0, 1.0)), attack="by hand", seed=0, seconds=0.0,
    )  # fmt: skip
    return Clean(x, torch.zeros(2, dtype=torch.int64), torch.zeros(2, 2)), worst


def test_survival_of_a_single_pixel() -> None:
    """Rounding keeps a bright pixel; resizing smears it over its neighbours."""
    net = Counting()
    clean, worst = case(0.7)
    found = {one.treatment: one for one in survive(sp.wrap(net), clean, worst, 8)}
    assert found["8-bit PNG"].fooled.hits == 1
    assert found["resized to 7/8 and back"].fooled.hits == 0
    assert all(one.right.hits == one.right.of == one.fooled.of == 1 for one in found.values())
    assert sum(one.passes for one in found.values()) == net.shown == 6


def test_survival_of_a_hair_above_the_border() -> None:
    """0.5032 lies between 128 and 129 of 255, nearer to 128, which is 0.502."""
    clean, worst = case(0.5032)
    assert survive(sp.wrap(Counting(0.500)), clean, worst, 8)[0].fooled.hits == 1
    assert survive(sp.wrap(Counting(0.503)), clean, worst, 8)[0].fooled.hits == 0


def test_survival_in_another_box_is_the_same() -> None:
    """Pixels from 0 to 255: JPEG of the same picture gives the same verdicts."""

    class Scaled(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return Counting()(x / 255)

    clean, worst = case(1.0)
    threat = sp.Threat("Linf", 255.0, box=(0.0, 255.0))
    wide = Result(**{**worst.__dict__, "x_adv": worst.x_adv * 255, "threat": threat})
    other = survive(sp.wrap(Scaled(), box=(0, 255)), Clean(clean.x * 255, clean.y, clean.logits), wide, 8)
    assert [one.fooled for one in other] == [one.fooled for one in survive(sp.wrap(Counting()), clean, worst, 8)]


def test_vectors_are_only_rounded_and_nothing_broken_is_nothing_to_show() -> None:
    clean, worst = case(1.0)
    flat = Result(**{**worst.__dict__, "x_adv": worst.x_adv.flatten(1)})
    net = nn.Linear(256, 2)
    names = [one.treatment for one in survive(sp.wrap(net), Clean(clean.x.flatten(1), clean.y, clean.logits), flat, 8)]
    assert names == ["8-bit PNG"]
    none = Result(**{**worst.__dict__, "success": torch.zeros(2, dtype=torch.bool)})
    assert survive(sp.wrap(Counting()), clean, none, 8) == ()
