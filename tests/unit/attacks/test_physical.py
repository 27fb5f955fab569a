"""EOT, LaVAN and RP2: equalities with simpler attacks, closed forms, and what their papers promise."""

from __future__ import annotations

from functools import cache

import pytest
import torch
from torch import Tensor

import sparring as sp
from sparring.attacks.physical.eot import EOTAttack
from sparring.attacks.physical.lavan import LaVAN
from sparring.attacks.physical.rp2 import RP2
from sparring.blocks.views.chain import Chain
from sparring.blocks.views.lab import lab
from sparring.blocks.views.patch import PLACES, patch
from sparring.blocks.views.photos import Photos
from sparring.blocks.views.printable import non_printability, printable_colours
from sparring.blocks.views.sticker import stickers
from sparring.blocks.views.transforms import Gaussian, Rotation, transform
from sparring.blocks.views.view_success import view_success
from sparring.bout import in_box
from sparring.errors import InputError
from sparring.norms import per
from sparring.rng import Noise
from sparring.testing.fixtures import curved, pair


@cache
def digits() -> tuple[sp.Model, Tensor, Tensor]:
    """The shipped net and ten digits that it gets right."""
    model = sp.load_model("mnist-cnn")
    x, y = sp.load_data("mnist5k", n=20).tensors()
    right = model.labels(x) == y
    return model, x[right][:10], y[right][:10]


# --- EOT ------------------------------------------------------------------------------------------------------


def test_without_a_transform_eot_is_pgd() -> None:
    paper = curved()
    for norm in ("Linf", "L2"):
        threat = sp.Threat(norm, 0.05)
        mine = EOTAttack(steps=7, copies=1, transform=Chain())(paper.net, paper.x, paper.y, threat, keep="last")
        pgd = sp.PGD(steps=7, random_start=False)(paper.net, paper.x, paper.y, threat, keep="last")
        assert torch.allclose(mine.x_adv, pgd.x_adv, atol=1e-12)


def test_eot_survives_views_that_pgd_does_not() -> None:
    model, x, y = digits()
    threat, turns = sp.Threat("Linf", 0.2), "rotation:22.5"
    plain = sp.attack("pgd:steps=15")(model, x, y, threat)
    robust = sp.attack("eot:steps=15,copies=8,transform=rotation")(model, x, y, threat)
    clean = view_success(model, x, y, turns, draws=40).mean()
    seen = [float(view_success(model, result.x_adv, y, turns, draws=40).mean()) for result in (plain, robust)]
    assert clean < 0.1
    assert seen[1] > seen[0] + 0.2


@pytest.mark.parametrize("mean", ["losses", "probabilities"])
def test_the_mean_is_of_the_losses_or_of_the_probabilities(mean: str) -> None:
    """The gradients of E[log p] and of log E[p] by autograd, against one L2 step; no bound of the box is near."""
    paper, show, copies = curved(), Gaussian(1 / 18), 5
    model = sp.wrap(paper.net, box=(-9, 9))
    t, noise = (paper.y + 1) % 4, Noise.of(model.unit(paper.x), 0)
    z = paper.x.clone().requires_grad_()
    seen = [paper.net(in_box(show, model.box)(z, noise)).log_softmax(1).gather(1, t[:, None]) for _ in range(copies)]
    log_p = torch.cat(seen, 1)
    (g,) = torch.autograd.grad((log_p.mean(1) if mean == "losses" else log_p.logsumexp(1)).sum(), z)
    attack = EOTAttack(steps=1, step=1, copies=copies, transform=show, mean=mean)  # type: ignore[arg-type]
    goal = sp.Targeted(t, paper.y)
    moved = attack(model, paper.x, goal, sp.Threat("L2", 0.01), keep="last").x_adv - paper.x
    assert torch.allclose(moved, 0.01 * g / per(g.flatten(1).norm(dim=1), g), atol=1e-9)


def test_the_penalty_keeps_the_picture_like_itself_in_lab() -> None:
    paper = curved((3, 4, 5))
    away = []
    for penalty in (0.0, 0.01, 100.0):
        attack = EOTAttack(steps=20, copies=1, transform=Rotation(5), penalty=penalty)
        seen = attack(paper.net, paper.x, paper.y, sp.Threat("L2", 0.5), keep="last").x_adv
        away.append(float((lab(seen, (0, 1)) - lab(paper.x, (0, 1))).flatten(1).norm(dim=1).mean()))
    assert away[0] > away[1] > away[2]
    assert away[2] < 0.2 * away[0]


