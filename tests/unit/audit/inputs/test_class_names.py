"""Class names on both sides: labels are matched by name, other names are refused, swapped classes raise a doubt."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

import sparring as sp
from sparring.data.class_names import by_name
from sparring.data.images import ImageData
from sparring.errors import InputError


@pytest.mark.parametrize(
    ("data", "model", "numbers"),
    [
        (["a", "b"], ["a", "b"], None),
        (["a", "b", "c"], ["b", "a", "c"], [1, 0, 2]),
        (["b", "c"], ["a", "b", "c"], [1, 2]),
        (["Hot Dog", "ice_cream"], ["ice cream", "hot-dog"], [1, 0]),
        (["0", "1"], ["cat", "dog"], None),
        (["cat", "dog"], ["LABEL_0", "LABEL_1"], None),
        (["n01440764", "n01443537"], ["tench", "goldfish"], None),
        (["plane", "car", "bird", "cat"], ["airplane", "automobile", "bird", "cat"], None),
        (None, ["a"], None),
        (["a"], None, None),
    ],
)
def test_names_are_matched(data: list[str] | None, model: list[str] | None, numbers: list[int] | None) -> None:
    assert by_name(data, model) == numbers


@pytest.mark.parametrize(
    ("data", "model"),
    [
        (["a", "b", "x"], ["a", "b", "c"][::-1]),
        (["cat", "dog"], ["apple", "pear"]),
        (["cat", "dog", "fox"], ["cat", "dog"]),
        (["plane", "bird", "cat"], ["airplane", "cat", "bird"]),
    ],
)
def test_other_names_are_refused_with_both_lists(data: list[str], model: list[str]) -> None:
    with pytest.raises(InputError) as caught:
        by_name(data, model)
    assert all(name in str(caught.value) for name in (*data, *model))


def _digits() -> tuple[Tensor, Tensor, nn.Module]:
    """Images whose class is the brightest of four pixels, and a net that sees it."""
    y = torch.arange(80) % 4
    x = torch.full((80, 4), 0.2) + 0.6 * nn.functional.one_hot(y, 4) + torch.arange(80)[:, None] / 1000
    net = nn.Linear(4, 4, bias=False)
    with torch.no_grad():
        net.weight.copy_(10 * torch.eye(4))
    return x.reshape(80, 1, 2, 2), y, nn.Sequential(nn.Flatten(), net)


def test_an_audit_matches_labels_by_name() -> None:
    x, y, net = _digits()
    order = torch.tensor([2, 0, 3, 1])
    data = ImageData(x, order[y], classes=["b", "d", "a", "c"])
    report = sp.audit(sp.wrap(net, classes=["a", "b", "c", "d"]), data, ("Linf", 0.05), suite=["fgsm"])
    assert report.clean.value == 1.0
    some = data.subset(data.labels >= 1)
    report = sp.audit(sp.wrap(net, classes=["a", "b", "c", "d"]), some, ("Linf", 0.05), suite=["fgsm"])
    assert report.clean.value == 1.0
    with pytest.raises(InputError, match="classes of the data"):
        sp.audit(sp.wrap(net, classes=["a", "b", "c", "e"]), data, ("Linf", 0.05), suite=["fgsm"])


def test_two_swapped_classes_raise_a_doubt() -> None:
    x, y, net = _digits()
    swapped = torch.tensor([1, 0, 2, 3])[y]
    codes = {d.code: d for d in sp.audit(net, (x, swapped), ("Linf", 0.05), suite=["fgsm"], clean_floor=0).doubts}
    assert codes["label-order"].share == 1.0
    honest = sp.audit(net, (x, y), ("Linf", 0.05), suite=["fgsm"])
    assert "label-order" not in {doubt.code for doubt in honest.doubts}
