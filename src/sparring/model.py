"""`Model`: any classifier as logits over pixels in a box, and the guard that leaves it exactly as it was."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Literal

import torch
from torch import Tensor, nn

from sparring.class_numbers import integers
from sparring.default_dtype import float32_by_default, users_default
from sparring.errors import InputError, OutputError, ShapeError
from sparring.outputs import as_logits, classes, refuse_probabilities, rows_of, unpack, vote
from sparring.threat import Box, Goal, Measure, OutputGoal, settled_box

Access = Literal["decision", "score", "gradient"]
Outputs = Literal["logits", "probabilities", "log_probabilities"]
LEVELS: tuple[Access, ...] = ("decision", "score", "gradient")
"the levels of access, each including those before it"
MISFIT = re.compile(r"shapes cannot be multiplied|expected input.* to have \d+ channels|Kernel size can't be greater")
"what torch says of images of another size than the net was made for"
_ONE_AT_A_TIME = threading.RLock()
"held inside `Model.guard`: modes, buffers and torch's random state belong to the whole process"


class Model:
    """A classifier: pixels [B, ...] inside `box` -> logits [B, K]. Make one with `wrap`.

    Attributes:
        net: the module or callable that was wrapped, never copied, moved or changed.
        box: (low, high) of a valid pixel.
        access: the most that an attacker may see of it: "gradient", "score" or "decision".
        input_size: (C, H, W) where it is known. resize: the shorter side to which its preprocessing brings a picture
            before it cuts the centre, where that is known. classes: the names of the classes where they are known.
        name: what reports call it.
        fits: the largest batch that memory was found to be enough for; None = it never ran out.
    """

    fits: int | None = None
    success: Measure | None = None
    loss: Measure | None = None

    def __init__(
        self,
        net: Callable[..., Any],
        *,
        mean: Sequence[float] | float | None = None,
        std: Sequence[float] | float | None = None,
        box: Box = (0.0, 1.0),
        access: Access = "gradient",
        num_classes: int | None = None,
        outputs: Outputs = "logits",
        mode: Literal["eval", "as_is"] = "eval",
        name: str | None = None,
        input_size: tuple[int, ...] | None = None,
        classes: Sequence[str] | None = None,
        success: Measure | None = None,
        loss: Measure | None = None,
    ) -> None:
        if loss is not None and success is None:
            raise InputError("loss= steers towards a success; say with success= what that is")
        self.success, self.loss = success, loss
        if not callable(net):
            raise InputError(f"the model is a {type(net).__name__}, which can't be called; pass a torch.nn.Module")
        for what, value, known in (
            ("access", access, LEVELS),
            ("outputs", outputs, ("logits", "probabilities", "log_probabilities")),
            ("mode", mode, ("eval", "as_is")),
        ):
            if value not in known:
                raise InputError(f"{what} is {value!r}; it must be one of {', '.join(known)}")
        self.net = net
        self.box: Box = settled_box(box)
        self.access: Access = access
        self.num_classes = num_classes
        self.outputs: Outputs = outputs
        self.mode = mode
        self._guarded: torch.dtype | None = None
        self._columns: int | None = None  # logits an image, seen in this guard: 0 = none yet, None = not inside one
        self._writes: bool | None = None  # does the net write into its input? None = not looked at yet
        self.keeps_graph = True  # False once a second gradient through one forward pass has failed
        self.name = name or type(net).__name__
        self.input_size = input_size
        self.resize: int | None = None
        self.classes = None if classes is None else tuple(classes)
        self.mean, self.std = _channels(mean, "mean"), _channels(std, "std")
        if self.std is not None and bool((self.std <= 0).any()):
            raise InputError(f"std is {std}; every value must be > 0")

    def __repr__(self) -> str:
        return f"Model({self.name}, box={self.box}, access={self.access!r})"

    def _tensors(self) -> Iterator[Tensor]:
        if isinstance(self.net, nn.Module):
            yield from self.net.parameters()
            yield from self.net.buffers()

    @property
    def device(self) -> torch.device | None:
        """Where the model lives; None if it has no tensors of its own, then it lives where its input does."""
        return next((tensor.device for tensor in self._tensors()), None)

    @property
    def dtype(self) -> torch.dtype | None:
        """The floating-point type that the model computes in; None if it has no tensors of its own."""
        return next((tensor.dtype for tensor in self._tensors() if tensor.is_floating_point()), None)

    @property
    def class_count(self) -> int | None:
        """The number of classes: as it was said, or as it was seen in this guard; None while neither is."""
        return self.num_classes or self._columns or None

    def raw(self, x: Tensor) -> Tensor:
        """What the net says about pixels, unpacked to one tensor but not turned into logits yet."""
        if self.mean is not None:
            x = x - self._like(self.mean, x)
        if self.std is not None:
            x = x / self._like(self.std, x)
        try:
            with users_default():
                answer = self.answer(x)
        except (RuntimeError, ValueError) as error:
            if x.dim() != 3 and not (isinstance(error, RuntimeError) and MISFIT.search(str(error))):
                raise
            raise ShapeError(
                f"the model can't take images of shape {tuple(x.shape)}; most take [B, C, H, W] (x.unsqueeze(0) for "
                f"one image): {' '.join(str(error).split())}"
            ) from error
        return rows_of(unpack(answer), len(x))

    def answer(self, x: Tensor) -> Any:
        """Whatever the net returns for exactly these numbers, in its own type. `x` stays as it is.

        Many nets write into their input (`x.clamp_`, a first ReLU(inplace=True)). The first call inside a guard
        therefore hands over a copy and looks whether it was written to; if so, so does every later call.

        Raises:
            OutputError: the net began to write into its input later on.
        """
        dtype = self._guarded or self.dtype
        given = x if dtype is None else x.to(dtype)
        if given is not x:  # a copy already
            return self.net(given)
        if self._writes:
            return self.net(x.clone())
        if self._writes is None:
            given = x.clone()
            answer = self.net(given)
            self._writes = _version(given) != 0 or not torch.equal(given.detach(), x.detach())
            return answer
        before = _version(x)
        try:
            answer = self.net(x)
        except RuntimeError as error:  # torch refuses before anything is written
            if not (x.requires_grad and x.is_leaf and "in-place" in str(error)):
                raise
            self._writes = True
            return self.net(x.clone())
        if _version(x) != before:
            raise OutputError(
                "the model wrote into its input, though not for the images that it saw first; let its forward work on "
                "a copy, x = x.clone()"
            )
        return answer

    def read(self, raw: Tensor) -> Tensor:
        """The net's answer (see `raw`) as logits [B, K], at least float32; of a net that says classes, one vote."""
        if self.success is not None:
            return raw.float() if raw.dtype in (torch.float16, torch.bfloat16) else raw
        if self.access == "decision" and self.num_classes is not None and not raw.is_floating_point():
            return vote(raw.reshape(len(raw), -1)[:, 0], self.num_classes)
        logits = as_logits(raw, self.outputs)
        if self.num_classes is not None and logits.shape[1] != self.num_classes:
            raise OutputError(f"the model gave {logits.shape[1]} logits where num_classes={self.num_classes} was said")
        if self._columns is not None:
            self._columns = self._columns or logits.shape[1]
            if logits.shape[1] != self._columns:
                raise OutputError(
                    f"the model gave {self._columns} logits an image at first and {logits.shape[1]} now; a batch of "
                    "another size must not change what it returns"
                )
        return logits

    def logits(self, x: Tensor) -> Tensor:
        """Pixels [B, ...] -> logits [B, K], differentiable. A single logit becomes two classes."""
        return self.read(self.raw(x))

    __call__ = logits

    def goal(self, y: Tensor | Goal, device: torch.device) -> OutputGoal | None:
        """What counts as fooled where the model has a function for that; None = a class other than the true one.

        Raises:
            InputError: the goal is about classes.
        """
        if self.success is None:
            return None
        if isinstance(y, Goal):
            raise InputError("the model was wrapped with success=; give what belongs to the images as y, and no goal")
        return OutputGoal(torch.as_tensor(y).to(device), self.success, self.loss)

    def labels(self, x: Tensor) -> Tensor:
        """Pixels [B, ...] -> predicted classes [B], -1 where the largest logit is NaN or Inf.

        A net with access "decision" may say the classes itself, as integers.
        """
        raw = self.raw(x)
        if self.access == "decision" and not raw.is_floating_point():
            return raw.reshape(len(x), -1)[:, 0].long()
        return classes(self.read(raw))

    def exposed(self) -> Model:
        """This model as an attacker sees it who knows its defenses, see `Defended`; without any, itself."""
        return self

    def accept(self, x: Tensor) -> Tensor:
        """Clean images as this model takes them: checked, on its device, in float32 (float64 if it is).

        Raises:
            InputError: not a float tensor [B, ...], not finite, or outside the box; the message says what was seen.
        """
        check_pixels(x, self.box)
        double = self.dtype is torch.float64 or (self.dtype is None and x.dtype is torch.float64)
        return x.detach().to(self.device or x.device, torch.float64 if double else torch.float32).clamp(*self.box)

    def unit(self, x: Tensor) -> Tensor:
        """The pixels as parts of the box, from 0 to 1: by these an image is known to the noise, whatever its box."""
        low, high = self.box
        return x if self.box == (0.0, 1.0) else (x - low) / (high - low)

    def inspect(self, raw: Tensor, x: Tensor) -> None:
        """Refuse answers to clean images `x` that can't be logits: NaN or Inf, probabilities, log-probabilities."""
        self.refuse_broken(~raw.reshape(len(x), -1).isfinite().all(1))
        if self.outputs == "logits" and raw.is_floating_point():
            refuse_probabilities(raw, lambda: self._traced(x[:1]))

    def _traced(self, x: Tensor) -> Tensor:
        """The net's answer with its graph: a look at the net itself, which no attack pays for."""
        with torch.enable_grad():
            return self.raw(x.clone().requires_grad_())

    def refuse_broken(self, bad: Tensor) -> None:
        """Raise if there was NaN or Inf, bool [B], in the answers to clean images."""
        if bad.any():
            raise OutputError(
                f"the model gave NaN or Inf for {int(bad.sum())} of {len(bad)} clean images (the first is number "
                f"{int(bad.nonzero()[0])}); nothing can be said about its robustness before that is mended"
            )

    @contextmanager
    def guard(self) -> Iterator[None]:
        """Inside: eval mode, weights frozen, gradients possible. Afterwards: everything exactly as before.

        Restores the mode of each module, requires_grad, buffers and the random state, also after an error.
        `mode="as_is"` leaves the modes alone, for nets whose randomness is meant (dropout at test time).
        One thread at a time: others wait.

        Raises:
            InputError: weights that do not exist yet (lazy modules), or that no gradient can pass (inference mode).
        """
        self.refuse_unready()
        with _ONE_AT_A_TIME, float32_by_default():
            yield from self._guard()

    def refuse_unready(self) -> None:
        """Weights that can't be used, or not with gradients, in one line."""
        tensors = list(self._tensors())
        if any(nn.parameter.is_lazy(tensor) for tensor in tensors):
            raise InputError(
                f"{self.name} has lazy modules that have never seen an input; show it one image first: net(x[:1])"
            )
        if self.access == "gradient" and any(tensor.is_inference() for tensor in tensors):
            raise InputError(
                f"{self.name} has weights that were made inside torch.inference_mode(), which no gradient can pass; "
                "build or load it outside of it (torch.no_grad() does no harm)"
            )

    def _guard(self) -> Iterator[None]:
        modules = list(self.net.modules()) if isinstance(self.net, nn.Module) else []
        modes = [(module, module.training) for module in modules if hasattr(module, "training")]  # not if frozen by jit
        wanted = [p for m in modules for p in m.parameters(recurse=False) if p.requires_grad and not p.is_inference()]
        buffers = [(m, n, b, b.detach().clone()) for m in modules for n, b in m.named_buffers(recurse=False)]
        device = self.device
        devices = [device] if device is not None and device.type == "cuda" else []
        outer, self._guarded = self._guarded, self.dtype  # looked up once, not at every pass
        columns, self._columns = self._columns, self._columns or 0
        if outer is None:
            self._writes = None  # the code of a net may have changed since
            self.keeps_graph = True
        with torch.random.fork_rng(devices), torch.inference_mode(False), torch.enable_grad():
            try:
                for module, _ in modes if self.mode == "eval" else []:
                    module.training = False
                for parameter in wanted:
                    parameter.requires_grad_(False)
                yield
            finally:
                self._guarded, self._columns = outer, columns
                for module, mode in modes:
                    module.training = mode
                for parameter in wanted:
                    parameter.requires_grad_(True)
                with torch.no_grad():
                    for module, name, buffer, before in buffers:
                        module._buffers[name] = buffer  # a net may have put another in its place
                        if not torch.equal(buffer, before):
                            buffer.copy_(before)

    def _like(self, values: Tensor, x: Tensor) -> Tensor:
        """Per-channel values shaped for images [B, C, ...]."""
        if len(values) not in (1, x.shape[1]):
            raise InputError(
                f"mean/std have {len(values)} channels but the images have {x.shape[1]} (shape {tuple(x.shape)})"
            )
        return values.to(x.device, x.dtype).reshape(1, -1, *[1] * (x.dim() - 2))


