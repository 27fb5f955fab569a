"""Catastrophic overfitting, provoked: what too large a step does to single-step training, what notices it, what helps.

Single-step adversarial training at Linf 0.3 with steps from sound (1.25 eps) to far too large, each without the alarm,
with it, and with GradAlign: clean accuracy, and accuracy under PGD-10, after each epoch; at the end PGD-40 on the
margin with 5 restarts. Wong's net, mnist5k (or `--data mnist`), triangular rate, batches of 100.

    python benchmarks/catastrophic_overfitting.py --epochs 12
"""

from __future__ import annotations

import argparse
import time

import torch

from common import sparring_or_skip, table

EPS = 0.3


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", default="mnist5k")
    parser.add_argument("--limit", type=int, default=20_000, help="training images, at most")
    parser.add_argument("--epochs", type=int, default=12)
    parser.add_argument("--alpha", default="1.25,4", help="steps in parts of eps, comma separated")
    parser.add_argument("--weight", type=float, default=0.2, help="of GradAlign")
    parser.add_argument("--n", type=int, default=500, help="test images")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=1)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    sp = sparring_or_skip()
    from sparring.data import load_data
    from sparring.defenses.training.recipes import find_recipe
    from sparring.defenses.training.watch import Watch
    from sparring.zoo.nets import make_net

    train, test = load_data(args.data, "train"), load_data(args.data, "test")
    train, test = train.first(min(args.limit, len(train))), test.first(min(args.n, len(test)))
    threat = sp.Threat("Linf", EPS)
    lines = []
    for alpha in args.alpha.split(","):
        for name, stop in ((f"fast:alpha={alpha}", False), (f"fast:alpha={alpha}", True),
                           (f"fast-gradalign:alpha={alpha},weight={args.weight}", False)):  # fmt: skip
            recipe, values = find_recipe(name)
            began = time.perf_counter()
            fitted = sp.fit(
                make_net("wong", seed=args.seed),
                train,
                epochs=args.epochs,
                loss=recipe.loss(threat, values),
                lr=recipe.lr,
                schedule=recipe.schedule,
                batch_size=recipe.batch_size,
                seed=args.seed,
                valid=test,
                device="cpu",
                watch=Watch(threat, stop=stop),
            )
            seconds = time.perf_counter() - began
            path = [f"{epoch['robust_accuracy']:.0%}" for epoch in fitted.history]
            x, y = test.tensors()
            net = fitted.net.eval()
            clean = float((net(x).argmax(1) == y).double().mean())
            left = sp.attack("pgd:loss=margin,restarts=5")(net, x, y, threat).robust_accuracy()
            line = [name, "on" if stop else "off", " ".join(path), f"{clean:.1%}", f"{left:.1%}", f"{seconds:.0f} s"]
            print("  ".join(line), flush=True)
            if fitted.stopped:
                print(f"  stopped: {fitted.stopped}", flush=True)
            lines.append(line)
    header = ["recipe", "alarm", "PGD-10 after each epoch", "clean", "PGD-40 x 5 at the end", "time"]
    table(f"{args.data}, {len(train)} training and {len(test)} test images, Linf {EPS}", header, lines)


if __name__ == "__main__":
    main()
