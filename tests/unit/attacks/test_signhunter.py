"""SignHunter finds every sign of a linear model in 2 d queries, and fools real digits in some hundred."""

from __future__ import annotations

import itertools

import torch

import sparring as sp
from sparring.blocks.estimators.halving import blocks
from sparring.testing.fixtures import Changed, affine


def test_blocks_cover_all_pixels_once_at_every_size() -> None:
    rounds = list(itertools.islice(blocks(torch.zeros(1, 2, 5)), 60))
    begins = [k for k, (_, begin) in enumerate(rounds) if begin]
    first = [block for block, _ in rounds[: begins[1]]]
    sizes = [int(block.sum()) for block in first]
    assert sizes == [10, 5, 5, 3, 3, 3, 1, 2, 2, 2, 2, 2, *[1] * 10]
    for start, stop in ((0, 1), (1, 3), (3, 7), (7, 12), (12, 22)):
        assert bool((torch.stack(first[start:stop]).sum(0) == 1).all())


def test_every_sign_of_a_linear_model_is_found_in_two_queries_a_pixel() -> None:
    paper = affine(classes=2)
    best = paper.optimum(sp.Linf)
    for i in range(5):
        eps = float(best[i]) * 1.0001
        alone = paper[i : i + 1]
        result = sp.attack("signhunter:queries=45")(alone.net, alone.x, alone.y, sp.Threat("Linf", eps))
        assert bool(result.success)


def test_a_row_leaves_after_a_round_that_changed_nothing() -> None:
    paper = affine(classes=2)
    result = sp.SignHunter()(paper.net, paper.x, paper.y, sp.Threat("Linf", float(paper.optimum(sp.Linf).min()) * 0.9))
    a_round = 1 + 2 + 4 + 7 + 10 + 20  # blocks of 20, 10, 5, 3, 2 and 1 pixels
    assert not bool(result.success.any())
    assert set(result.queries.tolist()) <= {
        2 + k * a_round for k in (2, 3)
    }  # no more than one that changes, and one idle


def test_digits_fall_in_some_hundred_queries() -> None:
    x, y = sp.load_data("mnist5k", n=10).tensors()
    result = sp.SignHunter()(sp.load_model("mnist-cnn"), x, y, sp.Threat("Linf", 0.3), budget=sp.Budget(queries=1000))
    assert bool(result.success.all())
    assert float(result.first_hit.float().median()) <= 300


def test_an_answer_of_nan_at_the_start_does_not_end_the_search() -> None:
    paper = affine(classes=2)
    corner = (paper.x + 0.3).clamp(0, 1)  # what is asked first
    hurt = Changed(
        paper.net,
        after=lambda z, x: z.masked_fill(
            torch.tensor([any(torch.equal(one, each) for each in corner) for one in x])[:, None], torch.nan
        ),
    )
    whole = sp.attack("signhunter:queries=100")(paper.net, paper.x, paper.y, ("Linf", 0.3))
    found = sp.attack("signhunter:queries=100")(hurt, paper.x, paper.y, ("Linf", 0.3))
    assert bool(whole.success.any())
    assert torch.equal(found.success, whole.success)