def test_lab_has_the_published_values() -> None:
    known = {
        (1, 1, 1): (100, 0, 0),
        (0, 0, 0): (0, 0, 0),
        (1, 0, 0): (53.24, 80.09, 67.20),
        (0, 0, 1): (32.30, 79.19, -107.86),
    }
    for colour, wanted in known.items():
        pixel = torch.tensor(colour, dtype=torch.float64).reshape(1, 3, 1, 1)
        assert torch.allclose(lab(pixel, (0, 1)).flatten(), torch.tensor(wanted, dtype=torch.float64), atol=0.05)
        assert torch.allclose(lab(pixel * 2 - 1, (-1, 1)), lab(pixel, (0, 1)), atol=1e-9)
    grey = torch.full((1, 1, 2, 2), 0.5, dtype=torch.float64, requires_grad=True)
    assert torch.allclose(lab(grey, (0, 1)), torch.tensor(53.39, dtype=torch.float64), atol=0.01)
    black = torch.zeros(1, 3, 1, 1, dtype=torch.float64, requires_grad=True)
    (slope,) = torch.autograd.grad(lab(black, (0, 1)).sum(), black)
    assert bool(slope.isfinite().all())


def test_views_are_searched_through_and_never_judged() -> None:
    model, x, y = digits()
    result = sp.attack("eot:steps=3,copies=2,transform=rotation")(
        model, x[:2], y[:2], sp.Threat("Linf", 0.3), trace=True
    )
    assert result.queries.tolist() == [1 + 3 * 2 + 1] * 2
    assert result.gradients.tolist() == [3 * 2] * 2
    assert result.trace is not None
    assert len(result.trace.margin) == 2, "the clean images, and what came out"


# --- LaVAN ----------------------------------------------------------------------------------------------------


def test_lavan_changes_the_patch_only_and_stays_in_the_box() -> None:
    model, x, y = digits()
    t = (y + 1) % 10
    result = sp.attack("lavan:steps=20,size=0.1")(model, x, sp.Targeted(t, y), sp.Threat("L0"), keep="last")
    moved = result.x_adv != x
    assert bool(moved[..., :9, :9].flatten(1).any(1).all()), "nine pixels squared are a tenth of 28"
    assert not bool(moved[..., 9:, :].any() or moved[..., :, 9:].any())
    assert float(result.x_adv.min()) >= 0
    assert float(result.x_adv.max()) <= 1


def test_lavan_is_stronger_the_larger_the_patch_and_a_full_one_always_wins() -> None:
    model, x, y = digits()
    goal = sp.Targeted((y + 1) % 10, y)
    rates = [
        float(LaVAN(steps=60, size=size, place="centre")(model, x, goal, sp.Threat("L2")).success.float().mean())  # type: ignore[arg-type]
        for size in (0.005, 0.15, 1.0)
    ]
    assert rates == sorted(rates)
    assert rates[0] < 0.5
    assert rates[-1] == 1


def test_lavan_stops_each_image_at_its_confidence() -> None:
    model, x, y = digits()
    goal = sp.Targeted((y + 1) % 10, y)
    for keep in ("margin", "last"):
        result = LaVAN(steps=60, size=1.0, confidence=0.8)(model, x, goal, sp.Threat("L2"), keep=keep)  # type: ignore[arg-type]
        sure = model.logits(result.x_adv).softmax(1).gather(1, goal.t[:, None])
        assert bool((sure > 0.8 - 1e-5).all())
        assert bool((result.gradients < 60).all())
        assert len(set(result.gradients.tolist())) > 1, "each at its own time"


def test_lavan_untargeted_wants_to_be_as_sure() -> None:
    model, x, y = digits()
    result = LaVAN(steps=60, size=1.0)(model, x, y, sp.Threat("L2"), keep="margin")
    assert bool((model.logits(result.x_adv).softmax(1).amax(1) >= 0.9 - 1e-5)[result.success].all())
    assert bool(result.success.all())


def test_network_domain_is_a_wider_box_of_the_model() -> None:
    """What a net takes beyond pictures is searched only where the model is declared so; the result's box says it."""
    model, x, y = digits()
    goal, attack = sp.Targeted((y + 1) % 10, y), sp.attack("lavan:steps=40,size=0.1")
    wide = sp.wrap(model.net, mean=model.mean, std=model.std, box=(-3, 4))
    pictures = attack(model, x, goal, sp.Threat("L0"))
    beyond = attack(wide, x, goal, sp.Threat("L0"), keep="last")
    assert beyond.threat.box == (-3, 4)
    assert float(beyond.x_adv.min()) < 0 or float(beyond.x_adv.max()) > 1
    assert -3 <= float(beyond.x_adv.min()) <= float(beyond.x_adv.max()) <= 4
    assert beyond.success.sum() >= pictures.success.sum()
    inside = attack(wide, x, goal, sp.Threat("L0", box=(0, 1)))
    assert 0 <= float(inside.x_adv.min()) <= float(inside.x_adv.max()) <= 1
    with pytest.raises(InputError, match="not inside the model's box"):
        attack(model, x, goal, sp.Threat("L0", box=(-3, 4)))


