"""Image quilting (Guo et al. 2018, arXiv:1711.00117): every tile replaced by one of the nearest clean tiles.

Tiles come from clean images, so nothing of the perturbation is left but what the choice of tiles keeps. Differs from
the reference: overlaps are averaged, not cut along the least error (Efros & Freeman 2001); the tiles are those of
`mnist5k`'s training images unless others are given.
"""

from __future__ import annotations

from functools import lru_cache

import torch
from torch import Tensor
from torch.nn.functional import fold, unfold

from sparring.data import load_data
from sparring.defenses.draws import Draws
from sparring.errors import InputError
from sparring.preprocess import Backward, register_stage
from sparring.seeds import derived_seed


@register_stage("quilting")
class Quilting:
    """Tiles of `tile` x `tile` pixels which overlap by `overlap`, each drawn from the `nearest` of `tiles` clean ones.

    Args:
        source: a data set whose training images have the shape of those to defend.
    """

    backward: Backward = "straight_through"
    random = True

    def __init__(
        self,
        tile: int = 5,
        overlap: int = 2,
        nearest: int = 10,
        tiles: int = 5_000,
        *,
        source: str = "mnist5k",
        seed: int = 0,
        box: tuple[float, float] = (0.0, 1.0),
    ) -> None:
        if not 0 <= overlap < tile or not 1 <= nearest <= tiles:
            raise InputError(f"quilting:{tile},{overlap},{nearest},{tiles}: overlap < tile and nearest <= tiles")
        self.tile, self.step, self.nearest, self.box = tile, tile - overlap, nearest, box
        self.random = nearest > 1
        self.book, self.shape = clean_tiles(source, tile, tiles)
        self.draws = Draws(seed)

    @torch.no_grad()
    def __call__(self, x: Tensor) -> Tensor:
        """[B, C, H, W] -> as many."""
        if tuple(x.shape[1:]) != self.shape:
            raise InputError(f"quilting's tiles come from images {self.shape}; these are {tuple(x.shape[1:])}")
        low, high = self.box
        height, width = x.shape[2:]
        bottom, right = (-(side - self.tile) % self.step for side in (height, width))
        wide = torch.nn.functional.pad((x - low) / (high - low), (0, right, 0, bottom), mode="replicate")
        cut = unfold(wide, self.tile, stride=self.step).transpose(1, 2)  # [B, L, C * tile * tile]
        book = self.book.to(cut)
        drawn = self.draws(x).below(self.nearest, cut.shape[1]).to(x.device)
        half = book.square().sum(1) / 2
        rows = [(half - part @ book.T).topk(self.nearest, 1, largest=False).indices for part in cut]
        chosen = book[torch.stack(rows).gather(2, drawn[..., None]).squeeze(2)].transpose(1, 2)
        size = wide.shape[2:]
        summed = fold(chosen, size, self.tile, stride=self.step)
        counts = fold(torch.ones_like(chosen), size, self.tile, stride=self.step)
        return (summed / counts)[..., :height, :width] * (high - low) + low


@lru_cache(maxsize=4)
def clean_tiles(source: str, tile: int, count: int) -> tuple[Tensor, tuple[int, ...]]:
    """`count` tiles [count, C * tile * tile] of training images, anywhere in them, and the images' shape."""
    x = load_data(source, "train").tensors()[0]
    generator = torch.Generator().manual_seed(derived_seed(0, "tiles"))
    shape = tuple(x.shape[1:])
    if min(shape[1:]) < tile:
        raise InputError(f"tiles of {tile} x {tile} do not fit into the {shape} images of {source}")
    image = torch.randint(len(x), (count,), generator=generator)
    top = torch.randint(shape[1] - tile + 1, (count,), generator=generator)
    left = torch.randint(shape[2] - tile + 1, (count,), generator=generator)
    span = torch.arange(tile)
    rows, columns = (top[:, None] + span)[:, :, None], (left[:, None] + span)[:, None]
    return x[image[:, None, None], :, rows, columns].permute(0, 3, 1, 2).flatten(1), shape
