"""What the benchmarks share: nets, images, exact pass counts, interleaved timing, tables.

Every script runs alone: `python benchmarks/NAME.py --n 200`. Data come from `$SPARRING_DATA` (the MNIST files in
`mnist/`, reference nets in `nets/*.safetensors`) where it is set, else from what sparring ships. A script that
lacks its data or its peers says so and exits 0: a benchmark that cannot run is no failure.
"""

from __future__ import annotations

import gzip
import os
import statistics
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any, NoReturn

import numpy as np
import torch
from torch import Tensor, nn

SHIPPED = {"plain": "mnist-cnn", "trades": "mnist-cnn-pgd"}  # stand-ins where $SPARRING_DATA is not set


def skip(reason: str) -> NoReturn:
    """Print why this benchmark cannot run and leave with exit code 0."""
    print(f"skipped: {reason}")
    sys.exit(0)


def sparring_or_skip() -> ModuleType:
    """Import sparring; skip where this environment has none."""
    try:
        import sparring
    except ImportError as error:
        skip(f"sparring does not import here ({error}); run benchmarks/peers/install.py")
    return sparring


def peers_or_skip(*names: str) -> None:
    """Import the toolkits of these names, mended where they need it; skip where this environment lacks one."""
    try:
        from peers import shims

        shims.install()
        for name in names:
            import_module(name)
    except ImportError as error:
        skip(f"no peers here ({error}); run benchmarks/peers/install.py")


def data_dir() -> Path | None:
    """`$SPARRING_DATA` as a folder, or None."""
    value = os.environ.get("SPARRING_DATA")
    return Path(value).resolve() if value else None


# ------------------------------------------------------------------------------------------------ nets and images
def small_cnn() -> nn.Sequential:
    """TRADES's SmallCNN (312,202 parameters) as one Sequential; pixels in [0, 1], ten logits."""
    return nn.Sequential(
        nn.Conv2d(1, 32, 3), nn.ReLU(), nn.Conv2d(32, 32, 3), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(32, 64, 3), nn.ReLU(), nn.Conv2d(64, 64, 3), nn.ReLU(), nn.MaxPool2d(2),
        nn.Flatten(), nn.Linear(1024, 200), nn.ReLU(), nn.Linear(200, 200), nn.ReLU(), nn.Linear(200, 10),
    )  # fmt: skip


class Pixels(nn.Module):
    """A wrapped model as a module over pixels, its normalisation included: what a peer is given."""

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.net, self.logits = model.net, model.logits

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.logits(x)
        return logits


def load_net(name: str) -> nn.Module:
    """A net over pixels in [0, 1], in eval mode with its weights frozen.

    `plain`, `trades`, `ddn`: the reference SmallCNNs of `$SPARRING_DATA/nets`; a path ending in .safetensors:
    a SmallCNN of your own; anything else: a model of `sparring.zoo`, like `mnist-cnn-pgd`.
    """
    folder = data_dir()
    path = Path(name) if name.endswith(".safetensors") else None
    if path is None and folder is not None and (folder / "nets" / f"smallcnn-{name}.safetensors").exists():
        path = folder / "nets" / f"smallcnn-{name}.safetensors"
    if path is not None:
        from safetensors.torch import load_file

        net: nn.Module = small_cnn()
        net.load_state_dict(load_file(path))
        return net.eval().requires_grad_(False)
    if name in SHIPPED:
        print(f"no reference net {name!r} ($SPARRING_DATA/nets): the shipped {SHIPPED[name]!r} takes its place")
    try:
        from sparring.zoo import load_model

        model = load_model(SHIPPED.get(name, name))
    except Exception as error:
        skip(f"no net {name!r}: neither in $SPARRING_DATA/nets nor in sparring.zoo ({error})")
    return Pixels(model).eval().requires_grad_(False)


def load_images(n: int, *, correct_for: nn.Module | None = None) -> tuple[Tensor, Tensor]:
    """The first `n` MNIST test images [n,1,28,28] in [0, 1] and labels [n]; `correct_for`: only those it gets right."""
    x, y = _mnist_test()
    if correct_for is not None:
        x, y = x[: 2 * n], y[: 2 * n]
        with torch.no_grad():
            right = torch.cat([correct_for(b) for b in x.split(500)]).argmax(1) == y
        x, y = x[right], y[right]
    return x[:n].clone(), y[:n].clone()


def _mnist_test() -> tuple[Tensor, Tensor]:
    folder = data_dir()
    files = (
        None if folder is None else [_idx_file(folder / "mnist", f"t10k-{k}") for k in ("images-idx3", "labels-idx1")]
    )
    if files is not None and all(files):
        images, labels = (_read_idx(f) for f in files if f is not None)
        return torch.from_numpy(images).float().div_(255).unsqueeze(1), torch.from_numpy(labels).long()
    try:
        from sparring.data import load_data

        return load_data("mnist5k", split="test").tensors()
    except ImportError as error:
        skip(f"no images: $SPARRING_DATA/mnist holds no test files and mnist5k cannot be loaded ({error})")


