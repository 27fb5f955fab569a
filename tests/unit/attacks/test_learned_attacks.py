"""Attacks that learn: fitted to small nets they fool unseen images, and are the same to the bit wherever they go."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import sparring as sp
from sparring.attacks.generative.atn import reranked
from sparring.blocks.learned.attack import LearnedAttack, in_chunks
from sparring.blocks.learned.clip import inward_clip
from sparring.blocks.learned.nets import OneForAll, Residual, Subject, Translator, picture_shape
from sparring.blocks.learned.patch import Patch
from sparring.blocks.learned.weights import Weights
from sparring.data.images import ImageData
from sparring.defenses.training.callbacks import Callback
from sparring.errors import AccessError, InputError
from sparring.fitting.card import control_of
from sparring.fitting.pictures import write_pictures
from sparring.norms import Norm
from sparring.rng import Noise

NAMES = [info.name for info in sp.attacks() if info.learns]
SHAPE = (1, 8, 8)
EPS = 0.3
QUICK = {
    "uap": "uap:epochs=2,images=40",
    "uap-pgd": "uap-pgd:epochs=12,lr=0.1,batch_size=50",
    "uan": "uan:epochs=12,lr=0.005,batch_size=50",
    "upset": "upset:epochs=12,lr=0.01,batch_size=50",
    "angri": "angri:epochs=12,lr=0.005,batch_size=50",
    "atn": "atn:epochs=12,lr=0.005,batch_size=50",
    "advgan": "advgan:epochs=12,lr=0.005,batch_size=50",
    "patch": "patch:size=0.4,epochs=12,lr=0.2,batch_size=50",
}


class Stripes(nn.Module):
    """Three classes, by which third of the picture is brightest: one change can fool on most images."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.tensor(20.0))

    def forward(self, x: Tensor) -> Tensor:
        thirds = (x[..., :3], x[..., 3:5], x[..., 5:])
        return self.scale * torch.stack([part.flatten(1).mean(1) for part in thirds], 1)


def pictures(count: int, seed: int) -> tuple[Tensor, Tensor]:
    """Images that the net gets right."""
    x = torch.rand(count, *SHAPE, generator=torch.Generator().manual_seed(seed)) * 0.6 + 0.2
    for i in range(count):
        x[i, ..., (slice(0, 3), slice(3, 5), slice(5, 8))[i % 3]] += 0.15
    return x.clamp(0, 1), Stripes()(x).argmax(1)


def threat_of(name: str) -> sp.Threat:
    return sp.Threat("L0") if name == "patch" else sp.Threat("Linf", EPS)


@pytest.fixture(scope="module")
def fitted() -> Any:
    """Each attack, fitted once."""
    made: dict[str, LearnedAttack] = {}

    def fit(name: str) -> Any:
        if name not in made:
            attack: Any = sp.attack(QUICK[name])
            made[name] = attack.fit(Stripes(), pictures(150, 0), threat_of(name), test=pictures(60, 1))
        return made[name]

    return fit


def test_every_attack_that_learns_is_tested_here() -> None:
    assert set(NAMES) == set(QUICK)


@pytest.mark.parametrize("name", NAMES)
def test_it_fools_on_unseen_images_and_noise_of_its_size_does_not(name: str, fitted: Any) -> None:
    scores = fitted(name).card["success"]["test"]
    rate, control = (scores[key]["fooled"] / scores[key]["of"] for key in ("untargeted", "control"))
    assert scores["untargeted"]["of"] == 60
    assert rate >= 0.3
    assert rate >= control + 0.2


@pytest.mark.parametrize("name", ["upset", "angri", "atn"])
def test_it_drives_images_to_the_class_that_it_is_told(name: str, fitted: Any) -> None:
    scores = fitted(name).card["success"]["test"]["targeted"]
    assert scores["fooled"] >= 0.7 * scores["of"]


@pytest.mark.parametrize("name", NAMES)
def test_saved_and_loaded_it_gives_the_same_bits_in_any_batch(name: str, fitted: Any, tmp_path: Path) -> None:
    attack, net, (x, y) = fitted(name), Stripes(), pictures(64, 2)
    whole = attack(net, x, y, threat_of(name))
    again = sp.load_attack(attack.save(tmp_path / "attack"))
    assert again == attack
    assert sp.attack(again.spec) == again
    assert sp.attack(f"fitted:{tmp_path / 'attack'}") == again
    for size in (1, 64):
        parts = [again(net, a, b, threat_of(name)) for a, b in zip(x.split(size), y.split(size), strict=True)]
        assert torch.equal(torch.cat([part.x_adv for part in parts]), whole.x_adv)
        assert torch.equal(torch.cat([part.success for part in parts]), whole.success)


