"""Are honest nets left alone? Audits of 42 kinds of nets that hide nothing, each with three seeds.

    python benchmarks/honest_nets.py --out runs/honest.jsonl --page docs/honest_nets.md

Other architectures, widths, activations, norms, scales, colours, boxes, precisions, two classes. A seed trains the net
anew, draws other images and other noise. A cause in the verdict or a severe doubt is an accusation, and exit code 1.
Five kinds are published nets for CIFAR-10, on the 200 test images that `$SPARRING_DATA` has of it; without these they
are left out. Every row is written as it is done; rows that lie in `--out` are not made again.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

import published_nets
import sparring as sp
from common import data_dir
from sparring.audit.checks.registry import causes
from sparring.storage import write
from sparring.threat import eps_text

EPOCHS, BATCH, IMAGES = 5, 50, 1000
"of the trainings: a second or two each"

Data = tuple[Tensor, Tensor]


class Transformer(nn.Module):
    """Two layers over 16 patches."""

    def __init__(self) -> None:
        super().__init__()
        self.patch = nn.Linear(49, 32)
        self.position = nn.Parameter(torch.randn(1, 16, 32) * 0.1)
        layer = nn.TransformerEncoderLayer(32, 4, 64, batch_first=True, dropout=0.1)
        self.encoder = nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)
        self.head = nn.Linear(32, 10)

    def forward(self, x: Tensor) -> Tensor:
        patches = x.unfold(2, 7, 7).unfold(3, 7, 7).reshape(len(x), 16, 49)
        answer: Tensor = self.head(self.encoder(self.patch(patches) + self.position).mean(1))
        return answer


class Residual(nn.Module):
    """A stem, a block with a shortcut, a head."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.block = nn.Conv2d(1, 8, 3, 2, 1), nn.Conv2d(8, 8, 3, 1, 1)
        self.norm, self.head = nn.BatchNorm2d(8), nn.Linear(8 * 14 * 14, 10)

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x).relu()
        answer: Tensor = self.head((x + self.norm(self.block(x))).relu().flatten(1))
        return answer


class Scaled(nn.Module):
    """A net behind, or before, a factor and a shift."""

    def __init__(self, factor: float, shift: float = 0.0) -> None:
        super().__init__()
        self.factor, self.shift = factor, shift

    def forward(self, x: Tensor) -> Tensor:
        return x * self.factor + self.shift


class EightBits(nn.Module):
    """Pixels at the nearest of 256 levels, as in a file."""

    def forward(self, x: Tensor) -> Tensor:
        return (x * 255).round() / 255


class BothLogits(nn.Module):
    """One logit z as [-z / 2, z / 2]."""

    def forward(self, z: Tensor) -> Tensor:
        return torch.cat([-z / 2, z / 2], 1)


def mlp(activation: Callable[[], nn.Module], width: int = 64, depth: int = 2, norm: bool = False) -> nn.Module:
    layers: list[nn.Module] = [nn.Flatten()]
    last = 784
    for _ in range(depth):
        layers += [nn.Linear(last, width), *([nn.LayerNorm(width)] if norm else []), activation()]
        last = width
    return nn.Sequential(*layers, nn.Linear(last, 10))


def cnn(channels: int = 1, classes: int = 10, norm: Callable[[int], nn.Module] | None = None) -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(channels, 8, 3, 2), *([norm(8)] if norm else []), nn.ReLU(),
        nn.Conv2d(8, 16, 3, 2), *([norm(16)] if norm else []), nn.ReLU(),
        nn.Flatten(), nn.Linear(576, classes),
    )  # fmt: skip


def pooled() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(1, 8, 5), nn.LeakyReLU(), nn.MaxPool2d(2), nn.Conv2d(8, 16, 5), nn.LeakyReLU(), nn.AvgPool2d(2),
        nn.Flatten(), nn.Linear(256, 10),
    )  # fmt: skip


def trained(net: nn.Module, data: Data) -> nn.Module:
    optimizer = torch.optim.Adam(net.parameters(), 3e-3)
    for _ in range(EPOCHS):
        order = torch.randperm(len(data[1]))
        for rows in order.split(BATCH):
            optimizer.zero_grad()
            nn.functional.cross_entropy(net(data[0][rows]), data[1][rows]).backward()
            optimizer.step()
    return net.eval()


