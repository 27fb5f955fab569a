"""The training loop: it learns, it is reproducible, it resumes exactly, and it never spoils a checkpoint."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from sparring.attacks.gradient.pgd import PGD
from sparring.checkpoint import Checkpoint
from sparring.data import ImageData, load_data
from sparring.defenses.training import AdversarialTraining, Callback, Fitted, Standard, Step, TrainingError, fit
from sparring.defenses.training.measure import clean_accuracy
from sparring.defenses.training.schedule import find_optimizer
from sparring.defenses.training.watch import Watch
from sparring.errors import InputError, MissingExtra
from sparring.storage import write
from sparring.threat import Threat
from sparring.zoo.nets import make_net


@pytest.fixture(scope="module")
def digits() -> ImageData:
    return load_data("mnist5k", "train")


@pytest.fixture(scope="module")
def few(digits: ImageData) -> ImageData:
    return digits.first(300)


class Stop(Callback):
    """Ends a run after some epochs, as a kill would."""

    def __init__(self, after: int) -> None:
        self.after = after

    def on_epoch(self, record: dict[str, float]) -> None:
        if record["epoch"] == self.after:
            raise KeyboardInterrupt


def weights(fitted: Fitted) -> Tensor:
    return torch.cat([p.detach().flatten() for p in fitted.net.parameters()])


def test_learns_real_digits_in_seconds(digits: ImageData) -> None:
    fitted = fit(make_net("wong"), digits, epochs=3, lr=3e-3, batch_size=64, valid=load_data("mnist5k"), device="cpu")
    losses = [record["loss"] for record in fitted.history]
    assert losses == sorted(losses, reverse=True)
    assert fitted.history[-1]["valid_accuracy"] > 0.9
    assert clean_accuracy(fitted.net, load_data("mnist5k")) == fitted.history[-1]["valid_accuracy"]
    assert not fitted.net.training


@pytest.mark.parametrize("optimizer", ["adam", "sgd"])
def test_a_resumed_run_ends_in_the_same_weights_bit_for_bit(few: ImageData, tmp_path: Path, optimizer: str) -> None:
    def run(folder: str, *callbacks: Callback, resume: bool = False) -> Fitted:
        net = make_net("net-f-half")  # it has dropout: its noise must continue, too
        return fit(
            net, few, epochs=3, optimizer=optimizer, schedule="cosine", out=tmp_path / folder, resume=resume,
            device="cpu", callbacks=callbacks,
        )  # fmt: skip

    whole = run("whole")
    with pytest.raises(KeyboardInterrupt):
        run("broken", Stop(after=1))
    assert Checkpoint.load(tmp_path / "broken" / "checkpoint" / "last.safetensors").epoch == 1
    resumed = run("broken", resume=True)
    assert torch.equal(weights(whole), weights(resumed))
    assert [r["loss"] for r in whole.history] == [r["loss"] for r in resumed.history]
    files = [(tmp_path / folder / "weights.safetensors").read_bytes() for folder in ("whole", "broken")]
    assert files[0] == files[1]


def test_adversarial_training_resumes_bit_for_bit_too(few: ImageData, tmp_path: Path) -> None:
    def run(folder: str, *callbacks: Callback, resume: bool = False) -> Fitted:
        loss = AdversarialTraining(Threat("Linf", 0.1))
        return fit(
            make_net("wong"), few, epochs=2, loss=loss, out=tmp_path / folder, resume=resume, device="cpu",
            callbacks=callbacks,
        )  # fmt: skip

    whole = run("whole")
    with pytest.raises(KeyboardInterrupt):
        run("broken", Stop(after=1))
    assert torch.equal(weights(whole), weights(run("broken", resume=True)))


@pytest.mark.parametrize("name", ["sgd", "adam", "adamw"])
def test_an_optimizer_takes_a_decay_of_the_weights(name: str) -> None:
    weight = nn.Parameter(torch.ones(3))
    plain, decayed = find_optimizer(name)([weight], 0.1), find_optimizer(f"{name}:weight_decay=5e-4")([weight], 0.1)
    assert type(plain) is type(decayed)
    changed = {key for key, value in plain.defaults.items() if decayed.defaults[key] != value}
    assert changed == {"weight_decay"}
    assert decayed.defaults["weight_decay"] == 5e-4


def test_the_seed_decides_and_the_global_random_state_is_left_alone(few: ImageData) -> None:
    before = torch.get_rng_state()
    runs = [fit(make_net("net-f-half"), few, epochs=1, seed=seed, device="cpu") for seed in (0, 0, 1)]
    assert torch.equal(torch.get_rng_state(), before)
    assert torch.equal(weights(runs[0]), weights(runs[1]))
    assert not torch.equal(weights(runs[0]), weights(runs[2]))


def test_the_attack_in_training_leaves_no_trace_on_the_net(few: ImageData) -> None:
    net = make_net("net-f").train()
    net[0].requires_grad_(False)
    modes = [module.training for module in net.modules()]
    x, y = few.first(8).tensors()
    step = Step(seed=1, epoch=0, epochs=1, batch=0, batches=1)
    seen: list[Tensor] = []
    net.register_forward_hook(lambda module, inputs, output: seen.append(inputs[0].detach()))
    loss = AdversarialTraining(Threat("Linf", 0.3))(net, x, y, step)
    assert all(parameter.grad is None for parameter in net.parameters())
    assert [module.training for module in net.modules()] == modes
    assert [p.requires_grad for p in net.parameters()] == [False, False] + [True] * 6
    assert loss.requires_grad
    assert 0 < (seen[-1] - x).abs().max() <= 0.3 + 1e-6
    assert step.notes["eps"] == 0.3


def test_the_radius_warms_up() -> None:
    loss = AdversarialTraining(Threat("Linf", 0.3), warm_up=0.25)
    assert [loss.radius(p) for p in (0.125, 0.25, 1.0)] == [0.15, 0.3, 0.3]
    assert AdversarialTraining(Threat("Linf", 0.3), warm_up=0).radius(0.001) == 0.3
    with pytest.raises(InputError, match="radius"):
        AdversarialTraining(Threat("Linf"))


@pytest.mark.long
def test_adversarial_training_makes_robust_what_standard_training_does_not(digits: ImageData) -> None:
    data, threat = digits.first(500), Threat("Linf", 0.1)
    losses = AdversarialTraining(threat, PGD(steps=3)), Standard()
    nets = [
        fit(make_net("wong"), data, epochs=8, lr=3e-3, batch_size=50, loss=loss, device="cpu").net for loss in losses
    ]
    test = load_data("mnist5k", "test", 100)
    robust, plain = (Watch(threat, images=100).measure(net, test) for net in nets)
    assert robust > plain + 0.2


def test_a_kill_while_writing_leaves_a_checkpoint_that_resumes(
    few: ImageData, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    replace, calls = os.replace, []

    def killed_the_second_time(source: object, target: object) -> None:
        calls.append(target)
        if len(calls) == 2:
            raise KeyboardInterrupt
        replace(source, target)  # type: ignore[arg-type]

    monkeypatch.setattr(os, "replace", killed_the_second_time)
    with pytest.raises(KeyboardInterrupt):
        fit(make_net("wong"), few, epochs=2, out=tmp_path, device="cpu")
    assert Checkpoint.load(tmp_path / "checkpoint" / "last.safetensors").epoch == 1
    resumed = fit(make_net("wong"), few, epochs=2, out=tmp_path, resume=True, device="cpu")
    assert torch.equal(weights(resumed), weights(fit(make_net("wong"), few, epochs=2, device="cpu")))


def test_a_run_is_neither_overwritten_nor_resumed_with_other_settings(few: ImageData, tmp_path: Path) -> None:
    fit(make_net("wong"), few, epochs=1, out=tmp_path, device="cpu")
    with pytest.raises(InputError, match="holds a run already"):
        fit(make_net("wong"), few, epochs=1, out=tmp_path, device="cpu")
    with pytest.raises(InputError, match=r"lr was 0\.001, now 0\.01"):
        fit(make_net("wong"), few, epochs=1, lr=0.01, out=tmp_path, resume=True, device="cpu")
    with pytest.raises(InputError, match="data was"):
        fit(make_net("wong"), few.subset(range(299, -1, -1)), epochs=1, out=tmp_path, resume=True, device="cpu")


@pytest.mark.parametrize("contents", [b"", b"rubbish" * 100, None])
def test_a_file_that_is_no_checkpoint_is_refused(few: ImageData, tmp_path: Path, contents: bytes | None) -> None:
    path = tmp_path / "checkpoint" / "last.safetensors"
    if contents is None:
        fit(make_net("wong"), few, epochs=1, out=tmp_path, device="cpu")
        contents = (tmp_path / "weights.safetensors").read_bytes()  # safetensors, but no checkpoint
    write(path, contents)
    with pytest.raises(InputError, match="is not a checkpoint"):
        fit(make_net("wong"), few, epochs=1, out=tmp_path, resume=True, device="cpu")


def test_a_loss_that_explodes_is_an_error_and_not_a_checkpoint(few: ImageData, tmp_path: Path) -> None:
    def explodes(model: nn.Module, x: Tensor, y: Tensor, step: Step) -> Tensor:
        return model(x).sum() * (float("nan") if step.epoch else 1.0)

    with pytest.raises(TrainingError, match="nan in epoch 2, batch 1 of 3"):
        fit(make_net("wong"), few, epochs=3, loss=explodes, out=tmp_path, device="cpu")
    assert Checkpoint.load(tmp_path / "checkpoint" / "last.safetensors").epoch == 1


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"epochs": 0}, "epochs=0"),
        ({"optimizer": "adum"}, "no optimizer is called 'adum'"),
        ({"optimizer": "sgd:decay=1"}, "no setting 'decay'"),
        ({"optimizer": "adam:weight_decay=-1"}, "weight_decay=-1 is not understood"),
        ({"optimizer": "adam:weight_decay=much"}, "weight_decay=much is not understood"),
        ({"schedule": "dorp"}, "no schedule is called 'dorp'"),
        ({"precision": "8-bit"}, "precision is '8-bit'"),
        ({"device": "toaster"}, "toaster"),
        ({"devices": 3, "batch_size": 2}, "batch_size is 2"),
    ],
)
def test_bad_settings_are_refused_in_one_line(few: ImageData, options: dict[str, object], message: str) -> None:
    settings = {"epochs": 1, "device": "cpu"} | options
    with pytest.raises(InputError, match=message):
        fit(make_net("wong"), few, **settings)  # type: ignore[arg-type]


def test_without_the_extra_the_error_says_what_to_install(few: ImageData, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "lightning_fabric", None)
    with pytest.raises(MissingExtra, match=r"pip install '\.\[train\]'"):
        fit(make_net("wong"), few, epochs=1, device="cpu")


def test_data_that_does_not_fit_the_net_is_refused(few: ImageData) -> None:
    x, y = few.tensors()
    with pytest.raises(InputError, match="0 to 9"):
        fit(make_net("wong", num_classes=5), few, epochs=1, device="cpu")
    with pytest.raises(InputError, match=r"\[0, 1\]"):
        fit(make_net("wong"), (x * 255, y), epochs=1, device="cpu")
    with pytest.raises(InputError, match=r"pictures of \[1, 28, 28\]"):
        fit(make_net("wong", in_channels=3), few, epochs=1, device="cpu")
    with pytest.raises(InputError, match=r"logits \[B, K\]"):
        fit(nn.Sequential(nn.Flatten(), nn.Linear(784, 1), nn.Flatten(0)), few, epochs=1, device="cpu")
    with pytest.raises(InputError, match="no image"):
        fit(make_net("wong"), (x[:0], y[:0]), epochs=1, device="cpu")
