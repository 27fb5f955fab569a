"""AutoZOOM: its estimate against autograd, its queries against ZOO's, its decoders."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest
import torch
from torch import Tensor

import sparring as sp
from sparring.attack import Attack, register
from sparring.blocks.estimators.decoders import Bilinear, Pixels
from sparring.blocks.estimators.random_descent import Plan, gradient
from sparring.bout import Bout
from sparring.errors import InputError
from sparring.generators.codec import train_codec
from sparring.norms import L2
from sparring.testing.fixtures import Changed, pair


def test_the_estimate_points_along_the_gradient_as_far_as_so_many_directions_can() -> None:
    paper, seen = pair(), []

    def look(_: Any, bout: Bout) -> None:
        blank = torch.zeros_like(bout.x)
        middle = (bout.x + 0.5) / 2
        c = torch.full_like(bout.eps, 1e6)
        plan = Plan(Pixels(), 1, 200, 1e-3, 0.1, 0.0)
        seen.append(gradient(bout, middle, blank, c, torch.ones_like(c, dtype=torch.bool), plan)[0])

    with patch.dict("sparring.attack.REGISTRY"):
        made = register("looking", title="S", sees="score", norms=(L2,), aim="minimum", paper="none", year=2024)(
            type("S", (Attack,), {"run": look})
        )
    made()(paper.net, paper.x, paper.y, sp.Threat("L2"))
    weight: Tensor = paper.net.weight  # type: ignore[assignment]
    away = (weight[paper.y] - weight[1 - paper.y]).reshape(paper.x.shape)
    cosine = torch.cosine_similarity(seen[0].flatten(1), away.flatten(1))
    assert bool((cosine >= 0.9 * (200 / (200 + 20)) ** 0.5).all())


def test_what_meets_nan_neither_draws_nor_counts_as_enough() -> None:
    """Directions that do are left out; a point that does is pulled back to the image, and is no success."""
    paper, plan = pair(), Plan(Pixels(), 1, 40, 1e-3, 0.1, 0.0)
    hurt = Changed(paper.net, after=lambda z, x: z.masked_fill((x[:, 0, 0, :1] > 0.5), torch.nan))
    x = paper.x.clone()
    x[:, 0, 0, 0] = 0.5  # half of the directions lead into NaN
    y = paper.net(x).argmax(1)

    def look(_: Any, bout: Bout) -> None:
        c, sure = torch.full_like(bout.eps, 1e6), torch.ones_like(bout.eps, dtype=torch.bool)
        seen.append(gradient(bout, bout.x, torch.zeros_like(bout.x), c, sure, plan))
        code = torch.zeros_like(bout.x)
        code[:, 0, 0, 0] = 0.3
        seen.append(gradient(bout, bout.x, code, c, sure, plan))

    seen: list[Any] = []
    with patch.dict("sparring.attack.REGISTRY"):
        made = register("looking", title="S", sees="score", norms=(L2,), aim="minimum", paper="none", year=2024)(
            type("S", (Attack,), {"run": look})
        )
    made()(hurt, x, y, sp.Threat("L2"))
    weight: Tensor = paper.net.weight  # type: ignore[assignment]
    away = (weight[y] - weight[1 - y]).reshape(x.shape)
    (g, _, missing, _), (back, _, lost, _) = seen
    assert bool((torch.cosine_similarity(g.flatten(1), away.flatten(1)) > 0.4).all())
    assert bool(missing.isfinite().all())
    assert bool(lost.isinf().all())
    assert bool((back[:, 0, 0, 0] > 0).all())
    assert float(L2.size(back).max()) < 10  # the distance alone, 2 * 0.3, up to the noise of so few directions


@pytest.mark.long
def test_it_needs_a_twentieth_of_zoos_queries() -> None:
    """The paper's abstract: at least 93 % fewer to the first success."""
    x, y = sp.load_data("mnist5k", n=10).tensors()
    net, goal = sp.load_model("mnist-cnn"), sp.Targeted((y + 1) % 10, y)
    zoom, zoo = (
        sp.attack(name)(net, x, goal, sp.Threat("L2"), budget=sp.Budget(queries=queries))
        for name, queries in (("autozoom", 4000), ("zoo", 30000))
    )
    assert bool(zoom.success.all())
    assert float(zoo.success.double().mean()) >= 0.8
    spent = torch.where(zoo.success, zoo.first_hit, zoo.queries)  # ZOO's: at least so many
    assert float(zoom.first_hit.double().mean()) <= 0.07 * float(spent.double().mean())


def test_before_the_first_success_a_step_costs_two_queries() -> None:
    x, y = sp.load_data("mnist5k", n=3).tensors()
    attack = sp.attack("autozoom:lr=1e-9,steps=7,search=1")
    result = attack(sp.load_model("mnist-cnn"), x, y, sp.Threat("L2"))
    assert not bool(result.success.any())
    assert set(result.queries.tolist()) <= {1 + 11 + 2 * steps + 1 for steps in range(8)}


def test_a_bilinear_code_is_a_picture_of_half_the_size() -> None:
    assert Bilinear().code((3, 28, 29)) == (3, 14, 15)
    flat = Bilinear()(torch.ones(2, 3, 14, 15), (3, 28, 29))
    assert torch.allclose(flat, torch.ones(2, 3, 28, 29))
    assert Bilinear()(torch.ones(2, 1, 1, 10), (20,)).shape == (2, 20)


@pytest.mark.long
def test_the_decoder_of_an_autoencoder_perturbs_and_can_be_saved(tmp_path: Path) -> None:
    x, y = sp.load_data("mnist5k", n=60).tensors()
    codec = train_codec(x, iterations=60)
    rebuilt = codec.decoder(codec.encoder(x))
    assert float((rebuilt - x).square().mean()) < 0.5 * float(x.var())
    assert not bool(codec(torch.zeros(1, 1, 14, 14), (1, 28, 28)).any())
    codec.save(tmp_path / "codec.safetensors")
    attack = sp.attack(f"autozoom:decoder={tmp_path}/codec.safetensors,steps=200,search=1")
    assert attack.spec == f"autozoom:steps=200,search=1,decoder={tmp_path}/codec.safetensors"
    result = attack(sp.load_model("mnist-cnn"), x[:3], y[:3], sp.Threat("L2"))
    assert bool(result.success.all())
    colour = torch.rand(1, 3, 8, 8)
    with pytest.raises(InputError, match="made for 1 channels"):
        attack(torch.nn.Flatten(), colour, colour.flatten(1).argmax(1), sp.Threat("L2"))
    with pytest.raises(InputError, match="bilinear"):
        sp.attack("autozoom:decoder=bilinaer")
    (tmp_path / "other.safetensors").write_bytes(b"nothing")
    with pytest.raises(InputError, match="holds no decoder"):
        sp.attack(f"autozoom:decoder={tmp_path}/other.safetensors")
