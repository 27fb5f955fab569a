"""Answers that could be taken for something else: each is read as what it is, or refused in one line."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

import sparring as sp
from sparring.errors import InputError, OutputError
from sparring.zoo.targets.sklearn import agreeing

DEEP = 900
"lists in lists: json.loads reads as many"


def nested(depth: int, inside: Any = 0.5) -> Any:
    for _ in range(depth):
        inside = [inside]
    return inside


def answering(*said: Any, kind: Any = "scores", classes: Any = 3, **options: Any) -> sp.Model:
    """A model that says one thing after the other of one picture."""
    turn = iter(said)
    return sp.wrap_callable(lambda x: next(turn), classes, kind, **options)


PICTURE = torch.full((1, 1, 2, 2), 0.5)


# --- forms --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("depth", [3, 60, DEEP, 50_000])
@pytest.mark.parametrize(
    ("kind", "said"),
    [
        ("scores", lambda deep: deep),
        ("scores", lambda deep: [[0.1, 0.2, deep]]),
        ("scores", lambda deep: {"a": deep}),
        ("labels", lambda deep: deep),
        ("labels", lambda deep: [{"label": deep}]),
        ("topk", lambda deep: deep),
        ("topk", lambda deep: [[(deep, 0.5)]]),
        ("topk", lambda deep: [[(0, deep)]]),
        ("topk", lambda deep: [[{"label": deep}]]),
        ("topk", lambda deep: ([[0]], deep)),
    ],
)
def test_answers_nested_however_deeply_are_one_clear_line(kind: str, said: Callable[[Any], Any], depth: int) -> None:
    deep = nested(depth)
    with pytest.raises(OutputError) as error:
        answering(said(deep), kind=kind).logits(PICTURE)
    assert len(str(error.value)) < 300
    while isinstance(deep, list):  # taken apart by hand: freeing it all at once is deep, too
        deep = deep[0]


def test_a_list_that_holds_itself() -> None:
    endless: list[Any] = []
    endless.append(endless)
    with pytest.raises(OutputError, match="expected numbers"):
        answering([endless]).logits(PICTURE)


@pytest.mark.parametrize(
    "score", [[0.9], [[0.9]], [0.9, 0.1], (), {}, {"value": 0.9}, "0.9", torch.ones(2), np.ones((1, 1)), 1j, b"1"]
)
def test_a_score_of_a_top_k_list_that_is_no_number(score: Any) -> None:
    for pairs in ([(0, score)], [(0, score), (1, score)], [(0, 0.5), (1, score)]):
        with pytest.raises(OutputError, match=r"expected numbers|a number a score"):
            answering([pairs], kind="topk").logits(PICTURE)


@pytest.mark.parametrize(
    "tables",
    [
        ([[0, 1]], [[0.5]]),
        (torch.tensor([[0, 1]]), torch.tensor([[0.5, 0.2, 0.1]])),
        ([[0, 1], [2]], [[0.5, 0.2], [0.1]]),
        ([[0], [1]], [[0.5], [0.2], [0.1]]),
    ],
)
def test_top_k_tables_that_do_not_belong_together(tables: Any) -> None:
    with pytest.raises(OutputError):
        answering(tables, kind="topk").logits(PICTURE)


@pytest.mark.parametrize("said", [torch.tensor([[1j, 2, 3]]), [[1j, 2, 3]], [["1", "2", "3"]], [[b"1", b"2", b"3"]]])
def test_scores_that_are_no_real_numbers(said: Any) -> None:
    with pytest.raises(OutputError, match="expected numbers"):
        answering(said).logits(PICTURE)


@pytest.mark.filterwarnings("error")
def test_numbers_beyond_float32_are_infinite_without_a_warning() -> None:
    with pytest.raises(OutputError, match="NaN or Inf"):
        sp.attack("square:queries=2")(
            sp.wrap_callable(lambda x: [[1e300, 0.0, 0.0]] * len(x), 3), PICTURE, torch.tensor([0]), ("Linf", 0.1)
        )


@pytest.mark.parametrize("said", [np.int64(2), np.float32(2), torch.tensor(2), np.array(2), np.str_("c"), "c", 2.0])
def test_a_class_in_every_type(said: Any) -> None:
    assert answering([said], kind="labels", classes=["a", "b", "c"]).labels(PICTURE).tolist() == [2]


# --- what scores are ----------------------------------------------------------------------------------------------


LIKELY = [[0.5, 0.3, 0.2]]


@pytest.mark.parametrize(
    "later", [[-0.3, 0.7, 0.6], [5.0, -3.0, 1.0], [0.9, 0.8, 0.7], [0.1, 0.1, 0.1], [1.2, 0.0, 0.0]]
)
def test_scores_that_belie_the_first_answer_are_refused(later: list[float]) -> None:
    model = answering(LIKELY, [later])
    model.logits(PICTURE)
    with pytest.raises(OutputError, match=r"no probabilities; the first answers looked like them: say what they are"):
        model.logits(PICTURE)


@pytest.mark.parametrize("later", [[0.33, 0.33, 0.33], [1.0, 0.0, 0.0], [0.335, 0.335, 0.335], [float("nan")] * 3])
def test_rounded_probabilities_are_still_some(later: list[float]) -> None:
    model = answering(LIKELY, [later])
    model.logits(PICTURE)
    assert model.logits(PICTURE).shape == (1, 3)


def test_many_classes_rounded_to_two_decimals_are_still_probabilities() -> None:
    model = answering([[1.0] + [0.0] * 999], [[0.0] * 1000], classes=1000)
    model.logits(PICTURE)
    assert model.logits(PICTURE).shape == (1, 1000)


@pytest.mark.parametrize("later", [[-0.3, 0.7, 0.6], [5.0, -3.0, 1.0]])
def test_what_cannot_be_probabilities_is_refused_though_it_was_said(later: list[float]) -> None:
    with pytest.raises(OutputError, match=r"no probabilities; as was said \(outputs=\)"):
        answering([later], outputs="probabilities").logits(PICTURE)
    shares = answering([[0.9, 0.8, 0.7]], outputs="probabilities")  # of labels that do not exclude each other
    assert shares.logits(PICTURE).exp()[0].tolist() == pytest.approx([0.9, 0.8, 0.7])


@pytest.mark.parametrize("later", [[-2.0, 0.1, 0.2], [0.5, 0.3, 0.2], [9.0, 1.0, 1.0]])
def test_logits_stay_logits_whatever_follows(later: list[float]) -> None:
    model = answering([[2.0, -1.0, 0.5]], [later])
    model.logits(PICTURE)
    assert model.logits(PICTURE)[0].tolist() == pytest.approx(later)


def test_an_answer_that_is_broken_settles_nothing() -> None:
    model = answering([[float("nan")] * 3], LIKELY)
    model.logits(PICTURE)
    assert model.logits(PICTURE).exp()[0].tolist() == pytest.approx(LIKELY[0])


@pytest.mark.parametrize("defense", ["bits:4", "jpeg:quality=75|bits:4"])
@pytest.mark.parametrize("form", [lambda z: z.softmax(1), lambda z: z.log_softmax(1), lambda z: z])
@pytest.mark.parametrize("adaptive", [False, True])
def test_behind_a_defense_scores_are_what_they_are_without_it(form: Any, defense: str, adaptive: bool) -> None:
    """Probabilities behind a defense had been refused, as if a net gave them."""
    weights = torch.randn(3, 64, generator=torch.Generator().manual_seed(4))
    model = sp.defend(sp.wrap_callable(lambda x: form(x.flatten(1) @ weights.T), 3), defense)
    model = model.exposed() if adaptive else model
    x = torch.rand(2, 1, 8, 8, generator=torch.Generator().manual_seed(5))
    with model.guard():
        y = model.labels(x)
    assert bool(sp.attack("square:queries=20")(model, x, y, ("Linf", 0.3)).clean_correct.all())


def top(*scores: float) -> list[list[tuple[int, float]]]:
    return [list(enumerate(scores))]


def test_a_top_k_list_of_logits_is_read_as_the_first_was() -> None:
    model = answering(top(7.0, 2.0), top(0.4, 0.1), kind="topk", classes=4)
    model.logits(PICTURE)
    assert model.logits(PICTURE)[0].tolist() == pytest.approx([0.4, 0.1, -0.9, -0.9]), "not shares of what is left"


@pytest.mark.parametrize("later", [(7.0, 2.0), (0.9, -0.2), (0.9, 0.8)])
def test_a_top_k_list_that_belies_the_first_is_refused(later: tuple[float, ...]) -> None:
    model = answering(top(0.6, 0.3), top(*later), kind="topk", classes=4)
    model.logits(PICTURE)
    with pytest.raises(OutputError, match="no probabilities; the first answers looked like them"):
        model.logits(PICTURE)


def test_of_top_k_lists_in_one_batch_all_are_read_alike() -> None:
    model = answering([*top(0.4, 0.1), *top(7.0, 2.0)], kind="topk", classes=3)
    assert model.logits(PICTURE.expand(2, -1, -1, -1)).tolist() == [
        pytest.approx([0.4, 0.1, -0.9]),
        pytest.approx([7, 2, 1]),
    ]


# --- classes ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("classes", [np.int64(3), np.uint8(3), torch.tensor(3), 3])
def test_a_number_of_classes_in_every_type(classes: Any) -> None:
    model = answering(LIKELY, classes=classes)
    assert (model.num_classes, model.classes) == (3, None)


@pytest.mark.parametrize(
    "classes", [["a", "b", "c"], ("a", "b", "c"), np.array(["a", "b", "c"]), dict.fromkeys("abc").keys()]
)
def test_names_of_classes_in_every_type(classes: Any) -> None:
    if isinstance(classes, type({}.keys())):
        with pytest.raises(InputError, match="a list of at least two names"):
            answering(LIKELY, classes=classes)
    else:
        assert answering(LIKELY, classes=classes).classes == ("a", "b", "c")


@pytest.mark.parametrize(
    "classes",
    [
        "10",
        "abc",
        b"abc",
        10.0,
        1,
        0,
        -2,
        True,
        np.bool_(True),
        np.int64(1),
        ["a"],
        [],
        {"a", "b"},
        {"a": 0, "b": 1},
        np.ones((2, 2)),
        object(),
    ],
)
def test_what_neither_counts_nor_names_classes(classes: Any) -> None:
    with pytest.raises(InputError, match="a number from 2 on, or a list of at least two names, is needed"):
        answering(LIKELY, classes=classes)


# --- scikit-learn: the class is that of `predict` -----------------------------------------------------------------


def blobs(classes: int) -> tuple[Any, Any]:
    rng = np.random.default_rng(0)
    y = np.arange(120) % classes
    centres = rng.random((classes, 16))
    return np.clip(centres[y] + 0.25 * rng.normal(size=(120, 16)), 0, 1).astype(np.float32), y


def sklearn_classifiers() -> dict[str, Any]:
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import GridSearchCV
    from sklearn.multiclass import OneVsOneClassifier, OneVsRestClassifier, OutputCodeClassifier
    from sklearn.neighbors import KNeighborsClassifier, NearestCentroid
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler
    from sklearn.svm import SVC, LinearSVC, NuSVC

    ovo = SVC(decision_function_shape="ovo")
    return {
        "SVC by pairs": ovo,
        "SVC": SVC(),
        "NuSVC by pairs": NuSVC(nu=0.2, decision_function_shape="ovo"),
        "pipeline by pairs": make_pipeline(StandardScaler(), ovo),
        "search by pairs": GridSearchCV(ovo, {"C": [1.0]}, cv=2),
        "centroids": NearestCentroid(),
        "centroids, Manhattan": NearestCentroid(metric="manhattan"),
        "pairs of lines": OneVsOneClassifier(LinearSVC()),
        "lines": OneVsRestClassifier(LinearSVC()),
        "codes": OutputCodeClassifier(LinearSVC(), random_state=0),
        "neighbours": KNeighborsClassifier(4),
        "logistic": LogisticRegression(),
    }


NAMES = [
    "SVC by pairs",
    "SVC",
    "NuSVC by pairs",
    "pipeline by pairs",
    "search by pairs",
    "centroids",
    "centroids, Manhattan",
    "pairs of lines",
    "lines",
    "codes",
    "neighbours",
    "logistic",
]


@pytest.mark.parametrize("classes", [2, 3, 5])
@pytest.mark.parametrize("name", NAMES)
def test_scikit_learn_says_the_class_that_it_predicts(name: str, classes: int) -> None:
    pytest.importorskip("sklearn", reason="needs scikit-learn")
    classifier = sklearn_classifiers()[name]
    x, y = blobs(classes)
    classifier.fit(x, y)
    seen = torch.rand(150, 1, 4, 4, generator=torch.Generator().manual_seed(0))
    model = sp.wrap_sklearn(classifier)
    assert model.labels(seen).tolist() == classifier.predict(seen.flatten(1).numpy()).tolist()
    if model.access == "score":
        assert model.logits(seen).argmax(1).tolist() == model.labels(seen).tolist()


def test_the_users_classifier_stays_as_it_was() -> None:
    pytest.importorskip("sklearn", reason="needs scikit-learn")
    classifier = sklearn_classifiers()["SVC by pairs"].fit(*blobs(3))
    assert sp.wrap_sklearn(classifier).access == "score"
    assert classifier.decision_function_shape == "ovo"


def test_several_classes_of_each_picture_are_refused() -> None:
    tree = pytest.importorskip("sklearn.tree", reason="needs scikit-learn")
    x, y = blobs(3)
    with pytest.raises(InputError, match="says several classes of each picture"):
        sp.wrap_sklearn(tree.DecisionTreeClassifier().fit(x, np.stack([y, y], 1)))


@pytest.mark.parametrize("scale", [1e-3, 1.0, 1e3, 1e6])
@pytest.mark.parametrize("sign", [1, -1])
def test_the_predicted_class_leads_at_every_scale(scale: float, sign: int) -> None:
    scores = sign * scale * torch.rand(50, 4, generator=torch.Generator().manual_seed(2)).numpy()
    labels = (scores.argmax(1) + np.arange(50)) % 4
    said = torch.from_numpy(agreeing(scores, labels.tolist()))
    assert said.argmax(1).tolist() == labels.tolist()
    right = torch.from_numpy(scores.argmax(1) == labels)
    assert torch.equal(said[right], torch.from_numpy(scores)[right].float())
    shares = torch.from_numpy(agreeing(abs(scores) / abs(scores).sum(1, keepdims=True), labels.tolist()))
    assert shares.log().argmax(1).tolist() == labels.tolist()
