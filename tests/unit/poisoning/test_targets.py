"""Clean-label attacks: what stays as it was, what falls, and what the adversary works on."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from sparring.data.images import ImageData
from sparring.defenses.training.learners import NetLearner, learner
from sparring.errors import InputError
from sparring.poisoning import poison
from sparring.poisoning.gradient_matching import slope_of
from sparring.poisoning.knowledge import Knowledge
from sparring.poisoning.targeting import descend
from sparring.zoo.nets import make_net

VICTIM = NetLearner(epochs=1, batch_size=16)


def pictures(n: int, seed: int) -> ImageData:
    generator = torch.Generator().manual_seed(seed)
    x = torch.randint(0, 256, (n, 1, 28, 28), generator=generator, dtype=torch.uint8)
    return ImageData(x, torch.arange(n) % 10)


@pytest.fixture(scope="module")
def body() -> nn.Sequential:
    return make_net("wong", seed=3)


@pytest.mark.parametrize("name", ["feature-collision", "bullseye", "gradient-matching"])
def test_labels_stay_and_no_pixel_moves_further_than_eps(name: str, body: nn.Sequential) -> None:
    data, test = pictures(60, 0), pictures(20, 1)
    attack = poison(f"{name}:share=0.05,target=4,label=7,eps=0.1,steps=5")
    made = attack(data, victim=VICTIM, features=body, held_out=test, seed=2)
    assert len(made.changed) == 3
    assert set(data.labels[made.changed].tolist()) == {7}
    assert torch.equal(made.data.labels, data.labels)
    moved = (made.data.tensors()[0] - data.tensors()[0]).abs()
    assert 0 < float(moved.max()) <= 0.1 + 1e-6
    assert not bool(moved[~made.mask].any())
    assert made.manifest["target"] == {"number": 4, "true": 4, "label": 7}
    again = attack(data, victim=VICTIM, features=body, held_out=test, seed=2)
    assert again.manifest["fingerprint"] == made.manifest["fingerprint"]


def apart(made: ImageData, rows: torch.Tensor, body: nn.Sequential, target: torch.Tensor) -> tuple[float, float]:
    """The mean squared distance of each poison's features from the target's, and that of their mean."""
    with torch.no_grad():
        features, wanted = body[:-1](made.subset(rows).tensors()[0]), body[:-1](target[None])
    return float((features - wanted).square().sum(1).mean()), float((features.mean(0) - wanted[0]).square().sum())


def test_collision_brings_each_poison_to_the_target_and_bullseye_their_mean(body: nn.Sequential) -> None:
    data, test = pictures(60, 0), pictures(20, 1)
    made = {
        name: poison(f"{name}:share=0.1,target=0,label=5,eps=0.3,steps=40")(
            data, victim=VICTIM, features=body, held_out=test
        )
        for name in ("feature-collision", "bullseye")
    }
    rows = made["bullseye"].changed
    each, together = apart(data, rows, body, test[0][0])
    collided = apart(made["feature-collision"].data, rows, body, test[0][0])
    centred = apart(made["bullseye"].data, rows, body, test[0][0])
    assert collided[0] < 0.5 * each
    assert centred[1] < 0.05 * together
    assert centred[1] < collided[1], "the bullseye is nearer to the centre"
    assert centred[0] > collided[0], "and leaves each poison further away"


def test_the_slope_is_the_gradient_in_all_weights() -> None:
    net = nn.Sequential(nn.Flatten(), nn.Linear(4, 3))
    x, y = torch.rand(2, 1, 2, 2), torch.tensor([0, 2])
    p = net(x).softmax(1) - torch.nn.functional.one_hot(y, 3)
    by_hand = torch.cat([(p.T @ x.flatten(1)).flatten(), p.sum(0)])
    assert torch.allclose(slope_of(net, x, y), by_hand, atol=1e-6)


def test_descent_finds_the_nearest_point_of_the_ball_and_the_box() -> None:
    base, goal = torch.tensor([[0.5, 0.1, 0.9]]), torch.tensor([[0.55, -1.0, 2.0]])
    found, value = descend(lambda z: (z - goal).square().sum(), base, eps=0.2, steps=200, step=0.1)
    assert torch.allclose(found, torch.tensor([[0.55, 0.0, 1.0]]), atol=2 / 255)
    assert value == pytest.approx(2.0, abs=0.02)
    wide = descend(lambda z: -z.sum(), base, eps=0.101, steps=30, step=0.5)[0]
    assert float((wide - base).max()) <= 0.101 + 1e-6, "rounding to 8 bits goes inwards"


def test_features_that_the_adversary_does_not_know_are_its_own(body: nn.Sequential) -> None:
    data, test = pictures(60, 0), pictures(20, 1)
    attack = poison("bullseye:share=0.05,target=4,label=7,steps=2")
    sets = [
        attack(data, victim=VICTIM, features=body, held_out=test, knows=knows).manifest["fingerprint"]
        for knows in (Knowledge(), Knowledge(features=False), Knowledge(features=False, parameters=False))
    ]
    assert len(set(sets)) == 3


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        ("bullseye:target=99", "images 0 to 19"),
        ("bullseye:target=4,label=4", "and not 4"),
        ("bullseye:share=0.5", "the budget is 30"),
        ("bullseye:share=0", "the budget is 0"),
    ],
)
def test_mistakes_are_one_clear_line(spec: str, words: str) -> None:
    with pytest.raises(InputError, match=words):
        poison(spec)(pictures(60, 0), victim=VICTIM, held_out=pictures(20, 1))
    with pytest.raises(InputError, match="held_out="):
        poison("bullseye")(pictures(60, 0), victim=VICTIM)
    with pytest.raises(InputError, match="need a net"):
        poison("gradient-matching:share=0.05")(pictures(60, 0), victim=learner("svm"), held_out=pictures(9, 1))


# --- knowledge ----------------------------------------------------------------------------------------------------


def test_knowledge_reads_its_parts_and_says_them() -> None:
    assert Knowledge.parse("everything") == Knowledge()
    assert Knowledge.parse("nothing") == Knowledge(False, False, False, False)
    assert Knowledge.parse("data + hyper-parameters") == Knowledge(True, False, False, True)
    assert str(Knowledge.parse("data+features")) == "data, features"
    assert str(Knowledge.parse("nothing")) == "nothing"
    with pytest.raises(InputError, match="write everything, nothing"):
        Knowledge.parse("labels")


def test_what_is_not_known_is_replaced_by_another_learner() -> None:
    net, line = learner("wong:epochs=8,lr=0.002"), learner("logistic:C=1")
    assert Knowledge().surrogate(net) == net
    assert Knowledge(algorithm=False).surrogate(net).spec == "net-f-half"
    assert Knowledge(parameters=False).surrogate(net).spec == "wong:epochs=4,lr=0.001"
    assert Knowledge(algorithm=False).surrogate(line).spec == "svm:C=1"
    assert Knowledge(algorithm=False, parameters=False).surrogate(line).spec == "svm:C=0.01"
