"""`wrap_callable`: functions that say scores, labels or top-k lists, and everything odd that they may say."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

import sparring as sp
from sparring.errors import AccessError, InputError, OutputError

WEIGHTS = torch.randn(12, 4, generator=torch.Generator().manual_seed(0))


def scores(x: Tensor) -> Tensor:
    return (x.flatten(1) - 0.5) @ WEIGHTS


def images(n: int = 6) -> Tensor:
    return torch.rand(n, 3, 2, 2, generator=torch.Generator().manual_seed(1))


def test_logits_pass_through_and_grant_scores_but_no_gradients() -> None:
    model = sp.wrap_callable(scores, 4)
    assert model.access == "score"
    assert torch.allclose(model.logits(images()), scores(images()))
    with pytest.raises(AccessError, match="grants only score access"):
        sp.PGD()(model, images(), torch.zeros(6, dtype=torch.long), ("Linf", 0.1))


@pytest.mark.parametrize("form", [lambda p: p, lambda p: p.numpy(), lambda p: p.tolist(), lambda p: p.double()])
def test_probabilities_are_recognised_and_become_their_logarithms(form: Any) -> None:
    model = sp.wrap_callable(lambda x: form(scores(x).softmax(1)), 4)
    assert torch.allclose(model.logits(images()), scores(images()).log_softmax(1), atol=1e-4)
    assert model.outputs == "probabilities"


def test_numpy_functions_get_arrays() -> None:
    def fn(x: Any) -> Any:
        assert isinstance(x, np.ndarray)
        return x.reshape(len(x), -1) @ WEIGHTS.numpy()

    assert sp.wrap_callable(fn, 4, numpy=True).logits(images()).shape == (6, 4)


def test_labels_grant_decisions_alone_and_an_attack_on_them_succeeds() -> None:
    seen = 0

    def fn(x: Tensor) -> list[int]:
        nonlocal seen
        seen += len(x)
        return scores(x).argmax(1).tolist()  # type: ignore[no-any-return]

    model = sp.wrap_callable(fn, classes=4, kind="labels")
    y = scores(images()).argmax(1)
    assert model.access == "decision"
    assert model.labels(images()).tolist() == y.tolist()
    seen = 0
    result = sp.attack("rays:queries=200")(model, images(), y, ("Linf", 0.4))
    assert bool(result.success.any())
    assert seen == int(result.queries.sum()), "every image shown is counted, none twice"
    assert torch.equal(scores(result.x_adv).argmax(1) != y, result.success)
    with pytest.raises(AccessError):
        sp.attack("square")(model, images(), y, ("Linf", 0.1))


def test_labels_by_name() -> None:
    names = ["ant", "bee", "cat", "dog"]
    model = sp.wrap_callable(lambda x: [names[i] for i in scores(x).argmax(1)], names, "labels")
    assert model.labels(images()).tolist() == scores(images()).argmax(1).tolist()
    assert model.classes == ("ant", "bee", "cat", "dog")


def topk(x: Tensor) -> Any:
    best, index = scores(x).softmax(1).topk(2)
    return index, best


@pytest.mark.parametrize(
    "form",
    [
        topk,
        lambda x: [list(zip(i.tolist(), p.tolist(), strict=True)) for i, p in zip(*topk(x), strict=True)],
        lambda x: [dict(zip(i.tolist(), p.tolist(), strict=True)) for i, p in zip(*topk(x), strict=True)],
    ],
)
def test_top_k_keeps_what_is_known_and_shares_the_rest(form: Any) -> None:
    model = sp.wrap_callable(form, 4, kind="topk")
    truth = scores(images()).softmax(1)
    said = model.logits(images()).exp()
    best, index = truth.topk(2)
    assert torch.allclose(said.gather(1, index), best, atol=1e-5)
    assert torch.equal(said.argmax(1), truth.argmax(1))
    rest = ((1 - best.sum(1)) / 2).minimum(best[:, 1])
    others = torch.ones_like(said).scatter(1, index, 0).bool()
    assert torch.allclose(said[others].view(-1, 2), rest[:, None].expand(-1, 2), atol=1e-5)


@pytest.mark.parametrize(
    ("kind", "said", "line"),
    [
        ("scores", torch.zeros(6, 3), "gave 3 scores an image; expected 4"),
        ("scores", torch.zeros(5, 4), r"shape \(5, 4\) for 6 images"),
        ("scores", "none", "gave 'none'; expected numbers"),
        ("scores", [["a"] * 4] * 6, "expected numbers, one a class"),
        ("scores", [[0.0] * 4] * 5 + [[0.0]], "expected numbers"),
        ("labels", [0, 1, 2, 3, 4, 0], r"said class 4; the classes are 0\.\.3"),
        ("labels", [0, 1], "gave 2 answers to 6 images"),
        ("labels", ["cat"] * 6, "said class 'cat'"),
        ("labels", [True] * 6, "said class True"),
        ("labels", [None] * 6, "said class None"),
        ("topk", [[(0, 0.5), (0, 0.4)]] * 6, "named a class twice"),
        ("topk", [[]] * 6, "named no class at all"),
        ("topk", [[0.5, 0.4]] * 6, r"expected \(class, score\) pairs"),
    ],
)
def test_answers_that_do_not_fit_are_one_clear_line(kind: Any, said: Any, line: str) -> None:
    model = sp.wrap_callable(lambda x: said, 4, kind=kind)
    with pytest.raises(OutputError, match=line) as error:
        model.logits(images())
    assert "\n" not in str(error.value)


def test_a_changing_number_of_classes_is_refused() -> None:
    widths = iter([4, 5])
    model = sp.wrap_callable(lambda x: torch.zeros(len(x), next(widths)), None)
    model.logits(images())
    with pytest.raises(OutputError, match="gave 5 scores an image; expected 4"):
        model.logits(images())


def test_nan_on_clean_images_is_refused_by_attack_and_audit() -> None:
    model = sp.wrap_callable(lambda x: torch.full((len(x), 4), float("nan")), 4)
    y = torch.zeros(6, dtype=torch.long)
    for run in (
        lambda: sp.attack("square")(model, images(), y, ("Linf", 0.1)),
        lambda: sp.audit(model, (images(), y), ("Linf", 0.1)),
    ):
        with pytest.raises(OutputError, match="gave NaN or Inf for 6 of 6 clean images"):
            run()


@pytest.mark.parametrize(
    "arguments", [(3,), (lambda x: x, 1), (lambda x: x, 4, "guess"), (lambda x: x, None, "labels")]
)
def test_arguments_that_do_not_fit(arguments: Any) -> None:
    with pytest.raises(InputError):
        sp.wrap_callable(*((*arguments, 4) if len(arguments) == 1 else arguments))


@pytest.mark.parametrize("numpy", [False, True])
def test_a_function_that_writes_into_its_input_moves_no_point(numpy: bool) -> None:
    """It had moved the points of the attack itself, which then counted as found."""

    def scores(z: Any) -> Any:
        said = [[0.55 - float(picture.mean()), float(picture.mean()) - 0.55] for picture in z]
        z *= 0
        return said

    x, y = torch.rand(4, 1, 6, 6) * 0.2 + 0.3, torch.zeros(4, dtype=torch.int64)
    before = x.clone()
    result = sp.attack("square:queries=60")(sp.wrap_callable(scores, 2, numpy=numpy), x, y, ("Linf", 0.3))
    assert torch.equal(x, before)
    assert float((result.x_adv - x).abs().max()) <= 0.3 + 1e-6
    assert bool(result.success.any())
    assert bool((result.x_adv.flatten(1).mean(1)[result.success] > 0.55).all())


def test_a_number_that_is_the_name_of_another_class_is_refused() -> None:
    """Names "1" to "4": class number 1 had been read as the class named "1", which is number 0."""
    names, x = ["1", "2", "3", "4"], torch.rand(2, 1, 4, 4)
    for said in ([2, 3], [2.0, 3.0], torch.tensor([2, 3])):
        with pytest.raises(OutputError, match="the class named '2', which is number 1"):
            sp.wrap_callable(lambda z, said=said: said, names, kind="labels").labels(x)
    assert sp.wrap_callable(lambda z: ["2", "3"], names, kind="labels").labels(x).tolist() == [1, 2]
    years = ["2021", "2022"]  # no class has such a number
    assert sp.wrap_callable(lambda z: [2022, 2021], years, kind="labels").labels(x).tolist() == [1, 0]
    same = ["0", "1", "2", "3"]
    assert sp.wrap_callable(lambda z: [2, 3], same, kind="labels").labels(x).tolist() == [2, 3]
