"""Which vector of a basis each row tries next, and to which side: every row at its own place, one query a round."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from sparring.blocks.estimators.bases import Basis
from sparring.bout import Bout
from sparring.norms import L2, Linf, Norm

STEPS: dict[Norm, float] = {L2: 0.1, Linf: 1.0}
"how far to go along one vector, as a fraction of eps"
LOOKAHEAD = 32
"tries that are passed over in one round because they would move nothing"


class Tries(NamedTuple):
    """Each vector of an order is tried on its negative side, then on its positive; then all again in a new order.

    Attributes:
        order: [b, d] numbers of vectors. at: [b] the try, two for each vector. lap: [b] how many orders are through.
    """

    order: Tensor
    at: Tensor
    lap: Tensor

    @classmethod
    def start(cls, basis: Basis, bout: Bout) -> Tries:
        """All at their first vector."""
        none = torch.zeros(len(bout), dtype=torch.int64, device=bout.x.device)
        return cls(basis.order(bout.noise, bout.x), none, none)

    def after(self, better: Tensor) -> Tries:
        """On to the next vector where this try has helped, bool [b], else to the next try."""
        return self._replace(at=torch.where(better, self.at + 2 - self.at % 2, self.at + 1))

    def moving(self, basis: Basis, bout: Bout, z: Tensor, propose: Propose) -> tuple[Tries, Tensor]:
        """The first try from here on that moves `z` [b, ...], and where it leads: [b, ...]."""
        tries = self
        for _ in range(LOOKAHEAD):
            tries = tries.renewed(basis, bout)
            vectors = basis.vectors(tries.order.gather(1, tries.at[:, None] // 2).squeeze(1), z)
            new = propose(z, vectors, (tries.at % 2 * 2 - 1).to(z.dtype))
            still = (new == z).flatten(1).all(1)
            if not bool(still.any()):
                break
            ahead, tries = tries, tries._replace(at=tries.at + still.long())
        else:
            tries = ahead  # what was proposed last is asked all the same
        return tries, new

    def renewed(self, basis: Basis, bout: Bout) -> Tries:
        """With a new order for the rows that are through."""
        through = self.at >= 2 * self.order.shape[1]
        if not bool(through.any()):
            return self
        lap = self.lap + through.long()
        fresh = basis.order(bout.noise.fold(lap), bout.x)  # by the row's own lap, not by how long others took
        return Tries(torch.where(through[:, None], fresh, self.order), torch.where(through, 0, self.at), lap)


Propose = Callable[[Tensor, Tensor, Tensor], Tensor]
"""(points [b, ...], vectors [b, ...], sides of -1 and +1 [b]) -> new points."""


def along(bout: Bout, step: float | None) -> Propose:
    """A step along a vector of so much of eps by the norm of the threat, back in the ball and on the grid."""
    ball = bout.ball
    share = step or STEPS[ball.norm]

    def propose(z: Tensor, vectors: Tensor, side: Tensor) -> Tensor:
        length = side * share * ball.eps / ball.norm.size(vectors).clamp(min=1e-12)
        return ball.snap(ball.project(z + ball.column(length) * vectors))

    return propose
