"""Detectors on a user's training data: a suspicion only beyond the false alarms on clean images."""

from __future__ import annotations

import pytest
import torch
from torch import nn

import sparring as sp
from sparring.audit.statistics.proportion import Figure
from sparring.audit.training_data.suspicion import LabelFigures, Suspicion, suspicions
from sparring.data import load_data
from sparring.data.images import ImageData
from sparring.errors import InputError


@pytest.fixture(scope="module")
def net() -> nn.Module:
    from sparring.zoo.loaders import load_model

    found = load_model("mnist-cnn").net
    assert isinstance(found, nn.Module)
    return found


def wrong_labels(data: ImageData, every: int) -> ImageData:
    rows = torch.arange(0, len(data), every)
    return data.replaced(rows, labels=(data.labels[rows] + 1) % 10)


def test_clean_data_raise_no_suspicion_and_wrong_labels_do(net: nn.Module) -> None:
    train, control = load_data("mnist5k", "train", 1000), load_data("mnist5k", "test", 500)
    clean = {one.detector: one for one in suspicions(net, train, control)}
    bad = {one.detector: one for one in suspicions(net, wrong_labels(train, 7), control)}
    assert set(clean) == {"knn", "spectral", "activation"}
    assert not clean["knn"].beyond_control
    assert bad["knn"].beyond_control
    assert bad["spectral"].beyond_control
    truth = set(range(0, 1000, 7))
    assert len(truth & set(bad["knn"].numbers)) > 0.8 * len(truth)
    assert clean["knn"].control.of == 500
    assert bad["knn"].control.value < 0.2


def test_a_backdoor_stands_out_in_its_own_label(net: nn.Module) -> None:
    train, control = load_data("mnist5k", "train", 2000), load_data("mnist5k", "test")
    poisoned = sp.poison("badnets:share=0.04,target=4")(train, seed=1).data
    knn, spectral, _ = suspicions(net, poisoned, control)
    assert knn.flagged.low < knn.control.high, "too few of all samples to stand out"
    assert [one.label for one in knn.suspects] == ["4"]
    assert knn.beyond_control
    assert "No more than the control in all, but more of label 4: " in str(knn)
    assert "not a proof" in str(knn)
    assert set(knn.to_dict()["labels"]) == {"4"}
    assert knn.suspects[0].flagged.of == int((poisoned.labels == 4).sum())
    assert {one.control.of for one in spectral.labels} == {50}, "half of each label has set the bound"
    assert not suspicions(net, train, control)[0].suspects


def test_labels_are_compared_at_a_stricter_level_the_more_there_are() -> None:
    few = LabelFigures("a", Figure(30, 100), Figure(12, 100), 0.95)
    assert few.beyond_control
    assert not LabelFigures("a", few.flagged, few.control, 1 - 0.05 / 1000).beyond_control
    assert not LabelFigures("a", few.flagged, Figure(0, 0), 0.95).beyond_control, "no control, no suspicion"


def test_the_words_never_accuse_without_the_false_positive_rate() -> None:
    for flagged in (Figure(100, 1000), Figure(50, 1000)):
        said = str(Suspicion("knn", flagged, Figure(50, 1000), ()))
        assert "false-positive rate on the clean control 5.0 % (50 of 1000" in said
        assert ("not a proof" in said) == (flagged.hits == 100)


def test_the_interval_decides() -> None:
    assert Suspicion("knn", Figure(100, 1000), Figure(50, 1000), ()).beyond_control
    assert not Suspicion("knn", Figure(60, 1000), Figure(50, 1000), ()).beyond_control


def test_images_that_do_not_fit_are_one_clear_line(net: nn.Module) -> None:
    train = load_data("mnist5k", "train", 30)
    with pytest.raises(InputError, match="at least 20"):
        suspicions(net, train, train.first(10))
    with pytest.raises(InputError, match="give alike ones"):
        suspicions(net, train, ImageData(torch.zeros(30, 1, 8, 8), [0] * 30))
