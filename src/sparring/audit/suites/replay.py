"""Replay: the adversarial examples of an earlier run, tried on another model before any search.

    x' = P(x + (z - x)),   z the stored point of the image x      (one query an image)

An image is recognised by its pixels, so the runs need not have the same images, order or shards. Where the stored
point lies outside the present ball it is projected. It fails on images that the run did not hold, which it leaves, and
it can only be as strong as the run was; that is why every search follows it.
"""

from __future__ import annotations

import hashlib
from functools import lru_cache
from pathlib import Path
from urllib.parse import quote, unquote

import torch
from torch import Tensor

from sparring.attack import Attack, register
from sparring.bout import Bout
from sparring.errors import InputError
from sparring.norms import L0, L1, L2, Linf
from sparring.rng import digest
from sparring.scale.store import Record, Store


class Corpus:
    """The worst points of a run, by image.

    Args:
        folder: of the run; an unfinished one will do.

    Attributes:
        sha256: of the images and their points.

    Raises:
        InputError: it holds no run, or nothing yet.
    """

    def __init__(self, folder: Path) -> None:
        self.store = Store.read(folder)
        self.where: dict[int, tuple[int, int]] = {}
        whole = hashlib.sha256()
        for number in range(len(self.store)):
            if self.store.done(number):
                tensors, _ = self.store.load(number)
                if "keys" not in tensors:
                    raise InputError(f"{folder} is no run of sparring audit; give the folder of one")
                for name in ("keys", "worst/0/x_adv"):
                    whole.update(tensors[name].contiguous().numpy().tobytes())
                self.where |= {int(key): (number, row) for row, key in enumerate(tensors["keys"])}
        if not self.where:
            raise InputError(f"{folder} holds no adversarial examples yet: none of its shards is done")
        self.sha256 = whole.hexdigest()
        self._shard = lru_cache(maxsize=2)(self._load)

    def _load(self, number: int) -> Record:
        return self.store.load(number)

    def points(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """The stored points of images [B, ...], and which of them are known, bool [B]; the others come back."""
        points, known = x.clone(), torch.zeros(len(x), dtype=torch.bool)
        for i, key in enumerate(digest(x).tolist()):
            if key in self.where:
                number, row = self.where[key]
                stored = self._shard(number)[0]["worst/0/x_adv"][row]
                if stored.shape == x.shape[1:]:
                    points[i], known[i] = stored.to(points), True
        return points, known


@lru_cache(maxsize=2)
def corpus(folder: str) -> Corpus:
    """The corpus in a folder, read once a process."""
    return Corpus(Path(folder))


@register(
    "replay",
    title="Replay",
    sees="score",
    norms=(L0, L1, L2, Linf),
    visibility=("visible",),
    specificity=("untargeted",),
    approach="approximation",
    year=2016,
    paper="arXiv:1605.07277",
    listed=False,
)
class Replay(Attack):
    """Each image's stored point, once.

    Args:
        folder: of the run, with percent signs (`urllib.parse.quote`) for what may not be in a spec, see `of`.
    """

    folder: str = ""

    @classmethod
    def of(cls, folder: Path) -> Replay:
        """The replay of the run in `folder`."""
        return cls(folder=quote(str(folder), safe=""))

    @property
    def corpus(self) -> Corpus:
        """The run's points."""
        return corpus(unquote(self.folder))

    def run(self, bout: Bout) -> None:
        points, known = self.corpus.points(bout.x)
        points = bout.active(points, done=~known.to(bout.x.device))
        if len(bout):
            bout.submit(bout.ball.project(points))