def wrap(net: Callable[..., Any] | Model, **options: Any) -> Model:
    """Any classifier as a `Model`; see there for the options.

    Args:
        net: an `nn.Module` (or any callable) that returns logits [B, K]: as a tensor, as an object with `.logits`,
            as a dict with "logits", or first in a tuple. [B] or [B, 1] = one logit, two classes.
        mean, std: the normalisation, a number a channel. Attacks then see raw pixels, and eps is in pixels.
        box: (low, high) of a valid pixel, (0, 1) unless said; one for all channels, see mean and std.
        access: "gradient" (white box), "score" (logits only) or "decision" (classes only).
        outputs: what the net gives: "logits", or "probabilities" / "log_probabilities" to audit it as it is.
        mode: "eval" puts the net in eval mode while it is attacked; "as_is" leaves its modes alone.
        num_classes, name, input_size, classes: for checks and reports.
        success, loss: advanced, for heads that do not give one class (several labels, detections). success(outputs, y)
            -> [B] is above 0 where an image fools the net, or a bool; outputs [B, ...] are what the net gives, y
            [B, ...] is what is handed to the attack. loss(outputs, y) -> [B], higher = closer to fooled, is climbed
            in its place, where success itself has no useful slope. Attacks see two classes, 0 = as it should be and 1 =
            fooled; the audit, whose checks are about classes, refuses such models.

    >>> net = nn.Sequential(nn.Flatten(), nn.Linear(4, 3))
    >>> wrap(net, mean=0.5, std=0.5).logits(torch.zeros(2, 1, 2, 2)).shape
    torch.Size([2, 3])
    """
    if isinstance(net, Model):
        if options:
            raise InputError(f"the model is wrapped already; give {', '.join(options)} where it was wrapped first")
        return net
    return Model(net, **options)


