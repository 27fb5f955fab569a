"""scikit-learn classifiers: an object in Python, or `sklearn:FILE` in the format of skops. Never a pickle.

A pickle runs whatever code it likes when it is read. skops names the types in a file before it makes anything of them.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from sparring.errors import InputError
from sparring.model import Model, Outputs
from sparring.zoo.extras import first_line, need
from sparring.zoo.options import Options
from sparring.zoo.targets.answers import Answers
from sparring.zoo.targets.black_box import BlackBox
from sparring.zoo.targets.deployed import checked_file, sha256_of

PICKLES = (".pkl", ".pickle", ".joblib")
LEAD = 1e-5
"by how much the class of `predict` leads where the scores speak for another; float32 still sees it in a logarithm"


def wrap_sklearn(
    classifier: Any, *, scale: float = 1.0, input_size: Sequence[int] | None = None, name: str | None = None
) -> Model:
    """A fitted scikit-learn classifier as a model without gradients; pictures are flattened, [C, H, W] in order.

    It says scores if it has `predict_proba` or `decision_function` with a number for each class, else the class alone.
    The class is always that of `predict`: where the scores speak for another, its score is raised just above theirs.

    Args:
        scale: what a white pixel was when it was fitted: 16 for `load_digits`, 255 for 8-bit pixels.
        input_size: (C, H, W); None = square, grey or in colour, if the number of features fits.

    Raises:
        InputError: not a fitted classifier.
    """
    if not hasattr(classifier, "classes_") or not hasattr(classifier, "predict"):
        raise InputError(f"a {type(classifier).__name__} is no fitted classifier; call its fit(X, y) first")
    if isinstance(classifier.classes_, list):
        raise InputError(f"the {type(classifier).__name__} says several classes of each picture; one is needed")
    names = [str(one) for one in classifier.classes_]
    number = {name: k for k, name in enumerate(names)}
    method, outputs = _scores(classifier, len(names))

    def ask(x: Tensor) -> Any:
        pixels = (x.flatten(1) * scale).numpy()
        said = [str(one) for one in classifier.predict(pixels)]
        return said if method is None else agreeing(method(pixels), [number[one] for one in said])

    return BlackBox(
        ask,
        Answers("labels" if method is None else "scores", len(names), names),
        outputs=outputs,
        name=name or type(classifier).__name__,
        input_size=tuple(input_size)
        if input_size is not None
        else _square(getattr(classifier, "n_features_in_", None)),
    )


def load_sklearn(name: str, options: Options) -> Model:
    """The classifier in the skops file `name`; types that skops does not know need `trust`.

    Raises:
        MissingExtra: skops is not installed. InputError: a pickle, not a skops file, or types that are not trusted.
    """
    options.refuse_weights(f"sklearn:{name}")
    path = checked_file(name, "skops")
    if path.suffix.lower() in PICKLES:
        raise InputError(
            f"{path} is a pickle, which runs code when it is read; save it with skops.io.dump(classifier, 'net.skops')"
        )
    if options.mean is not None or options.std is not None:
        raise InputError("sklearn: classifiers get pixels in [0, 1]; put a StandardScaler into their pipeline instead")
    skops = need("skops.io", f"sklearn:{name}", "sklearn")
    try:
        unknown = skops.get_untrusted_types(file=path)
        if unknown and not options.trust:
            raise InputError(
                f"{path} holds {', '.join(unknown[:5])}, which skops does not know to be harmless: pass --trust "
                "(trust=True) if you trust its author"
            )
        classifier = skops.load(path, trusted=unknown)
    except InputError:
        raise
    except Exception as error:  # a damaged archive raises whatever it stumbles over
        raise InputError(f"{path} cannot be read as a skops file: {first_line(error)[:200]}") from None
    model = options.check_wrapped(wrap_sklearn(classifier, name=f"sklearn:{path.name}"), f"sklearn:{name}")
    assert isinstance(model, BlackBox)
    model.sha256 = sha256_of(path)
    return model


def agreeing(scores: Any, labels: Sequence[int]) -> NDArray[np.float32]:
    """Scores [B, K], or [B] of two classes, with the largest for the class that is said of each picture.

    >>> agreeing([[0.5, 0.25], [0.5, 0.25]], [0, 1])[:, 1].round(4).tolist()
    [0.25, 0.5]
    """
    said, named = np.array(scores, np.float32), np.asarray(labels)
    if said.ndim == 1:
        return np.where((said > 0) == (named == 1), said, np.where(named == 1, LEAD, -LEAD)).astype(np.float32)
    top, rows = said.max(1), np.arange(len(said))
    raised = top + LEAD * np.maximum(1, np.abs(top))
    said[rows, named] = np.where(said.argmax(1) == named, said[rows, named], raised)
    return said


def _scores(classifier: Any, classes: int) -> tuple[Callable[[Any], Any] | None, Outputs | None]:
    """The method that says a number for each class, and what it is. None = there is none.

    A support vector machine may say a number for each pair of classes instead: those of three are three as well.
    """
    if hasattr(classifier, "predict_proba"):
        return classifier.predict_proba, "probabilities"
    if not hasattr(classifier, "decision_function"):
        return None, None
    if classes > 2 and _by_pairs(classifier):
        if not hasattr(classifier, "decision_function_shape"):
            return None, None
        classifier = copy.copy(classifier)
        classifier.decision_function_shape = "ovr"
    return classifier.decision_function, "logits"


def _by_pairs(classifier: Any) -> bool:
    """Does its `decision_function`, or that of the last step of a pipeline or a search, compare pairs of classes?"""
    steps = getattr(classifier, "steps", None)
    inner = steps[-1][1] if steps else getattr(classifier, "best_estimator_", None)
    return getattr(classifier, "decision_function_shape", None) == "ovo" or (inner is not None and _by_pairs(inner))


def _square(features: int | None) -> tuple[int, int, int] | None:
    for channels in (1, 3):
        if features and features % channels == 0 and math.isqrt(features // channels) ** 2 * channels == features:
            side = math.isqrt(features // channels)
            return channels, side, side
    return None