def same(x: Tensor, y: Tensor) -> Data:
    return x, y


def odd(x: Tensor, y: Tensor) -> Data:
    """Two classes: even and odd digits."""
    return x, y % 2


def coloured(x: Tensor, y: Tensor) -> Data:
    """Grey digits in a colour of their own: [N, 3, 28, 28]."""
    shares = torch.rand(len(x), 3, 1, 1, generator=torch.Generator().manual_seed(len(x))) * 0.6 + 0.4
    return x * shares, y


def bytes_of(x: Tensor, y: Tensor) -> Data:
    """Pixels from 0 to 255."""
    return x * 255, y


def shipped(name: str, *before: nn.Module, after: tuple[nn.Module, ...] = ()) -> nn.Module:
    net = sp.load_model(name).net
    assert isinstance(net, nn.Module)
    return nn.Sequential(*before, net, *after).eval()


@dataclass(frozen=True)
class Honest:
    """A kind of net.

    Attributes:
        name: of the row. net: built anew, untrained; or ready-made where it is not `to_train`.
        norm, eps: of the audit. data: what becomes of the digits. wrapped: how the net becomes a model.
        published: the name of a published net for photographs, which is audited on these instead of digits.
    """

    name: str
    net: Callable[[], nn.Module]
    norm: str = "Linf"
    eps: float = 0.05
    to_train: bool = True
    data: Callable[[Tensor, Tensor], Data] = same
    wrapped: Callable[[nn.Module], sp.Model] = sp.wrap
    published: str | None = None

    @property
    def there(self) -> bool:
        """Is all that it needs on this machine?"""
        home = (data_dir() or Path("nowhere")) / "published"
        files = (f"{self.published}.safetensors", "cifar10-test200.npz")
        return self.published is None or all((home / file).exists() for file in files)

    def images(self, n: int, seed: int) -> Data:
        """The `n` test images of a seed, other ones for each."""
        if self.published is None:
            x, y = sp.load_data("mnist5k", n=n * (seed + 1)).tensors()
        else:
            x, y = published_nets.images(self.published, n * (seed + 1))
            if len(x) < n * (seed + 1):
                raise SystemExit(f"there are only {len(x)} photographs; {n} for {seed + 1} seeds are too many")
        return self.data(x[-n:], y[-n:])


def two(net: nn.Module) -> sp.Model:
    """A net of two logits, told as the probabilities of one sigmoid."""
    return sp.wrap(nn.Sequential(net, nn.Softmax(1)).eval(), outputs="probabilities")


def photographs(kind: str, norm: str = "Linf", eps: float = 2 / 255) -> Honest:
    """A published net for CIFAR-10: one of those whose robustness is proved for the most part."""
    name = published_nets.CIFAR + kind
    what = f"CIFAR-10, CNN-A-{kind.capitalize()}" + ("" if norm == "Linf" else f", {norm}")
    return Honest(what, partial(published_nets.load, name), norm, eps, to_train=False, published=name)


