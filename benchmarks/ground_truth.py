"""How far attacks stay above the proven smallest Linf distance, for digits on a net that exact search can settle.

    python benchmarks/ground_truth.py --n 100 --seconds 60 --out truth.json

Needs SPARRING_DATA: nets/fc-784-24-24-10.safetensors and MNIST, and the extra `certify` (HiGHS). Takes the first digits
of the test set that the net gets right. Only digits whose distance is proven count. The file keeps what is proven, and
a later call goes on from there.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file
from torch import nn

import sparring as sp
from sparring.storage import write_json


def all_attacks() -> list[str]:
    """Every listed attack that looks for the smallest Linf perturbation."""
    found = [info.name for info in sp.attacks(norm="Linf") if info.aim in ("minimum", "both")]
    return [name for name in found if name != "ground-truth"]


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--n", type=int, default=100)
    parser.add_argument("--first", type=int, default=0, help="number of the first digit")
    parser.add_argument("--seconds", type=float, default=60, help="for the proof of a digit")
    parser.add_argument("--attacks", nargs="*", default=None, help="default: all that minimise")
    parser.add_argument("--out", type=Path, default=Path("ground_truth.json"))
    options = parser.parse_args()
    net = nn.Sequential(
        nn.Flatten(), nn.Linear(784, 24), nn.ReLU(), nn.Linear(24, 24), nn.ReLU(), nn.Linear(24, 10)
    ).requires_grad_(False)
    net.load_state_dict(load_file(Path(os.environ["SPARRING_DATA"]) / "nets" / "fc-784-24-24-10.safetensors"))
    x, y = sp.load_data("mnist", "test").tensors()
    right = (net(x).argmax(1) == y).nonzero().flatten()
    rows = right[right >= options.first][: options.n]
    known = json.loads(options.out.read_text()) if options.out.exists() else {}
    exact = sp.attack(f"ground-truth:passes=1000,seconds={options.seconds}")
    for row in rows.tolist():
        if str(row) not in known:
            began = time.perf_counter()
            found = exact(net, x[row : row + 1], y[row : row + 1], ("Linf", None))
            known[str(row)] = {
                "distance": float(found.distance[0]),
                "proven": not found.doubts,
                "seconds": time.perf_counter() - began,
            }
            write_json(options.out, known)
    proven = [row for row in rows.tolist() if known[str(row)]["proven"]]
    truth = np.array([known[str(row)]["distance"] for row in proven])
    seconds = np.array([known[str(row)]["seconds"] for row in rows.tolist()])
    print(
        f"{len(proven)} of {len(rows)} digits proven within {options.seconds:g} s each; median time "
        f"{np.median(seconds):.1f} s, median distance {np.median(truth):.5f}"
    )
    print(f"{'attack':36} {'passes':>7} {'median':>8} {'mean':>8} {'largest':>8}  excess over the proven minimum")
    for spec in options.attacks or all_attacks():
        attack = sp.attack(spec)
        found = attack(net, x[proven], y[proven], ("Linf", None))
        excess = 100 * (found.distance.double().numpy() / truth - 1)
        assert excess.min() > -0.05, f"{spec} is nearer than what was proven"
        passes = float((found.queries + found.gradients).double().mean())
        shown = " ".join(f"{value:7.2f}%" for value in (np.median(excess), excess.mean(), excess.max()))
        print(f"{spec:36} {passes:7.0f} {shown}", flush=True)


if __name__ == "__main__":
    torch.set_num_threads(1)
    main()
