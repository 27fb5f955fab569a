"""Attacks that learn, measured: success on unseen images, random noise of the same size, speed, and the same bits.

python benchmarks/learned_attacks.py                          on mnist-cnn: the table of docs/learned_attacks.md
python benchmarks/learned_attacks.py --only uap,advgan        some of them
python benchmarks/learned_attacks.py --photographs hf:DIR --pictures DIR    UAP and a patch on a net of photographs;
                                                              DIR holds pictures and labels.csv (file, index, label)

One thread unless OMP_NUM_THREADS says otherwise. The table goes to stdout, progress to stderr.
"""

from __future__ import annotations

import argparse
import csv
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

import sparring as sp
from sparring.data.images import ImageData
from sparring.fitting.pictures import write_pictures
from sparring.zoo.photos import open_photo

DIGITS = (
    ("uap", "Linf", 0.3),
    ("uap-pgd", "Linf", 0.3),
    ("uan", "Linf", 0.3),
    ("upset", "Linf", 0.3),
    ("angri", "Linf", 0.3),
    ("advgan", "Linf", 0.3),
    ("advgan:distil=true", "Linf", 0.3),
    ("atn", "Linf", 0.3),
    ("atn:mode=autoencoder", "Linf", 0.3),
    ("patch:size=0.1", "L0", None),
    ("patch:size=0.3", "L0", None),
    ("patch:size=1,rotation=0", "Linf", 0.3),
)
"(spec, norm, eps) of each line of the table"
L2_DIGITS = (
    ("uap", "L2", 4.0),
    ("uap-pgd", "L2", 4.0),
    ("uan", "L2", 4.0),
    ("upset", "L2", 4.0),
    ("angri", "L2", 2.5),
    ("advgan", "L2", 2.5),
)
"under the norm of the paper"
FAST = ("advgan", "angri", "atn")
"whose speed is compared with PGD-40"


def percent(rate: dict[str, int] | None) -> str:
    """A share of the card as a cell."""
    return "-" if rate is None else f"{100 * rate['fooled'] / rate['of']:.1f} %"


def line(spec: str, norm: str, eps: float | None, card: dict[str, Any]) -> str:
    """A line of the table."""
    scores, fit = card["success"]["test"], card["fit"]
    threat = norm if eps is None else f"{norm} {eps:g}"
    cells = (
        f"`{spec}`", threat, percent(scores["untargeted"]), percent(scores.get("targeted")),
        percent(scores["control"]), percent(scores.get("transfer")), f"{fit['seconds']:.0f}",
    )  # fmt: skip
    return "| " + " | ".join(cells) + " |"


def same_bits(fitted: Any, model: Any, x: Tensor, y: Tensor, threat: tuple[Any, ...]) -> bool:
    """Saved and loaded, it makes the same points to the bit, in batches of 1, 7 and all together."""
    with tempfile.TemporaryDirectory() as folder:
        again = sp.load_attack(fitted.save(Path(folder) / "attack"))
        whole = fitted(model, x, y, threat).x_adv
        for size in (1, 7, len(x)):
            parts = [again(model, a, b, threat).x_adv for a, b in zip(x.split(size), y.split(size), strict=True)]
            if not torch.equal(torch.cat(parts), whole):
                return False
    return True


def images_a_second(attack: Any, model: Any, x: Tensor, y: Tensor, threat: tuple[Any, ...]) -> float:
    """Of examples made, none judged: the best of three runs."""
    best = 0.0
    for _ in range(3):
        began = time.perf_counter()
        attack.craft(model, x, y, threat)
        best = max(best, len(x) / (time.perf_counter() - began))
    return best


