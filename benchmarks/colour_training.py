"""What would a colour net cost to train? CPU seconds of a batch of 128 pictures of 32 x 32, by recipe.

    python benchmarks/colour_training.py

The pictures are random numbers: the time does not depend on them. The hours are those seconds times 391 batches of an
epoch of CIFAR-10 times `--epochs`; they are an estimate, not a run. One thread.
"""

from __future__ import annotations

import argparse
import statistics
import time

import torch

from common import sparring_or_skip, table

RECIPES = ("standard", "fast", "pgd:steps=7", "trades:beta=6,steps=10")
IN_AN_EPOCH = -(-50_000 // 128)


def main() -> None:
    """A table."""
    sparring_or_skip()
    from sparring.data import ImageData
    from sparring.defenses.training import Callback, Step, fit
    from sparring.defenses.training.recipes import find_recipe
    from sparring.threat import Threat
    from sparring.zoo.nets import make_net

    class Clock(Callback):
        """CPU seconds between the ends of batches."""

        def __init__(self) -> None:
            self.ends: list[float] = []

        def on_step(self, step: Step, loss: float) -> None:
            self.ends.append(time.process_time())

    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--net", default="resnet20")
    parser.add_argument("--batches", type=int, default=5, help="timed, after one that is not")
    parser.add_argument("--epochs", type=int, default=30)
    parser.add_argument("--recipes", nargs="*", default=RECIPES)
    args = parser.parse_args()
    torch.set_num_threads(1)
    count = 128 * (args.batches + 1)
    generator = torch.Generator().manual_seed(0)
    x = torch.randint(256, (count, 3, 32, 32), generator=generator, dtype=torch.uint8)
    data = ImageData(x, torch.randint(10, (count,), generator=generator), classes=[str(k) for k in range(10)])
    rows = []
    for spec in args.recipes:
        recipe, values = find_recipe(spec)
        clock, net = Clock(), make_net(args.net, in_channels=3, size=32)
        loss = recipe.loss(Threat("Linf", 8 / 255), values)
        fit(
            net, data, epochs=1, loss=loss, optimizer="sgd", lr=0.01, augment="crop,flip", device="cpu",
            callbacks=[clock],
        )  # fmt: skip
        spent = [after - before for before, after in zip(clock.ends, clock.ends[1:], strict=False)]
        second = statistics.median(spent)
        rows.append(
            (spec, f"{second:.2f}", f"{min(spent):.2f} to {max(spent):.2f}", f"{second * IN_AN_EPOCH / 60:.1f}",
             f"{second * IN_AN_EPOCH * args.epochs / 3600:.1f}")
        )  # fmt: skip
    table(
        f"{args.net}, batches of 128, one thread",
        ("recipe", "s a batch", "from, to", "min an epoch", f"h for {args.epochs} epochs"),
        rows,
    )


if __name__ == "__main__":
    main()