HONEST = (
    Honest("linear", lambda: nn.Sequential(nn.Flatten(), nn.Linear(784, 10))),
    Honest("MLP, 16 wide", lambda: mlp(nn.ReLU, 16)),
    Honest("MLP, 400 wide", lambda: mlp(nn.ReLU, 400), eps=0.1),
    Honest("MLP, 6 deep", lambda: mlp(nn.ReLU, 48, 6)),
    Honest("tanh", lambda: mlp(nn.Tanh), "L2", 1.0),
    Honest("sigmoid", lambda: mlp(nn.Sigmoid)),
    Honest("GELU", lambda: mlp(nn.GELU), "L1", 8.0),
    Honest("SiLU", lambda: mlp(nn.SiLU), eps=0.1),
    Honest("ELU", lambda: mlp(nn.ELU), "L2", 1.5),
    Honest("CNN", cnn, eps=0.1),
    Honest("CNN, L0", cnn, "L0", 12.0),
    Honest("pooling, leaky", pooled, "L2", 1.0),
    Honest("batch norm", partial(cnn, norm=nn.BatchNorm2d), eps=0.1),
    Honest("group norm", partial(cnn, norm=partial(nn.GroupNorm, 4)), "L1", 8.0),
    Honest("layer norm", partial(mlp, nn.ReLU, norm=True), "L2", 1.0),
    Honest("transformer", Transformer),
    Honest("residual", Residual, "L2", 1.0),
    Honest("two classes", partial(cnn, classes=2), data=odd),
    Honest("two classes, one logit", lambda: nn.Sequential(cnn(classes=1), BothLogits()), "L2", 1.0, data=odd),
    Honest("two classes, probabilities", partial(cnn, classes=2), data=odd, wrapped=two),
    Honest("colours", partial(cnn, channels=3), "L2", 1.0, data=coloured),
    Honest(
        "pixels to 255",
        lambda: nn.Sequential(Scaled(1 / 255), cnn()),
        eps=13.0,
        data=bytes_of,
        wrapped=partial(sp.wrap, box=(0, 255)),
    ),
    Honest("normalized pixels", lambda: nn.Sequential(Scaled(1 / 0.3081, -0.1307 / 0.3081), cnn()), eps=0.1),
    Honest("float64", lambda: cnn().double(), eps=0.1, data=lambda x, y: (x.double(), y)),
    Honest("plain x 100", lambda: shipped("mnist-cnn", after=(Scaled(100),)), "L2", 1.0, to_train=False),
    Honest("robust x 1,000", lambda: shipped("mnist-cnn-fast", after=(Scaled(1000),)), eps=0.3, to_train=False),
    Honest("robust / 1,000", lambda: shipped("mnist-cnn-trades", after=(Scaled(1e-3),)), eps=0.3, to_train=False),
    Honest("robust, 8 bits", lambda: shipped("mnist-cnn-fast", EightBits()), eps=0.3, to_train=False),
    Honest("robust, 8 bits, L2", lambda: shipped("mnist-cnn-fast", EightBits()), "L2", 1.5, to_train=False),
    Honest("robust, 8 bits, L1", lambda: shipped("mnist-cnn-fast", EightBits()), "L1", 8.0, to_train=False),
    Honest("robust, 8 bits, L0", lambda: shipped("mnist-cnn-fast", EightBits()), "L0", 15.0, to_train=False),
    Honest("robust, L1", lambda: shipped("mnist-cnn-fast"), "L1", 8.0, to_train=False),
    Honest("robust, L0", lambda: shipped("mnist-cnn-pgd"), "L0", 10.0, to_train=False),
    Honest("robust, beyond its radius", lambda: shipped("mnist-cnn-fast"), eps=0.35, to_train=False),
    Honest("robust, bfloat16", lambda: shipped("mnist-cnn-pgd").bfloat16(), eps=0.3, to_train=False),
    Honest(
        "robust, probabilities",
        lambda: shipped("mnist-cnn-trades", after=(nn.Softmax(1),)),
        eps=0.3,
        to_train=False,
        wrapped=partial(sp.wrap, outputs="probabilities"),
    ),
    Honest("interval bounds", lambda: shipped("mnist-cnn-ibp"), eps=0.3, to_train=False),
    *(photographs(kind) for kind in ("adv", "adv4", "mix", "mix4")),
    photographs("adv", "L2", 0.25),
)


KNOWN: dict[str, str] = {}
"""What is known of accusations that are left."""


