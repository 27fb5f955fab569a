"""Certificates of nets with published figures: what each method proves, what complete search settles.

    python benchmarks/certify_published.py --n 200
    python benchmarks/certify_published.py --nets mnist-wong-kolter-2018 --n 10000 --methods crown complete:seconds=10
        --out runs/certify --suite standard --audited 1000
    python benchmarks/certify_published.py --speed

Needs SPARRING_DATA: published/*.safetensors, MNIST, cifar10-test200.npz. With `--out` the certificates are kept, shard
by shard, and a later call goes on from there; seconds are those that the shards took. With `--suite` audits of the
first images, 200 at a time, stand beside the last method: what the attacks miss of the images that are known to break,
and whether they break any that is proved; `--unproved` attacks only what the first method does not prove. `--speed`
times a batch against a loop over images and targets.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from safetensors.torch import load_file
from torch import Tensor, nn

import sparring as sp
from published_nets import cifar_net
from sparring.ball import Ball
from sparring.bounds.ball import Region
from sparring.bounds.crown import crown_margins, crown_neurons, margin_rows
from sparring.bounds.read import read_graph
from sparring.certify.folder import CertifyRun
from sparring.certify.methods import find_method
from sparring.storage import write_json
from sparring.zoo.nets import make_net

PUBLISHED = {
    "mnist-wong-kolter-2018": "dual bound 94.2 % certified, exact 95.62 % (10,000 images)",
    "mnist-raghunathan-2018": "SDP 65 % certified",
    "cifar-cnn-a-adv": "PGD 50.0 %, beta-CROWN 44.0 %",
    "cifar-cnn-a-adv4": "PGD 49.5 %, beta-CROWN 46.0 %",
    "cifar-cnn-a-mix": "PGD 53.0 %, beta-CROWN 41.5 %",
    "cifar-cnn-a-mix4": "PGD 57.5 %, beta-CROWN 50.5 %",
}
SHIPPED = "mnist-cnn-ibp"
"our own net, at Linf 0.3, for --nets"
TINY = "fc-784-24-24-10"
"the net of ground_truth.py, at Linf 0.02, for --nets"
PIECE = 200
"images an audit"


class Known(NamedTuple):
    """What is known of each image, bool [N]: it is right, an attack broke it, it is proved."""

    right: Tensor
    broken: Tensor
    proved: Tensor


def net_of(name: str, folder: Path) -> sp.Model:
    """A published net, with its normalisation; or our own."""
    if name == SHIPPED:
        return sp.load_model(name)
    if name == TINY:
        tiny = nn.Sequential(
            nn.Flatten(), nn.Linear(784, 24), nn.ReLU(), nn.Linear(24, 24), nn.ReLU(), nn.Linear(24, 10)
        )
        tiny.load_state_dict(load_file(folder.parent / "nets" / f"{name}.safetensors"))
        return sp.wrap(tiny, name=name)
    state = load_file(folder / f"{name}.safetensors")
    if "wong" in name:
        net: nn.Module = make_net("wong")
        net.load_state_dict(state)
        return sp.wrap(net, name=name)
    if "raghunathan" in name:
        net = nn.Sequential(nn.Flatten(), nn.Linear(784, 500), nn.ReLU(), nn.Linear(500, 10))
        net.load_state_dict(state)
        return sp.wrap(net, name=name)
    net = cifar_net()
    net.load_state_dict(state)
    mean, std = (tuple(v / 255 for v in values) for values in ((125.3, 123.0, 113.9), (63.0, 62.1, 66.7)))
    return sp.wrap(net, mean=mean, std=std, name=name)


def images_of(name: str, folder: Path, n: int) -> tuple[Tensor, Tensor, float]:
    """The images and the radius of its published figures."""
    if name.startswith(("mnist", "fc")):
        return (*sp.load_data("mnist", "test", n).tensors(), {SHIPPED: 0.3, TINY: 0.02}.get(name, 0.1))
    saved = np.load(folder / "cifar10-test200.npz")
    x = torch.from_numpy(saved["x"]).permute(0, 3, 1, 2).float() / 255
    return x[:n], torch.from_numpy(saved["y"]).long()[:n], 2 / 255


def speed(model: sp.Model, x: Tensor, y: Tensor, eps: float) -> None:
    """CROWN of a batch against a loop over images and targets, by processor time (other work counts out)."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    graph = read_graph(model, tuple(x.shape[1:]))

    def bounds(x: Tensor, rows: Tensor, owner: Tensor) -> Tensor:
        region = Region.of(Ball(x, sp.Linf, torch.full((len(x),), eps), (0.0, 1.0)))
        return crown_margins(graph, region, crown_neurons(graph, region), rows, owner)

    rows, owner = margin_rows(y, graph.classes, x.dtype)
    bounds(x[:2], rows[:18], owner[:18])  # the first call of anything is slow
    began = time.process_time()
    together = bounds(x, rows, owner)
    batch = time.process_time() - began
    began = time.process_time()
    alone = torch.cat([bounds(x[o : o + 1], rows[i : i + 1], owner[:1]) for i, o in enumerate(owner.tolist()[:90])])
    loop = (time.process_time() - began) / 90 * len(owner)
    torch.set_num_threads(threads)
    assert torch.allclose(alone, together[:90], atol=1e-3)
    print(f"speed: {len(x)} images x {graph.classes - 1} targets: batch {batch:.2f} s, loop {loop:.2f} s, "
          f"{loop / batch:.1f} times")  # fmt: skip