def _idx_file(folder: Path, stem: str) -> Path | None:
    names = (f"{stem}-ubyte.gz", f"{stem}-ubyte")
    return next((folder / name for name in names if (folder / name).exists()), None)


def _read_idx(path: Path) -> np.ndarray:
    raw = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    shape = np.frombuffer(raw, ">i4", count=raw[3], offset=4)
    return np.frombuffer(raw, np.uint8, offset=4 + 4 * raw[3]).reshape(shape).copy()


# ------------------------------------------------------------------------------------------------ counting passes
@dataclass
class Passes:
    """Rows that went through a net: `forward` and `backward`, counted one per sample and pass."""

    forward: int = 0
    backward: int = 0

    @property
    def total(self) -> int:
        return self.forward + self.backward


@contextmanager
def count_passes(net: nn.Module) -> Iterator[Passes]:
    """Count every row that passes `net`, forward and (through the gradient of its output) backward."""
    passes = Passes()

    def saw(_module: nn.Module, _inputs: object, output: Tensor) -> None:
        passes.forward += len(output)
        if output.requires_grad:
            output.register_hook(came_back)

    def came_back(grad: Tensor) -> None:
        passes.backward += len(grad)

    handle = net.register_forward_hook(saw)
    try:
        yield passes
    finally:
        handle.remove()


def standing(net: nn.Module, x: Tensor, y: Tensor, x_adv: Tensor, eps: float, norm: str = "Linf") -> Tensor:
    """Which samples [B] survive adversarials, judged afresh: outside the ball or the box counts as survived."""
    slack = 1e-5
    order = torch.inf if norm == "Linf" else float(norm.removeprefix("L"))
    legal = (x_adv - x).double().flatten(1).norm(order, dim=1) <= eps * (1 + slack) + slack
    legal &= (x_adv.flatten(1).amin(1) >= -slack) & (x_adv.flatten(1).amax(1) <= 1 + slack)
    with torch.no_grad():
        wrong_now = torch.cat([net(b) for b in x_adv.split(500)]).argmax(1) != y
        wrong_before = torch.cat([net(b) for b in x.split(500)]).argmax(1) != y
    return ~(wrong_before | (wrong_now & legal))


# ------------------------------------------------------------------------------------------------ timing
@dataclass(frozen=True)
class Timing:
    """Medians over rounds, in seconds, and how they compare with the first callable.

    Attributes:
        cpu_ratio, wall_ratio: the medians of the ratios within a round. fastest_ratio: the fastest rounds' CPU times
            compared, which a busy machine disturbs least. spread: the smallest and largest CPU ratio seen.
    """

    cpu: float
    wall: float
    cpu_ratio: float
    wall_ratio: float
    fastest_ratio: float
    spread: tuple[float, float]


def interleave(runs: Mapping[str, Callable[[], object]], rounds: int = 7) -> dict[str, Timing]:
    """Time each callable once a round, in an order that rotates; ratios are taken within a round.

    Interleaving makes a slow spell of the machine hit everybody alike; CPU time is the process's own, so a
    neighbour on the same cores disturbs it less than it does wall time.
    """
    names = list(runs)
    cpu: dict[str, list[float]] = {name: [] for name in names}
    wall: dict[str, list[float]] = {name: [] for name in names}
    for run in runs.values():  # warm up: allocator, thread pool, kernel selection
        run()
    for turn in range(rounds):
        for k in range(len(names)):
            name = names[(k + turn) % len(names)]
            wall_0, cpu_0 = time.perf_counter(), time.process_time()
            runs[name]()
            cpu[name].append(time.process_time() - cpu_0)
            wall[name].append(time.perf_counter() - wall_0)
    timings = {}
    for name in names:
        cpu_ratios = [a / b for a, b in zip(cpu[name], cpu[names[0]], strict=True)]
        wall_ratios = [a / b for a, b in zip(wall[name], wall[names[0]], strict=True)]
        timings[name] = Timing(
            cpu=statistics.median(cpu[name]),
            wall=statistics.median(wall[name]),
            cpu_ratio=statistics.median(cpu_ratios),
            wall_ratio=statistics.median(wall_ratios),
            fastest_ratio=min(cpu[name]) / min(cpu[names[0]]),
            spread=(min(cpu_ratios), max(cpu_ratios)),
        )
    return timings


# ------------------------------------------------------------------------------------------------ tables
def table(title: str, header: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """Print rows under a header, columns aligned: the first to the left, the others to the right."""
    cells = [list(header), *[[str(c) for c in row] for row in rows]]
    widths = [max(len(row[k]) for row in cells) for k in range(len(header))]
    print(f"\n{title}")
    for number, row in enumerate(cells):
        print("  ".join(c.ljust(w) if k == 0 else c.rjust(w) for k, (c, w) in enumerate(zip(row, widths, strict=True))))
        if number == 0:
            print("  ".join("-" * w for w in widths))