def made(kind: Honest, seed: int) -> sp.Model:
    """The model of a seed."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        net = kind.net()
        if kind.to_train:
            x, y = sp.load_data("mnist5k", split="train", n=IMAGES * (seed + 1)).tensors()
            net = trained(net, kind.data(x[-IMAGES:], y[-IMAGES:]))
    return kind.wrapped(net)


def audited(kind: Honest, seed: int, n: int) -> dict[str, Any]:
    """The row of a kind and a seed."""
    model, data = made(kind, seed), kind.images(n, seed)
    began = time.perf_counter()
    report = sp.audit(model, data, (kind.norm, kind.eps), suite="quick", seed=seed, clean_floor=0.0)
    codes = [doubt.code for doubt in report.doubts]
    severe = sorted({code for code in codes if code in causes()} | ({report.cause} if report.cause else set()))
    return {
        "net": kind.name,
        "norm": kind.norm,
        "eps": kind.eps,
        "seed": seed,
        "n": n,
        "clean": report.clean_accuracy,
        "robust": report.robust_accuracy,
        "status": report.status,
        "accused": severe,
        "other": sorted(set(codes) - set(severe)),
        "passes": report.passes,
        "seconds": round(time.perf_counter() - began, 1),
        "verdict": report.verdict,
    }


def page(rows: list[dict[str, Any]], n: int) -> str:
    """The page of the documentation."""
    kinds = list(dict.fromkeys(row["net"] for row in rows))
    accused = sum(bool(row["accused"]) for row in rows)
    lines = [
        "# Honest nets",
        "",
        "An audit must not accuse a net that hides nothing. Here the suite `quick` audits nets of many kinds, with "
        f"{n} images",
        "of `mnist5k` (CIFAR-10 where the name says so) and no claim. Each seed trains the net anew (1,000 digits, 5 "
        "epochs; robust",
        "ones are shipped, those for CIFAR-10 published by others), and draws other images and other noise. An "
        "accusation is a cause",
        "in the verdict, or a severe doubt.",
        "",
        f"**{accused} accusations in {len(rows)} audits of {len(kinds)} kinds.** Made by "
        "`python benchmarks/honest_nets.py`.",
        "",
        "| net | threat | clean | robust | accused of | other doubts | passes an image |",
        "|---|---|---|---|---|---|---|",
    ]
    for name in kinds:
        some = [row for row in rows if row["net"] == name]
        blamed = sorted({code for row in some for code in row["accused"]})
        other = sorted({code for row in some for code in row["other"]})
        threat = f"{some[0]['norm']} {eps_text(some[0]['eps'])}"
        lines.append(
            f"| {name} | {threat} | {_each(some, 'clean')} | {_each(some, 'robust')} | "
            f"{', '.join(blamed) or '-'} | {', '.join(other) or '-'} | "
            f"{sum(row['passes'] for row in some) // sum(row['n'] for row in some):,} |"
        )
    lines += [
        f"\n{KNOWN[name]}" for name in kinds if name in KNOWN and any(r["accused"] for r in rows if r["net"] == name)
    ]
    return "\n".join(lines) + "\n"


def _each(rows: list[dict[str, Any]], name: str) -> str:
    return ", ".join(f"{100 * row[name]:.0f}" for row in rows) + " %"


def main() -> int:
    """Rows that are missing, then the page."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--n", type=int, default=24, help="images of each audit, other ones for each seed")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--only", help="kinds by name, separated by semicolons")
    parser.add_argument("--out", type=Path, default=Path("runs/honest.jsonl"), help="the rows; those there are kept")
    parser.add_argument("--page", type=Path, help="write the page of the documentation too")
    args = parser.parse_args()
    kinds = [kind for kind in HONEST if args.only is None or kind.name in args.only.split(";")]
    absent = [kind.name for kind in kinds if not kind.there]
    if absent:
        print(f"left out, as $SPARRING_DATA/published lacks them: {'; '.join(absent)}")
        kinds = [kind for kind in kinds if kind.there]
    args.out.parent.mkdir(parents=True, exist_ok=True)
    lines = args.out.read_text().splitlines() if args.out.exists() else []
    known = {(row["net"], row["seed"], row["n"]): row for row in map(json.loads, lines)}
    rows = []
    for seed in range(args.seeds):
        for kind in kinds:
            row = known.get((kind.name, seed, args.n))
            if row is None:
                row = audited(kind, seed, args.n)
                with args.out.open("a") as file:
                    file.write(json.dumps(row) + "\n")
                print(
                    f"{row['net']:28} seed {seed}: {row['clean']:.0%} {row['robust']:.0%} {row['seconds']} s "
                    f"{', '.join(row['accused']) or '-'} ({', '.join(row['other'])})",
                    flush=True,
                )
            rows.append(row)
    rows.sort(key=lambda row: [kind.name for kind in HONEST].index(row["net"]))
    accused = sum(bool(row["accused"]) for row in rows)
    print(f"{accused} accusations in {len(rows)} audits")
    if args.page is not None:
        write(args.page, page(rows, args.n))
    return int(accused > 0)


if __name__ == "__main__":
    raise SystemExit(main())
