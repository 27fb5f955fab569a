"""Which random searches are worth their queries: by experience, those that arrive have come near early.

Learned from searches that ran to their end on 1,300 digits and three nets, two of them robust (docs/audit_speed.md):
after so many queries, nearly all that fooled later had taken at least this share of the clean margin. Free of the
logits' scale, and each row's own.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from sparring.bout import Bout


@dataclass(frozen=True)
class Bars:
    """What a search must have achieved.

    Attributes:
        shares: of the clean margin, by queries. shorter: what is left must be at most this much of what was left at
            the query before in the list.
    """

    shares: Mapping[int, float]
    shorter: float = 1.0


FROM_AFAR = Bars({100: 0.3, 300: 0.6, 500: 0.7, 1000: 0.82, 2000: 0.9, 3000: 0.95})
"of a search that starts from stripes"
FROM_NEARBY = Bars({100: 0.65, 250: 0.8, 450: 0.88, 950: 0.92, 1950: 0.95}, shorter=0.95)
"of one that goes on from where gradients led"


class Prospects(NamedTuple):
    """What is known of a search, per row.

    Attributes:
        start: [b] the margin that is to be taken from the clean image. last: [b] what was left at the last bar.
    """

    start: Tensor
    last: Tensor

    @classmethod
    def of(cls, bout: Bout) -> Prospects:
        """Before the search."""
        start = -bout.goal.margin(bout.clean_logits)
        return cls(start, torch.full_like(start, torch.inf))

    def after(self, queries: int, margin: Tensor, bars: Bars) -> tuple[Prospects, Tensor | None]:
        """With the best margin [b] after so many queries; and bool [b], who is not worth the rest, None = no bar."""
        share = bars.shares.get(queries)
        if share is None:
            return self, None
        left = -margin
        return self._replace(last=left), (left > (1 - share) * self.start) | (left > bars.shorter * self.last)
