"""`onnx:FILE`: a classifier in ONNX, through onnxruntime on the CPU. Scores, and no gradients.

A float input gets (x - mean) / std, pixels in [0, 1] where neither is said; a uint8 input gets pixels from 0 to 255.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sparring.errors import InputError, OutputError
from sparring.model import Model
from sparring.zoo.extras import first_line, need
from sparring.zoo.options import Options
from sparring.zoo.targets.answers import Answers
from sparring.zoo.targets.black_box import BlackBox
from sparring.zoo.targets.deployed import Picture, checked_file, normalised, sha256_of

TYPES = {"tensor(float)": np.float32, "tensor(float16)": np.float16, "tensor(uint8)": np.uint8}


def load_onnx(name: str, options: Options) -> Model:
    """The classifier in file `name`.

    Raises:
        MissingExtra: onnxruntime is not installed. InputError: not an ONNX file, or not of a picture classifier.
    """
    options.refuse_weights(f"onnx:{name}")
    path = checked_file(name, "ONNX")
    runtime = need("onnxruntime", f"onnx:{name}", "onnx")
    settings = runtime.SessionOptions()
    settings.intra_op_num_threads = torch.get_num_threads()
    settings.log_severity_level = 3
    try:
        session = runtime.InferenceSession(str(path), settings, providers=["CPUExecutionProvider"])
    except Exception as error:  # its own types, made in C++
        raise InputError(f"onnx:{name} does not load: {first_line(error)[:200]}") from None
    net = OnnxNet(session, f"onnx:{path.name}", options)
    net.sha256 = sha256_of(path)
    return BlackBox(net, Answers("scores", net.classes), name=net.name, input_size=net.picture.size)


class OnnxNet:
    """A file in the runtime: float32 pixels [B, C, H, W] in [0, 1] -> scores [B, K]."""

    sha256: str | None = None

    def __init__(self, session: Any, name: str, options: Options) -> None:
        self.name, self._session = name, session
        inputs, outputs = session.get_inputs(), session.get_outputs()
        if len(inputs) != 1 or inputs[0].type not in TYPES:
            seen = ", ".join(f"{one.name}: {one.type}" for one in inputs)
            raise InputError(f"{name} has the inputs {seen}; a classifier of pictures has one, float or uint8")
        scores = [one for one in outputs if one.type in TYPES and len(one.shape) == 2]
        if not scores:
            raise InputError(f"{name} has no output [N, classes] of floats; only classifiers can be judged")
        self._input, self._output, self._type = inputs[0].name, scores[0].name, TYPES[inputs[0].type]
        self.picture = Picture.of_shape(inputs[0].shape, name)
        self._single = inputs[0].shape[0] if isinstance(inputs[0].shape[0], int) else None
        width = scores[0].shape[1]
        self.classes = int(width) if isinstance(width, int) and width > 1 else options.num_classes
        if options.num_classes not in (None, self.classes):
            raise InputError(f"{name} has {self.classes} classes, not num_classes={options.num_classes}")
        if self._type is np.uint8 and (options.mean is not None or options.std is not None):
            raise InputError(f"{name} takes pixels from 0 to 255 as they are; drop --mean and --std")
        self._mean, self._std = options.mean, options.std

    def __call__(self, x: Tensor) -> NDArray[Any]:
        pixels = x.numpy()
        whole = self._type is np.uint8
        taken = np.rint(pixels * 255) if whole else normalised(pixels, self._mean, self._std)
        taken = self.picture.turned(taken.astype(self._type))
        size = self._single or len(taken)
        if len(taken) % size:
            raise OutputError(
                f"{self.name} takes {size} pictures at once, and no other number; export it with 1 or any"
            )
        try:
            parts = [
                self._session.run([self._output], {self._input: taken[i : i + size]})[0]
                for i in range(0, len(taken), size)
            ]
        except Exception as error:
            raise OutputError(
                f"{self.name} cannot take images of shape {list(x.shape)}: {first_line(error)[:200]}"
            ) from None
        return np.concatenate(parts)
