"""Generators without a critic: the diffusion model and the PixelCNN."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

import sparring as sp
from sparring.data.images import ImageData
from sparring.errors import InputError
from sparring.generators.diffusion import Diffusion, kept, noised
from sparring.generators.files import list_generators, load_generator, save_generator
from sparring.generators.loop import train_generator
from sparring.generators.models import make_generator, make_model
from sparring.generators.pixelcnn import PixelCNN
from sparring.generators.watch import class_shares


@pytest.fixture(scope="module")
def data() -> ImageData:
    return sp.load_data("mnist5k", "train", n=100)


class OneImage(nn.Module):
    """The best that can be said of noise where the data is one image: what is not that image."""

    def __init__(self, x: Tensor) -> None:
        super().__init__()
        self.x = nn.Parameter(x)

    def forward(self, x: Tensor, t: Tensor) -> Tensor:
        a = kept(t)[:, None, None, None]
        return (x - a.sqrt() * self.x) / (1 - a).sqrt()


def test_the_way_back_ends_at_the_only_image_there_is(data: ImageData) -> None:
    x = 2 * data.tensors()[0][:1] - 1
    model = Diffusion(OneImage(x)).eval().requires_grad_(False)
    assert torch.allclose(model.sample(3), (x.expand(3, -1, -1, -1) + 1) / 2, atol=1e-4)
    noise, fresh = torch.randn(2, 3, 1, 28, 28, generator=torch.Generator().manual_seed(0))
    state = noised(x, torch.full((3,), 0.4), noise)
    for t, s in ((0.4, 0.3), (0.3, 0.05), (0.05, 0.0)):
        random = model.back(state, t, s, fresh if s else None)
        state = model.back(state, t, s)
        assert torch.allclose(state, noised(x, torch.full((3,), s), noise), atol=1e-4), "DDIM keeps the noise"
        spread = float((random - float(kept(torch.tensor(s))) ** 0.5 * x).std())
        assert spread == pytest.approx(float(1 - kept(torch.tensor(s))) ** 0.5, abs=0.03), "DDPM its amount"
    assert float(model.loss((x + 1) / 2)) < 1e-6
    with pytest.raises(InputError, match="must lead back"):
        model.back(state, 0.1, 0.2)


def test_the_schedule_is_that_of_a_thousand_steps() -> None:
    betas = torch.linspace(1e-4, 0.02, 1000, dtype=torch.float64)
    exact = (1 - betas).cumprod(0)[[99, 499, 999]]
    assert torch.allclose(kept(torch.tensor([0.1, 0.5, 1.0], dtype=torch.float64)), exact, rtol=0.12)


def test_a_diffusion_run_learns_and_resumes_to_the_bit(data: ImageData, tmp_path: Path) -> None:
    def run(out: str, iterations: int, resume: bool = False) -> list[Tensor]:
        made = train_generator(
            data, "diffusion", iterations=4, every=2, out=tmp_path / out, batch_size=8, resume=resume,
            listeners=[Stop(iterations)],
        )  # fmt: skip
        losses.append([record["generator_loss"] for record in made.history])
        return list(made.generator.parameters())

    class Stop:
        def __init__(self, at: int) -> None:
            self.at = at

        def on_step(self, iteration: int, figures: dict[str, float]) -> None:
            if iteration == self.at:
                raise KeyboardInterrupt

        def on_record(self, record: dict[str, float], generator: object) -> None:
            pass

    losses: list[list[float]] = []
    whole = run("a", 99)
    with pytest.raises(KeyboardInterrupt):
        run("b", 3)
    again = run("b", 99, resume=True)
    assert all(torch.equal(a, b) for a, b in zip(whole, again, strict=True))
    assert losses[0] == losses[1]
    assert losses[0][1] < losses[0][0]


def test_a_pixel_knows_only_those_before_it_and_decoding_says_what_the_net_says(data: ImageData) -> None:
    model = make_model("pixelcnn").eval().requires_grad_(False)
    assert isinstance(model, PixelCNN)
    x = model.rounded(data.tensors()[0][:2]).float() / 15
    scores = model.net(x)
    other = x.clone()
    other[:, 0, 12, 9] = 1 - other[:, 0, 12, 9]
    changed = (model.net(other) != scores).any(1).any(0).flatten()
    assert not bool(changed[: 12 * 28 + 10].any())
    assert bool(changed[12 * 28 + 10])
    seen = []

    def forced(found: Tensor, row: int, column: int) -> Tensor:
        seen.append(found)
        return model.rounded(x)[:, 0, row, column]

    assert torch.allclose(model.net.decode(2, forced), x, atol=1e-6)
    assert torch.allclose(torch.stack(seen, 2).reshape(scores.shape), scores, atol=1e-5)


def test_samples_of_a_pixelcnn_follow_its_chances() -> None:
    model = make_model("pixelcnn").eval().requires_grad_(False)
    assert isinstance(model, PixelCNN)
    for parameter in model.parameters():
        parameter.zero_()
    bias = model.net.leave.bias
    assert bias is not None
    bias[3] = 20.0
    assert torch.allclose(model.sample(2), torch.full((2, 1, 28, 28), 3 / 15))
    assert float(model.surprise(torch.full((1, 1, 28, 28), 0.2))) == pytest.approx(0, abs=1e-5)
    bias[3] = 0.0
    values = model.sample(4).flatten()
    assert torch.allclose(torch.bincount(model.rounded(values)).float() / len(values), torch.tensor(1 / 16), atol=0.02)
    assert float(model.surprise(torch.zeros(1, 1, 28, 28))) == pytest.approx(4)


@pytest.mark.parametrize("name", ["mnist-diffusion", "mnist-pixelcnn"])
def test_those_that_we_ship_say_where_they_come_from(name: str) -> None:
    card = next(card for card in list_generators() if card["name"] == name)
    assert card["command"].startswith("sparring generate train")
    assert {"spec": "mnist5k", "split": "test", "images": 1000} in card["data"]["excluded"]
    assert load_generator(name).projects is False


def test_the_shipped_diffusion_model_makes_all_digits() -> None:
    card = next(card for card in list_generators() if card["name"] == "mnist-diffusion")
    assert card["quality"]["classes_seen"] == 10
    shares = class_shares(sp.load_model(card["judge"]), load_generator("mnist-diffusion").sample(80))
    assert int((shares > 0).sum()) >= 9


def test_the_shipped_pixelcnn_finds_digits_likely() -> None:
    model = load_generator("mnist-pixelcnn")
    assert isinstance(model, PixelCNN)
    x = sp.load_data("mnist5k", "test", n=50).tensors()[0]
    with torch.no_grad():
        digits, turned = model.surprise(x), model.surprise(x.flip(2))
        noisy = model.surprise((x + 0.1 * torch.rand(x.shape, generator=torch.Generator().manual_seed(0))).clamp(0, 1))
    assert float(digits.mean()) < 0.6
    assert bool((noisy > digits).all())
    assert float(turned.mean()) > float(digits.mean())


def test_saved_and_loaded(tmp_path: Path) -> None:
    made = make_model("unet").eval()
    card = save_generator(made, tmp_path, {"training": {"net": "unet"}})
    assert card["net"]["parameters"] == 255_425
    assert torch.equal(load_generator(tmp_path).sample(2), made.sample(2))
    with pytest.raises(InputError, match="no net is called 'vit'"):
        make_generator("vit")
    with pytest.raises(InputError, match="no net is called 'mlp'; for diffusion there are: unet"):
        train_generator(sp.load_data("mnist5k", n=8), "diffusion", net="mlp", iterations=1, out=tmp_path)
