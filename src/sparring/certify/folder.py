"""Certificates of many images in the folder of a run: shard by shard, stopped and gone on with at any time.

Each shard is written once, whole, by whoever holds its lease (`scale.store`), so several processes may share a folder.
Smoothing and attacks draw noise by the content of an image: what is proved of it does not depend on its shard.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor

from sparring.certify.api import certify
from sparring.certify.methods import Method
from sparring.certify.result import PER_IMAGE, Certificates, joined
from sparring.export.files import open_folder
from sparring.model import Model
from sparring.scale.store import Record, Store
from sparring.threat import Threat

FORMAT = "sparring-certify-1"
WAIT = 0.2
"seconds between two looks at what others are working on"


@dataclass(frozen=True)
class CertifyRun:
    """Images to certify, and the folder where the certificates are kept.

    Attributes:
        about: plain values that tell this model and these images from others; a folder of another run is refused.
        shard_size: images a shard. batch_size: images at once.
    """

    model: Model
    x: Tensor
    y: Tensor
    threat: Threat
    method: Method
    seed: int
    about: dict[str, Any]
    batch_size: int = 64
    shard_size: int = 250

    def open(self, folder: Path, *, resume: bool = False, force: bool = False) -> Store:
        """Begin in `folder`; or, with `resume`, go on there.

        Raises:
            InputError: it holds another run, or this one and `resume` is not said, or it cannot be written.
        """
        open_folder(folder, force=force or (folder / "plan.json").exists())
        if force and not resume:
            Store.clear(folder)
        return Store.open(folder, self.identity(), resume)

    def identity(self) -> dict[str, Any]:
        """What decides about the certificates, as plain values."""
        return {
            "format": FORMAT,
            "shards": -(-len(self.y) // self.shard_size),
            "shard_size": self.shard_size,
            "n": len(self.y),
            "threat": self.threat.to_dict(),
            "method": self.method.spec,
            "seed": self.seed,
            **self.about,
        }

    def work(self, store: Store, progress: Callable[[int], Any] | None = None) -> Certificates:
        """Make the missing shards, together with whoever else is at it; the certificates of all images.

        `progress` is called with the number of images that are done, after each batch.
        """
        store.mend()
        while missing := store.missing():
            made = False
            for number in missing:
                made |= store.make(number, lambda number=number: self._shard(store, number, progress))  # type: ignore[misc]
                if progress is not None:
                    progress(self._done(store))
            if not made:
                time.sleep(WAIT)
        return joined([self._read(store.load(number)) for number in range(len(store))])

    def _shard(self, store: Store, number: int, progress: Callable[[int], Any] | None) -> Record:
        rows = slice(number * self.shard_size, (number + 1) * self.shard_size)
        before = self._done(store)

        def tell(done: int, _: Certificates) -> None:
            if progress is not None:
                progress(before + done)

        found = certify(
            self.model, self.x[rows], self.y[rows], self.threat.rows(rows), self.method, seed=self.seed,
            batch_size=self.batch_size, progress=tell,
        )  # fmt: skip
        return {name: getattr(found, name) for name in PER_IMAGE}, {}

    def _read(self, record: Record) -> Certificates:
        columns: dict[str, Tensor] = {name: record[0][name] for name in PER_IMAGE}
        threat = self.threat.within(self.model.box)
        return Certificates(**columns, threat=threat, method=self.method.spec, seed=self.seed)

    def _done(self, store: Store) -> int:
        """Images whose shards are there."""
        sizes = (min(self.shard_size, len(self.y) - k * self.shard_size) for k in range(len(store)) if store.done(k))
        return sum(sizes)