def certificates(model: sp.Model, x: Tensor, y: Tensor, eps: float, method: str, out: Path | None) -> sp.Certificates:
    """The certificates, from the folder where it has them."""
    if out is None:
        return sp.certify(model, x, y, ("Linf", eps), method)
    run = CertifyRun(model, x, y, sp.Threat("Linf", eps), find_method(method), 0, {"model": model.name}, shard_size=50)
    store = run.open(out / f"{model.name}-{len(y)}-{method.replace(':', '-')}", resume=True)
    return run.work(store)


def attacked(
    model: sp.Model,
    x: Tensor,
    y: Tensor,
    eps: float,
    suite: str,
    found: Known,
    tried: Tensor,
    kept: Path | None,
) -> None:
    """Audits of the same images, of those `tried` (bool [N]), beside what is known of them; `kept`: their file."""
    count = len(x)
    broken = torch.zeros(count, dtype=torch.bool)
    known_rows: dict[str, list[list[int]]] = json.loads(kept.read_text()) if kept is not None and kept.exists() else {}
    seconds = 0.0
    for part in tried.nonzero().flatten().split(PIECE):
        key = f"{suite} {len(tried)} {int(part[0])} {len(part)}"
        if key not in known_rows:
            report = sp.audit(model, (x[part], y[part]), ("Linf", eps), suite=suite)
            known_rows[key] = [part[report.worst.success].tolist(), [round(report.seconds)]]
            if kept is not None:
                write_json(kept, known_rows)
        broken[known_rows[key][0]] = True
        seconds += known_rows[key][1][0]
    right = found.right[:count]
    known = right & found.broken[:count]
    wrong = broken | known | ~right
    open_ = ~wrong & ~found.proved[:count]
    print(
        f"  {suite + ' audit':22} {count} images, {int(tried.sum())} of them attacked: at most "
        f"{float((right & ~broken).double().mean()):.2%}, {seconds:.0f} s; of "
        f"{int(known.sum())} images that are known to break it misses {int((known & ~broken).sum())}; proved and "
        f"broken all the same: {int((broken & found.proved[:count]).sum())}; both together: "
        f"{float(found.proved[:count].double().mean()):.2%} to {float((~wrong).double().mean()):.2%}, "
        f"{int(open_.sum())} open",
        flush=True,
    )


def once_more(
    model: sp.Model, x: Tensor, y: Tensor, eps: float, method: str, found: sp.Certificates, out: Path | None
) -> Known:
    """What is known after another method has tried the images that the last one left open."""
    known = Known(found.clean_correct, found.attacked.clone(), found.certified.clone())
    rows = torch.tensor([one == "unknown" for one in found.status])
    if bool(rows.any()):
        second = certificates(model, x[rows], y[rows], eps, method, out)
        known.broken[rows], known.proved[rows] = second.attacked, second.certified
        print(
            f"  {method + ' again':22} on {int(rows.sum())} open images: certified "
            f"{float(known.proved.double().mean()):.2%}  not broken "
            f"{float((known.right & ~known.broken).double().mean()):.2%}  unknown {second.status.count('unknown')}  "
            f"{float(second.seconds.sum()):.1f} s",
            flush=True,
        )
    return known


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--n", type=int, default=200)
    parser.add_argument("--nets", nargs="*", default=list(PUBLISHED))
    parser.add_argument("--methods", nargs="*", default=["ibp", "crown", "alpha-crown", "complete:seconds=60"])
    parser.add_argument("--out", type=Path, help="a folder for the certificates")
    parser.add_argument("--again", metavar="METHOD", help="try this on what the last method leaves open")
    parser.add_argument("--suite", help="of the audit beside them")
    parser.add_argument("--audited", type=int, default=1000, help="images of it")
    parser.add_argument("--unproved", action="store_true", help="attack only what the first method does not prove")
    parser.add_argument("--speed", action="store_true", help="nothing but the batch against the loop")
    options = parser.parse_args()
    folder = Path(os.environ["SPARRING_DATA"]) / "published"
    for name in options.nets[:1] if options.speed else options.nets:
        model = net_of(name, folder)
        x, y, eps = images_of(name, folder, 50 if options.speed else options.n)
        if options.speed:
            speed(model, x, y, eps)
            return
        print(f"{name}, Linf {eps:.4g}, {len(x)} images; published: {PUBLISHED.get(name, '-')}", flush=True)
        tried = torch.ones(min(options.audited, len(x)), dtype=torch.bool)
        for method in options.methods:
            found = certificates(model, x, y, eps, method, options.out)
            if options.unproved and method == options.methods[0]:
                tried &= ~found.certified[: len(tried)]
            shares = f"certified {found.certified_accuracy:.2%}  not broken {found.upper:.2%}"
            unknown, seconds = found.status.count("unknown"), float(found.seconds.sum())
            print(
                f"  {method:22} clean {found.clean_accuracy:.2%}  {shares}  unknown {unknown}  {seconds:.1f} s",
                flush=True,
            )
        known = Known(found.clean_correct, found.attacked, found.certified)
        if options.again:
            known = once_more(model, x, y, eps, options.again, found, options.out)
        if options.suite:
            kept = options.out and options.out / f"{name}-audits.json"
            count = len(tried)
            attacked(model, x[:count], y[:count], eps, options.suite, known, tried, kept)


if __name__ == "__main__":
    main()
