"""MAITE's own evaluation gives the figures that ours gives."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import sparring as sp
from sparring.data import ImageData
from sparring.errors import InputError
from sparring.interop.maite import Attacked, MaiteDataset, MaiteModel, from_model, tensors

Images = tuple[Tensor, Tensor]


class Accuracy:
    """A metric as MAITE wants it."""

    def __init__(self) -> None:
        self.metadata = {"id": "accuracy"}
        self.reset()

    def reset(self) -> None:
        self.right: list[bool] = []

    def update(self, predictions: Sequence[Any], targets: Sequence[Any], metadata: Sequence[Any]) -> None:
        pairs = zip(predictions, targets, strict=True)
        self.right += [int(np.argmax(one)) == int(np.argmax(other)) for one, other in pairs]

    def compute(self) -> dict[str, float]:
        return {"accuracy": float(np.mean(self.right))}


@pytest.fixture
def data(small_images: Images) -> ImageData:
    return ImageData(*small_images, name="small")


@pytest.mark.parametrize("attacked", [False, True])
def test_their_evaluation_gives_our_figures(attacked: bool, small_net: nn.Module, data: ImageData) -> None:
    pytest.importorskip("maite", reason="needs maite")
    from maite.protocols.image_classification import Augmentation, Dataset, Model
    from maite.tasks import evaluate

    model = sp.wrap(small_net)
    x, y = data.tensors()
    threat = sp.Threat("Linf", 0.05)
    result = sp.PGD(steps=5)(model, x, y, threat, seed=0)
    assert result.robust_accuracy() < result.clean_accuracy
    theirs, dataset, attack = MaiteModel(model), MaiteDataset(data), Attacked(sp.PGD(steps=5), model, threat)
    assert isinstance(theirs, Model)
    assert isinstance(dataset, Dataset)
    assert isinstance(attack, Augmentation)
    found, _, _ = evaluate(
        model=theirs, metric=Accuracy(), dataset=dataset, batch_size=7, augmentation=attack if attacked else None
    )
    expected = result.robust_accuracy() if attacked else result.clean_accuracy
    assert found["accuracy"] == pytest.approx(expected)


def test_a_model_that_speaks_maite_is_attacked_like_the_same_model_without(
    small_net: nn.Module, data: ImageData
) -> None:
    ours = sp.wrap(small_net, access="score", num_classes=3)
    theirs = from_model(MaiteModel(sp.wrap(small_net)), num_classes=3)
    x, y = tensors(MaiteDataset(data))
    assert torch.equal(x, data.tensors()[0])
    assert torch.equal(y, data.tensors()[1])
    one, other = (sp.Square(queries=30)(model, x, y, ("Linf", 0.05), seed=0) for model in (ours, theirs))
    assert torch.equal(one.success, other.success)
    assert torch.equal(one.queries, other.queries)


def test_bad_answers_are_one_line(small_net: nn.Module, data: ImageData) -> None:
    x, y = data.tensors()
    with pytest.raises(InputError, match="expected one of shape"):
        sp.Square(queries=5)(from_model(MaiteModel(sp.wrap(small_net)), num_classes=4), x, y, ("Linf", 0.05))
    with pytest.raises(InputError, match="several shapes"):
        MaiteModel(sp.wrap(small_net))([torch.zeros(1, 4, 4), torch.zeros(1, 5, 5)])
