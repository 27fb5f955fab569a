"""scikit-learn classifiers: an object in Python, or `sklearn:FILE` in the format of skops. Never a pickle.

A pickle runs whatever code it likes when it is read. skops names the types in a file before it makes anything of them.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from torch import Tensor

from sparring.errors import InputError
from sparring.model import Model, Outputs
from sparring.zoo.extras import first_line, need
from sparring.zoo.options import Options
from sparring.zoo.targets.answers import Answers, Kind
from sparring.zoo.targets.black_box import BlackBox
from sparring.zoo.targets.deployed import checked_file, sha256_of

PICKLES = (".pkl", ".pickle", ".joblib")


def wrap_sklearn(
    classifier: Any, *, scale: float = 1.0, input_size: Sequence[int] | None = None, name: str | None = None
) -> Model:
    """A fitted scikit-learn classifier as a model without gradients; pictures are flattened, [C, H, W] in order.

    It says scores if it has `predict_proba` or `decision_function`, else the class alone.

    Args:
        scale: what a white pixel was when it was fitted: 16 for `load_digits`, 255 for 8-bit pixels.
        input_size: (C, H, W); None = square, grey or in colour, if the number of features fits.

    Raises:
        InputError: not a fitted classifier.
    """
    if not hasattr(classifier, "classes_") or not hasattr(classifier, "predict"):
        raise InputError(f"a {type(classifier).__name__} is no fitted classifier; call its fit(X, y) first")
    names = [str(one) for one in classifier.classes_]
    outputs: Outputs | None = None
    kind: Kind = "scores"
    if hasattr(classifier, "predict_proba"):
        method, outputs = classifier.predict_proba, "probabilities"
    elif hasattr(classifier, "decision_function"):
        method, outputs = classifier.decision_function, "logits"
    else:
        method, kind = classifier.predict, "labels"

    def ask(x: Tensor) -> Any:
        said = method((x.flatten(1) * scale).numpy())
        return [str(one) for one in said] if kind == "labels" else said

    return BlackBox(
        ask,
        Answers(kind, len(names), names),
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


def _square(features: int | None) -> tuple[int, int, int] | None:
    for channels in (1, 3):
        if features and features % channels == 0 and math.isqrt(features // channels) ** 2 * channels == features:
            side = math.isqrt(features // channels)
            return channels, side, side
    return None
