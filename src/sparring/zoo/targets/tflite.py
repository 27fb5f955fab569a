"""`tflite:FILE`: a classifier as it runs on a phone, through LiteRT on the CPU. Scores, and no gradients.

One picture at a time, so an answer does not depend on the batch. An 8-bit input gets the pixels themselves, from 0 to
255, as every application feeds it, unless `mean` and `std` say otherwise; a float input gets (x - mean) / std.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from sparring.errors import InputError, MissingExtra
from sparring.model import Model, Outputs
from sparring.zoo.extras import first_line, need
from sparring.zoo.options import Options
from sparring.zoo.targets.answers import Answers
from sparring.zoo.targets.black_box import BlackBox
from sparring.zoo.targets.deployed import EightBits, Picture, checked_file, normalised, sha256_of

MAGIC = b"TFL3"
RUNTIMES = ("ai_edge_litert.interpreter", "tflite_runtime.interpreter")


def load_tflite(name: str, options: Options) -> Model:
    """The classifier in file `name`.

    Raises:
        MissingExtra: no runtime is installed. InputError: not a TFLite file, or not of a picture classifier.
    """
    options.refuse_weights(f"tflite:{name}")
    path = checked_file(name, "TFLite")
    with path.open("rb") as file:
        if file.read(8)[4:] != MAGIC:
            raise InputError(f"{path} is not a TFLite file")
    net = TFLiteNet(_interpreter(str(path), f"tflite:{name}"), f"tflite:{path.name}", options)
    net.sha256 = sha256_of(path)
    return BlackBox(
        net, Answers("scores", net.classes), outputs=net.outputs, name=net.name, input_size=net.picture.size
    )


class TFLiteNet:
    """A file in the runtime: float32 pixels [B, C, H, W] in [0, 1] -> scores [B, K]."""

    sha256: str | None = None

    def __init__(self, interpreter: Any, name: str, options: Options) -> None:
        self.name, self._run = name, interpreter
        inputs, outputs = interpreter.get_input_details(), interpreter.get_output_details()
        if len(inputs) != 1:
            raise InputError(f"{name} has {len(inputs)} inputs; a classifier of pictures has one")
        self._in, self._out = inputs[0], outputs[0]
        shape = self._out["shape"].tolist()
        if len(shape) != 2 or shape[0] != 1 or shape[1] < 2:
            raise InputError(f"{name} gives output of shape {shape}; a classifier gives [1, classes]")
        self.classes = shape[1]
        if options.num_classes not in (None, self.classes):
            raise InputError(f"{name} has {self.classes} classes, not num_classes={options.num_classes}")
        self.picture = Picture.of_shape(self._in["shape"].tolist(), name)
        self._bits, self._scores = _bits(self._in, name), _bits(self._out, name)
        self.outputs: Outputs | None = None
        if self._scores is not None:
            self.outputs = "probabilities" if self._scores.is_softmax() else "logits"
        self._mean, self._std = options.mean, options.std
        self._plain = self._bits is not None and self._takes_pixels(self._bits, options)

    def __call__(self, x: Tensor) -> NDArray[np.float32]:
        taken = self.picture.turned(self._taken(x.numpy()))
        answers = []
        for one in taken:
            self._run.set_tensor(self._in["index"], one[None])
            self._run.invoke()
            answers.append(self._run.get_tensor(self._out["index"])[0].copy())
        said = np.stack(answers)
        return said.astype(np.float32) if self._scores is None else self._scores.real(said)

    def _taken(self, x: NDArray[np.float32]) -> NDArray[Any]:
        """Pixels as the input takes them, in its type."""
        if self._bits is None:
            return normalised(x, self._mean, self._std).astype(self._in["dtype"])
        return self._bits.pixels(x) if self._plain else self._bits.quantised(normalised(x, self._mean, self._std))

    def _takes_pixels(self, bits: EightBits, options: Options) -> bool:
        """Do the pixels go in as they are? Also where `mean` and `std` say the same but for rounding."""
        if options.mean is None and options.std is None:
            if not bits.takes_pixels():
                low, high = ((bits.least + end - bits.zero) * bits.scale for end in (0, 255))
                raise InputError(
                    f"{self.name} takes values from {low:.3g} to {high:.3g} in 8 bits, which are no plain pixels; say "
                    "how pixels are normalised before it: --mean and --std"
                )
            return True
        channels = max(len(values) if isinstance(values, Sequence) else 1 for values in (options.mean, options.std))
        levels = (np.arange(256).reshape(1, 1, 16, 16) / 255).astype(np.float32).repeat(channels, 1)
        values = bits.quantised(normalised(levels, options.mean, options.std)).astype(int)
        return bool((np.abs(values - bits.pixels(levels).astype(int)) <= 1).all())


def _bits(details: dict[str, Any], name: str) -> EightBits | None:
    """How a tensor is stored in 8 bits; None = as floats. Raises InputError: another type."""
    dtype = details["dtype"]
    if dtype in (np.float32, np.float16):
        return None
    scale, zero = details["quantization"]
    if dtype not in (np.uint8, np.int8) or not scale > 0:
        raise InputError(
            f"{name} has {np.dtype(dtype)} input or output (scale {scale}); float, uint8 or int8 is needed"
        )
    return EightBits(dtype, float(scale), int(zero))


def _interpreter(path: str, what: str) -> Any:
    for module in RUNTIMES:
        try:
            runtime = need(module, what, "tflite")
        except MissingExtra:
            continue
        try:
            interpreter = runtime.Interpreter(model_path=path, num_threads=1)
            interpreter.allocate_tensors()
        except (ValueError, RuntimeError) as error:
            raise InputError(f"{what} does not load: {first_line(error)}") from None
        return interpreter
    raise MissingExtra(what, "tflite")
