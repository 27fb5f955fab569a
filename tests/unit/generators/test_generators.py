"""Generators: the report's parameter counts, the one loop, its watch, the figures, files, and projection."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

import sparring as sp
from sparring.data.images import ImageData
from sparring.errors import InputError
from sparring.generators.encoder import train_encoder
from sparring.generators.files import SHIPPED, list_generators, load_generator, save_generator
from sparring.generators.loop import train_generator
from sparring.generators.objectives import METHODS, WGAN, WGANGP
from sparring.generators.pairs import PAIRS, Generator, make_pair
from sparring.generators.projection import Projection
from sparring.generators.quality import frechet, nearest_distance, precision_recall, quality
from sparring.generators.report_nets import KERAS_TOTALS, keras_total
from sparring.generators.sheets import write_gif, write_sheet
from sparring.generators.watch import Watch, class_shares
from sparring.rng import Noise


@pytest.fixture(scope="module")
def data() -> ImageData:
    return sp.load_data("mnist5k", "train", n=200)


class Affine(nn.Module):
    """G(z) = A z + b as an image: its projection has a closed form."""

    def __init__(self) -> None:
        super().__init__()
        draw = torch.Generator().manual_seed(0)
        self.a = nn.Parameter(torch.randn(784, 3, generator=draw) / 5)
        self.b = nn.Parameter(0.5 + 0.01 * torch.randn(784, generator=draw))

    def forward(self, z: Tensor) -> Tensor:
        return (z @ self.a.T + self.b).reshape(-1, 1, 28, 28)


# --- nets -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", sorted(KERAS_TOTALS))
def test_the_reports_six_parameter_counts(name: str) -> None:
    generator, critic = PAIRS[name].generator(), PAIRS[name].critic()
    assert (keras_total(generator), keras_total(critic)) == KERAS_TOTALS[name]
    trainable = {"gan": (1_489_936, 533_505), "dcgan": (855_809, 392_833), "wgan": (1_028_289, 99_649)}
    assert tuple(sum(p.numel() for p in net.parameters()) for net in (generator, critic)) == trainable[name]


def test_the_papers_pair_has_its_counts() -> None:
    counts = [sum(p.numel() for p in net.parameters()) for net in make_pair("defense-gan")]
    assert counts == [1_554_177, 1_030_145]


@pytest.mark.parametrize("name", sorted(PAIRS))
def test_every_pair_makes_pixels_and_scores(name: str) -> None:
    before = torch.get_rng_state()
    generator, critic = make_pair(name)
    x = generator.sample(3, seed=1)
    assert x.shape == (3, 1, 28, 28)
    assert 0 <= float(x.min()) <= float(x.max()) <= 1
    assert critic.eval()(x).shape == (3,)
    assert torch.equal(x, generator.sample(3, seed=1))
    assert torch.equal(before, torch.get_rng_state())


# --- training -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", sorted(METHODS))
def test_each_method_trains(method: str, data: ImageData, tmp_path: Path) -> None:
    net = "mlp" if method in ("gan", "wgan-gp") else None
    trained = train_generator(
        data,
        method,
        iterations=2,
        every=1,
        out=tmp_path,
        net=net,
        watch=Watch(sp.load_model("mnist-cnn"), 10),
        batch_size=3,
        **({"critic_steps": 2} if method.startswith("wgan") else {}),
    )
    assert [record["iteration"] for record in trained.history] == [1, 2]
    assert all("classes_seen" in record and "generator_loss" in record for record in trained.history)
    assert not any(p.requires_grad for p in trained.generator.parameters())


def test_samples_move_towards_the_data(data: ImageData, tmp_path: Path) -> None:
    mean = data.tensors()[0].mean(0)
    start = make_pair("mlp")[0].sample(100).mean(0)
    end = train_generator(
        data, "wgan-gp", iterations=30, every=30, out=tmp_path, lr=2e-3, average=0.0, batch_size=16, critic_steps=2
    )
    assert (end.generator.sample(100).mean(0) - mean).norm() < 0.5 * (start - mean).norm()


def test_a_resumed_run_ends_in_the_same_weights(data: ImageData, tmp_path: Path) -> None:
    whole = train_generator(data, "wgan-gp", iterations=4, every=2, out=tmp_path / "a", batch_size=8)

    class Stop:
        def on_step(self, iteration: int, figures: dict[str, float]) -> None:
            if iteration == 3:
                raise KeyboardInterrupt

        def on_record(self, record: dict[str, float], generator: Generator) -> None:
            pass

    settings = {"iterations": 4, "every": 2, "out": tmp_path / "b", "batch_size": 8}
    with pytest.raises(KeyboardInterrupt):
        train_generator(data, "wgan-gp", listeners=[Stop()], **settings)  # type: ignore[arg-type]
    again = train_generator(data, "wgan-gp", resume=True, **settings)  # type: ignore[arg-type]
    for a, b in zip(whole.generator.parameters(), again.generator.parameters(), strict=True):
        assert torch.equal(a, b)
    assert [r["wasserstein"] for r in whole.history] == [r["wasserstein"] for r in again.history]
    with pytest.raises(InputError, match="cannot resume this run with other settings"):
        train_generator(data, "wgan-gp", resume=True, **{**settings, "batch_size": 4})  # type: ignore[arg-type]


def test_a_run_that_diverges_says_so_and_stops(data: ImageData, tmp_path: Path) -> None:
    trained = train_generator(data, "wgan-gp", iterations=30, every=5, out=tmp_path, lr=1e30, batch_size=8)
    assert trained.stopped is not None
    assert "diverged" in trained.stopped


def record(iteration: int, classes: float, **more: float) -> dict[str, float]:
    return {"iteration": float(iteration), "classes_seen": classes, "critic_loss": 0.4} | more


def test_the_watch_knows_collapse_and_vanishing_gradients() -> None:
    watch = Watch(sp.load_model("mnist-cnn"))
    healthy = [record(k, c) for k, c in enumerate((1, 2, 5, 8, 9, 10))]
    assert watch.reason(healthy) is None
    assert watch.reason(healthy[:3]) is None, "a run that has just begun shows few classes, too"
    assert "mode collapse: the samples show 1 classes" in str(
        watch.reason([*healthy, *(record(k, 1) for k in (6, 7, 8))])
    )
    blind = [record(k, 9, critic_accuracy=1.0) | {"critic_loss": 0.001} for k in range(3)]
    assert "vanishing gradient" in str(watch.reason(blind))


def test_clipping_spares_batch_normalisation() -> None:
    critic = make_pair("wgan")[1]
    WGAN(clip=0.01).after_critic(critic)
    for module in critic.modules():
        if isinstance(module, (nn.Linear, nn.Conv2d)):
            assert float(module.weight.detach().abs().max()) <= 0.01
        if isinstance(module, nn.BatchNorm2d):
            assert bool((module.weight == 1).all())


def test_the_penalty_is_zero_for_a_critic_of_slope_one_and_each_images_own() -> None:
    class Slope(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return x.flatten(1).sum(1) / 28

    x = torch.rand(5, 1, 28, 28, generator=torch.Generator().manual_seed(0))
    assert WGANGP().critic_loss(Slope(), x, x.flip(0))[1]["penalty"] < 1e-9
    with pytest.raises(InputError, match="without batch normalisation"):
        WGANGP().check(make_pair("wgan")[1])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"method": "wgangp"}, "no method is called 'wgangp'"),
        ({"net": "big"}, "no pair of nets is called 'big'"),
        ({"clip": 0.1}, "wgan-gp has no setting 'clip'"),
        ({"iterations": 0}, "must be at least 1"),
    ],
)
def test_what_training_refuses(change: dict[str, object], message: str, data: ImageData, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=message):
        train_generator(data, **({"method": "wgan-gp", "iterations": 1, "out": tmp_path} | change))  # type: ignore[arg-type]


# --- figures --------------------------------------------------------------------------------------------------


def test_frechet_has_its_closed_form() -> None:
    draw = torch.Generator().manual_seed(0)
    a = torch.randn(20_000, 3, generator=draw)
    assert frechet(a, a) == pytest.approx(0, abs=1e-6)
    assert frechet(a, 2 * a + 1) == pytest.approx(3 + 3, rel=0.03)  # |mean|^2 + sum (2 - 1)^2


def test_precision_recall_tell_collapse_from_noise() -> None:
    draw = torch.Generator().manual_seed(0)
    real = torch.randn(300, 2, generator=draw)
    precise, recalled = precision_recall(real, torch.randn(300, 2, generator=draw) * 0.05)
    assert precise > 0.9 > 0.3 > recalled
    precise, recalled = precision_recall(real, torch.randn(300, 2, generator=draw) * 20)
    assert precise < 0.2


def test_a_generator_that_copies_is_found_out(data: ImageData) -> None:
    x, y = data.tensors()
    assert nearest_distance(x[:20], x) == pytest.approx(0, abs=0.02)
    assert nearest_distance(x[:20], x[20:]) > 3
    shares = class_shares(sp.load_model("mnist-cnn"), x)
    assert float(shares.sum()) == pytest.approx(1)
    assert torch.allclose(shares, torch.bincount(y, minlength=10).double() / len(y), atol=0.03)


def test_quality_of_an_untrained_generator_is_poor(data: ImageData) -> None:
    x = data.tensors()[0]
    worth = quality(make_pair("mlp")[0].eval(), sp.load_model("mnist-cnn"), x, x, samples=100, projected=0)
    assert worth.classes_seen <= 3
    assert worth.frechet > 50 * worth.frechet_real
    assert worth.reconstruction is None
    json.dumps(worth.to_dict())


def test_sheets_and_gifs_can_be_opened(tmp_path: Path) -> None:
    from PIL import Image

    for k in range(3):
        write_sheet(torch.full((5, 1, 28, 28), k / 2), tmp_path / f"{k}.png", columns=3)
    write_gif(sorted(tmp_path.glob("*.png")), tmp_path / "all.gif")
    with Image.open(tmp_path / "all.gif") as gif:
        assert gif.n_frames == 3  # type: ignore[attr-defined]
        assert gif.size == (2 * (3 * 30 + 2), 2 * (2 * 30 + 2))


# --- files ----------------------------------------------------------------------------------------------------


def test_a_generator_is_saved_and_loaded_with_its_encoder(data: ImageData, tmp_path: Path) -> None:
    generator = make_pair("mlp")[0].eval()
    train_encoder(generator, data.tensors()[0], iterations=2)
    card = save_generator(generator, tmp_path / "g", {"training": {"net": "mlp"}})
    again = load_generator(tmp_path / "g")
    assert torch.equal(again.sample(2), generator.sample(2))
    assert again.encoder is not None
    assert card["net"]["parameters"] == 550_416
    weights = tmp_path / "g" / "weights.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1] + b"x")
    with pytest.raises(InputError, match="not those of its card"):
        load_generator(tmp_path / "g")
    with pytest.raises(InputError, match="neither shipped"):
        load_generator(tmp_path / "none")


def test_the_shipped_generator_is_worth_what_its_card_says() -> None:
    assert "mnist-wgan-gp" in SHIPPED
    card = next(card for card in list_generators() if card["name"] == "mnist-wgan-gp")
    assert card["quality"]["classes_seen"] >= 9
    assert card["quality"]["frechet"] < 40 * card["quality"]["frechet_real"]
    assert card["command"].startswith("sparring generate train wgan-gp")
    assert {"spec": "mnist5k", "split": "test", "images": 1000} in card["data"]["excluded"]
    generator = load_generator("mnist-wgan-gp")
    shares = class_shares(sp.load_model(card["judge"]), generator.sample(500))
    assert int((shares >= 0.01).sum()) >= 9


# --- projection -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("optimizer", "lr"), [("momentum", 10.0), ("adam", 0.05), ("lbfgs", None)])
def test_projection_finds_the_closed_form(optimizer: str, lr: float | None) -> None:
    net = Affine()
    x = torch.rand(4, 1, 28, 28, generator=torch.Generator().manual_seed(1))
    exact = torch.linalg.lstsq(net.a, (x.flatten(1) - net.b).T).solution.T
    generator = Generator(net, 3).eval().requires_grad_(False)
    found = Projection(300, 2, optimizer, lr, tolerance=0).run(generator, x, Noise.of(x, 0))  # type: ignore[arg-type]
    assert torch.allclose(found.z, exact, atol=2e-2)
    assert torch.allclose(found.error, (generator(exact) - x).square().flatten(1).mean(1), atol=1e-5)
    assert torch.allclose(found.images, generator(found.z))


def test_an_image_is_projected_alike_alone_and_in_a_batch() -> None:
    generator = make_pair("mlp")[0].eval().requires_grad_(False)
    x = sp.load_data("mnist5k", "test", n=5).tensors()[0]
    how = Projection(10, 3)
    whole = how.run(generator, x, Noise.of(x, 0))
    alone = how.run(generator, x[3:4], Noise.of(x[3:4], 0))
    assert torch.allclose(whole.z[3], alone.z[0], atol=1e-4)
    assert how.run(generator, x[:0], Noise.of(x[:0], 0)).images.shape == (0, 1, 28, 28)


def test_more_restarts_never_do_worse_and_rest_saves_steps() -> None:
    generator = Generator(Affine(), 3).eval().requires_grad_(False)
    x = torch.rand(3, 1, 28, 28, generator=torch.Generator().manual_seed(1))
    one, many = (Projection(5, r, tolerance=0).run(generator, x, Noise.of(x, 0)) for r in (1, 8))
    assert bool((many.error <= one.error + 1e-7).all())
    rested = Projection(400, 2, "adam", tolerance=0.001).run(generator, x, Noise.of(x, 0))
    assert bool((rested.steps < 2 * 400).all())
    assert bool((one.steps == 5).all())


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"optimizer": "sgd"}, "momentum or adam or lbfgs"),
        ({"restarts": 0}, "at least 0 and 1"),
        ({"start": "x"}, "noise"),
    ],
)
def test_what_projection_refuses(fields: dict[str, object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        Projection(**fields)  # type: ignore[arg-type]
