"""Transfer: points made on one ImageNet net, shown to another. How many of its right answers does each attack break?

    SPARRING_DATA=... python benchmarks/transfer.py
    python benchmarks/transfer.py --surrogate SPEC --model SPEC --images FOLDER --n 40 --only mifgsm,sia
    python benchmarks/transfer.py --rows rows.jsonl     # writes each part as it is done, and goes on after a stop

The defaults: made on EfficientNet-Lite0 (extra `imagenet`), shown to MobileNetV2 (`$SPARRING_DATA/mobilenet_v2`), on
the pictures of its folder `images` (labels.csv: file, index), Linf 16/255, 10 steps. Counted are pictures that both
nets get right. The judged model answers with its class, once for each picture; a class 0 "background" is left out.

Published, for other nets (TransferAttack, ResNet-50 to seven nets, mean): BSR 84.5, SIA 81.0, VMI 54.6, MI 34.3 %.
"""

from __future__ import annotations

import argparse
import csv
import json
import time
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from common import data_dir, skip, sparring_or_skip, table

PART = 4
"pictures at once"

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
    parser.add_argument("--rows", type=Path, help="a file that keeps what is done; the next call goes on from it")
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
    names = {spec: name for name, spec in ATTACKS.items()}
    specs = [ATTACKS.get(wanted, wanted.replace(";", ",")) for wanted in options.only.split(",")]
    rows = Rows(options.rows, f"{options.surrogate} {options.model} {options.eps}")
    for start in range(0, len(x), PART):
        part = slice(start, min(start + PART, len(x)))
        for spec in specs:
            if rows.missing(spec, part):
                started = time.perf_counter()
                attack = sp.attack(spec, surrogates=[surrogate])
                fooled = attack(model, x[part], y[part], sp.Threat("Linf", options.eps)).success.tolist()
                rows.add(spec, start, fooled, time.perf_counter() - started)
                print(
                    names.get(spec, spec),
                    f"{part.start}-{part.stop - 1}",
                    f"{sum(fooled)} of {len(fooled)}",
                    flush=True,
                )
    table(
        f"{options.surrogate} to {options.model}, Linf {options.eps}, {len(x)} pictures",
        ["attack", "fooled", "95 % interval", "seconds"],
        [[names.get(spec, spec), *rows.line(spec, len(x))] for spec in specs],
    )


class Rows:
    """Which picture which attack fooled: in memory, and line by line in a file, so that a stop loses one part."""

    def __init__(self, path: Path | None, setting: str) -> None:
        self.path, self.setting = path, setting
        lines = path.read_text().splitlines() if path and path.exists() else []
        self.known = [row for row in map(json.loads, lines) if row["setting"] == setting]

    def missing(self, spec: str, part: slice) -> bool:
        """Whether a picture of the part is not known."""
        return not set(range(part.start, part.stop)) <= self._fooled(spec).keys()

    def add(self, spec: str, start: int, fooled: list[bool], seconds: float) -> None:
        """Keep, and write, the pictures from `start` on."""
        row = {"setting": self.setting, "attack": spec, "start": start, "fooled": fooled, "seconds": round(seconds, 1)}
        self.known.append(row)
        if self.path:
            with self.path.open("a") as file:
                file.write(json.dumps(row) + "\n")

    def line(self, spec: str, count: int) -> list[str]:
        """Share fooled of the first `count` pictures, its interval, and seconds."""
        fooled = [hit for number, hit in self._fooled(spec).items() if number < count]
        low, high = wilson(sum(fooled), count)
        seconds = sum(row["seconds"] for row in self.known if row["attack"] == spec and row["start"] < count)
        return [f"{sum(fooled) / count:.1%}", f"{low:.0%} to {high:.0%}", f"{seconds:.0f}"]

    def _fooled(self, spec: str) -> dict[int, bool]:
        rows = [row for row in self.known if row["attack"] == spec]
        return {row["start"] + k: hit for row in rows for k, hit in enumerate(row["fooled"])}


def wilson(hits: int, count: int) -> tuple[float, float]:
    """Wilson's 95 % interval of a share."""
    z, share = 1.96, hits / count
    middle = share + z * z / (2 * count)
    half = z * (share * (1 - share) / count + z * z / (4 * count * count)) ** 0.5
    return max(0.0, middle - half) / (1 + z * z / count), min(1.0, (middle + half) / (1 + z * z / count))


if __name__ == "__main__":
    main()