@pytest.mark.parametrize("name", NAMES)
def test_an_attack_that_was_not_fitted_says_so_in_one_line(name: str) -> None:
    x, y = pictures(3, 0)
    with pytest.raises(InputError, match=rf"^{name} learns from images before it attacks; fit it first: [^\n]*$"):
        sp.attack(name)(Stripes(), x, y, threat_of(name))


@pytest.mark.parametrize("name", ["uap", "uap-pgd", "uan", "upset"])
def test_a_universal_change_is_the_same_for_all_images(name: str, fitted: Any) -> None:
    x = torch.full((2, *SHAPE), 0.5)
    x[1] += 0.01
    goal = sp.Targeted(torch.tensor([2, 2]))
    changes = fitted(name)(Stripes(), x, goal, threat_of(name), keep="last").x_adv - x
    assert torch.allclose(changes[0], changes[1], atol=1e-6)
    assert float(changes.abs().max()) > 0.1


def test_the_same_seed_gives_the_same_weights_and_another_gives_others() -> None:
    def digest(seed: int) -> str:
        weights = sp.attack("uan:epochs=1").fit(Stripes(), pictures(40, 0), ("Linf", EPS), seed=seed).weights
        return str(weights.digest)

    torch.manual_seed(0)
    before = torch.get_rng_state()
    assert digest(0) == digest(0) != digest(1)
    assert torch.equal(before, torch.get_rng_state())


class _Killed(RuntimeError):
    pass


class _Kill(Callback):
    def on_epoch(self, record: dict[str, float]) -> None:
        if record["epoch"] == 2:
            raise _Killed


def test_a_fit_that_was_killed_and_resumed_ends_in_the_same_weights(tmp_path: Path) -> None:
    data, attack = pictures(60, 0), sp.attack("advgan:epochs=4,batch_size=20")
    whole = attack.fit(Stripes(), data, ("Linf", EPS))  # type: ignore[attr-defined]
    with pytest.raises(_Killed):
        attack.fit(Stripes(), data, ("Linf", EPS), out=tmp_path, callbacks=[_Kill()])  # type: ignore[attr-defined]
    resumed = attack.fit(Stripes(), data, ("Linf", EPS), out=tmp_path, resume=True)  # type: ignore[attr-defined]
    assert resumed.weights.digest == whole.weights.digest
    assert sp.load_attack(tmp_path) == whole


def test_the_fit_leaves_the_model_alone_and_takes_what_other_fits_take() -> None:
    net = Stripes().train()
    x, y = pictures(30, 0)
    loader = torch.utils.data.DataLoader(torch.utils.data.TensorDataset(x, y), 7)
    attack: Any = sp.attack("uap-pgd:epochs=1")
    one, other = (attack.fit(net, data, ("Linf", EPS)) for data in (loader, (x, y)))
    assert one == other
    assert net.training
    assert net.scale.requires_grad
    assert net.scale.grad is None


def test_validation_images_are_not_learned_from() -> None:
    data = pictures(50, 0)
    card = sp.attack("uap-pgd:epochs=1").fit(Stripes(), data, ("Linf", EPS)).card  # type: ignore[attr-defined]
    assert (card["fit"]["images"], card["fit"]["validation_images"]) == (40, 10)
    assert card["success"]["validation"]["untargeted"]["of"] == 10


def test_a_fit_without_progress_stops_early() -> None:
    data = pictures(50, 0)
    attack: Any = sp.attack("uap-pgd:epochs=50,lr=0.3")
    card = attack.fit(Stripes(), data, ("Linf", EPS), patience=3).card
    assert len(card["fit"]["history"]) < 50
    assert "no better for 3 epochs" in card["fit"]["stopped"]


def test_a_target_is_reached_by_one_change_for_all() -> None:
    attack: Any = sp.attack("uap-pgd:target=2,epochs=15,lr=0.1,batch_size=50")
    scores = attack.fit(Stripes(), pictures(150, 0), ("Linf", EPS), test=pictures(60, 1)).card["success"]["test"]
    assert scores["targeted"]["fooled"] >= 0.9 * scores["targeted"]["of"] > 0


def test_distillation_learns_from_scores_alone() -> None:
    model = sp.wrap(Stripes(), access="score")
    attack: Any = sp.attack("advgan:epochs=15,lr=0.005,batch_size=25,distil=true")
    scores = attack.fit(model, pictures(150, 0), ("Linf", EPS), test=pictures(60, 1)).card["success"]["test"]
    assert scores["untargeted"]["fooled"] >= 0.3 * scores["untargeted"]["of"]
    with pytest.raises(AccessError, match=r"needs? .*gradient|takes gradient access.*distil=true"):
        replace(attack, distil=False).fit(model, pictures(20, 0), ("Linf", EPS))


