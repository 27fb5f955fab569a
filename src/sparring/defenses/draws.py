"""The noise of stages that draw anew at each call: keyed by the image and by how often it was seen.

So a batch of five draws what five batches of one would, and no image's draws depend on another's; yet the same image
gets fresh noise each time, which is what averaging over the randomness (EOT) needs.
"""

from __future__ import annotations

import torch
from torch import Tensor

from sparring.rng import Noise

LIMIT = 1_000_000
"images that are remembered"


class Draws:
    """Streams of noise for a stage.

    >>> draws, x = Draws(0), torch.zeros(1, 4)
    >>> first, second = draws(x).uniform(1), draws(x).uniform(1)
    >>> bool(first == second), bool(first == Draws(0)(x).uniform(1))
    (False, True)
    """

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self.visits: dict[int, int] = {}

    def __call__(self, x: Tensor) -> Noise:
        """The streams for images [B, ...]."""
        noise = Noise.of(x, self.seed)
        if len(self.visits) > LIMIT:
            self.visits.clear()
        counts = []
        for key in noise.keys.tolist():
            counts.append(self.visits.get(key, 0))
            self.visits[key] = counts[-1] + 1
        return noise.fold(torch.tensor(counts, dtype=torch.int64, device=noise.keys.device))