def check_pixels(x: Tensor, box: Box) -> None:
    """Raise a clear `InputError` unless `x` is a float batch inside the box (1e-4 of its width is forgiven)."""
    if not isinstance(x, Tensor):
        raise InputError(f"the images are a {type(x).__name__}; pass a float torch.Tensor [B, ...] (torch.as_tensor)")
    if not x.is_floating_point():
        raise InputError(f"the images are {x.dtype}; pass floats in {box}, for 8-bit images x.float() / 255")
    if x.dim() < 2:
        raise InputError(f"the images have shape {tuple(x.shape)}; a batch [B, ...] is needed (x.unsqueeze(0) for one)")
    if not x.numel():
        return
    low, high = (float(bound) for bound in x.detach().aminmax())
    if not (low > float("-inf") and high < float("inf")):  # also true for NaN
        raise InputError(f"the images hold NaN or Inf (smallest {low:.3g}, largest {high:.3g}); expected {box}")
    slack = 1e-4 * (box[1] - box[0])
    if low < box[0] - slack or high > box[1] + slack:
        raise InputError(f"the images go from {low:.4g} to {high:.4g}, outside the box {box}: {_cause(low, high, box)}")


def _cause(low: float, high: float, box: Box) -> str:
    if box == (0.0, 1.0) and low >= 0 and high > 2:
        return "they look like 0..255; divide by 255, or wrap(..., box=(0, 255))"
    if box == (0.0, 1.0) and low < 0:
        return (
            "they look normalised already; pass raw pixels and give mean= and std= to wrap(), or wrap(..., box=(-1, 1))"
        )
    return "pass pixels inside the box, or state the true box in wrap(..., box=)"


