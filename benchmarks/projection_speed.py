"""Images a second of Defense-GAN's projection, against loops over the restarts, at the same reconstruction error.

    python benchmarks/projection_speed.py --images 20 --json projection.json

Three ways over the same images with the same starts and steps: ours (all restarts of all images in one batch, which
some leave early), the reference algorithm as it is written (for each image, for each restart, L steps), and the same
with the images as a batch and a loop over the restarts alone. And the encoder's start with a quarter of the steps.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from time import perf_counter, process_time

import torch
from torch import Tensor

import sparring as sp
from sparring.generators.files import load_generator
from sparring.generators.pairs import Generator
from sparring.generators.projection import Projection
from sparring.rng import Noise


def descend(generator: Generator, x: Tensor, z: Tensor, steps: int) -> tuple[Tensor, Tensor]:
    """L steps of momentum from one start an image [b, latent]: the last code, its errors [b]. As it is written."""
    z = z.clone().requires_grad_()
    optimizer = torch.optim.SGD([z], lr=10.0, momentum=0.7)
    for step in range(steps):
        optimizer.param_groups[0]["lr"] = 10.0 if step < 0.8 * steps else 1.0
        optimizer.zero_grad()
        (generator(z) - x).square().flatten(1).mean(1).sum().backward()
        optimizer.step()
    with torch.no_grad():
        return z.detach(), (generator(z) - x).square().flatten(1).mean(1)


def loop(generator: Generator, x: Tensor, starts: Tensor, steps: int) -> Tensor:
    """The least error of all restarts [b], one restart after the other."""
    errors = [descend(generator, x, starts[:, r], steps)[1] for r in range(starts.shape[1])]
    return torch.stack(errors).amin(0)


def main() -> None:
    """Measure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--generator", default="mnist-wgan-gp")
    parser.add_argument("--images", type=int, default=20)
    parser.add_argument("--steps", type=int, default=200)
    parser.add_argument("--restarts", type=int, default=10)
    parser.add_argument("--alone", type=int, default=3, help="images for the slowest way")
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    torch.set_num_threads(1)
    generator = load_generator(given.generator)
    x = sp.load_data("mnist5k", "test", n=given.images).tensors()[0]
    rows: list[dict[str, float | str]] = []

    def row(name: str, images: int, error: Tensor, wall: float, cpu: float) -> None:
        rows.append({"way": name, "images": images, "error": float(error.mean()), "wall": wall, "cpu": cpu})
        print(f"{name:<46} error {float(error.mean()):.5f}  {images / cpu:7.2f} images a CPU second  ({wall:.1f} s)")

    def timed(name: str, how: Projection) -> None:
        wall, cpu = perf_counter(), process_time()
        found = how.run(generator, x, Noise.of(x, 0))
        row(name, len(x), found.error, perf_counter() - wall, process_time() - cpu)

    plain = Projection(given.steps, given.restarts, tolerance=0, race=False)
    timed("one batch", plain)
    timed("... starts that rest leave", Projection(given.steps, given.restarts, race=False))
    timed("... starts that lie behind leave, too", Projection(given.steps, given.restarts))
    timed("encoder, a quarter of the steps", Projection(given.steps // 4, given.restarts, start="encoder"))
    starts = plain.starts(generator, x, Noise.of(x, 0))
    wall, cpu = perf_counter(), process_time()
    errors = loop(generator, x, starts, given.steps)
    row("images as a batch, a loop over restarts", len(x), errors, perf_counter() - wall, process_time() - cpu)
    few = min(given.alone, len(x))
    wall, cpu = perf_counter(), process_time()
    errors = torch.cat([loop(generator, x[k : k + 1], starts[k : k + 1], given.steps) for k in range(few)])
    row("image by image, restart by restart", few, errors, perf_counter() - wall, process_time() - cpu)
    if given.json:
        given.json.write_text(json.dumps({"steps": given.steps, "restarts": given.restarts, "rows": rows}, indent=1))


if __name__ == "__main__":
    main()
