"""MAITE's protocols for image classification (maite 0.10), in both directions.

Their objects fit by shape, so this file does not import maite:

    model = from_model(theirs, num_classes=10)          # audit what speaks MAITE
    x, y = tensors(their_dataset)
    maite.tasks.evaluate(model=MaiteModel(ours), dataset=MaiteDataset(data), augmentation=Attacked(...), metric=...)
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from sparring.attack import Attack
from sparring.data import ImageData
from sparring.errors import InputError
from sparring.model import Model, wrap
from sparring.threat import Threat

Metadata = dict[str, Any]


class MaiteModel:
    """A model of ours as theirs: a batch is a sequence of [C, H, W] arrays, the answer a list of [K] logits."""

    def __init__(self, model: Model, index2label: dict[int, str] | None = None) -> None:
        self.model = model
        self.metadata: Metadata = {"id": model.name}
        names = index2label or dict(enumerate(model.classes or ()))
        if names:
            self.metadata["index2label"] = names

    def __call__(self, batch: Sequence[Any], /) -> list[Tensor]:
        if not len(batch):
            return []
        with torch.no_grad():
            return [*self.model(_images(batch))]


class MaiteDataset:
    """A data set of ours as theirs: `data[i]` is (image [C, H, W], one-hot label [K], {"id": i})."""

    def __init__(self, data: ImageData) -> None:
        self.data = data
        self.metadata: Metadata = {"id": f"{data.name} ({data.split})", "index2label": dict(enumerate(data.classes))}

    def __len__(self) -> int:
        return len(self.data)

    def __getitem__(self, ind: int, /) -> tuple[Tensor, Tensor, Metadata]:
        x, label = self.data[ind]
        return x, torch.nn.functional.one_hot(torch.tensor(label), len(self.data.classes)).float(), {"id": ind}


class Attacked:
    """An attack as their augmentation: a batch comes back with adversarial images; labels and metadata stay.

    Args:
        attack: of ours. model: the model that is attacked. threat: norm and eps. seed: of the attack's noise.
    """

    def __init__(self, attack: Attack, model: Model, threat: Threat | tuple[Any, ...], seed: int = 0) -> None:
        self.attack = attack
        self.model = model
        self.threat = threat if isinstance(threat, Threat) else Threat(*threat)
        self.seed = seed
        self.metadata: Metadata = {"id": f"{attack.info.title}, {self.threat}"}

    def __call__(
        self, batch: tuple[Sequence[Any], Sequence[Any], Sequence[Metadata]], /
    ) -> tuple[list[Tensor], Sequence[Any], Sequence[Metadata]]:
        images, targets, metadata = batch
        x = _images(images)
        y = torch.stack([torch.as_tensor(one) for one in targets]).argmax(1)
        result = self.attack(self.model, x, y, self.threat, seed=self.seed)
        return [*result.x_adv], targets, metadata


def from_model(
    model: Callable[[Sequence[Any]], Sequence[Any]], num_classes: int, outputs: str = "logits", **options: Any
) -> Model:
    """A model of theirs as ours. It shows no gradients, so the attacks that need none are left.

    Args:
        model: takes a sequence of [C, H, W] arrays, gives one [K] array for each. outputs: "logits" or "probabilities".
        options: of `sparring.wrap`, such as `box`.

    Raises:
        InputError: the answers are of another shape, when the model is first asked.
    """

    def ask(x: Tensor) -> Tensor:
        answers = [torch.as_tensor(one) for one in model([*x.detach().cpu().numpy()])]
        if len(answers) != len(x) or any(one.shape != (num_classes,) for one in answers):
            shapes = sorted({tuple(one.shape) for one in answers})
            raise InputError(
                f"the MAITE model gave {len(answers)} answers of shapes {shapes} for {len(x)} images; expected one of "
                f"shape ({num_classes},) for each"
            )
        return torch.stack(answers).float()

    name = str(getattr(model, "metadata", {}).get("id", type(model).__name__))
    made: Model = wrap(
        ask, **{"access": "score", "num_classes": num_classes, "name": name, **options, "outputs": outputs}
    )
    return made


def tensors(dataset: Any, n: int | None = None) -> tuple[Tensor, Tensor]:
    """The images [N, C, H, W] and labels [N] of a data set of theirs; `n`: only the first."""
    rows = [dataset[k] for k in range(len(dataset) if n is None else min(n, len(dataset)))]
    if not rows:
        raise InputError("the MAITE data set is empty")
    y = torch.stack([torch.as_tensor(target) for _, target, _ in rows])
    if y.ndim != 2:
        raise InputError(
            f"the targets are of shape {tuple(y.shape[1:])}; image classification has one vector of K numbers"
        )
    return _images([image for image, _, _ in rows]), y.argmax(1)


def _images(batch: Sequence[Any]) -> Tensor:
    images = [torch.as_tensor(one) for one in batch]
    shapes = {tuple(one.shape) for one in images}
    if len(shapes) != 1:
        raise InputError(f"images of several shapes in one batch: {sorted(shapes)}; resize them first")
    return torch.stack(images)
