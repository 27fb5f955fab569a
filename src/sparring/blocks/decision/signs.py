"""Directions of signs, and flips of their blocks from coarse to fine: what searches under Linf are made of."""

from __future__ import annotations

import torch
from torch import Tensor

from sparring.ball import Ball
from sparring.blocks.decision.ask import clip_many
from sparring.blocks.decision.bisect import Path
from sparring.bout import Bout


def signed(ball: Ball, signs: Tensor) -> Path:
    """From the clean image along signs [b, ...], kept in the box: the radius is the Linf distance."""
    return lambda radius: ball.clip(ball.x + ball.column(radius) * signs)


def signs_of(ball: Ball, z: Tensor) -> Tensor:
    """Signs [b, ...] of the way from the clean image to `z`; outward, over its bound, where the box ends that way."""
    low, high = ball.box
    outward = torch.where(2 * ball.x >= low + high, 1.0, -1.0).to(z.dtype)
    return torch.where(z == ball.x, outward, (z - ball.x).sign())


def signed_many(bout: Bout, signs: Tensor) -> Path:
    """The same for many directions of each row: signs [b, m, ...], points [b, m, ...]."""
    x = bout.x[:, None]
    return lambda radius: clip_many(bout, x + bout.ball.column(radius)[:, None] * signs)


def block(pixels: int, turn: int) -> tuple[int, int]:
    """The first and the last pixel + 1 of block number `turn`: all, halves, quarters ... single ones, then all again.

    >>> [block(4, turn) for turn in range(8)]
    [(0, 4), (0, 2), (2, 4), (0, 1), (1, 2), (2, 3), (3, 4), (0, 4)]
    """
    while True:
        count = 1
        while True:
            parts = min(count, pixels)
            if turn < parts:
                return turn * pixels // parts, (turn + 1) * pixels // parts
            turn -= parts
            if count >= pixels:
                break
            count *= 2


def block_share(signs: Tensor, turn: int) -> float:
    """The share of the pixels that block number `turn` has."""
    pixels = signs[0].numel()
    start, stop = block(pixels, turn)
    return (stop - start) / pixels


def flip_block(signs: Tensor, turn: int) -> Tensor:
    """The signs [b, ...] with block number `turn` of the flattened image turned round."""
    start, stop = block(signs[0].numel(), turn)
    flat = signs.flatten(1).clone()
    flat[:, start:stop] *= -1
    return flat.reshape(signs.shape)


def flip_pair(signs: Tensor, turn: int) -> Tensor:
    """The signs with block 2 `turn` + 1 flipped, and with the one after it: [b, 2, ...]."""
    return torch.stack([flip_block(signs, 2 * turn + 1), flip_block(signs, 2 * turn + 2)], 1)