def check_labels(given: Any, batch: int, classes: int, what: str = "labels") -> Tensor:
    """Class numbers as int64 [B], or a clear `InputError`. One-hot rows [B, K] are understood, and see `integers`."""
    labels = integers(given, what)
    if labels.dim() == 2 and labels.shape == (batch, classes) and classes > 1:
        rows = labels.double()
        if bool(((rows == 0) | (rows == 1)).all()) and bool((rows.sum(1) == 1).all()):
            return rows.argmax(1)
    if labels.is_floating_point() or labels.is_complex() or labels.dtype == torch.bool:
        raise InputError(f"the {what} are {labels.dtype}; class numbers are needed, as integers 0..{classes - 1}")
    if labels.dim() == 0:
        labels = labels.expand(batch)
    if labels.shape != (batch,):
        raise InputError(f"the {what} have shape {tuple(labels.shape)}; ({batch},) is needed, one for each image")
    if batch and (int(labels.min()) < 0 or int(labels.max()) >= classes):
        raise InputError(
            f"the {what} go from {int(labels.min())} to {int(labels.max())}, but the model has {classes} classes "
            f"(0..{classes - 1})"
        )
    return labels.long()


def _version(x: Tensor) -> int:
    """How often a tensor was written to; 0 where torch does not count, in inference mode."""
    return 0 if x.is_inference() else x._version


def _channels(values: Sequence[float] | float | None, what: str) -> Tensor | None:
    if values is None:
        return None
    tensor = torch.as_tensor(values, dtype=torch.float64).reshape(-1)
    if not bool(tensor.isfinite().all()) or not len(tensor):
        raise InputError(f"{what} is {values}; give one finite number a channel")
    return tensor
