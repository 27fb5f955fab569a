"""The nets that the package ships are what their cards say."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import math
from pathlib import Path

import pytest
import torch
from typer.testing import CliRunner

import sparring.zoo.shipped as zoo
from sparring.attacks import attack
from sparring.certify.api import certify
from sparring.cli import app
from sparring.data import load_data
from sparring.defenses.training.measure import clean_accuracy
from sparring.errors import InputError
from sparring.threat import Threat
from sparring.zoo.nets import count_parameters

INFOS = zoo.list_models()


def test_the_two_classics_are_there_and_small() -> None:
    assert {"mnist-cnn", "mnist-cnn-pgd"} <= {info.name for info in INFOS}
    assert all(info.bytes < 1.5e6 for info in INFOS)


@pytest.mark.parametrize("info", INFOS, ids=lambda info: info.name)
def test_weights_and_card_belong_together(info: zoo.ModelInfo) -> None:
    contents = (zoo.WEIGHTS / f"{info.name}.safetensors").read_bytes()
    assert hashlib.sha256(contents).hexdigest() == info.card["weights"]["sha256"]
    assert len(contents) == info.bytes
    model = zoo.shipped(info.name)
    assert count_parameters(model.net) == info.parameters
    assert not model.net.training
    assert (model.name, model.box, model.input_size) == (info.name, (0.0, 1.0), (1, 28, 28))
    assert model.classes == tuple("0123456789")


@pytest.mark.parametrize("info", INFOS, ids=lambda info: info.name)
def test_clean_accuracy_on_digits_that_were_held_out(info: zoo.ModelInfo) -> None:
    excluded = info.card["data"]["excluded"]
    assert excluded == [{"spec": "mnist5k", "split": "test", "images": 1000}]
    right = clean_accuracy(zoo.shipped(info.name), load_data("mnist5k", "test"))
    # The card's figure is of MNIST's own test set; these 1,000 are another sample of the same digits.
    assert right >= info.clean_accuracy - 3 * math.sqrt(info.clean_accuracy * (1 - info.clean_accuracy) / 1000)


def test_what_was_promised_of_them() -> None:
    by_name = {info.name: info for info in INFOS}
    plain, robust = by_name["mnist-cnn"], by_name["mnist-cnn-pgd"]
    assert plain.clean_accuracy >= 0.985
    assert plain.robust_accuracy is not None
    assert plain.robust_accuracy <= 0.01
    assert robust.clean_accuracy >= 0.975
    assert robust.robust_accuracy is not None
    assert robust.robust_accuracy >= 0.85
    assert robust.threat == plain.threat == "Linf 0.3"
    assert len(robust.attacks) >= 4


def test_one_stands_where_the_other_falls() -> None:
    x, y = load_data("mnist5k", "test", 50).tensors()
    pgd, threat = attack("pgd:steps=20"), Threat("Linf", 0.3)
    left = {name: pgd(zoo.shipped(name), x, y, threat).robust_accuracy() for name in ("mnist-cnn", "mnist-cnn-pgd")}
    assert left["mnist-cnn"] <= 0.02
    assert left["mnist-cnn-pgd"] >= 0.75


def test_the_certified_net_is_certified_as_its_card_says() -> None:
    """By the fastest method, on digits that are not in its training data."""
    (info,) = [one for one in INFOS if one.certified_accuracy is not None]
    assert info.robust_accuracy is not None
    assert info.certified_accuracy is not None
    assert 0.8 < info.certified_accuracy <= info.robust_accuracy
    x, y = load_data("mnist5k", "test", 200).tensors()
    proved = certify(zoo.shipped(info.name), x, y, ("Linf", 0.3), "ibp")
    spread = math.sqrt(info.certified_accuracy * (1 - info.certified_accuracy) / 200)
    assert abs(proved.certified_accuracy - info.certified_accuracy) < 3 * spread
    attacked = attack("pgd:steps=5")(zoo.shipped(info.name), x, y, Threat("Linf", 0.3))
    assert not bool((attacked.success & proved.certified).any())


def test_each_load_is_a_net_of_its_own() -> None:
    first, second = zoo.shipped("mnist-cnn"), zoo.shipped("mnist-cnn")
    with torch.no_grad():
        first.net[0].weight.zero_()
    assert second.net[0].weight.abs().sum() > 0


def test_unknown_names_and_spoilt_files_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(InputError, match=r"no net called 'mnist-cnm'.*mnist-cnn"):
        zoo.shipped("mnist-cnm")
    for name in ("mnist-cnn.json", "mnist-cnn.safetensors"):
        contents = bytearray((zoo.WEIGHTS / name).read_bytes())
        if name.endswith("safetensors"):
            contents[-1] ^= 1
        (tmp_path / name).write_bytes(contents)
    monkeypatch.setattr(zoo, "WEIGHTS", tmp_path)
    with pytest.raises(InputError, match="install the package again"):
        zoo.shipped("mnist-cnn")


def test_sparring_models_lists_them() -> None:
    table = CliRunner().invoke(app, ["models"])
    assert table.exit_code == 0
    for info in INFOS:
        assert info.name in table.stdout
        assert f"{info.clean_accuracy:.2%}" in table.stdout
    listed = json.loads(CliRunner().invoke(app, ["models", "--json"]).stdout)
    assert [entry["name"] for entry in listed] == [info.name for info in INFOS]
    assert listed[0]["card"] == dataclasses.asdict(INFOS[0])["card"]
    assert listed[0]["robust_accuracy"] == INFOS[0].robust_accuracy