def test_transfer_to_a_second_net_is_reported_beside_noise() -> None:
    attack: Any = sp.attack("uap-pgd:epochs=5,lr=0.1")
    scores = attack.fit(Stripes(), pictures(60, 0), ("Linf", EPS), test=pictures(30, 1), transfer=Stripes()).card[
        "success"
    ]["test"]
    assert scores["transfer"] == scores["untargeted"]
    assert scores["transfer_control"] == scores["control"]


def test_an_audit_takes_a_fitted_attack_by_its_folder(fitted: Any, tmp_path: Path) -> None:
    folder = fitted("uap-pgd").save(tmp_path / "mine")
    x, y = pictures(30, 3)
    report = sp.audit(Stripes(), (x, y), ("Linf", EPS), suite=["fgsm", str(folder), f"fitted:{folder}"])
    titles = [attack["attack"] for attack in report.to_dict()["attacks"]]
    assert sum("UAP" in title for title in titles) == 2


def test_a_fitted_attack_refuses_other_shapes_and_damaged_files(fitted: Any, tmp_path: Path) -> None:
    attack = fitted("uap-pgd")
    wide = torch.rand(2, 1, 8, 9)
    with pytest.raises(InputError, match=r"fitted for images of shape \(1, 8, 8\), not \(1, 8, 9\)"):
        attack(Stripes(), wide, Stripes()(wide).argmax(1), ("Linf", EPS))
    folder = attack.save(tmp_path / "attack")
    (folder / "weights.safetensors").write_bytes(b"x")
    with pytest.raises(InputError, match="not those of its card"):
        sp.load_attack(folder)
    with pytest.raises(InputError, match="holds no fitted attack"):
        sp.load_attack(tmp_path)
    with pytest.raises(InputError, match="memory of another process"):
        sp.attack("uap:weights=memory-0123456789abcdef")


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (pictures(1, 0), "give at least 2"),
        ((pictures(4, 0)[0], torch.tensor([0, 1])), "4 images but 2 labels"),
        ("mnist", "give .x, y., a DataLoader"),
        ((pictures(6, 0)[0], (pictures(6, 0)[1] + 1) % 3), "none of the"),
    ],
)
def test_what_cannot_be_learned_from_is_refused(data: Any, says: str) -> None:
    with pytest.raises(InputError, match=says):
        sp.attack("uap-pgd").fit(Stripes(), data, ("Linf", EPS))  # type: ignore[attr-defined]


# --- parts ----------------------------------------------------------------------------------------------------------

SUBJECT = Subject(SHAPE, 3, sp.Linf, EPS, (0.0, 1.0))


def test_reranking_keeps_the_order_of_the_other_classes() -> None:
    p = torch.rand(20, 6, generator=torch.Generator().manual_seed(0)).softmax(1)
    t = torch.arange(20) % 6
    r = reranked(p, t, 1.5)
    assert torch.equal(r.argmax(1), t)
    assert torch.allclose(r.sum(1), torch.ones(20))
    others = torch.ones_like(p).scatter(1, t[:, None], 0).bool()
    assert torch.equal(p[others].reshape(20, 5).argsort(1), r[others].reshape(20, 5).argsort(1))


def test_the_inward_clip_is_a_clip_and_lets_the_way_back_pass() -> None:
    z = torch.linspace(-1, 2, 13, dtype=torch.float64, requires_grad=True)
    assert torch.equal(inward_clip(z, 0, 1), z.clamp(0, 1))
    assert torch.autograd.gradcheck(lambda v: inward_clip(v, -5, 5), (z,))


def test_a_patch_covers_its_share_stays_sharp_and_has_a_true_gradient() -> None:
    subject = Subject((1, 20, 20), 3, sp.L0, float("inf"), (0.0, 1.0))
    patch = Patch(subject, 0.25, 22.5).double()
    x = torch.full((50, 1, 20, 20), -1.0, dtype=torch.float64)
    x += torch.arange(50, dtype=torch.float64)[:, None, None, None] * 1e-6
    noise = lambda: Noise.of(x, 0)  # noqa: E731
    shown = patch(x, noise())
    covered = (shown != x).double().flatten(1).mean(1)
    assert torch.allclose(covered.mean(), torch.tensor(0.25).double(), atol=0.01)
    inside = shown[shown != x]
    assert float(inside.min()) >= float(patch.colours.min()) - 1e-6
    assert torch.autograd.gradcheck(
        lambda colours: torch.func.functional_call(patch, {"colours": colours}, (x[:2], Noise.of(x[:2], 0))),
        (patch.colours.detach().requires_grad_(),),
    )


