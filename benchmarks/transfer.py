"""Transfer: points made on one ImageNet net, shown to another. How many of its right answers does each attack break?

    SPARRING_DATA=... python benchmarks/transfer.py
    python benchmarks/transfer.py --surrogate SPEC --model SPEC --images FOLDER --n 40 --only mifgsm,sia

The defaults: made on EfficientNet-Lite0 (extra `imagenet`), shown to MobileNetV2 (`$SPARRING_DATA/mobilenet_v2`), on
the pictures of its folder `images` (labels.csv: file, index), Linf 16/255, 10 steps. Counted are pictures that both
nets get right. The judged model answers with its class, once for each picture; a class 0 "background" is left out.

Published, for other nets (TransferAttack, ResNet-50 to seven nets, mean): BSR 84.5, SIA 81.0, VMI 54.6, MI 34.3 %.
"""

from __future__ import annotations

import argparse
import csv
import time
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from common import data_dir, skip, sparring_or_skip, table

ATTACKS = {
    "I-FGSM": "bim:steps=10,step=0.1",
    "MI-FGSM": "mifgsm",
    "DI-FGSM": "difgsm",
    "TI-FGSM": "tifgsm",
    "SI-FGSM": "mifgsm:view=si5",
    "VMI-FGSM": "vmifgsm",
    "SIA": "sia",
    "BSR": "bsr",
}


class Foreground(nn.Module):
    """The 1,000 classes of a net that has a background before them; others are left alone."""

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.net, self.model = model.net, model

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.model.logits(x)
        return logits[:, 1:] if logits.shape[1] == 1001 else logits


def load(spec: str, sp: Any) -> Any:
    """The model, its background class left out."""
    try:
        return sp.wrap(Foreground(sp.load_model(spec)).eval(), name=spec)
    except Exception as error:
        skip(f"no model {spec}: {error}")


def pictures(folder: Path) -> tuple[Tensor, Tensor]:
    """All pictures of `labels.csv`: [N, 3, 224, 224] in [0, 1], and classes [N] without a background."""
    from sparring.zoo.photos import open_photo

    with (folder / "labels.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    x = torch.stack([open_photo(folder / row["file"]).image for row in rows])
    return x, torch.tensor([int(row["index"]) - 1 for row in rows])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    folder = (data_dir() or Path()) / "mobilenet_v2"
    parser.add_argument("--surrogate", default="imagenet:efficientnet-lite0")
    parser.add_argument("--model", default=f"hf:{folder}")
    parser.add_argument("--images", type=Path, default=folder / "images")
    parser.add_argument("--n", type=int, default=40, help="pictures, before those that a net gets wrong are left out")
    parser.add_argument("--eps", default="16/255")
    parser.add_argument("--only", default=",".join(ATTACKS), help="attacks of the table, by name or spec")
    options = parser.parse_args()
    sp = sparring_or_skip()
    if not (options.images / "labels.csv").exists():
        skip(f"{options.images} holds no labels.csv")
    surrogate, model = load(options.surrogate, sp), load(options.model, sp)
    x, y = pictures(options.images)
    with torch.no_grad():
        right = [net.logits(x).argmax(1) == y for net in (surrogate, model)]
    both = right[0] & right[1]
    x, y = x[both][: options.n], y[both][: options.n]
    print(f"{len(x)} pictures that both get right ({int(right[0].sum())} and {int(right[1].sum())} of {len(both)})")
    rows = []
    by_spec = {spec: name for name, spec in ATTACKS.items()}
    for wanted in options.only.split(","):
        spec = ATTACKS.get(wanted, wanted.replace(";", ","))
        started = time.perf_counter()
        result = sp.attack(spec, surrogates=[surrogate])(model, x, y, sp.Threat("Linf", options.eps))
        low, high = wilson(int(result.success.sum()), len(x))

        rows.append([
            by_spec.get(spec, wanted), f"{result.success.double().mean():.1%}", f"{low:.0%} to {high:.0%}",
            f"{time.perf_counter() - started:.0f}",
        ])  # fmt: skip
        print(*rows[-1], flush=True)
    table(
        f"{options.surrogate} to {options.model}, Linf {options.eps}",
        ["attack", "fooled", "95 % interval", "seconds"],
        rows,
    )


def wilson(hits: int, count: int) -> tuple[float, float]:
    """Wilson's 95 % interval of a share."""
    z, share = 1.96, hits / count
    middle = share + z * z / (2 * count)
    half = z * (share * (1 - share) / count + z * z / (4 * count * count)) ** 0.5
    return max(0.0, middle - half) / (1 + z * z / count), min(1.0, (middle + half) / (1 + z * z / count))


if __name__ == "__main__":
    main()
