"""The forms of the web page are made from the register, and give specs that build."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import sparring as sp
from sparring.attacks import find
from sparring.errors import InputError
from sparring.web.forms import fields_of, spec_of
from sparring.web.one_picture import attack, drawn, load, picture, sample

NAMES = [info.name for info in sp.attacks()]


@pytest.mark.parametrize("name", NAMES)
def test_an_untouched_form_is_the_bare_attack(name: str) -> None:
    info = find(name)
    assert spec_of(info, [field.default for field in fields_of(info)]) == name


def test_every_kind_of_field_reaches_the_spec() -> None:
    info = find("pgd")
    changed = {"steps": 3, "loss": "margin", "random_start": False, "step": 0.5}
    values = [changed.get(field.name, field.default) for field in fields_of(info)]
    made = sp.attack(spec_of(info, values))
    assert made.settings() == {**sp.PGD().settings(), **changed}


def test_a_picture_is_attacked() -> None:
    model = load("mnist-cnn", "", False)
    x, label = sample(3)
    seen = attack(model, x, label, "pgd:steps=10", sp.Threat("Linf", 0.3))
    assert seen.sentence.startswith("Fooled: ")
    assert next(iter(seen.before)) == str(label) != next(iter(seen.after))
    assert seen.margins[0][1] < 0 < seen.margins[-1][1]
    difference = np.abs(np.array(seen.clean).astype(int) - np.array(seen.adversarial).astype(int))
    assert 0 < difference.max() <= round(0.3 * 255) + 1


def test_a_target_is_reached_or_refused() -> None:
    model = load("mnist-cnn", "", False)
    x, label = sample(3)
    seen = attack(model, x, label, "pgd:steps=40", sp.Threat("Linf", 0.3), target=(label + 1) % 10)
    assert next(iter(seen.after)) == str((label + 1) % 10)
    with pytest.raises(InputError, match="another target"):
        attack(model, x, label, "pgd", sp.Threat("Linf", 0.3), target=label)


def test_a_drawn_one_is_read_as_one() -> None:
    """A thick vertical stroke, as the sketchpad gives it: RGBA with the ink in the last channel."""
    strokes = np.zeros((280, 280, 4), dtype=np.uint8)
    strokes[60:220, 130:150, 3] = 255
    x = drawn(strokes, load("mnist-cnn", "", False))
    assert x.shape == (1, 1, 28, 28)
    assert float(x.max()) == 1.0
    assert int(load("mnist-cnn", "", False)(x).argmax()) == 1
    with pytest.raises(InputError, match="empty"):
        drawn(np.zeros((280, 280, 4), dtype=np.uint8), load("mnist-cnn", "", False))


def test_code_needs_trust() -> None:
    with pytest.raises(InputError, match="--trust"):
        load("net.py:build", "", False)


def test_small_pictures_are_shown_large() -> None:
    assert picture(torch.zeros(1, 28, 28), (0.0, 1.0)).size == (280, 280)
    assert picture(torch.zeros(3, 224, 224), (0.0, 1.0)).size == (224, 224)