@pytest.mark.parametrize("shape", [(1, 28, 28), (3, 5, 7), (12,), (4, 5), (2, 1, 3)])
def test_nets_take_any_shape_and_stay_in_the_ball(shape: tuple[int, ...]) -> None:
    subject = Subject(shape, 4, sp.L2, 0.5, (0.0, 1.0))
    net = Residual(subject, aims=True)
    for parameter in net.parameters():
        parameter.data.mul_(20)
    x = torch.rand(5, *shape)
    d = net(x, torch.arange(5) % 4)
    assert d.shape == x.shape
    assert float(sp.L2.size(d).max()) <= 0.5 * (1 + 1e-5)
    assert len(picture_shape(shape)) == 3


@pytest.mark.parametrize("norm", [sp.Linf, sp.L2, sp.L1])
def test_squashing_leaves_small_changes_alone_and_keeps_large_ones_inside(norm: Norm) -> None:
    d = torch.randn(6, 10, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    eps = torch.full((6,), 0.5, dtype=torch.float64)
    assert torch.allclose(norm.squash(1e-4 * d, eps), 1e-4 * d, rtol=1e-5)
    large = norm.squash(100 * d, eps)
    assert torch.allclose(norm.size(large), eps)
    assert float((large * d).sum()) > 0
    assert torch.autograd.gradcheck(lambda v: norm.squash(v, eps), (d.requires_grad_(),))


def test_chunks_do_not_depend_on_the_batch() -> None:
    net = Translator(Subject((1, 28, 28), 10, sp.Linf, EPS, (0.0, 1.0)), aims=True).eval()
    x, t = torch.rand(130, 1, 28, 28), torch.arange(130) % 10
    whole = in_chunks(net, x, t)
    order = torch.randperm(130, generator=torch.Generator().manual_seed(0))
    assert torch.equal(in_chunks(net, x[order], t[order]), whole[order])
    assert torch.equal(torch.cat([in_chunks(net, x[i : i + 1], t[i : i + 1]) for i in range(20)]), whole[:20])


def test_the_control_is_as_large_as_the_attack(fitted: Any) -> None:
    for name in ("uap-pgd", "upset"):
        noise = control_of(fitted(name), 0)
        net: Any = noise.fitted_net(torch.zeros(1, *SHAPE))
        assert isinstance(net, OneForAll)
        assert torch.allclose(net.delta.abs(), torch.tensor(EPS))


def test_weights_are_values() -> None:
    card = {"attack": "uap", "settings": {}, "shape": [1], "classes": 2, "threat": {}}
    one, same, other = (Weights(card, {"delta": torch.full((1,), value)}) for value in (1.0, 1.0, 2.0))
    assert one == same != other
    assert len({one, same, other}) == 2


@pytest.mark.parametrize("name", ["uap-pgd", "upset", "patch", "advgan"])
def test_pictures_are_written(name: str, fitted: Any, tmp_path: Path) -> None:
    images = ImageData(*pictures(12, 4))
    names = write_pictures(fitted(name), sp.wrap(Stripes()), images, threat_of(name), tmp_path)
    assert names[-1] == "examples.png"
    assert all((tmp_path / one).stat().st_size > 100 for one in names)
    assert ("patch.png" in names) == (name == "patch")
    assert ("perturbation.png" in names) == (name in ("uap-pgd", "upset"))


@pytest.mark.parametrize("spec", ["uap-pgd:epochs=2", "advgan:epochs=2", "patch:size=0.2,epochs=2"])
def test_the_scale_of_the_pixels_does_not_matter(
    spec: str, small_net: nn.Module, small_images: tuple[Tensor, Tensor]
) -> None:
    """Twice as large pixels are the same numbers but for the exponent, so everything learned is the same."""
    x, y = small_images
    norm, eps = ("L0", None) if spec.startswith("patch") else ("Linf", 0.1)
    one = sp.attack(spec).fit(sp.wrap(small_net), (x, y), sp.Threat(norm, eps), seed=0)
    wide = sp.wrap(nn.Sequential(Half(), small_net), box=(0, 2))
    two = sp.attack(spec).fit(wide, (2 * x, y), sp.Threat(norm, None if eps is None else 2 * eps), seed=0)
    plain = one(sp.wrap(small_net), x, y, sp.Threat(norm, eps))
    doubled = two(wide, 2 * x, y, sp.Threat(norm, None if eps is None else 2 * eps))
    assert torch.equal(plain.success, doubled.success)
    assert torch.allclose(2 * plain.x_adv, doubled.x_adv, atol=1e-3)


class Half(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x / 2