def digits(only: list[str], threads: int) -> None:
    """The table on mnist-cnn."""
    model, other = sp.load_model("mnist-cnn"), sp.load_model("mnist-cnn-pgd")
    train, test = sp.load_data("mnist5k", split="train"), sp.load_data("mnist5k", split="test")
    x, y = test.tensors()
    print("| attack | threat | fooled | to the wanted class | random noise | on `mnist-cnn-pgd` | fit, s |")
    print("|---|---|---|---|---|---|---|")
    bits, fast = [], {}
    for spec, norm, eps in (*DIGITS, *L2_DIGITS):
        if only and spec.partition(":")[0] not in only:
            continue
        print(spec, norm, file=sys.stderr)
        threat = (norm, eps)
        fitted = sp.attack(spec).fit(model, train, threat, test=test, transfer=other)
        print(line(spec, norm, eps, fitted.card), flush=True)
        bits.append((spec, same_bits(fitted, model, x[:100], y[:100], threat)))
        if spec in FAST and norm == "Linf":
            fast[spec] = fitted
    wrong = [spec for spec, same in bits if not same]
    print(f"\nSaved, loaded, in batches of 1, 7 and 100: {'the same bits' if not wrong else f'other bits: {wrong}'}.")
    if fast:
        print(
            f"\n{threads} thread(s), examples made a second, none judged:\n\n| attack | images a second | PGD-40 = 1 |"
        )
        print("|---|---|---|")
        pgd = images_a_second(sp.PGD(steps=40), model, x, y, ("Linf", 0.3))
        print(f"| `pgd:steps=40` | {pgd:.0f} | 1 |")
        for spec, fitted in fast.items():
            speed = images_a_second(fitted, model, x, y, ("Linf", 0.3))
            print(f"| `{spec}` | {speed:.0f} | {speed / pgd:.0f} |", flush=True)


PHOTOGRAPHS = (
    ("uap-pgd:epochs=4,batch_size=8,lr=0.006", "Linf", 10 / 255),
    ("patch:size=0.05,rotation=0,target=860,beta=5,epochs=5,batch_size=8,lr=0.1", "L0", None),
)
"a few minutes each; 860 is the toaster of the patch's paper among 1,001 classes"
CROPS = 6
"of each picture that is learned from: from so few pictures themselves a perturbation learns nothing about others"


def crops(x: Tensor, count: int) -> Tensor:
    """Each picture [N, C, H, W] and `count - 1` parts of it, enlarged again, every other one mirrored."""
    generator, size = torch.Generator().manual_seed(0), x.shape[2:]
    found = [x]
    for number in range(1, count):
        share = 0.6 + 0.4 * float(torch.rand((), generator=generator))
        side = [int(share * length) for length in size]
        top, left = (
            int(torch.randint(0, whole - part + 1, (), generator=generator))
            for whole, part in zip(size, side, strict=True)
        )
        part = x[..., top : top + side[0], left : left + side[1]]
        part = F.interpolate(part, size, mode="bilinear", align_corners=False).clamp(0, 1)
        found.append(part.flip(3) if number % 2 else part)
    return torch.cat(found)


def photographs(model: str, pictures: str, only: list[str], out: str | None) -> None:
    """UAP at 10/255 and a patch of 5 %, fitted on every other picture and shown on the rest."""
    net = sp.load_model(model)
    with (Path(pictures) / "labels.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    x = torch.stack([open_photo(Path(pictures) / row["file"]).image for row in rows])
    y = torch.tensor([int(row["index"]) for row in rows])
    half, rest = (x[::2], y[::2]), (x[1::2], y[1::2])
    learned = (crops(x[::2], CROPS), y[::2].repeat(CROPS))
    print("| attack | threat | fooled | to the wanted class | random noise | second net | fit, s |")
    print("|---|---|---|---|---|---|---|")
    for spec, norm, eps in PHOTOGRAPHS:
        if only and spec.partition(":")[0] not in only:
            continue
        fitted = sp.attack(spec).fit(net, learned, (norm, eps), valid=half, test=rest)
        print(line(spec, norm, eps, fitted.card), flush=True)
        if out is not None:
            folder = fitted.save(Path(out) / spec.partition(":")[0])
            images = ImageData(*rest, classes=[str(k) for k in range(fitted.subject.classes)])
            write_pictures(fitted, net, images, sp.Threat(norm, eps), Path(folder))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", default="", help="names of attacks, separated by commas")
    parser.add_argument("--photographs", help="a net of photographs, as for --model")
    parser.add_argument("--pictures", help="its pictures, as for --data")
    parser.add_argument("--out", help="a folder for the attacks on photographs, and for figures of them")
    options = parser.parse_args()
    only = [name for name in options.only.split(",") if name]
    if options.photographs:
        photographs(options.photographs, options.pictures, only, options.out)
    else:
        digits(only, torch.get_num_threads())


if __name__ == "__main__":
    main()
