"""Class-balanced order, so that the first n images of a data set are a fair sample of its classes."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def interleave(labels: NDArray[np.int64]) -> NDArray[np.int64]:
    """Order [N] that deals the classes round robin: first of each class, second of each class, ...

    Within a class the given order is kept; a class that runs out is skipped.

    >>> interleave(np.array([0, 0, 0, 1, 2, 2])).tolist()
    [0, 3, 4, 1, 5, 2]
    """
    rank = np.empty(len(labels), dtype=np.int64)
    for label in np.unique(labels):
        mine = labels == label
        rank[mine] = np.arange(mine.sum())
    return np.lexsort((labels, rank))
