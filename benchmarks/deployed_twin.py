"""What is left of adversarial examples when a net is deployed in 8 bits: breaks of the float twin, on the int8 file.

    python benchmarks/deployed_twin.py --float hf:DIR --deployed tflite:FILE --data "folder:PICTURES?labels=labels.csv"

For each eps, PGD under Linf on the pictures that both nets get right, three times:

    first     on the float net, each picture until its first success: the points that a search for the nearest finds
    full      on the float net, all steps, keeping the success with the largest margin
    asking    on the file itself with the gradients of the float net (--twin): it sees the file's verdict at each step

Of the first two it counts the breaks on the float net, and of these the share that fools the file too; of the third the
breaks on the file. Each share with its 95 % interval (Wilson). PNG is what is left of these when saved with 8 bits.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import torch
from torch import Tensor

import sparring as sp
from sparring.audit.statistics.proportion import wilson
from sparring.cli.pictures import read_for
from sparring.storage import write_json


def labels(model: sp.Model, x: Tensor) -> Tensor:
    """The predicted classes of x [N, ...]."""
    with model.guard(), torch.no_grad():
        return torch.cat([model.labels(model.accept(part)) for part in torch.split(x, 16)])


def share(hits: int, of: int) -> str:
    """A share with its interval."""
    if not of:
        return "-"
    low, high = wilson(hits, of)
    return f"{hits}/{of} = {100 * hits / of:.1f} % ({100 * low:.1f} to {100 * high:.1f})"


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--float", required=True, dest="twin")
    arguments.add_argument("--deployed", required=True)
    arguments.add_argument("--data", required=True)
    arguments.add_argument("--eps", nargs="+", default=["1/255", "2/255", "4/255", "8/255"])
    arguments.add_argument("--steps", type=int, default=10)
    arguments.add_argument("--n", type=int, default=None)
    arguments.add_argument("--json", type=Path, default=None)
    given = arguments.parse_args()

    twin, deployed = sp.load_model(given.twin), sp.load_model(given.deployed)
    data, _ = read_for(twin, sp.load_data(given.data, n=given.n), given.data)
    x, y = data.named_as(twin.classes).tensors()
    said, file_said = labels(twin, x), labels(deployed, x)
    right = (said == y) & (file_said == y)
    print(
        f"{len(x)} pictures: float net right on {int((said == y).sum())}, file on {int((file_said == y).sum())}, ",
        end="",
    )
    print(f"the same answer on {int((said == file_said).sum())}, both right on {int(right.sum())}", flush=True)
    x, y = x[right], y[right]
    both = sp.with_twin(deployed, twin)
    rows = []
    for text in given.eps:
        numerator, _, denominator = text.partition("/")
        threat = sp.Threat("Linf", float(numerator) / float(denominator or 1))
        for how, model, keep in (("first", twin, "best"), ("full", twin, "margin"), ("asking", both, "best")):
            began = time.perf_counter()
            result = sp.PGD(steps=given.steps)(model, x, y, threat, seed=0, keep=keep)
            z, broken = result.x_adv, result.success
            fooled, saved = labels(deployed, z) != y, labels(deployed, (z * 255).round() / 255) != y
            row = {
                "eps": text,
                "attack": how,
                "pictures": len(x),
                "broken": int(broken.sum()),
                "file_fooled": int((fooled & broken).sum()),
                "file_fooled_png": int((saved & broken).sum()),
                "seconds": round(time.perf_counter() - began, 1),
            }
            rows.append(row)
            of = len(x) if how == "asking" else row["broken"]
            print(f"{text:>6} {how:7} broken {share(row['broken'], len(x))}; ", end="")
            print(
                f"on the file {share(row['file_fooled'], of)}, as PNG {share(row['file_fooled_png'], of)}", flush=True
            )
    if given.json is not None:
        write_json(given.json, {"float": given.twin, "deployed": given.deployed, "steps": given.steps, "rows": rows})


if __name__ == "__main__":
    main()
