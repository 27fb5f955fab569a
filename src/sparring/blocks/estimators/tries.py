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
"tries that are passed over in one round because they would move nothing; the row waits for the next round then"
LEAST = 1e-4
"of a step: a shorter one is rounding, as when a ball's surface is projected on again"


class Tries(NamedTuple):
    """Each vector of an order is tried on its negative side, then on its positive; then all again in a new order.

    Attributes:
        order: [b, d] numbers of vectors. at: [b] the try, two for each vector. lap: [b] how many orders are through.
        helped: bool [b], some try of this lap has. done: bool [b], in a whole lap none has, so none will.
    """

    order: Tensor
    at: Tensor
    lap: Tensor
    helped: Tensor
    done: Tensor

    @classmethod
    def start(cls, basis: Basis, bout: Bout) -> Tries:
        """All at their first vector."""
        none = torch.zeros(len(bout), dtype=torch.int64, device=bout.x.device)
        return cls(basis.order(bout.noise, bout.x), none, none, none > 0, none > 0)

    def after(self, asked: Tensor, better: Tensor) -> Tries:
        """On to the next vector where this try was `better`, else to the next try; who was not `asked` stays."""
        at = torch.where(better, self.at + 2 - self.at % 2, self.at + asked.long())
        return self._replace(at=at, helped=self.helped | better)

    def moving(self, basis: Basis, bout: Bout, z: Tensor, propose: Propose) -> tuple[Tries, Tensor, Tensor]:
        """The first try from here on that moves `z` [b, ...], where it leads [b, ...], and bool [b], is there one.

        There is none where a row is done, or has passed over many in this round: then it goes on in the next.
        """
        tries = self
        for _ in range(LOOKAHEAD):
            tries = tries.renewed(basis, bout)
            vectors = basis.vectors(tries.order.gather(1, tries.at[:, None] // 2).squeeze(1), z)
            new, moves = propose(z, vectors, (tries.at % 2 * 2 - 1).to(z.dtype))
            idle = ~moves & ~tries.done
            if not bool(idle.any()):
                break
            tries = tries._replace(at=tries.at + idle.long())
        return tries, new, moves & ~tries.done

    def renewed(self, basis: Basis, bout: Bout) -> Tries:
        """With a new order for the rows that are through."""
        through = self.at >= 2 * self.order.shape[1]
        if not bool(through.any()):
            return self
        lap = self.lap + through.long()
        fresh = basis.order(bout.noise.fold(lap), bout.x)  # by the row's own lap, not by how long others took
        order, at = torch.where(through[:, None], fresh, self.order), torch.where(through, 0, self.at)
        return Tries(order, at, lap, self.helped & ~through, self.done | (through & ~self.helped))


Propose = Callable[[Tensor, Tensor, Tensor], tuple[Tensor, Tensor]]
"""(points [b, ...], vectors [b, ...], sides of -1 and +1 [b]) -> new points, and bool [b], whether they are new."""


def along(bout: Bout, step: float | None) -> Propose:
    """A step along a vector of so much of eps by the norm of the threat, back in the ball and on the grid."""
    ball = bout.ball
    share = step or STEPS[ball.norm]

    def propose(z: Tensor, vectors: Tensor, side: Tensor) -> tuple[Tensor, Tensor]:
        length = side * share * ball.eps / ball.norm.size(vectors).clamp(min=1e-12)
        new = ball.snap(ball.project(z + ball.column(length) * vectors))
        return new, ball.norm.size(new - z) > LEAST * share * ball.eps

    return propose