def test_a_region_is_the_patch_instead() -> None:
    paper = pair()
    region = torch.zeros(paper.x.shape[1:], dtype=torch.bool)
    region[..., 2:, 1:] = True
    result = LaVAN(steps=5, size=0.01)(paper.net, paper.x, paper.y, sp.Threat("L2", region=region), keep="last")
    moved = result.x_adv != paper.x
    assert not bool((moved & ~region).any())
    assert int(moved[0].sum()) > 1, "the size is the region's"


# --- patches and stickers -------------------------------------------------------------------------------------


@pytest.mark.parametrize("place", PLACES)
def test_a_patch_is_one_rectangle_of_its_size(place: str) -> None:
    x = torch.rand(6, 3, 20, 30, generator=torch.Generator().manual_seed(0))
    inside = patch(x, 0.06, place, Noise.of(x, 0))  # type: ignore[arg-type]
    assert torch.equal(inside[:, 0], inside[:, 2])
    for one in inside[:, 0]:
        rows, columns = one.any(1), one.any(0)
        assert (int(rows.sum()), int(columns.sum()), int(one.sum())) == (6, 6, 36)
    places = {tuple(one.nonzero()[0].tolist()) for one in inside[:, 0]}
    assert places == {"corner": {(0, 0)}, "centre": {(7, 12)}}.get(place, places)
    assert (len(places) > 1) == (place == "random")
    alone = patch(x[2:3], 0.06, place, Noise.of(x[2:3], 0))  # type: ignore[arg-type]
    assert torch.equal(alone, inside[2:3])


def test_patches_of_odd_images() -> None:
    for shape, share, pixels in (((12,), 0.25, 3), ((1, 2, 50), 0.3, 30), ((1, 3, 3), 1.0, 9), ((1, 3, 3), 0.01, 1)):
        x = torch.rand(2, *shape, generator=torch.Generator().manual_seed(0))
        assert patch(x, share, "random", Noise.of(x, 0)).flatten(1).sum(1).tolist() == [pixels, pixels]


def test_stickers_sit_where_most_was_changed() -> None:
    d = torch.zeros(2, 3, 16, 16)
    d[0, :, 4:8, 4:8] = 1
    d[1, 0, 10:12, 2:10] = -1
    place = torch.ones_like(d, dtype=torch.bool)
    found = stickers(d, place, 16 / 256)
    assert found[:, 0].flatten(1).sum(1).tolist() == [16, 16]
    assert torch.equal(found[:, 0], found[:, 1])
    assert int(found[0, 0, 3:9, 3:9].sum()) == 16
    assert int(found[1, 0, 9:13, 1:11].sum()) == 16
    place[0, :, :, :6] = False
    assert not bool((stickers(d, place, 0.1) & ~place).any())
    assert stickers(torch.randn(2, 20), torch.ones(2, 20, dtype=torch.bool), 0.1).sum(1).tolist() == [2, 2]


def test_the_score_is_the_log_of_the_product_and_lowest_at_printable_colours() -> None:
    colours = printable_colours()
    assert colours.shape == (30, 3)
    assert len(colours.unique(dim=0)) == 30
    assert 0 <= float(colours.min()) < float(colours.max()) <= 1
    exact = colours.reshape(30, 3, 1, 1)
    everywhere = torch.ones_like(exact, dtype=torch.bool)
    for shift in (-0.05, 0.05):
        for channel in range(3):
            off = exact.clone()
            off[:, channel] += shift
            nearer = non_printability(exact, everywhere, colours) < non_printability(off, everywhere, colours)
            assert bool(nearer.all()), "each printable colour is a lowest point"
    some = torch.rand(40, 3, 1, 1, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    score = non_printability(some, torch.ones_like(some, dtype=torch.bool), colours)
    product = ((some.flatten(1)[:, None] - colours).norm(dim=2) + 0.01).prod(1)
    assert torch.allclose(score, product.log())
    grey = torch.full((1, 1, 2, 2), 0.5, dtype=torch.float64, requires_grad=True)
    (slope,) = torch.autograd.grad(
        non_printability(grey, torch.ones(1, 1, 2, 2, dtype=torch.bool), colours).sum(), grey
    )
    assert bool((slope.isfinite() & (slope != 0)).all())


# --- RP2 ------------------------------------------------------------------------------------------------------

VIEWS = "scale:0.9:1.1+rotation:15+translation:0.07+brightness:0.1"


@cache
def stickered() -> tuple[sp.Result, Tensor]:
    model, x, y = digits()
    goal = sp.Targeted((y + 1) % 10, y)
    attack = sp.attack(f"rp2:steps=40,find=10,copies=3,area=0.3,rate=0.1,transform={VIEWS}")
    return attack(model, x[:6], goal[torch.arange(6)], sp.Threat("L2")), goal.t[:6]  # type: ignore[index]


def test_rp2_fools_over_views_that_it_has_not_seen() -> None:
    model, x, _ = digits()
    result, t = stickered()
    seen = view_success(model, result.x_adv, sp.Targeted(t), VIEWS, draws=40)
    before = view_success(model, x[:6], sp.Targeted(t), VIEWS, draws=40)
    assert float(before.mean()) < 0.1
    assert int((seen >= 0.9).sum()) >= 3, f"nine views in ten, for half of the digits at least: {seen.tolist()}"


def test_rp2_changes_no_more_than_its_stickers() -> None:
    _, x, _ = digits()
    result, _ = stickered()
    assert bool(((result.x_adv != x[:6]).flatten(1).sum(1) <= round(0.3 * 784)).all())
    region = torch.zeros(1, 28, 28, dtype=torch.bool)
    region[..., 4:20, 4:24] = True
    model, x, y = digits()
    inside = RP2(steps=5, find=3, copies=1, area=0.2)(model, x[:3], y[:3], sp.Threat("L2", region=region), keep="last")
    moved = inside.x_adv != x[:3]
    assert not bool((moved & ~region).any())
    assert bool((moved.flatten(1).sum(1) <= round(0.2 * int(region.sum()))).all())
    assert bool(moved.any())


@pytest.mark.parametrize("norm", ["L1", "L2"])
def test_a_large_weight_holds_everything_at_zero(norm: str) -> None:
    paper = curved()
    free, held = (
        RP2(steps=10, find=0, copies=1, transform=Chain(), weight=weight)(
            paper.net, paper.x, paper.y, (norm,), keep="last"
        )
        for weight in (0.0, 1e6)
    )
    assert torch.equal(held.x_adv, paper.x)
    assert bool((free.x_adv != paper.x).flatten(1).any(1).all())


def test_the_non_printability_falls_with_its_weight() -> None:
    paper = curved((3, 4, 5))
    scores = []
    for printable in (0.0, 0.02, 1.0):
        attack = RP2(steps=40, find=0, copies=1, transform=Chain(), printable=printable)
        seen = attack(paper.net, paper.x, paper.y, sp.Threat("L2"), keep="last").x_adv
        place = torch.ones_like(seen, dtype=torch.bool)
        scores.append(float(non_printability(seen, place, printable_colours()).mean()))
    assert scores[0] > scores[1] > scores[2]


def test_photos_of_one_object_share_one_change() -> None:
    """A photo turned by a quarter shows the change of the reference turned by a quarter, and nothing else."""
    model, x, y = digits()
    quarter = torch.tensor([[0.0, -1.0, 0.0], [1.0, 0.0, 0.0], [0.0, 0.0, 1.0]])
    photos = torch.stack([x[0], torch.rot90(x[0], 1, (1, 2)) * 0.8])
    show = Photos(x[0], photos, torch.stack([torch.eye(3), quarter]))
    z = x[:1].clone()
    z[..., 3:8, 5:9] = 0.7
    seen = [show(z, Noise.of(x[:1], seed)) for seed in range(8)]
    turned = photos[1] + torch.rot90(z[0] - x[0], 1, (1, 2))
    hits = [(torch.allclose(one[0], z[0], atol=1e-5), torch.allclose(one[0], turned, atol=1e-5)) for one in seen]
    assert set(hits) == {(True, False), (False, True)}
    goal = sp.Targeted((y[:1] + 1) % 10, y[:1])
    result = RP2(steps=40, find=0, copies=2, transform=show, rate=0.1)(model, x[:1], goal, sp.Threat("L2"))
    assert float(view_success(model, result.x_adv, goal, show, draws=20)) > 0.9
    assert str(show) == "photos2"
    with pytest.raises(InputError, match="do not fit"):
        Photos(x[0], photos, torch.eye(3))


def test_specs_say_how_pictures_are_seen() -> None:
    for spec in ("eot:transform=rotation:10+noise:0.05", "rp2:transform=perspective:0.2,area=0.05"):
        assert sp.attack(sp.attack(spec).spec) == sp.attack(spec)
    assert sp.attack("eot").transform == transform("2d")  # type: ignore[attr-defined]
    with pytest.raises(InputError, match="no transform is called 'turn'"):
        sp.attack("rp2:transform=turn")
